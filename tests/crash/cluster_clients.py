"""Clients of a cluster: each spreads its calls over all processes, goes to another when one fails, and writes down.

They keep a pace instead of going as fast as they can: the machine has to carry six servers besides.
"""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .clients import Client, Refused
from .cluster_calls import FAILED, Calls, Failover, KinesisCaller, SnsCaller, SqsCaller
from .history import Got, History, Send
from .publishers import ANSWER
from .stream_clients import Deliveries, Put, Puts, QueueConsumer, Reader, Resharder

PAUSE_S = (0.02, 0.08)
HIDE_S = (2, 2, 3, 6)


class QueueClient(Client):
    """Work on one queue. A FIFO send that was not answered is made again, under the same deduplication ids."""

    def __init__(self, failover: Failover, queue: str, label: str, history: History, seed: int) -> None:
        self.caller = SqsCaller(failover, label)
        self.queue = queue
        self.fifo = queue.endswith(".fifo")
        self.history = history
        self.rng = random.Random(seed)
        self.seed = seed
        self.number = 0
        self.unanswered: list[Send] = []

    def send_step(self) -> None:
        sends = self.unanswered or [self.new_send() for _ in range(self.rng.choice([1, 1, 1, 2, 10]))]
        self.unanswered = sends if self.fifo else []
        self.send(sends)
        self.unanswered = []

    def take_step(self) -> None:
        """Receive, and delete most of it; now and then hide a message for another time."""
        batch = self.receive(self.rng.randint(1, 10), self.rng.choice(HIDE_S), self.rng.choice([0, 1]))
        kept: list[Got] = []
        for got in batch.messages:
            whim = self.rng.random()
            if whim < 0.03:
                self.change(got, self.rng.choice([0, 1, 3]))
            elif whim > 0.06 or self.fifo:
                kept.append(got)
        # On a FIFO queue what is not deleted must not come before what is, or the order is the client's to lose.
        if kept and (not self.fifo or len(kept) == len(batch.messages)) and self.rng.random() < 0.95:
            self.delete(kept)

    def empty(self) -> int:
        """Receive and delete what is visible; how many messages came."""
        total = 0
        while messages := self.receive(10, 10).messages:
            total += len(messages)
            self.delete(messages)
        return total

    def depth(self) -> int:
        attributes = self.caller.call("GetQueueAttributes", self.queue, AttributeNames=["All"])["Attributes"]
        return sum(int(value) for name, value in attributes.items() if name.startswith("ApproximateNumberOfMessages"))


class Publisher:
    """Publishes to a topic; what is published is what each of its queues is to receive, in a history of its own.

    To a FIFO topic what was not answered is published again, under the same deduplication id.
    """

    def __init__(self, failover: Failover, topic: str, histories: dict[str, History], seed: int) -> None:
        self.fifo = topic.endswith(".fifo")
        self.caller = SnsCaller(failover, "fifo" if self.fifo else "standard")
        self.topic = topic
        self.histories = histories
        self.seed = seed
        self.number = 0
        self.unanswered: tuple[str, str | None] | None = None
        self.acknowledged: set[str] = set()
        self.tried: set[str] = set()

    def step(self) -> None:
        text, group = self.unanswered or self._message()
        self.unanswered = (text, group) if self.fifo else None
        self.tried.add(text)
        params = {"TopicArn": self.topic, "Message": text}
        if group is not None:
            params |= {"MessageGroupId": group, "MessageDeduplicationId": text}
        sends = {queue: Send(queue=queue, started=time.monotonic(), body=text, group=group) for queue in self.histories}
        try:
            assert self.caller.call("Publish", params).find(f".//{ANSWER}MessageId") is not None
            self.acknowledged.add(text)
            for send in sends.values():
                send.ended = time.monotonic()
        finally:
            for queue, send in sends.items():
                self.histories[queue].add(send)
        self.unanswered = None

    def _message(self) -> tuple[str, str | None]:
        self.number += 1
        text = f"{self.topic.rpartition(':')[2]}-{self.seed}-{self.number}"
        return text, f"{self.seed}-{self.number % 3}" if self.fifo else None


@dataclass
class TimedPut(Put):
    """A record that was put, and when that was tried and answered."""

    started: float = 0
    ended: float | None = None


