"""On-demand mode: how many shards a stream has, and when."""

import asyncio

import msgspec
import pytest

from headrace.services.kinesis import limits, scaling, topology
from headrace.services.kinesis.records import UsageRecord

from .test_topology import NOW, assert_whole, stream

TODAY = NOW // limits.DAY_MS
MIB = 1024 * 1024


def usage(**days):
    """Rates in (MiB, records) a second by `d<days ago>`."""
    return UsageRecord(days={TODAY - int(ago[1:]): (mib * MIB, count) for ago, (mib, count) in days.items()})


@pytest.mark.parametrize(
    ("days", "warm", "wanted"),
    [
        ({}, 0, 4),
        ({"d0": (2, 0)}, 0, 4),
        ({"d0": (3, 0)}, 0, 6),
        ({"d0": (0, 3001)}, 0, 7),
        ({"d29": (10, 0), "d0": (3, 0)}, 0, 20),
        ({"d30": (10, 0), "d0": (3, 0)}, 0, 6),
        ({"d0": (3, 0)}, 50, 50),
    ],
)
def test_twice_the_highest_rate_of_thirty_days(days, warm, wanted):
    assert scaling.wanted_shards(usage(**days), warm, NOW) == wanted


def test_when_a_stream_has_too_many_shards():
    rates = usage(d20=(10, 0), d5=(5, 0))
    assert scaling.cool_at_ms(rates, 0, 20, NOW) == (TODAY - 20 + 30) * limits.DAY_MS
    assert scaling.cool_at_ms(rates, 0, 10, NOW) == (TODAY - 5 + 30) * limits.DAY_MS
    assert scaling.cool_at_ms(rates, 0, 4, NOW) == 0
    assert scaling.cool_at_ms(rates, 0, 21, NOW) == NOW
    assert scaling.cool_at_ms(rates, 20, 20, NOW) == 0


def test_counting():
    first = scaling.counted(UsageRecord(days={TODAY - 40: (1, 1), TODAY: (7, 7)}), NOW, 100_000, 50)
    assert first.days == {TODAY: (10_000, 7)}
    second = scaling.counted(first, NOW, 100_000, 50)
    assert second.days == {TODAY: (20_000, 10)}, "another process's count of the same window adds up"
    third = scaling.counted(second, NOW + limits.WINDOW_MS, 30_000, 1000)
    assert third.days == {TODAY: (20_000, 100)}


def test_the_hottest_are_split():
    record = stream(4)
    plan = scaling.split_plan(record, {0: 0.1, 1: 0.9, 2: 0.2, 3: 0.8}, 6)
    assert [shard for shard, _ in plan.steps] == [1, 3]
    assert len(scaling.split_plan(record, {}, 100).steps) == 4, "at most twice as many at a time"
    after = topology.carry_out(msgspec.structs.replace(record, plan=plan), NOW)
    assert_whole(after)
    assert len(topology.open_shards(after)) == 6


def test_the_coldest_neighbours_are_merged():
    record = stream(6)
    plan = scaling.merge_plan(record, {0: 0.9, 1: 0.1, 2: 0.1, 3: 0.2, 4: 0.0, 5: 0.0}, 4)
    assert sorted(plan.steps) == [(1, 2), (4, 5)]
    assert len(scaling.merge_plan(record, {}, 1).steps) == 3, "at most half as many at a time"
    after = topology.carry_out(msgspec.structs.replace(record, plan=plan), NOW)
    assert_whole(after)


# With a server


async def write(kinesis, count, size=0):
    """Put records evenly, within one window."""
    for start in range(0, count, 500):
        many = range(start, min(start + 500, count))
        await kinesis.put_many(*[(b"x" * size, f"key-{number}") for number in many])


async def open_shards(kinesis):
    return (await kinesis.summary())["OpenShardCount"]


