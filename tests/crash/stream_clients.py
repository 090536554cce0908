"""Clients that keep a server's streams busy and write down what they were answered.

They speak AWS JSON over plain HTTP: an SDK would take most of the time that the server is to be killed in.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .clients import Refused

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=headrace/20250101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0"
)


class StreamCaller:
    """A connection to the server. `call` raises one of `clients.NO_ANSWER` when the server is gone."""

    def __init__(self, endpoint_url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(endpoint_url).netloc, timeout=30)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"Kinesis_20131202.{operation}",
            "Authorization": AUTHORIZATION,
        }
        self._connection.request("POST", "/", json.dumps(params), headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise Refused(response.status, body)
        return json.loads(body or b"{}")

    def close(self) -> None:
        self._connection.close()


@dataclass
class Put:
    """A record that was put; `shard` and `number` are the answer's, None when there was none."""

    stream: str
    key: str
    body: str
    shard: str | None = None
    number: int | None = None


@dataclass
class Puts:
    """All that were put, in the order of each producer; threads add to it."""

    all: list[Put] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, stream: str) -> list[Put]:
        return [put for put in self.all if put.stream == stream]


class Producer:
    """Puts records with keys of its own, so that the order of each is known."""

    def __init__(self, endpoint_url: str, stream: str, puts: Puts, seed: int) -> None:
        self.caller = StreamCaller(endpoint_url)
        self.stream = stream
        self.puts = puts
        self.rng = random.Random(seed)
        self.seed = seed
        self.number = 0

    def run(self) -> None:
        while True:
            self.put(self.rng.choice([1, 1, 5, 50]))

    def put(self, count: int) -> None:
        puts = [Put(self.stream, f"{self.seed}-{self.rng.randrange(5)}", self.body()) for _ in range(count)]
        entries = [{"PartitionKey": put.key, "Data": base64.b64encode(put.body.encode()).decode()} for put in puts]
        try:
            answer = self.caller.call("PutRecords", StreamName=self.stream, Records=entries)
            assert answer["FailedRecordCount"] == 0, answer
            for put, result in zip(puts, answer["Records"], strict=True):
                put.shard, put.number = result["ShardId"], int(result["SequenceNumber"])
        finally:
            with self.puts.lock:
                self.puts.all += puts

    def body(self) -> str:
        self.number += 1
        filler = "." * self.rng.choice([0, 500, 20_000]) if self.number % 20 == 0 else ""
        return f"{self.seed}/{self.number}/{filler}"


