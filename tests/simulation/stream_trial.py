"""A stream that is written to, resharded, restarted and read, every step held against what plain Python remembers.

What is remembered is, for each partition key, the records put with it, in order. A reader follows the shards from
parents to children, as consumers do, and must get of each key exactly the records from its start on, in order, each
once; it may miss those alone that had expired by the time it came.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from headrace.clock import VirtualClock
from headrace.context import Context, Principal, Quotas, Server
from headrace.errors import ServiceError
from headrace.primitives.engine import Engine
from headrace.services.kinesis import operations
from headrace.services.kinesis.state import State

T = TypeVar("T")
Build = Callable[[str, VirtualClock], Engine]
MEMORY = Path("/dev/shm")  # the data lies in memory where that is possible: what a device does is not tried here
HOUR_MS = 3_600_000
ITERATOR_MS = 300_000
HASHES = 1 << 128
STREAM = "events"


@dataclass
class Put:
    """A record that was put."""

    key: str
    body: bytes
    at_ms: int
    shard: str
    number: int


@dataclass
class Reader:
    """A consumer: where it is in each shard it reads, and how many records of each key it has passed."""

    start: dict[str, Any]
    since: dict[str, int]
    """The first record of each key that it is to get; 0 for keys that came later."""
    iterators: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By shard, the iterator and when it was given."""
    last: dict[str, str] = field(default_factory=dict)
    """By shard, the number of the last record read."""
    passed: dict[str, int] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    known: dict[str, set[str]] = field(default_factory=dict)
    """Shards and the parents they wait for."""
    ignored: set[str] = field(default_factory=set)
    """Shards that were closed before it began."""
    first: set[str] = field(default_factory=set)
    """The shards it began with; what came of them later it reads from the beginning."""

    def start_in(self, shard_id: str) -> dict[str, Any]:
        if self.start["ShardIteratorType"] == "LATEST" and shard_id not in self.first:
            return {"ShardIteratorType": "TRIM_HORIZON"}
        return self.start