async def test_a_hot_stream_splits_by_itself_and_merges_when_it_was_cold_for_thirty_days(unlimited):
    await unlimited.create(shards=0)
    await write(unlimited, 35_000)
    await unlimited.advance(9.9)
    assert (await unlimited.summary())["StreamStatus"] == "UPDATING"
    await unlimited.settle()
    assert await open_shards(unlimited) == 7, "twice 3,500 records a second"
    await unlimited.advance(29 * 86_400)
    assert await open_shards(unlimited) == 7
    await unlimited.advance(86_400 + 1)
    await unlimited.settle()
    assert await open_shards(unlimited) == 4
    assert len(await unlimited.shards()) == 4 + 3 * 2, "those that were merged are readable for a day"


async def test_growth_goes_on_until_it_is_enough(unlimited):
    await unlimited.create(shards=0)
    await write(unlimited, 50_000)
    await unlimited.advance(10)
    assert await open_shards(unlimited) == 8, "twice as many at a time"
    await unlimited.advance(1)
    assert await open_shards(unlimited) == 10


async def test_a_stream_in_provisioned_mode_stays_as_it_is(unlimited):
    await unlimited.create(shards=1)
    await write(unlimited, 10_000)
    await unlimited.advance(60)
    assert await open_shards(unlimited) == 1


async def test_records_written_while_it_scales_are_all_there(unlimited):
    await unlimited.create(shards=0)
    await write(unlimited, 29_000)
    put = [result async for result in written_over(unlimited, seconds=13)]
    found = []
    for shard in await unlimited.shards():
        iterator = await unlimited.iterator(int(shard["ShardId"][-4:]))
        while iterator is not None:
            answer = await unlimited.get(iterator, Limit=10_000)
            found += [record["SequenceNumber"] for record in answer["Records"] if record["Data"] == b"late"]
            iterator = answer.get("NextShardIterator") if answer["Records"] else None
    assert sorted(found) == sorted(put)
    assert await open_shards(unlimited) == 6


async def written_over(kinesis, *, seconds):
    for step in range(seconds * 10):
        yield (await kinesis.put(b"late", f"late-{step}"))["SequenceNumber"]
        await kinesis.advance(0.1)


async def test_it_goes_on_after_a_restart(durable):
    kinesis = await durable.start()
    await kinesis.create(shards=0)
    await write(kinesis, 30_000)
    await kinesis.advance(11)
    assert await open_shards(kinesis) == 6
    kinesis = await durable.restart()
    await kinesis.advance(30 * 86_400 + 1)
    await kinesis.settle()
    assert await open_shards(kinesis) == 4


async def test_counting_stops_with_the_stream(unlimited):
    await unlimited.create(shards=0)
    await write(unlimited, 500)
    await unlimited("delete_stream", StreamName="s")
    await unlimited.advance(20)
    assert await unlimited.server.engine.metadata.list("kinesis/") == []
    await asyncio.sleep(0)


# Modes