class Resharder:
    """Splits and merges shards as fast as the stream lets it."""

    def __init__(self, endpoint_url: str, stream: str, seed: int) -> None:
        self.caller = StreamCaller(endpoint_url)
        self.stream = stream
        self.rng = random.Random(seed)

    def run(self) -> None:
        while True:
            self.step()

    def step(self) -> None:
        found = self.caller.call("ListShards", StreamName=self.stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]
        found.sort(key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
        try:
            if len(found) < 2 or (len(found) < 6 and self.rng.random() < 0.5):
                self.split(self.rng.choice(found))
            else:
                place = self.rng.randrange(len(found) - 1)
                self.merge(found[place], found[place + 1])
        except Refused as refusal:
            code = json.loads(refusal.args[1])["__type"]
            # The last resharding is under way still, or has just closed the shard.
            if code not in {"ResourceInUseException", "InvalidArgumentException"}:
                raise

    def split(self, shard: dict[str, Any]) -> None:
        first, last = (int(shard["HashKeyRange"][name]) for name in ("StartingHashKey", "EndingHashKey"))
        middle = str((first + last) // 2)
        self.caller.call("SplitShard", StreamName=self.stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)

    def merge(self, shard: dict[str, Any], adjacent: dict[str, Any]) -> None:
        self.caller.call(
            "MergeShards",
            StreamName=self.stream,
            ShardToMerge=shard["ShardId"],
            AdjacentShardToMerge=adjacent["ShardId"],
        )


@dataclass
class Read:
    """A record that a reader got."""

    shard: str
    number: int
    key: str
    body: str


class Reader:
    """Reads a stream from its beginning, parents before children; goes on where it was on a server started anew."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.read: list[Read] = []
        self.iterators: dict[str, str] = {}
        self.finished: set[str] = set()
        self.waiting: dict[str, set[str]] | None = None
        self.caller = StreamCaller("http://127.0.0.1")

    def on(self, endpoint_url: str) -> Reader:
        self.caller = StreamCaller(endpoint_url)
        return self

    def run(self) -> None:
        while True:
            self.step()

    def step(self) -> int:
        """Look at each shard once; how many records came."""
        if self.waiting is None:
            listed = self.caller.call("ListShards", StreamName=self.stream)["Shards"]
            names = ("ParentShardId", "AdjacentParentShardId")
            self.waiting = {shard["ShardId"]: {shard[n] for n in names if n in shard} for shard in listed}
        for shard_id in [shard_id for shard_id, parents in self.waiting.items() if parents <= self.finished]:
            answer = self.caller.call(
                "GetShardIterator", StreamName=self.stream, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
            )
            self.iterators[shard_id] = answer["ShardIterator"]
            del self.waiting[shard_id]
        return sum(self.look(shard_id) for shard_id in list(self.iterators))

    def look(self, shard_id: str) -> int:
        assert self.waiting is not None
        answer = self.caller.call("GetRecords", ShardIterator=self.iterators[shard_id], Limit=200)
        for record in answer["Records"]:
            body = base64.b64decode(record["Data"]).decode()
            self.read.append(Read(shard_id, int(record["SequenceNumber"]), record["PartitionKey"], body))
        if "NextShardIterator" in answer:
            self.iterators[shard_id] = answer["NextShardIterator"]
        else:
            del self.iterators[shard_id]
            self.finished.add(shard_id)
            for child in answer["ChildShards"]:
                self.waiting.setdefault(child["ShardId"], set(child["ParentShards"]))
        return len(answer["Records"])

    def drain(self) -> None:
        """Read until there is nothing more: no records, and no shard to begin with."""
        done = -1
        while self.step() or len(self.finished) != done or self.waiting_now():
            done = len(self.finished)

    def waiting_now(self) -> bool:
        return any(parents <= self.finished for parents in (self.waiting or {}).values())


@dataclass
class Deliveries:
    """What consumers of a stream queue got and acknowledged, by body; threads add to it."""

    received: dict[str, int] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    """Acknowledged, be it that nobody answered."""
    acknowledged: set[str] = field(default_factory=set)
    came_back: set[str] = field(default_factory=set)
    """Received though an acknowledgement was answered before."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class QueueConsumer:
    """Receives from a stream queue and acknowledges most of what it gets."""

    def __init__(self, endpoint_url: str, queue: str, deliveries: Deliveries, seed: int, *, dead: bool = False) -> None:
        self.caller = StreamCaller(endpoint_url)
        self.queue = queue
        self.deliveries = deliveries
        self.rng = random.Random(seed)
        self.kind = "DeadLetterQueueRecords" if dead else "QueueRecords"

    def run(self) -> None:
        while True:
            self.step()

    def step(self, timeouts: tuple[int, ...] = (1, 1, 2, 30)) -> None:
        records = self.receive(self.rng.randint(1, 10), self.rng.choice(timeouts))
        kept = [record for record in records if self.rng.random() < 0.9]
        if kept:
            self.acknowledge(kept)

    def receive(self, limit: int, timeout_s: int) -> list[dict[str, Any]]:
        acknowledged = set(self.deliveries.acknowledged)
        params = {"QueueARN": self.queue, "Limit": limit, "VisibilityTimeoutSeconds": timeout_s, "WaitTimeSeconds": 1}
        records: list[dict[str, Any]] = self.caller.call(f"Receive{self.kind}", **params)["QueueRecords"]
        with self.deliveries.lock:
            for record in records:
                record["Body"] = base64.b64decode(record["Data"]).decode()
                self.deliveries.received[record["Body"]] = self.deliveries.received.get(record["Body"], 0) + 1
                if record["Body"] in acknowledged:
                    self.deliveries.came_back.add(record["Body"])
        return records

    def acknowledge(self, records: list[dict[str, Any]]) -> None:
        by_handle = {record["ReceiptHandle"]: record["Body"] for record in records}
        with self.deliveries.lock:
            self.deliveries.tried.update(by_handle.values())
        entries = [{"ReceiptHandle": handle} for handle in by_handle]
        answer = self.caller.call(f"Acknowledge{self.kind}", QueueARN=self.queue, Entries=entries)
        with self.deliveries.lock:
            for entry in answer["Successful"]:
                self.deliveries.acknowledged.add(by_handle[entry["ReceiptHandle"]])
