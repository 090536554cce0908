"""The two kinds of processes: producers that send the orders, and consumers that write them to the database."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Iterator, MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import flights
from botocore.config import Config
from ledger import Ledger

BATCH = 10
"""The most that SQS takes, and hands out, in a call."""

WAIT_S = 2
"""How long a consumer's receive waits for orders: also the longest that it takes to notice that it should stop."""


@dataclass(frozen=True)
class Task:
    """What every process is told."""

    endpoint_url: str
    queue_url: str
    flights: Path
    limit: int | None
    database: Path


def sqs(endpoint_url: str) -> Any:
    """An SQS client that retries what the network loses."""
    return boto3.client(
        "sqs",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"mode": "standard", "max_attempts": 10}),
    )


def produce(task: Task, number: int, producers: int, sent: MutableSequence[int]) -> None:
    """Send every `producers`-th batch of the orders, as fast as they are taken; count them in `sent[number]`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    client = sqs(task.endpoint_url)
    batches = _batches(flights.orders(task.flights, task.limit))
    for batch in itertools.islice(batches, number, None, producers):
        entries = [{"Id": str(i), "MessageBody": document} for i, (_, document) in enumerate(batch)]
        while entries:
            answer = client.send_message_batch(QueueUrl=task.queue_url, Entries=entries)
            refused = {failure["Id"] for failure in answer.get("Failed", [])}
            sent[number] += len(entries) - len(refused)
            entries = [entry for entry in entries if entry["Id"] in refused]


def _batches(orders: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    while batch := list(itertools.islice(orders, BATCH)):
        yield batch


def consume(task: Task) -> None:
    """Receive orders, write each to the database, then delete them from the queue, until told to stop (SIGTERM).

    The order of the three is what makes it safe to be killed at any moment: what was not deleted comes again.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    client, ledger = sqs(task.endpoint_url), Ledger(task.database)
    while not stopping:
        answer = client.receive_message(QueueUrl=task.queue_url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=WAIT_S)
        messages = answer.get("Messages", [])
        for message in messages:
            ledger.store(json.loads(message["Body"])["key"], message["Body"])
        if messages:
            entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
            client.delete_message_batch(QueueUrl=task.queue_url, Entries=entries)
