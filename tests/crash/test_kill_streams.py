"""kill -9 of a server whose streams are written, read and resharded, again and again on the same data.

Whatever was answered must have been: each record once, where its answer said, in the order of its key; readers go on
where they were; and a stream queue delivers everything in the end.

Rounds and the seed can be chosen: `HEADRACE_CRASH_ROUNDS=200 HEADRACE_CRASH_SEED=7 pytest tests/crash`.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from headrace.services.kinesis.queue_limits import FEED_SLICE
from headrace.testing import Process, spawn

from .clients import run_until_killed
from .stream_clients import Deliveries, Producer, Put, Puts, QueueConsumer, Read, Reader, Resharder, StreamCaller

ROUNDS = int(os.environ.get("HEADRACE_CRASH_ROUNDS", "12"))
SEED = int(os.environ.get("HEADRACE_CRASH_SEED", "1"))
EVENTS, JOBS = "events", "jobs"


def make_streams(server: Process) -> str:
    """A stream that is resharded, and one with a queue; the queue's ARN."""
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName=EVENTS, ShardCount=2)
    kinesis.create_stream(StreamName=JOBS, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    for stream in (EVENTS, JOBS):
        kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})
    arn = kinesis.describe_stream_summary(StreamName=JOBS)["StreamDescriptionSummary"]["StreamARN"]
    letters = {"DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 3}}
    configuration = [{"StreamARN": arn, "StartingPosition": {"Type": "TRIM_HORIZON"}}]
    made = kinesis.create_queue(QueueName="work", StreamConfigurationList=configuration, QueueAttributes=letters)
    queue: str = made["QueueDescription"]["QueueARN"]
    return queue


def load_and_kill(
    server: Process, puts: Puts, readers: list[Reader], queue: str, deliveries: Deliveries, rng: random.Random
) -> None:
    """Mixed load for a while, then SIGKILL."""
    url = server.endpoint_url
    workers = [Producer(url, stream, puts, rng.getrandbits(40)) for stream in (EVENTS, EVENTS, JOBS)]
    workers += [QueueConsumer(url, queue, deliveries, rng.getrandbits(40)) for _ in range(2)]
    workers.append(QueueConsumer(url, queue, deliveries, rng.getrandbits(40), dead=True))
    workers += [reader.on(url) for reader in readers]
    workers.append(Resharder(url, EVENTS, rng.getrandbits(40)))
    threads = run_until_killed(*[worker.run for worker in workers])
    time.sleep(rng.uniform(0.2, 1.0))
    server.kill()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def wrong_reads(puts: list[Put], read: list[Read]) -> Iterator[str]:
    """What a reader should not have seen, or should have."""
    counts = Counter(each.body for each in read)
    sent = {put.body: put for put in puts}
    for body, count in counts.items():
        if count > 1:
            yield f"{body[:40]!r} was read {count} times"
        if body not in sent:
            yield f"{body[:40]!r} was read and never put"
    places = {each.body: (each.shard, each.number) for each in read}
    for put in puts:
        if put.number is not None and places.get(put.body) != (put.shard, put.number):
            yield f"{put.body[:40]!r} was put at {(put.shard, put.number)} and read at {places.get(put.body)}"
    yield from _out_of_order(puts, read)


def _out_of_order(puts: list[Put], read: list[Read]) -> Iterator[str]:
    wanted: dict[str, list[str]] = defaultdict(list)
    found: dict[str, list[str]] = defaultdict(list)
    seen = {each.body for each in read}
    for put in puts:
        if put.body in seen:
            wanted[put.key].append(put.body)
    for each in read:
        found[each.key].append(each.body)
    for key, bodies in wanted.items():
        if found[key] != bodies:
            yield f"the records of {key} were read in another order than they were put"


def drain(server: Process, queue: str, deliveries: Deliveries) -> None:
    """Receive and acknowledge everything, dead letters too, past all timeouts."""
    for _ in range(3):
        server.advance(3_600)
        for dead in (False, True):
            consumer = QueueConsumer(server.endpoint_url, queue, deliveries, 0, dead=dead)
            while records := consumer.receive(10, 600):
                consumer.acknowledge(records)
            consumer.caller.close()


@pytest.mark.timeout(120 + 10 * ROUNDS)
def test_nothing_acknowledged_is_lost(tmp_path):
    rng, puts, deliveries = random.Random(SEED), Puts(), Deliveries()
    readers = [Reader(EVENTS), Reader(EVENTS)]
    queue = ""
    for number in range(ROUNDS):
        server = spawn(data=str(tmp_path), quotas="none")
        queue = queue if number else make_streams(server)
        load_and_kill(server, puts, readers, queue, deliveries, rng)
    with spawn(data=str(tmp_path), quotas="none", clock="virtual") as server:
        server.advance(1)
        for reader in (*readers, Reader(EVENTS)):
            reader.on(server.endpoint_url).drain()
            reader.caller.close()
            assert list(wrong_reads(puts.of(EVENTS), reader.read)) == []
            assert len(reader.read) > 20 * ROUNDS
        check_shards(server)
        drain(server, queue, deliveries)
    check_deliveries(puts.of(JOBS), deliveries)


def check_shards(server: Process) -> None:
    """The open shards have every hash key once, and there was resharding."""
    caller = StreamCaller(server.endpoint_url)
    shards = caller.call("ListShards", StreamName=EVENTS)["Shards"]
    caller.close()
    open_ranges = sorted(
        (int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"]))
        for shard in shards
        if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
    )
    assert open_ranges[0][0] == 0
    assert open_ranges[-1][1] == (1 << 128) - 1
    assert all(end + 1 == start for (_, end), (start, _) in itertools.pairwise(open_ranges))
    assert len(shards) > ROUNDS


def check_deliveries(puts: list[Put], deliveries: Deliveries) -> None:
    bodies = {put.body for put in puts}
    assert deliveries.received.keys() <= bodies
    lost = [put.body[:40] for put in puts if put.number is not None and put.body not in deliveries.tried]
    assert lost == []
    # A slice that was fed when the server was killed may be fed again.
    assert len(deliveries.came_back) <= FEED_SLICE * ROUNDS
    assert len(deliveries.acknowledged) > 20 * ROUNDS