async def test_a_stream_keeps_its_shards_when_its_mode_changes(unlimited):
    await unlimited.create(shards=10)
    arn = unlimited.arn()
    await unlimited("update_stream_mode", StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    summary = await unlimited.summary()
    assert (summary["StreamStatus"], summary["StreamModeDetails"]) == ("UPDATING", {"StreamMode": "ON_DEMAND"})
    await unlimited.advance(60)
    assert await open_shards(unlimited) == 10
    await unlimited.advance(31 * 86_400)
    assert await open_shards(unlimited) == 4


async def test_a_small_stream_grows_once_it_is_written_to(unlimited):
    await unlimited.create(shards=1)
    await unlimited("update_stream_mode", StreamARN=unlimited.arn(), StreamModeDetails={"StreamMode": "ON_DEMAND"})
    await unlimited.advance(60)
    assert await open_shards(unlimited) == 1
    await unlimited.put()
    await unlimited.advance(12)
    assert await open_shards(unlimited) == 4


async def test_a_mode_is_changed_twice_a_day(kinesis):
    await kinesis.create()
    for mode in ("ON_DEMAND", "PROVISIONED"):
        await kinesis("update_stream_mode", StreamARN=kinesis.arn(), StreamModeDetails={"StreamMode": mode})
        await kinesis.settle()
    change = {"StreamARN": kinesis.arn(), "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    assert (await kinesis.error("update_stream_mode", **change)).code == "LimitExceededException"
    await kinesis.advance(86_400)
    await kinesis("update_stream_mode", **change)


async def test_a_mode_that_it_has_is_no_change(kinesis):
    await kinesis.create()
    await kinesis("update_stream_mode", StreamARN=kinesis.arn(), StreamModeDetails={"StreamMode": "PROVISIONED"})
    assert (await kinesis.summary())["StreamStatus"] == "ACTIVE"


async def commit(kinesis):
    await kinesis("update_account_settings", MinimumThroughputBillingCommitment={"Status": "ENABLED"})


async def test_warm_throughput(unlimited):
    await commit(unlimited)
    await unlimited.create(shards=0, WarmThroughputMiBps=10)
    assert (await unlimited.summary())["WarmThroughput"] == {"TargetMiBps": 10, "CurrentMiBps": 10}
    assert await open_shards(unlimited) == 10
    answer = await unlimited("update_stream_warm_throughput", StreamName="s", WarmThroughputMiBps=16)
    assert answer == {
        "StreamARN": unlimited.arn(),
        "StreamName": "s",
        "WarmThroughput": {"TargetMiBps": 16, "CurrentMiBps": 10},
    }
    await unlimited.settle()
    assert await open_shards(unlimited) == 16
    await unlimited("update_stream_warm_throughput", StreamName="s", WarmThroughputMiBps=5)
    await unlimited.advance(3)
    assert await open_shards(unlimited) == 5


async def test_warm_throughput_as_the_mode_changes(kinesis):
    await kinesis("update_account_settings", MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    await kinesis.create(shards=2)
    change = {"StreamARN": kinesis.arn(), "StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "WarmThroughputMiBps": 6}
    await kinesis("update_stream_mode", **change)
    await kinesis.settle()
    summary = await kinesis.summary()
    assert (summary["OpenShardCount"], summary["WarmThroughput"]) == (6, {"TargetMiBps": 6, "CurrentMiBps": 6})
    assert (await kinesis.error("update_stream_mode", **change)).code == "ValidationException"
    await kinesis("update_stream_mode", StreamARN=kinesis.arn(), StreamModeDetails={"StreamMode": "ON_DEMAND"})


async def test_warm_throughput_comes_with_on_demand_mode_and_commitment(kinesis):
    await kinesis.create()
    await kinesis.create("d", shards=0)
    error = await kinesis.error("update_stream_warm_throughput", StreamName="d", WarmThroughputMiBps=8)
    assert error.code == "ValidationException"
    await commit(kinesis)
    error = await kinesis.error("update_stream_warm_throughput", StreamName="s", WarmThroughputMiBps=8)
    assert error.code == "ValidationException"
    error = await kinesis.error("update_stream_warm_throughput", StreamName="d", WarmThroughputMiBps=10_241)
    assert error.code == "InvalidArgumentException"
    change = {"StreamARN": kinesis.arn(), "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    await kinesis("update_stream_mode", **change, WarmThroughputMiBps=8)
    await kinesis.settle()
    assert await open_shards(kinesis) == 8


async def test_record_distribution(kinesis):
    await kinesis.create()
    await kinesis.create("d", shards=0)
    change = {"RecordDistributionStrategy": "AUTO"}
    error = await kinesis.error("update_stream_record_distribution_strategy", StreamARN=kinesis.arn(), **change)
    assert error.code == "InvalidArgumentException"
    await kinesis("update_stream_record_distribution_strategy", StreamARN=kinesis.arn("d"), **change)
    summary = await kinesis.summary("d")
    assert (summary["StreamStatus"], summary["RecordDistributionStrategy"]) == ("ACTIVE", "AUTO")
    await kinesis("put_record", StreamName="d", Data=b"")
