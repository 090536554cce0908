"""The processes: one that puts the events on the stream, and two kinds that read them.

A reader goes through a shard to its end, and begins with a shard's children once it has been through all their parents:
so it keeps each aircraft's order while shards are split and merged under it.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from events import Event, Tally, events

BATCH = 500
"""The most that PutRecords takes."""

READ = 10_000
"""The most that GetRecords gives."""

PAUSE_S = 0.2
"""Between two looks at shards that have nothing new: each allows five a second."""

Note = Callable[[str, str, dict[str, int]], None]


@dataclass(frozen=True)
class Task:
    """What every process is told. A reader is done with `total` events."""

    endpoint_url: str
    stream_arn: str
    flights: Path
    limit: int | None
    total: int
    results: Path


def kinesis(endpoint_url: str) -> Any:
    """A Kinesis client that retries what the network loses."""
    return boto3.client(
        "kinesis",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"mode": "standard", "max_attempts": 10}, max_pool_connections=64, read_timeout=120),
    )


# --- producing


def produce(task: Task, sent: MutableSequence[int]) -> None:
    """Put all events on the stream, as fast as they are taken; count them in `sent[0]`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    client = kinesis(task.endpoint_url)
    for batch in batches(events(task.flights, task.limit)):
        left = batch
        while left:
            records = [{"PartitionKey": event.aircraft, "Data": event.data} for event in left]
            answers = client.put_records(StreamARN=task.stream_arn, Records=records)["Records"]
            refused = [event for event, answer in zip(left, answers, strict=True) if "ErrorCode" in answer]
            sent[0] += len(left) - len(refused)
            left = refused


def batches(source: Iterator[Event]) -> Iterator[list[Event]]:
    """The events in batches in which no aircraft has two.

    PutRecords may take some records of a batch and not others. If an aircraft had two in it, the first could come
    behind the second when it is put again.
    """
    held: list[Event] = []
    while True:
        batch: dict[str, Event] = {}
        later: list[Event] = []
        for event in held:
            (later.append(event) if event.aircraft in batch else batch.setdefault(event.aircraft, event))
        while len(batch) < BATCH and len(later) < BATCH and (following := next(source, None)) is not None:
            event = following
            (later.append(event) if event.aircraft in batch else batch.setdefault(event.aircraft, event))
        if not batch:
            return
        yield list(batch.values())
        held = later


# --- reading


class Shards:
    """The shards that a reader knows: which it is to read now, and which wait for their parents."""

    def __init__(self, listed: list[dict[str, Any]]) -> None:
        there = {shard["ShardId"] for shard in listed}
        self._parents = {
            shard["ShardId"]: {
                parent for name in ("ParentShardId", "AdjacentParentShardId") if (parent := shard.get(name)) in there
            }
            for shard in listed
        }
        self._finished: set[str] = set()
        self._begun: set[str] = set()

    def finish(self, shard_id: str, children: list[dict[str, Any]]) -> None:
        """A shard was read to its end; these came of it."""
        self._finished.add(shard_id)
        for child in children:
            self._parents.setdefault(child["ShardId"], set(child["ParentShards"]))

    def ready(self) -> list[str]:
        """The shards that can be begun with now; each is given once."""
        found = [
            shard_id
            for shard_id, parents in self._parents.items()
            if shard_id not in self._begun and parents <= self._finished
        ]
        self._begun.update(found)
        return found


def all_shards(client: Any, stream_arn: str) -> list[dict[str, Any]]:
    """Every shard of the stream, closed ones too."""
    answer = client.list_shards(StreamARN=stream_arn)
    found: list[dict[str, Any]] = answer["Shards"]
    while "NextToken" in answer:
        answer = client.list_shards(NextToken=answer["NextToken"])
        found += answer["Shards"]
    return found


