"""Consumers that do not read: what the server holds for one is bounded, and the others get everything meanwhile."""

from __future__ import annotations

import contextlib
import json

import httpx
import pytest

SHARD = "shardId-000000000000"
RECORD_BYTES = 200_000
BATCHES, BATCH = 8, 40
"""64 MB in all: far more than all buffers on the way hold."""

HELD_BYTES = 16_000_000
"""More than what the kernel keeps for a socket at most on both sides, the server's pipe, and an event."""


@pytest.fixture(scope="module")
def headrace(serve):
    with serve(quotas="none") as endpoint:
        yield endpoint


@pytest.fixture
def kinesis(headrace):
    headrace.reset()
    return headrace.client("kinesis")


@pytest.fixture
def register(headrace, kinesis):
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    headrace.advance(1)
    stream = kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]["StreamARN"]

    def register(name):
        arn = kinesis.register_stream_consumer(StreamARN=stream, ConsumerName=name)["Consumer"]["ConsumerARN"]
        headrace.advance(1)
        return arn

    return register


def subscribe(kinesis, consumer):
    """The records of the consumer's subscription, one by one."""
    answer = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=SHARD, StartingPosition={"Type": "TRIM_HORIZON"})
    return read_on(answer["EventStream"])


def read_on(events):
    """The records of the events; the connection is closed when nobody reads on."""
    with contextlib.closing(events):
        for event in events:
            yield from event["SubscribeToShardEvent"]["Records"]


def write_and_read(kinesis, reading):
    """Put all records, of which the consumer that reads gets each at once."""
    for batch in range(BATCHES):
        datas = [(b"%d-%d " % (batch, number)).ljust(RECORD_BYTES, b"x") for number in range(BATCH)]
        kinesis.put_records(StreamName="clicks", Records=[{"Data": data, "PartitionKey": "k"} for data in datas])
        assert [next(reading)["Data"] for _ in datas] == datas


def test_over_http1(headrace, kinesis, register):
    idle = subscribe(kinesis, register("idle"))
    reading = subscribe(kinesis, register("reading"))
    write_and_read(kinesis, reading)
    headrace.advance(301)  # its time is over: what still comes was held for it
    held = sum(len(record["Data"]) for record in idle)
    assert 0 < held < HELD_BYTES


def test_over_http2(headrace, kinesis, register):
    asked = {"ConsumerARN": register("idle"), "ShardId": SHARD, "StartingPosition": {"Type": "TRIM_HORIZON"}}
    head = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Kinesis_20131202.SubscribeToShard"}
    with (
        httpx.Client(http1=False, http2=True, timeout=60) as client,
        client.stream("POST", headrace.endpoint_url, headers=head, content=json.dumps(asked)) as idle,
    ):
        assert (idle.status_code, idle.http_version) == (200, "HTTP/2")
        write_and_read(kinesis, subscribe(kinesis, register("reading")))
        headrace.advance(301)
        held = sum(len(piece) for piece in idle.iter_raw())
    assert 0 < held < HELD_BYTES


def test_many_that_do_not_read(headrace, kinesis, register):
    """They are at the same place, and are given the same events."""
    idle = [subscribe(kinesis, register(f"idle-{number}")) for number in range(10)]
    write_and_read(kinesis, subscribe(kinesis, register("reading")))
    headrace.advance(301)
    for records in idle:
        assert 0 < sum(len(record["Data"]) for record in records) < HELD_BYTES
