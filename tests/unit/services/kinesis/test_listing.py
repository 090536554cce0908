"""ListShards: filters and pages."""

import pytest

from .conftest import START_MS, START_S


async def listed(kinesis, kind, **more):
    shards = await kinesis.shards(ShardFilter={"Type": kind, **more})
    return [int(shard["ShardId"][-12:]) for shard in shards]


async def resharded(kinesis):
    """Shard 0 until 1,000 s, then 1 and 2 until 2,000 s, when 2 is split in 3 and 4."""
    await kinesis.create()
    await kinesis.advance(1000 - 0.4)
    await kinesis.split()
    await kinesis.advance(1000 - 0.2)
    await kinesis.split(2, at=3 * 2**126)
    assert kinesis.server.clock.now_ms() == START_MS + 2_000_000
    await kinesis.advance(1000)


async def test_filters(kinesis):
    await resharded(kinesis)
    assert await listed(kinesis, "FROM_TRIM_HORIZON") == [0, 1, 2, 3, 4]
    assert await listed(kinesis, "AT_TRIM_HORIZON") == [0]
    assert await listed(kinesis, "AT_LATEST") == [1, 3, 4]
    assert await listed(kinesis, "AFTER_SHARD_ID", ShardId="shardId-000000000002") == [3, 4]


@pytest.mark.parametrize(
    ("at_s", "at", "since"),
    [
        (-5, [0], [0, 1, 2, 3, 4]),
        (0, [0], [0, 1, 2, 3, 4]),
        (999.999, [0], [0, 1, 2, 3, 4]),
        (1000, [0, 1, 2], [0, 1, 2, 3, 4]),
        (1000.001, [1, 2], [1, 2, 3, 4]),
        (2000.001, [1, 3, 4], [1, 3, 4]),
        (3000, [1, 3, 4], [1, 3, 4]),
    ],
)
async def test_filters_by_time(kinesis, at_s, at, since):
    await resharded(kinesis)
    assert await listed(kinesis, "AT_TIMESTAMP", Timestamp=START_S + at_s) == at
    assert await listed(kinesis, "FROM_TIMESTAMP", Timestamp=START_S + at_s) == since


async def test_the_trim_horizon_moves_on(kinesis):
    await resharded(kinesis)
    await kinesis.advance(24 * 3600 - 1500)
    assert await listed(kinesis, "AT_TRIM_HORIZON") == [1, 2]
    assert await listed(kinesis, "FROM_TRIM_HORIZON") == [1, 2, 3, 4]


async def test_pages_keep_their_filter(kinesis):
    await kinesis.create(shards=5)
    await kinesis.split(at=5)
    first = await kinesis("list_shards", StreamName="s", MaxResults=4, ShardFilter={"Type": "AT_LATEST"})
    assert [shard["ShardId"][-1] for shard in first["Shards"]] == ["1", "2", "3", "4"]
    rest = await kinesis("list_shards", NextToken=first["NextToken"], MaxResults=4)
    assert [shard["ShardId"][-1] for shard in rest["Shards"]] == ["5", "6"]
    assert "NextToken" not in rest


async def test_pages_begin_after_a_shard(kinesis):
    await kinesis.create(shards=4)
    assert len(await kinesis.shards(ExclusiveStartShardId="shardId-000000000001")) == 2
    assert await kinesis.shards(ExclusiveStartShardId="shardId-000000000009") == []


async def test_a_token_lives_for_five_minutes(kinesis):
    await kinesis.create(shards=2)
    token = (await kinesis("list_shards", StreamName="s", MaxResults=1))["NextToken"]
    await kinesis.advance(300)
    assert len((await kinesis("list_shards", NextToken=token))["Shards"]) == 1
    await kinesis.advance(0.001)
    assert (await kinesis.error("list_shards", NextToken=token)).code == "ExpiredNextTokenException"


async def test_a_token_outlives_no_stream(kinesis):
    await kinesis.create(shards=2)
    token = (await kinesis("list_shards", StreamName="s", MaxResults=1))["NextToken"]
    await kinesis("delete_stream", StreamName="s")
    await kinesis.settle()
    await kinesis.create(shards=2)
    assert (await kinesis.error("list_shards", NextToken=token)).code == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "params",
    [
        {"NextToken": "what"},
        {"StreamName": "s", "ShardFilter": {"Type": "AFTER_SHARD_ID"}},
        {"StreamName": "s", "ShardFilter": {"Type": "AFTER_SHARD_ID", "ShardId": "what"}},
        {"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST", "ShardId": "0"}},
        {"StreamName": "s", "ShardFilter": {"Type": "AT_TIMESTAMP"}},
        {"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST", "Timestamp": START_S}},
        {"StreamName": "s", "ShardFilter": {"Type": "FROM_TIMESTAMP", "Timestamp": START_S + 86_400}},
        {"StreamName": "s", "ExclusiveStartShardId": "what"},
        {},
    ],
)
async def test_what_does_not_go_together(kinesis, params):
    await kinesis.create()
    assert (await kinesis.error("list_shards", **params)).code == "InvalidArgumentException"


@pytest.mark.parametrize("name", ["StreamName", "StreamARN", "ExclusiveStartShardId", "ShardFilter"])
async def test_a_token_stands_alone(kinesis, name):
    await kinesis.create(shards=2)
    token = (await kinesis("list_shards", StreamName="s", MaxResults=1))["NextToken"]
    error = await kinesis.error("list_shards", NextToken=token, **{name: "s"})
    assert error.message == f"NextToken and {name} cannot be provided together."


async def test_a_creation_time_tells_streams_of_one_name_apart(kinesis):
    await kinesis.create()
    assert len(await kinesis.shards(StreamCreationTimestamp=START_S)) == 1
    error = await kinesis.error("list_shards", StreamName="s", StreamCreationTimestamp=START_S - 1)
    assert error.code == "ResourceNotFoundException"