def read_by_iterator(task: Task, name: str, counts: MutableSequence[int], slot: int) -> None:
    """Read the stream from its beginning with GetRecords, one shard after the other, until all events were read."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    client, tally = kinesis(task.endpoint_url), Tally()
    shards = Shards(all_shards(client, task.stream_arn))
    iterators: dict[str, str] = {}
    while tally.count < task.total:
        for shard_id in shards.ready():
            answer = client.get_shard_iterator(
                StreamARN=task.stream_arn, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
            )
            iterators[shard_id] = answer["ShardIterator"]
        before = tally.count
        for shard_id, iterator in list(iterators.items()):
            answer = client.get_records(ShardIterator=iterator, Limit=READ)
            for record in answer["Records"]:
                tally.read(record["Data"])
            if following := answer.get("NextShardIterator"):
                iterators[shard_id] = following
            else:
                del iterators[shard_id]
                shards.finish(shard_id, answer.get("ChildShards", []))
        counts[slot] = tally.count
        if tally.count == before:
            time.sleep(PAUSE_S)
    _report(task, name, tally)


def read_by_fan_out(task: Task, name: str, counts: MutableSequence[int], slot: int) -> None:
    """Read the stream from its beginning with SubscribeToShard, all its shards at once, until all events were read."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    client = kinesis(task.endpoint_url)
    consumer_arn = _registered(client, task.stream_arn, name)
    reader = _FanOut(client, consumer_arn, Shards(all_shards(client, task.stream_arn)), task.total)
    reader.begin()
    while reader.tally.count < task.total and not reader.failures:
        counts[slot] = reader.tally.count
        reader.progress.wait(PAUSE_S)
    counts[slot] = reader.tally.count
    reader.tally.wrong += reader.failures
    _report(task, name, reader.tally)


def _registered(client: Any, stream_arn: str, name: str) -> str:
    """The ARN of a new consumer of the stream, once it is there."""
    consumer = client.register_stream_consumer(StreamARN=stream_arn, ConsumerName=name)["Consumer"]
    arn: str = consumer["ConsumerARN"]
    while client.describe_stream_consumer(ConsumerARN=arn)["ConsumerDescription"]["ConsumerStatus"] != "ACTIVE":
        time.sleep(PAUSE_S)
    return arn


class _FanOut:
    """A consumer's subscriptions, a thread each."""

    def __init__(self, client: Any, consumer_arn: str, shards: Shards, total: int) -> None:
        self.tally = Tally()
        self.failures: list[str] = []
        self.progress = threading.Event()
        self._client = client
        self._consumer_arn = consumer_arn
        self._shards = shards
        self._total = total
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Subscribe to the shards that can be begun with."""
        with self._lock:
            ready = self._shards.ready()
        for shard_id in ready:
            threading.Thread(target=self._read, args=(shard_id,), daemon=True).start()

    def _read(self, shard_id: str) -> None:
        """Read a shard to its end, subscribing anew whenever a subscription has lived its time."""
        position: dict[str, Any] | None = {"Type": "TRIM_HORIZON"}
        try:
            while position and self.tally.count < self._total:
                position = self._subscribe(shard_id, position)
        except ClientError as error:
            self.failures.append(f"{shard_id}: {error}")
            self.progress.set()
            return
        self.begin()

    def _subscribe(self, shard_id: str, position: dict[str, Any]) -> dict[str, Any] | None:
        """Read until a subscription ends; where to go on, None at the end of the shard."""
        subscription = self._client.subscribe_to_shard(
            ConsumerARN=self._consumer_arn, ShardId=shard_id, StartingPosition=position
        )
        for pushed in subscription["EventStream"]:
            event = pushed["SubscribeToShardEvent"]
            with self._lock:
                for record in event["Records"]:
                    self.tally.read(record["Data"])
                if "ChildShards" in event:
                    self._shards.finish(shard_id, event["ChildShards"])
            if self.tally.count >= self._total:
                self.progress.set()
            if "ChildShards" in event:
                return None
            position = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": event["ContinuationSequenceNumber"]}
        return position


def _report(task: Task, name: str, tally: Tally) -> None:
    """Leave what was read where the one who compares finds it."""
    found = {"wrong": tally.wrong, "events_of": tally.events_of}
    partial = task.results / f"{name}.partial"
    partial.write_text(json.dumps(found))
    partial.rename(task.results / f"{name}.json")