class StreamTrial:
    """One run."""

    def __init__(self, build: Build, seed: int) -> None:
        self._build = build
        self.rng = random.Random(seed)
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory(prefix="headrace-stream-", dir=MEMORY if MEMORY.is_dir() else None)
        self.clock = VirtualClock(1_700_000_000_000)
        self.start()
        self.puts: dict[str, list[Put]] = defaultdict(list)
        self.readers: list[Reader] = []
        self.bodies = 0
        self.retention_h = 24
        self.scalings: list[int] = []
        self.lapsed: set[bytes] = set()

    # ---- the server

    def start(self) -> None:
        self.engine = self._build(self.directory.name, self.clock)

        async def no_other_service(*_: Any, **__: Any) -> dict[str, Any]:
            raise AssertionError("Kinesis calls no other service here")

        server = Server(
            clock=self.clock,
            engine=self.engine,
            quotas=Quotas(throughput=False),
            base_url="http://localhost:4566",
            invoke=no_other_service,
            prepare=no_other_service,
            prepare_together=no_other_service,
        )
        self.state = State(server)

        async def begin() -> None:
            await self.engine.start()
            await self.state.start()

        self.run(begin())
        self.context = Context(
            server=server,
            state=self.state,
            principal=Principal("000000000000", "AKID", "AIDA", "arn:aws:iam::000000000000:root"),
            region="us-east-1",
            request_id="00000000-0000-0000-0000-000000000000",
            origin=server,
        )

    def stop(self) -> None:
        async def finish() -> None:
            await self.state.close()
            await self.engine.drain()
            await self.engine.close()

        self.run(finish())

    def end(self) -> None:
        self.stop()
        self.runner.close()
        self.directory.cleanup()

    def reopen(self) -> None:
        """A restart. Iterators outlive it."""
        self.stop()
        self.start()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(asyncio.wait_for(call, 30))

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.run(getattr(operations, operation)(self.context, params))

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms()

    def advance(self, duration_ms: int) -> None:
        self.run(self.clock.advance(duration_ms))

    # ---- writing

    def create(self, shards: int) -> None:
        self.call("create_stream", StreamName=STREAM, ShardCount=shards)
        self.advance(1_000)

    def next_body(self) -> bytes:
        self.bodies += 1
        return b"%d " % self.bodies + b"." * self.rng.choice([0, 10, 2_000])

    def note(self, key: str, body: bytes, answer: dict[str, Any]) -> None:
        put = Put(key, body, self.now_ms, answer["ShardId"], int(answer["SequenceNumber"]))
        earlier = self.puts[key]
        assert not earlier or earlier[-1].number < put.number, "numbers of a key do not grow"
        earlier.append(put)

    def put(self, key: str) -> None:
        body = self.next_body()
        self.note(key, body, self.call("put_record", StreamName=STREAM, PartitionKey=key, Data=body))

    def put_many(self, keys: list[str]) -> None:
        bodies = [self.next_body() for _ in keys]
        entries = [{"PartitionKey": key, "Data": body} for key, body in zip(keys, bodies, strict=True)]
        answer = self.call("put_records", StreamName=STREAM, Records=entries)
        assert answer["FailedRecordCount"] == 0
        for key, body, record in zip(keys, bodies, answer["Records"], strict=True):
            self.note(key, body, record)

    # ---- resharding

    def shards(self) -> list[dict[str, Any]]:
        answer = self.call("list_shards", StreamName=STREAM)
        assert "NextToken" not in answer
        listed: list[dict[str, Any]] = answer["Shards"]
        return listed

    def open_shards(self) -> list[dict[str, Any]]:
        """The open shards by hash key; together they must have each hash key once."""
        found = [each for each in self.shards() if "EndingSequenceNumber" not in each["SequenceNumberRange"]]
        found.sort(key=lambda each: int(each["HashKeyRange"]["StartingHashKey"]))
        following = 0
        for each in found:
            assert int(each["HashKeyRange"]["StartingHashKey"]) == following
            following = int(each["HashKeyRange"]["EndingHashKey"]) + 1
        assert following == HASHES
        return found

    def split(self) -> None:
        shard = self.rng.choice(self.open_shards())
        first, last = (int(shard["HashKeyRange"][name]) for name in ("StartingHashKey", "EndingHashKey"))
        if last - first > 10:
            at = str(self.rng.randint(first + 2, last - 1))
            self.reshard("split_shard", ShardToSplit=shard["ShardId"], NewStartingHashKey=at)

    def merge(self) -> None:
        found = self.open_shards()
        if len(found) > 1:
            place = self.rng.randrange(len(found) - 1)
            pair = [found[place]["ShardId"], found[place + 1]["ShardId"]]
            self.rng.shuffle(pair)
            self.reshard("merge_shards", ShardToMerge=pair[0], AdjacentShardToMerge=pair[1])

    def scale(self) -> None:
        self.scalings = [at_ms for at_ms in self.scalings if at_ms > self.now_ms - 24 * HOUR_MS]
        count = len(self.open_shards())
        if len(self.scalings) < 10 and count < 12:
            target = self.rng.randint((count + 1) // 2, 2 * count)
            if self.reshard("update_shard_count", TargetShardCount=target, ScalingType="UNIFORM_SCALING"):
                self.scalings.append(self.now_ms)

    def reshard(self, operation: str, **params: Any) -> bool:
        changed = self.change(operation, **params)
        if changed and self.rng.random() < 0.7:  # else the next steps find it under way
            self.advance(1_000)
        return changed

    def change(self, operation: str, **params: Any) -> bool:
        """Change the stream, which must be refused while another change is under way."""
        status = self.call("describe_stream_summary", StreamName=STREAM)["StreamDescriptionSummary"]["StreamStatus"]
        if status == "ACTIVE":
            self.call(operation, StreamName=STREAM, **params)
        else:
            assert status == "UPDATING"
            assert self.refused(operation, StreamName=STREAM, **params) == "ResourceInUseException"
        return status == "ACTIVE"

    def change_retention(self) -> None:
        hours = self.rng.choice([24, 25, 48, 168])
        if hours == self.retention_h:
            return
        grows = hours > self.retention_h
        operation = "increase_stream_retention_period" if grows else "decrease_stream_retention_period"
        if not self.change(operation, RetentionPeriodHours=hours):
            return
        self.note_lapsed()
        self.retention_h = hours
        self.note_lapsed()
        self.advance(1_000)

    def note_lapsed(self) -> None:
        """Records that have expired under one retention may be gone though a later one would have kept them."""
        self.lapsed.update(put.body for puts in self.puts.values() for put in puts if self.has_expired(put))

    # ---- reading

    def begin_reader(self, kind: str) -> None:
        """A new reader from the oldest record, from now on, or from some moment on."""
        reader = Reader({"ShardIteratorType": kind}, {})
        if kind == "LATEST":
            reader.since = {key: len(puts) for key, puts in self.puts.items()}
        elif kind == "AT_TIMESTAMP":
            at_ms = self.now_ms - self.rng.choice([0, 1, 999, 60_000, HOUR_MS, 30 * HOUR_MS])
            reader.start["Timestamp"] = at_ms / 1000
            for key, puts in self.puts.items():
                reader.since[key] = sum(put.at_ms < at_ms for put in puts)
        for each in self.shards():
            parents = set() if kind == "LATEST" else parents_of(each)
            is_closed = "EndingSequenceNumber" in each["SequenceNumberRange"]
            if kind == "LATEST" and is_closed:
                reader.ignored.add(each["ShardId"])
                continue
            reader.known[each["ShardId"]] = parents
        reader.first = set(reader.known)
        self.readers.append(reader)
        self.begin_shards(reader)

    def begin_shards(self, reader: Reader) -> None:
        there = {each["ShardId"] for each in self.shards()}
        for shard_id, parents in list(reader.known.items()):
            # A parent that has expired is through.
            if (
                parents & there <= reader.finished
                and shard_id not in reader.iterators
                and shard_id not in reader.finished
            ):
                self.iterate(reader, shard_id, reader.start_in(shard_id))

    def iterate(self, reader: Reader, shard_id: str, start: dict[str, Any]) -> None:
        try:
            answer = self.call("get_shard_iterator", StreamName=STREAM, ShardId=shard_id, **start)
        except ServiceError as error:
            self.lost_shard(reader, shard_id, error)
        else:
            reader.iterators[shard_id] = (answer["ShardIterator"], self.now_ms)

    def lost_shard(self, reader: Reader, shard_id: str, error: ServiceError) -> None:
        """A shard that has expired is not found; nothing else is."""
        assert error.code == "ResourceNotFoundException", error
        assert shard_id not in {each["ShardId"] for each in self.shards()}
        reader.iterators.pop(shard_id, None)
        self.finish_shard(reader, shard_id, None)

    def read(self, reader: Reader, limit: int) -> int:
        """One GetRecords on one of the reader's shards; how many records came."""
        if not reader.iterators:
            return 0
        shard_id = self.rng.choice(sorted(reader.iterators))
        return self.read_shard(reader, shard_id, limit)

    def read_shard(self, reader: Reader, shard_id: str, limit: int) -> int:
        iterator, given_ms = reader.iterators[shard_id]
        if self.now_ms - given_ms > ITERATOR_MS:
            with_error = self.refused("get_records", ShardIterator=iterator)
            assert with_error in {"ExpiredIteratorException", "ResourceNotFoundException"}
            del reader.iterators[shard_id]
            self.iterate(reader, shard_id, self.resume(reader, shard_id))
            return 0
        try:
            answer = self.call("get_records", ShardIterator=iterator, Limit=limit)
        except ServiceError as error:
            self.lost_shard(reader, shard_id, error)
            return 0
        assert len(answer["Records"]) <= limit
        for record in answer["Records"]:
            self.check(reader, shard_id, record)
        if "NextShardIterator" in answer:
            assert "ChildShards" not in answer
            reader.iterators[shard_id] = (answer["NextShardIterator"], self.now_ms)
        else:
            del reader.iterators[shard_id]
            self.finish_shard(reader, shard_id, answer["ChildShards"])
        return len(answer["Records"])

    def resume(self, reader: Reader, shard_id: str) -> dict[str, Any]:
        """Where to go on after an iterator has expired. A reader that is at LATEST and got nothing begins there."""
        if shard_id in reader.last:
            return {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "StartingSequenceNumber": reader.last[shard_id],
            }
        if reader.start_in(shard_id)["ShardIteratorType"] == "LATEST":
            # What came since the reader began it must not miss: its first record's predecessor is not known to it.
            first = self.first_since(reader, shard_id)
            if first is not None:
                return {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": str(first.number)}
        return reader.start_in(shard_id)

    def first_since(self, reader: Reader, shard_id: str) -> Put | None:
        """The first record of a shard that the reader is to get and has not."""
        coming = [
            put
            for key, puts in self.puts.items()
            for put in puts[max(reader.since.get(key, 0), reader.passed.get(key, 0)) :]
            if put.shard == shard_id
        ]
        return min(coming, key=lambda put: put.number, default=None)

    def finish_shard(self, reader: Reader, shard_id: str, children: list[dict[str, Any]] | None) -> None:
        """The reader is through with a shard. None: it went before that, so that nobody has named its children."""
        reader.finished.add(shard_id)
        if children is None:
            children = [
                {"ShardId": each["ShardId"], "ParentShards": parents_of(each)}
                for each in self.shards()
                if each["ShardId"] not in reader.ignored
            ]
        for child in children:
            reader.known.setdefault(child["ShardId"], set(child["ParentShards"]) - reader.ignored)
        self.begin_shards(reader)

    def check(self, reader: Reader, shard_id: str, record: dict[str, Any]) -> None:
        """A record must be the key's next, but for those that had expired."""
        key, number = record["PartitionKey"], int(record["SequenceNumber"])
        puts = self.puts[key]
        place = max(reader.since.get(key, 0), reader.passed.get(key, 0))
        while place < len(puts) and puts[place].number != number:
            assert self.may_be_gone(puts[place]), f"{key}: {puts[place].body[:20]!r} was missed or came out of order"
            place += 1
        assert place < len(puts), f"{key}: {record['Data'][:20]!r} came twice, or was never put"
        put = puts[place]
        assert not self.has_expired(put), "an expired record was given"
        found = (record["Data"], record["ApproximateArrivalTimestamp"], shard_id)
        assert found == (put.body, put.at_ms / 1000, put.shard)
        reader.passed[key] = place + 1
        reader.last[shard_id] = record["SequenceNumber"]

    def has_expired(self, put: Put) -> bool:
        return put.at_ms + self.retention_h * HOUR_MS <= self.now_ms

    def may_be_gone(self, put: Put) -> bool:
        return put.body in self.lapsed or self.has_expired(put)

    def refused(self, operation: str, **params: Any) -> str:
        try:
            self.call(operation, **params)
        except ServiceError as error:
            return error.code
        raise AssertionError(f"{operation} was not refused")

    def drain(self) -> None:
        """Read everything with every reader: none may have missed anything that has not expired."""
        for reader in self.readers:
            before: object = None
            while (now := (dict(reader.last), dict(reader.iterators), set(reader.finished))) != before:
                before = now
                for shard_id in sorted(reader.iterators):
                    self.read_shard(reader, shard_id, 10_000)
            for key, puts in self.puts.items():
                place = max(reader.since.get(key, 0), reader.passed.get(key, 0))
                missed = [put.body[:20] for put in puts[place:] if not self.may_be_gone(put)]
                assert not missed, f"{key}: {missed} were never given to a reader from {reader.start}"


def parents_of(shard: dict[str, Any]) -> set[str]:
    """The parents of a shard as ListShards describes it."""
    return {shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard}
