"""Calls that fail over: which of them were answered, and how long each kind of work could not be done."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

from .clients import Refused

CALL_TIMEOUT_S = 2.0
"""What a client waits for an answer, besides what it asked to wait, before it goes to another process."""
STAY_CALLS = 20
"""After about so many calls a client goes to another process, so that all of them are asked."""
GIVEN_UP_S = 1.0
"""A client that does not try again for so long has turned to other work."""
FAILED = (OSError, http.client.HTTPException, Refused)
"""What `Failover.post` raises: no answer, or an error as the answer."""


@dataclass(frozen=True)
class Call:
    """A call of one client. `wait_s` is how long it allowed the server to wait for messages."""

    client: int
    kind: str
    started: float
    ended: float
    answered: bool
    wait_s: float


class Calls:
    """All calls of a run; threads add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.all: list[Call] = []

    def add(self, call: Call) -> None:
        with self._lock:
            self.all.append(call)


@dataclass(frozen=True)
class Outage:
    """A client's work that could not be done from `began` to `ended`; the first try began then, the last succeeded."""

    kind: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def outages(calls: list[Call]) -> Iterator[Outage]:
    """How long each answer took from the first try on; a client that gave up was without one until its last try."""
    by_work: dict[tuple[int, str], list[Call]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: call.started):
        by_work[call.client, call.kind].append(call)
    for (_, kind), tries in by_work.items():
        began: float | None = None
        ended = 0.0
        for call in tries:
            if began is not None and call.started > ended + GIVEN_UP_S:
                yield Outage(kind, began, ended)
                began = None
            began = call.started if began is None else began
            ended = max(call.started, call.ended - call.wait_s * call.answered)
            if call.answered:
                yield Outage(kind, began, ended)
                began = None
        if began is not None:
            yield Outage(kind, began, ended)


class Failover:
    """A client's way to the processes: one of them at a time, another when it does not answer or is not well."""

    def __init__(self, endpoints: list[str], calls: Calls, number: int, rng: random.Random) -> None:
        self._places = [urlsplit(endpoint).netloc for endpoint in endpoints]
        self._calls = calls
        self._number = number
        self._rng = rng
        self._at = rng.randrange(len(endpoints))
        self._connection: http.client.HTTPConnection | None = None

    def post(self, kind: str, headers: dict[str, str], body: str, *, wait_s: float = 0) -> bytes:
        """The answer's body. Raises Refused (the status and the body), or when there is no answer."""
        if self._rng.random() < 1 / STAY_CALLS:
            self._move(self._rng.randrange(len(self._places)))
        started, answered = time.monotonic(), False
        try:
            status, answer = self._post(headers, body, CALL_TIMEOUT_S + wait_s)
            answered = status < http.client.INTERNAL_SERVER_ERROR
        finally:
            self._calls.add(Call(self._number, kind, started, time.monotonic(), answered, wait_s))
            if not answered:
                self._move(self._at + 1)
        if status != http.client.OK:
            raise Refused(status, answer)
        return answer

    def _post(self, headers: dict[str, str], body: str, timeout_s: float) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._places[self._at])
        self._connection.timeout = timeout_s
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout_s)
        self._connection.request("POST", "/", body, headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def _move(self, to: int) -> None:
        self.close()
        self._at = to % len(self._places)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Service:
    """Calls of one service over a `Failover`, as its light clients make them."""

    def __init__(self, failover: Failover, label: str) -> None:
        self.failover = failover
        self.label = label

    def close(self) -> None:
        self.failover.close()

    def _json(self, service: str, target: str, operation: str, params: dict, wait_s: float = 0) -> dict:
        headers = {
            "Content-Type": f"application/x-amz-json-1.{int(service == 'kinesis')}",
            "X-Amz-Target": f"{target}.{operation}",
            "Authorization": authorization(service),
        }
        kind = f"{operation} ({self.label})"
        answer = self.failover.post(kind, headers, json.dumps(params), wait_s=wait_s)
        return json.loads(answer or b"{}")


class SqsCaller(Service):
    """See `clients.Caller`."""

    def call(self, operation: str, queue: str, **params: object) -> dict:
        params["QueueUrl"] = f"http://sqs.us-east-1.amazonaws.com/000000000000/{queue}"
        return self._json("sqs", "AmazonSQS", operation, params, float(params.get("WaitTimeSeconds", 0)))


class KinesisCaller(Service):
    """See `stream_clients.StreamCaller`."""

    def call(self, operation: str, **params: object) -> dict:
        wait_s = float(params.get("WaitTimeSeconds", 0))
        return self._json("kinesis", "Kinesis_20131202", operation, params, wait_s)


class SnsCaller(Service):
    """See `publishers.Caller`."""

    def call(self, action: str, params: dict[str, str]) -> ET.Element:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": authorization("sns")}
        body = urlencode({"Action": action, "Version": "2010-03-31", **params})
        return ET.fromstring(self.failover.post(f"{action} ({self.label})", headers, body))


def authorization(service: str) -> str:
    scope = f"headrace/20250101/us-east-1/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
