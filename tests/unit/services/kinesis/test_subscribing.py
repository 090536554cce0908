"""SubscribeToShard: what is pushed, when it ends, and which of two subscriptions counts. On a frozen clock."""

from __future__ import annotations

import asyncio

import pytest

from headrace.errors import ServiceError
from headrace.services.kinesis import consumer_limits

from .test_consumers import register

SHARD = "shardId-000000000000"


@pytest.fixture
async def consumer(kinesis):
    """The ARN of an ACTIVE consumer of a stream with a shard."""
    await kinesis.create()
    return (await register(kinesis))["ConsumerARN"]


async def subscribe(kinesis, consumer, kind="TRIM_HORIZON", shard=SHARD, **position):
    answer = await kinesis(
        "subscribe_to_shard", ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": kind, **position}
    )
    return answer["EventStream"]


async def refused(kinesis, consumer, shard=SHARD, **position):
    position = position or {"Type": "LATEST"}
    error = await kinesis.error("subscribe_to_shard", ConsumerARN=consumer, ShardId=shard, StartingPosition=position)
    return error.code


async def following(events):
    """The next event, without its wrapping."""
    return (await asyncio.wait_for(anext(events), 10))["SubscribeToShardEvent"]


async def pushed(events):
    return [record["Data"] for record in (await following(events))["Records"]]


async def test_what_is_there_comes_at_once_and_what_is_put_as_it_comes(kinesis, consumer):
    for number in range(3):
        await kinesis.put(b"%d" % number)
    events = await subscribe(kinesis, consumer)
    first = await following(events)
    assert [record["Data"] for record in first["Records"]] == [b"0", b"1", b"2"]
    assert first["MillisBehindLatest"] == 0
    coming = asyncio.ensure_future(pushed(events))
    await asyncio.sleep(0)
    await kinesis.put(b"3")
    assert await coming == [b"3"]
    await events.aclose()


async def test_an_event_says_where_to_go_on(kinesis, consumer):
    await kinesis.put(b"0")
    events = await subscribe(kinesis, consumer)
    place = (await following(events))["ContinuationSequenceNumber"]
    await events.aclose()
    await kinesis.put(b"1")
    await kinesis.advance(6)
    events = await subscribe(kinesis, consumer, "AFTER_SEQUENCE_NUMBER", SequenceNumber=place)
    assert await pushed(events) == [b"1"]
    await events.aclose()


async def test_latest_begins_with_an_event_without_records(kinesis, consumer):
    await kinesis.put(b"before")
    events = await subscribe(kinesis, consumer, "LATEST")
    assert await pushed(events) == []
    await kinesis.put(b"after")
    assert await pushed(events) == [b"after"]
    await events.aclose()


async def test_from_a_moment_on(kinesis, consumer):
    await kinesis.put(b"early")
    await kinesis.advance(10)
    at_s = kinesis.server.clock.now_ms() / 1000
    await kinesis.put(b"late")
    events = await subscribe(kinesis, consumer, "AT_TIMESTAMP", Timestamp=at_s)
    assert await pushed(events) == [b"late"]
    await events.aclose()


async def test_silence_is_broken_by_events_without_records(kinesis, consumer):
    events = await subscribe(kinesis, consumer)
    await following(events)
    coming = asyncio.ensure_future(following(events))
    await asyncio.sleep(0)
    await kinesis.advance(4.9)
    assert not coming.done()
    await kinesis.advance(0.2)
    assert (await coming)["Records"] == []
    await events.aclose()


async def test_it_ends_after_five_minutes(kinesis, consumer):
    events = await subscribe(kinesis, consumer)
    await following(events)
    await kinesis.advance(299)
    await kinesis.put(b"in time")
    assert await pushed(events) == [b"in time"]
    await kinesis.advance(1)
    await kinesis.put(b"too late")
    with pytest.raises(StopAsyncIteration):
        await anext(events)
    await events.aclose()


async def test_one_that_waits_ends_after_five_minutes_too(kinesis, consumer):
    events = await subscribe(kinesis, consumer)
    await following(events)

    async def all_the_rest():
        return [event["SubscribeToShardEvent"]["Records"] async for event in events]

    rest = asyncio.ensure_future(all_the_rest())
    await asyncio.sleep(0)
    await kinesis.advance(301)
    assert set(map(len, await asyncio.wait_for(rest, 10))) == {0}
    await events.aclose()


async def test_a_closed_shard_ends_with_its_children(kinesis, consumer):
    await kinesis.put(b"last")
    await kinesis.split()
    events = await subscribe(kinesis, consumer)
    found = []
    while True:
        event = await following(events)
        found += [record["Data"] for record in event["Records"]]
        if "ChildShards" in event:
            break
    assert found == [b"last"]
    assert [child["ShardId"][-1] for child in event["ChildShards"]] == ["1", "2"]
    assert "ContinuationSequenceNumber" not in event
    with pytest.raises(StopAsyncIteration):
        await anext(events)
    await events.aclose()


