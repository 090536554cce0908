"""How pointers come to where receives find them: only as needed, each once, over reshardings, restarts and failures."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from headrace.errors import StorageError
from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis import queue_records
from headrace.services.kinesis.state import State

from .queue_tools import (
    acknowledge,
    depth,
    find,
    make_queue,
    nothing,
    receive,
    reshard,
    settled,
    take_all,
)


@pytest.fixture
async def stream(unlimited):
    """Kinesis with a stream "s" in on-demand mode: four shards."""
    await unlimited.create(shards=0)
    return unlimited


async def put_numbers(kinesis, count, start=0):
    """Records whose data are numbers, each with a key of its own."""
    for first in range(start, start + count, 500):
        last = min(first + 500, start + count)
        await kinesis.put_many(*[(b"%d" % number, str(number)) for number in range(first, last)])


def numbers(count, start=0):
    return [b"%d" % number for number in range(start, start + count)]


async def test_nothing_is_fed_while_nobody_receives(stream):
    queue = await make_queue(stream)
    await put_numbers(stream, 100)
    await settled()
    assert await depth(stream, queue) == 0
    assert (await find(stream, queue)).feeder is None


async def test_a_long_backlog_is_fed_a_few_records_ahead(stream):
    await put_numbers(stream, 3 * limits.FEED_AHEAD)
    queue = await make_queue(stream)
    seen = [record["Data"] for record in await receive(stream, queue)]
    await settled()
    assert await depth(stream, queue) <= limits.FEED_AHEAD
    while len(seen) < 3 * limits.FEED_AHEAD:
        records = await receive(stream, queue)
        seen += [record["Data"] for record in records]
        await acknowledge(stream, queue, records)
        assert await depth(stream, queue) <= limits.FEED_AHEAD
    assert sorted(seen, key=int) == numbers(3 * limits.FEED_AHEAD)


async def test_no_shard_keeps_another_from_being_fed(stream):
    await stream.put_many(*[(b"many", "same") for _ in range(500)])
    for _ in range(2 * limits.FEED_AHEAD // 500):
        await stream.put_many(*[(b"many", "same") for _ in range(500)])
    for number in range(50):
        await stream.put(b"few", str(number))
    queue = await make_queue(stream)
    await receive(stream, queue, 1)
    found = [record["Data"] for _ in range(100) for record in await receive(stream, queue)]
    assert b"few" in found


async def test_it_ends_some_time_after_the_last_receive(stream, clock):
    queue = await make_queue(stream)
    assert await nothing(stream, queue)
    feeder = (await find(stream, queue)).feeder
    assert feeder.is_active
    await clock.advance(limits.FEED_ACTIVE_MS)
    assert not feeder.is_active
    lease = f"{queue_records.PREFIX}feed/{queue.rpartition('/')[2]}"
    assert await stream.server.engine.metadata.lease(lease, ttl_ms=1, holder="another") is not None
    await clock.advance(2)
    await stream.put(b"a")
    assert await take_all(stream, queue, 1) == [b"a"]


async def test_who_waits_gets_what_is_put_into_any_shard(stream):
    queue = await make_queue(stream)
    for number in range(20):
        receiving = asyncio.create_task(receive(stream, queue, WaitTimeSeconds=20))
        await settled()
        assert not receiving.done()
        await stream.put(b"%d" % number, str(number))
        assert [record["Data"] for record in await receiving] == [b"%d" % number]


async def test_shards_that_come_of_others_are_followed(stream):
    queue = await make_queue(stream)
    await put_numbers(stream, 40)
    receiving = asyncio.create_task(take_all(stream, queue, 40))
    assert sorted(await receiving, key=int) == numbers(40)
    for shards, start in ((8, 40), (5, 80), (3, 120)):
        receiving = asyncio.create_task(receive(stream, queue, WaitTimeSeconds=20))
        await settled()
        await reshard(stream, shards)
        assert not receiving.done()  # the seals of the closed shards are no records
        await put_numbers(stream, 40, start)
        first = await receiving
        await acknowledge(stream, queue, first)
        found = [record["Data"] for record in first] + await take_all(stream, queue, 40 - len(first))
        assert sorted(found, key=int) == numbers(40, start)
    assert await nothing(stream, queue)


async def test_what_was_fed_of_shards_that_are_gone_is_forgotten(stream, clock):
    queue = await make_queue(stream)
    await put_numbers(stream, 40)
    await take_all(stream, queue, 40)
    await reshard(stream, 8)
    await clock.advance(25 * 3_600_000)
    await put_numbers(stream, 40)
    await take_all(stream, queue, 40)
    prefix = queue_records.fed_key(queue.rpartition("/")[2], None)
    shards = [int(entry.key.removeprefix(prefix)) for entry in await stream.server.engine.metadata.list(prefix)]
    assert sorted(shards) == sorted(int(shard["ShardId"][-12:]) for shard in await stream.shards())


async def test_each_record_comes_once_over_restarts(durable):
    kinesis = await durable.start()
    await kinesis.create(shards=0)
    queue = await make_queue(kinesis)
    seen = []
    for start in range(0, 200, 50):
        await put_numbers(kinesis, 50, start)
        seen += await take_all(kinesis, queue, 20)
        kinesis = await durable.restart()
    seen += await take_all(kinesis, queue, 200 - len(seen))
    assert sorted(seen, key=int) == numbers(200)
    assert await nothing(kinesis, queue)


async def test_a_shard_that_cannot_be_waited_for_is_looked_at_again(stream, clock):
    queue = await make_queue(stream)
    with mock.patch.object(stream.server.engine.logs, "wait", side_effect=StorageError("no answer")) as waited:
        assert await nothing(stream, queue)
        await settled()
    assert waited.called
    receiving = asyncio.create_task(receive(stream, queue, WaitTimeSeconds=20))
    await stream.put(b"a")
    await clock.advance(2 * limits.FEED_LOOK_AGAIN_MS)
    assert [record["Data"] for record in await receiving] == [b"a"]


async def test_a_failure_between_feeding_and_noting_it_loses_nothing(stream, clock):
    await put_numbers(stream, 20)
    queue = await make_queue(stream)
    metadata = stream.server.engine.metadata
    real = metadata.put
    failing = mock.AsyncMock(side_effect=StorageError("The device is full."))
    with mock.patch.object(metadata, "put", failing):
        seen = await take_all(stream, queue, 1)
        await settled()
        assert failing.await_count == 1
    assert metadata.put == real
    await clock.advance(limits.FEED_LOOK_AGAIN_MS)
    while not await nothing(stream, queue):
        pass
    await clock.advance(60_000)
    seen += [record["Data"] for _ in range(10) for record in await receive_or_nothing(stream, queue)]
    assert set(seen) == set(numbers(20))


async def receive_or_nothing(kinesis, queue):
    receiving = asyncio.create_task(receive(kinesis, queue, WaitTimeSeconds=1))
    await settled()
    await kinesis.server.clock.advance(1_000)
    return await receiving


@pytest.fixture
async def twin(stream):
    """The same store as another process serves it."""
    state = State(stream.server)
    await state.start()
    yield type(stream)(stream.server, state)
    await state.close()


async def test_one_process_feeds_and_another_takes_over(stream, twin, clock):
    queue = await make_queue(stream)
    await put_numbers(stream, 5)
    assert len(await take_all(stream, queue, 5)) == 5
    receiving = asyncio.create_task(receive(twin, queue, WaitTimeSeconds=20))
    await settled()
    await put_numbers(stream, 1, 5)  # the first process feeds it, for whoever waits
    assert [record["Data"] for record in await receiving] == [b"5"]
    await stream.state.close()
    receiving = asyncio.create_task(receive(twin, queue, WaitTimeSeconds=20))
    await clock.advance(2 * limits.FEED_LOOK_AGAIN_MS)
    await twin.put(b"6")
    await clock.advance(limits.FEED_LOOK_AGAIN_MS)
    assert [record["Data"] for record in await receiving] == [b"6"]


async def test_a_feeder_that_lost_its_lease_reads_again_how_far_it_was_fed(stream, twin, clock):
    queue = await make_queue(stream)
    await put_numbers(stream, 5)
    await take_all(stream, queue, 5)
    # The first process stalls past its lease, and the other one goes on.
    (await find(stream, queue)).feeder._wake.clear()
    await clock.advance(limits.FEED_LEASE_MS)
    await put_numbers(stream, 5, 5)
    found = await take_all(twin, queue, 5)
    assert sorted(found) == numbers(5, 5)
    await put_numbers(stream, 5, 10)
    assert sorted(await take_all(stream, queue, 5), key=int) == numbers(5, 10)
    assert await nothing(stream, queue)