class StreamProducer:
    """Puts records under keys of its own, so that the order of each is known. What was not answered is not repeated."""

    def __init__(self, failover: Failover, stream: str, puts: Puts, seed: int) -> None:
        self.caller = KinesisCaller(failover, stream)
        self.stream = stream
        self.puts = puts
        self.rng = random.Random(seed)
        self.seed = seed
        self.number = 0

    def step(self) -> None:
        puts = [self._put() for _ in range(self.rng.choice([1, 1, 5, 30]))]
        entries = [{"PartitionKey": put.key, "Data": base64.b64encode(put.body.encode()).decode()} for put in puts]
        try:
            answer = self.caller.call("PutRecords", StreamName=self.stream, Records=entries)
            for put, result in zip(puts, answer["Records"], strict=True):
                if "ErrorCode" not in result:
                    put.shard, put.number = result["ShardId"], int(result["SequenceNumber"])
                    put.ended = time.monotonic()
        finally:
            with self.puts.lock:
                self.puts.all += puts

    def _put(self) -> TimedPut:
        self.number += 1
        body = f"{self.seed}/{self.number}/" + "." * self.rng.choice([0, 0, 0, 300])
        return TimedPut(self.stream, f"{self.seed}-{self.rng.randrange(5)}", body, started=time.monotonic())


class Register:
    """Sets an attribute of a queue to ever larger values."""

    def __init__(self, failover: Failover, queue: str, first: int) -> None:
        self.caller = SqsCaller(failover, "settings")
        self.queue = queue
        self.tried = self.acknowledged = first

    def step(self) -> None:
        self.tried += 1
        attributes = {"MessageRetentionPeriod": str(self.tried)}
        self.caller.call("SetQueueAttributes", self.queue, Attributes=attributes)
        self.acknowledged = self.tried

    def read(self) -> int:
        found = self.caller.call("GetQueueAttributes", self.queue, AttributeNames=["MessageRetentionPeriod"])
        return int(found["Attributes"]["MessageRetentionPeriod"])


@dataclass
class Crowd:
    """Threads that each repeat a step until they are stopped; a step that fails is tried again."""

    threads: list[threading.Thread] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def add(self, step: Callable[[], Any], seed: int, pause_s: tuple[float, float] = PAUSE_S) -> None:
        self.threads.append(threading.Thread(target=self._repeat, args=(step, seed, pause_s), daemon=True))

    def _repeat(self, step: Callable[[], Any], seed: int, pause_s: tuple[float, float]) -> None:
        rng = random.Random(seed)
        while not self.stop.wait(rng.uniform(*pause_s)):
            try:
                step()
            except FAILED as cause:
                if isinstance(cause, Refused) and cause.args[0] < 500:
                    self.broken.append(f"{step.__qualname__} was refused: {cause}")  # type: ignore[attr-defined]
            except Exception as cause:
                self.broken.append(f"{step.__qualname__} failed: {cause!r}")  # type: ignore[attr-defined]
                raise

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def reader(failover: Failover, stream: str) -> Reader:
    """A reader that goes on wherever a process answers."""
    made = Reader(stream)
    made.caller = KinesisCaller(failover, stream)  # type: ignore[assignment]
    return made


def resharder(failover: Failover, stream: str, seed: int) -> Resharder:
    made = Resharder("http://127.0.0.1", stream, seed)
    made.caller = KinesisCaller(failover, stream)  # type: ignore[assignment]
    return made


def queue_consumer(failover: Failover, queue: str, deliveries: Deliveries, seed: int, *, dead: bool) -> QueueConsumer:
    made = QueueConsumer("http://127.0.0.1", queue, deliveries, seed, dead=dead)
    made.caller = KinesisCaller(failover, "dead letters" if dead else "stream queue")  # type: ignore[assignment]
    return made


class Ways:
    """Makes the ways of one client after another; closes all of them in the end."""

    def __init__(self, endpoints: list[str], calls: Calls, rng: random.Random) -> None:
        self._endpoints = endpoints
        self._calls = calls
        self._rng = rng
        self._made: list[Failover] = []

    def __call__(self) -> Failover:
        rng = random.Random(self._rng.getrandbits(40))
        self._made.append(Failover(self._endpoints, self._calls, len(self._made), rng))
        return self._made[-1]

    def close(self) -> None:
        for failover in self._made:
            failover.close()
