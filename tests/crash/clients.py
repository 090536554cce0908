"""Clients that keep a server busy and write down every call and answer.

They speak AWS JSON over plain HTTP: an SDK would take most of the time that the server is to be killed in.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from .history import Change, Delete, Got, History, Receive, Send

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=headrace/20250101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
)
NO_ANSWER = (OSError, http.client.HTTPException)


class Refused(Exception):
    """The server answered with an error; `args` are the status and the body."""


class Caller:
    """A connection to the server. `call` raises one of NO_ANSWER when the server is gone."""

    def __init__(self, endpoint_url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(endpoint_url).netloc, timeout=30)

    def call(self, operation: str, queue: str, **params: Any) -> dict[str, Any]:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AmazonSQS.{operation}",
            "Authorization": AUTHORIZATION,
        }
        params["QueueUrl"] = f"http://sqs.us-east-1.amazonaws.com/000000000000/{queue}"
        self._connection.request("POST", "/", json.dumps(params), headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise Refused(response.status, body)
        return json.loads(body or b"{}")

    def close(self) -> None:
        self._connection.close()


class Client:
    """One thread's work on one queue, and what it writes down."""

    def __init__(self, endpoint_url: str, queue: str, history: History, seed: int) -> None:
        self.caller = Caller(endpoint_url)
        self.queue = queue
        self.fifo = queue.endswith(".fifo")
        self.history = history
        self.rng = random.Random(seed)
        self.seed = seed
        self.number = 0

    # ---- sending

    def new_send(self) -> Send:
        self.number += 1
        body = f"{self.queue}-{self.seed}-{self.number}"
        if self.number % 20 == 0:
            body += "." * self.rng.choice([500, 5000, 60_000])
        group = f"g{self.rng.randrange(30)}" if self.fifo else None
        return Send(queue=self.queue, started=0, body=body, group=group, dedup_id=body[:100] if self.fifo else None)

    def send(self, sends: list[Send]) -> None:
        """Send them (new ones, or once more), in a batch when there are several, and write down what was answered."""
        started = time.monotonic()
        fresh = {"started": started, "ended": None, "message_id": None, "sequence": None}
        sends = [replace(each, **fresh, batch=f"{started} {sends[0].body}") for each in sends]
        try:
            answers = (
                self._send_batch(sends)
                if len(sends) > 1
                else [self.caller.call("SendMessage", self.queue, **_entry(sends[0]))]
            )
            ended = time.monotonic()
            for send, answer in zip(sends, answers, strict=True):
                send.ended, send.message_id = ended, answer["MessageId"]
                send.sequence = int(answer["SequenceNumber"]) if self.fifo else None
        finally:
            self.history.add(*sends)

    def _send_batch(self, sends: list[Send]) -> list[dict[str, Any]]:
        entries = [{"Id": str(place), **_entry(send)} for place, send in enumerate(sends)]
        answer = self.caller.call("SendMessageBatch", self.queue, Entries=entries)
        assert not answer.get("Failed"), answer
        by_id = {each["Id"]: each for each in answer["Successful"]}
        return [by_id[str(place)] for place in range(len(sends))]

    # ---- receiving

    def receive(self, max_messages: int, timeout: int, wait: int = 0) -> Receive:
        event = Receive(queue=self.queue, started=time.monotonic(), timeout=timeout)
        try:
            answer = self.caller.call(
                "ReceiveMessage", self.queue, MaxNumberOfMessages=max_messages, VisibilityTimeout=timeout,
                WaitTimeSeconds=wait, MessageSystemAttributeNames=["All"],
            )  # fmt: skip
            event.messages = [_got(message) for message in answer.get("Messages", [])]
            event.ended = time.monotonic()
        finally:
            self.history.add(event)
        return event

    def delete(self, messages: list[Got]) -> None:
        started = time.monotonic()
        events = [Delete(queue=self.queue, started=started, receipt=got.receipt) for got in messages]
        entries = [{"Id": str(place), "ReceiptHandle": got.receipt} for place, got in enumerate(messages)]
        try:
            answer = self.caller.call("DeleteMessageBatch", self.queue, Entries=entries)
            failed = {each["Id"] for each in answer.get("Failed", [])}
            for place, event in enumerate(events):
                event.ended, event.refused = time.monotonic(), str(place) in failed
        finally:
            self.history.add(*events)

    def change(self, got: Got, timeout: int) -> None:
        event = Change(queue=self.queue, started=time.monotonic(), receipt=got.receipt, timeout=timeout)
        try:
            self.caller.call(
                "ChangeMessageVisibility", self.queue, ReceiptHandle=got.receipt, VisibilityTimeout=timeout
            )
            event.ended = time.monotonic()
        except Refused as refusal:
            if refusal.args[0] != http.client.BAD_REQUEST:
                raise
            event.ended, event.refused = time.monotonic(), True
        finally:
            self.history.add(event)

    # ---- what threads do until the server is gone

    def produce(self) -> None:
        while True:
            self.send([self.new_send() for _ in range(self.rng.choice([1, 1, 1, 2, 10]))])

    def consume(self) -> None:
        while True:
            batch = self.receive(self.rng.randint(1, 10), self.rng.choice([1, 1, 2, 2, 30]), self.rng.choice([0, 1]))
            kept = []
            for got in batch.messages:
                whim = self.rng.random()
                if whim < 0.03:
                    self.change(got, self.rng.choice([0, 1, 3, 60]))
                elif whim < 0.06 and not self.fifo:
                    continue
                else:
                    kept.append(got)
            # On a FIFO queue what is not deleted must not come before what is, or the order is the client's to lose.
            if kept and (not self.fifo or len(kept) == len(batch.messages)) and self.rng.random() < 0.95:
                self.delete(kept)


def run_until_killed(*works: Any) -> list[threading.Thread]:
    """Start each work in a thread; it ends when the server does not answer any more."""

    def endure(work: Any) -> None:
        try:
            work()
        except NO_ANSWER:
            work.__self__.caller.close()

    threads = [threading.Thread(target=endure, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads


def _entry(send: Send) -> dict[str, Any]:
    entry: dict[str, Any] = {"MessageBody": send.body}
    if send.group is not None:
        entry |= {"MessageGroupId": send.group, "MessageDeduplicationId": send.dedup_id}
    return entry


def _got(message: dict[str, Any]) -> Got:
    attributes = message["Attributes"]
    sequence = attributes.get("SequenceNumber")
    return Got(
        message["Body"],
        message["MessageId"],
        message["ReceiptHandle"],
        int(attributes["ApproximateReceiveCount"]),
        attributes.get("MessageGroupId"),
        None if sequence is None else int(sequence),
    )