async def test_one_that_waits_is_told_when_its_shard_is_closed(kinesis, consumer):
    events = await subscribe(kinesis, consumer)
    await following(events)
    coming = asyncio.ensure_future(following(events))
    await asyncio.sleep(0)
    await kinesis.split()
    event = await coming
    assert [child["ShardId"][-1] for child in event["ChildShards"]] == ["1", "2"]
    await events.aclose()


async def test_a_second_is_refused_for_five_seconds_and_takes_over_then(kinesis, consumer):
    events = await subscribe(kinesis, consumer)
    await following(events)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    assert await refused(kinesis, consumer) == "ResourceInUseException"
    await kinesis.advance(4)
    assert await refused(kinesis, consumer) == "ResourceInUseException"
    await kinesis.advance(0.9)
    assert not waiting.done()
    await kinesis.advance(0.1)
    second = await subscribe(kinesis, consumer)
    if not (await asyncio.wait_for(asyncio.wait({waiting}), 10))[0] or waiting.exception() is None:
        waiting = asyncio.ensure_future(anext(events))  # what came was the heartbeat
    with pytest.raises(ServiceError) as ended:
        await asyncio.wait_for(waiting, 10)
    assert ended.value.code == "ResourceInUseException"
    await events.aclose()
    await kinesis.put(b"for the second")
    assert await pushed(second) == [b"for the second"]
    await second.aclose()


async def test_consumers_do_not_disturb_each_other(kinesis, consumer):
    other = (await register(kinesis, "other"))["ConsumerARN"]
    first, second = await subscribe(kinesis, consumer), await subscribe(kinesis, other)
    await kinesis.put(b"x")
    assert await pushed(first) == await pushed(second) == [b"x"]
    await first.aclose()
    await kinesis.put(b"y")
    assert await pushed(second) == [b"y"]
    await second.aclose()


async def test_two_mebibytes_a_second_each(kinesis, consumer):
    for _ in range(4):
        await kinesis.put(b"x" * 1_000_000)
        await kinesis.advance(1)
    events = await subscribe(kinesis, consumer)
    sizes = [sum(map(len, await pushed(events))) for _ in range(3)]
    assert sum(sizes) == 3_000_000
    coming = asyncio.ensure_future(pushed(events))
    await asyncio.sleep(0)
    assert not coming.done()
    await kinesis.advance(1)
    assert sum(map(len, await coming)) == 1_000_000
    await events.aclose()


async def test_an_event_is_no_larger_than_it_may_be(kinesis, consumer):
    for _ in range(4):
        await kinesis.put(b"x" * 400_000)
        await kinesis.advance(1)
    events = await subscribe(kinesis, consumer)
    size_bytes = sum(map(len, await pushed(events)))
    assert 0 < size_bytes <= consumer_limits.EVENT_BYTES
    await events.aclose()


@pytest.mark.parametrize("how", ["consumer", "stream"])
async def test_it_ends_with_what_it_belongs_to(kinesis, consumer, how):
    events = await subscribe(kinesis, consumer)
    await following(events)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    if how == "consumer":
        await kinesis("deregister_stream_consumer", ConsumerARN=consumer)
    else:
        await kinesis("delete_stream", StreamName="s", EnforceConsumerDeletion=True)
        await kinesis.settle()
    with pytest.raises(ServiceError) as ended:
        await asyncio.wait_for(waiting, 10)
    assert ended.value.code == "ResourceNotFoundException"
    await events.aclose()


async def test_a_server_that_stops_ends_all_of_them(durable):
    kinesis = await durable.start()
    await kinesis.create()
    events = await subscribe(kinesis, (await register(kinesis))["ConsumerARN"])
    await following(events)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    await kinesis.server.engine.drain()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(waiting, 10)
    await events.aclose()


async def test_who_is_not_let_in(kinesis, consumer):
    made = await kinesis("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName="new")
    assert await refused(kinesis, made["Consumer"]["ConsumerARN"]) == "ResourceInUseException"
    assert await refused(kinesis, consumer, shard="shardId-000000000009") == "ResourceNotFoundException"
    assert await refused(kinesis, f"{kinesis.arn()}/consumer/stranger:1") == "ResourceNotFoundException"
    no_number = {"Type": "AFTER_SEQUENCE_NUMBER"}
    assert await refused(kinesis, consumer, **no_number) == "InvalidArgumentException"
    assert await refused(kinesis, consumer, Type="AT_TIMESTAMP") == "InvalidArgumentException"
    events = await subscribe(kinesis, consumer)
    await events.aclose()


async def test_a_dry_run_subscribes_nobody(kinesis, consumer):
    params = {"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}}
    assert (await kinesis.error("subscribe_to_shard", DryRun=True, **params)).code == "DryRunOperationException"
    events = await subscribe(kinesis, consumer)
    await events.aclose()
