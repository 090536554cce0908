"""A process that keeps queues and is paused, or cut off from NATS, while others take them over: it can do no harm.

It is asked for things meanwhile, and answers when it wakes up, or before it knows that it was cut off. Whatever it
acknowledges must be so, and nothing that the others have done is undone.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .clients import NO_ANSWER, Caller, Refused
from .cluster_members import Cluster, HeadraceMember
from .cluster_network import Proxies
from .cluster_run import until
from .stream_clients import Reader, StreamCaller

STANDARD, FIFO, STREAM = "q", "q.fifo", "s"
HIDDEN_S = 4
"""How long what is received is hidden."""
TAKE_OVER_S = 20
EMPTY_S = 40


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    network = Proxies()
    cluster = Cluster(network, tmp_path)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
        network.close()


def pause(_: Cluster, member: HeadraceMember) -> Callable[[], None]:
    member.pause()
    return member.resume


def cut_off(cluster: Cluster, member: HeadraceMember) -> Callable[[], None]:
    cluster.network.cut(member.name, [server.name for server in cluster.servers])
    return lambda: cluster.network.heal(member.name)


class Asker:
    """Makes calls at a process that does not answer yet; each is an answer, a refusal or nothing in the end."""

    def __init__(self, endpoint_url: str) -> None:
        self._url = endpoint_url
        self._threads = ThreadPoolExecutor(20)
        self._futures: dict[str, Future[Any]] = {}

    def ask(self, name: str, operation: str, queue: str, **params: Any) -> None:
        self._begin(name, Caller(self._url), operation, queue, **params)

    def put(self, name: str, **params: Any) -> None:
        self._begin(name, StreamCaller(self._url), "PutRecord", **params)

    def _begin(self, name: str, caller: Caller | StreamCaller, *what: str, **params: Any) -> None:
        def call() -> dict[str, Any]:
            try:
                return caller.call(*what, **params)
            finally:
                caller.close()

        self._futures[name] = self._threads.submit(call)

    def answers(self) -> dict[str, dict[str, Any]]:
        """What was answered with success."""
        found = {}
        for name, future in self._futures.items():
            try:
                found[name] = future.result(60)
            except (Refused, *NO_ANSWER):
                continue
        self._threads.shutdown()
        return found


def send(caller: Caller, queue: str, *bodies: str) -> None:
    for body in bodies:
        fifo = {"MessageGroupId": "g", "MessageDeduplicationId": body} if queue == FIFO else {}
        assert caller.call("SendMessage", queue, MessageBody=body, **fifo)["MessageId"]


def receive(caller: Caller, queue: str, count: int = 10) -> list[dict[str, Any]]:
    answer = caller.call("ReceiveMessage", queue, MaxNumberOfMessages=count, VisibilityTimeout=HIDDEN_S)
    return answer.get("Messages", [])


def delete(caller: Caller, queue: str, messages: list[dict[str, Any]]) -> None:
    for message in messages:
        caller.call("DeleteMessage", queue, ReceiptHandle=message["ReceiptHandle"])


def take_over(endpoint_url: str, queue: str) -> list[dict[str, Any]]:
    """Receive and delete `old-…` at another process as soon as it can, send `new-…`, and receive the first of these."""
    caller = Caller(endpoint_url)
    seen: set[str] = set()

    def emptied() -> bool:
        messages = receive(caller, queue)
        delete(caller, queue, messages)
        seen.update(message["Body"] for message in messages)
        return seen >= {"old-0", "old-1", "old-2"}

    assert until(emptied, TAKE_OVER_S), seen
    send(caller, queue, *(f"new-{number}" for number in range(4)))
    [first] = receive(caller, queue, 1)
    caller.close()
    return [first]


def drain(endpoint_url: str, queue: str) -> list[str]:
    """The bodies of all that is there, until nothing is for longer than a message is hidden."""
    caller, bodies = Caller(endpoint_url), []
    quiet_since = began = time.monotonic()
    while time.monotonic() < quiet_since + HIDDEN_S + 2:
        assert time.monotonic() < began + EMPTY_S
        if messages := receive(caller, queue):
            bodies += [message["Body"] for message in messages]
            delete(caller, queue, messages)
            quiet_since = time.monotonic()
        time.sleep(0.1)
    caller.close()
    return bodies


def reshard(endpoint_url: str) -> None:
    """Close the stream's only shard, and have its children take records."""
    caller = StreamCaller(endpoint_url)
    middle = str(1 << 127)
    caller.call("SplitShard", StreamName=STREAM, ShardToSplit="shardId-000000000000", NewStartingHashKey=middle)

    def split() -> bool:
        answer = caller.call("PutRecord", StreamName=STREAM, PartitionKey="k", Data=encoded("child"))
        return answer["ShardId"] != "shardId-000000000000"

    assert until(split, TAKE_OVER_S)
    caller.close()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("disturb", [pause, cut_off])
def test_who_was_overtaken_can_do_no_harm(cluster, disturb):
    victim, other, third = cluster.processes
    before = Caller(victim.endpoint_url)
    for queue, attributes in ((STANDARD, {}), (FIFO, {"FifoQueue": "true"})):
        before.call("CreateQueue", queue, QueueName=queue, Attributes=attributes)
        send(before, queue, "old-0", "old-1", "old-2")
    streams = StreamCaller(victim.endpoint_url)
    streams.call("CreateStream", StreamName=STREAM, ShardCount=1)
    parent = {"StreamName": STREAM, "PartitionKey": "k"}
    assert until(lambda: bool(streams.call("PutRecord", **parent, Data=encoded("parent"))), TAKE_OVER_S)

    undo = disturb(cluster, victim)
    asker = Asker(victim.endpoint_url)
    held = {queue: take_over(other.endpoint_url, queue) for queue in (STANDARD, FIFO)}
    reshard(other.endpoint_url)
    for queue, [message] in held.items():
        fifo = {"MessageGroupId": "late", "MessageDeduplicationId": "late"} if queue == FIFO else {}
        asker.ask(f"delete {queue}", "DeleteMessage", queue, ReceiptHandle=message["ReceiptHandle"])
        asker.ask(f"receive {queue}", "ReceiveMessage", queue, MaxNumberOfMessages=10, VisibilityTimeout=HIDDEN_S)
        asker.ask(f"send {queue}", "SendMessage", queue, MessageBody="late", **fifo)
    asker.put("put", **parent, Data=encoded("late"))
    time.sleep(0.5)
    undo()

    answers = asker.answers()
    for queue in (STANDARD, FIFO):
        given = [message["Body"] for message in answers.get(f"receive {queue}", {}).get("Messages", [])]
        bodies = given + drain(third.endpoint_url, queue)
        assert {body for body in bodies if body.startswith("old")} == set()
        assert {f"new-{number}" for number in range(1, 4)} <= set(bodies)
        assert "late" in bodies or f"send {queue}" not in answers
        assert "new-0" not in bodies or f"delete {queue}" not in answers
        assert "new-0" in bodies or f"delete {queue}" in answers or queue == STANDARD
    check_stream(third.endpoint_url, answers.get("put"))
    before.close()
    streams.close()


def check_stream(endpoint_url: str, put: dict[str, Any] | None) -> None:
    reader = Reader(STREAM).on(endpoint_url)
    reader.drain()
    reader.caller.close()
    read = {record.body: record for record in reader.read}
    assert {"parent", "child"} <= read.keys()
    if put is not None:
        assert (read["late"].shard, read["late"].number) == (put["ShardId"], int(put["SequenceNumber"]))
        assert read["late"].shard != "shardId-000000000000"
