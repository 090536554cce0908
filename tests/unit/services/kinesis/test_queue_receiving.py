"""Receiving from stream queues: what is read for a pointer, and where pointers go that are not delivered."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis.queue_receiving import _runs
from headrace.services.kinesis.queue_records import Pointer

from .queue_tools import (
    acknowledge,
    dead_after,
    depth,
    find,
    handles,
    make_queue,
    nothing,
    receive,
    receive_dead,
    settled,
    take_all,
)


@pytest.fixture
async def stream(unlimited):
    """Kinesis with a stream "s" in on-demand mode."""
    await unlimited.create(shards=0)
    return unlimited


def test_records_that_follow_each_other_are_read_in_one_go():
    pointers = [Pointer(1, 4), Pointer(0, 7), Pointer(1, 2), Pointer(1, 3), Pointer(1, 6), Pointer(0, 7)]
    assert _runs(pointers) == [[(0, 7)], [(1, 2), (1, 3), (1, 4)], [(1, 6)]]
    assert _runs([]) == []


async def test_what_is_too_much_for_one_receive_is_not_counted_as_received(stream):
    queue = await make_queue(stream, **dead_after(2))
    with mock.patch.object(limits, "RECEIVE_BYTES", 100):
        for number in range(6):
            await stream.put(b"%d" % number * 60)
        seen = []
        for _ in range(3):
            records = await receive(stream, queue)
            assert len(records) == 2
            assert {record["ReceiveCount"] for record in records} == {1}
            seen += [record["Data"][:1] for record in records]
            await acknowledge(stream, queue, records)
    assert sorted(seen) == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert await depth(stream, queue) == 0


async def test_dead_letters_that_are_too_much_for_one_receive_stay(stream, clock):
    queue = await make_queue(stream, **dead_after(1))
    for number in range(3):
        await stream.put(b"%d" % number * 60)
    while await depth(stream, queue) or not (await find(stream, queue)).feeder:
        await receive(stream, queue, VisibilityTimeoutSeconds=1)
    await clock.advance(1_000)
    with mock.patch.object(limits, "RECEIVE_BYTES", 100):
        assert len(await receive_dead(stream, queue)) == 2
        [letter] = await receive_dead(stream, queue)
    assert letter["ReceiveCount"] == 2


async def test_records_that_have_expired_are_passed_over(stream, clock):
    queue = await make_queue(stream)
    await stream.put_many(*[(b"old", str(number)) for number in range(30)])
    await receive(stream, queue, 1)
    await clock.advance(23 * 3_600_000)
    await stream.put(b"young")
    await clock.advance(2 * 3_600_000)
    assert await take_all(stream, queue, 1) == [b"young"]
    assert await nothing(stream, queue)
    assert await depth(stream, queue) == 0


async def test_dead_letters_expire_with_their_records(stream, clock):
    queue = await make_queue(stream, **dead_after(1))
    await stream.put(b"a")
    await receive(stream, queue, VisibilityTimeoutSeconds=1)
    await clock.advance(1_000)
    [letter] = await receive_dead(stream, queue, VisibilityTimeoutSeconds=1)
    await clock.advance(25 * 3_600_000)
    assert await nothing(stream, queue, "receive_dead_letter_queue_records")
    answer = await stream("restore_dead_letter_queue_records", QueueARN=queue, Entries=handles([letter]))
    assert [failed["ErrorCode"] for failed in answer["Failed"]] == ["ResourceNotFoundException"]


async def test_a_longer_retention_keeps_what_is_in_flight(stream, clock):
    queue = await make_queue(stream)
    await stream.put(b"a")
    await receive(stream, queue, VisibilityTimeoutSeconds=43_200)
    await stream("increase_stream_retention_period", StreamName="s", RetentionPeriodHours=48)
    await stream.settle()
    await clock.advance(30 * 3_600_000)
    assert await take_all(stream, queue, 1) == [b"a"]


async def test_with_too_many_in_flight_a_receive_finds_nothing(stream):
    with mock.patch.object(limits, "IN_FLIGHT_RECORDS", 3):
        queue = await make_queue(stream)
        await stream.put_many(*[(b"x", str(number)) for number in range(5)])
        held = []
        while len(held) < 3:
            held += await receive(stream, queue, 3 - len(held))
        assert await nothing(stream, queue)
        await acknowledge(stream, queue, held[:1])
        assert len(await receive(stream, queue)) == 1


async def test_a_receive_that_is_given_up_takes_nothing(stream):
    queue = await make_queue(stream)
    receiving = asyncio.create_task(stream("receive_queue_records", QueueARN=queue, WaitTimeSeconds=20))
    await settled()
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    await stream.put(b"a")
    [record] = await receive(stream, queue)
    assert record["ReceiveCount"] == 1


async def test_who_waits_is_answered_when_the_process_stops(durable):
    kinesis = await durable.start()
    await kinesis.create(shards=0)
    queue = await make_queue(kinesis)
    waiting = asyncio.create_task(kinesis("receive_queue_records", QueueARN=queue, WaitTimeSeconds=20))
    await settled()
    await kinesis.server.engine.drain()
    assert await asyncio.wait_for(waiting, 5) == {"QueueRecords": []}
    await settled()
    assert not (await find(kinesis, queue)).feeder.is_active


async def test_records_without_a_partition_key_have_none(stream):
    await stream(
        "update_stream_record_distribution_strategy",
        StreamARN=stream.arn(),
        RecordDistributionStrategy="AUTO",
    )
    await stream.settle()
    queue = await make_queue(stream)
    await stream("put_record", StreamName="s", Data=b"a")
    [record] = await receive(stream, queue)
    assert "PartitionKey" not in record


async def test_a_record_has_one_id_in_all_queues_and_no_other_has_it(stream):
    one, other = await make_queue(stream, "one"), await make_queue(stream, "other")
    await stream.put_many(*[(b"%d" % number, str(number)) for number in range(10)])
    ids = []
    for queue in (one, other):
        found = {}
        while len(found) < 10:
            found |= {record["Data"]: record["RecordId"] for record in await receive(stream, queue)}
        ids.append(found)
    assert ids[0] == ids[1]
    assert len(set(ids[0].values())) == 10
    assert all(text.isalnum() and text == text.lower() and len(text) <= 64 for text in ids[0].values())
