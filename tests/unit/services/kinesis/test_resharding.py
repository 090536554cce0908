"""SplitShard, MergeShards and UpdateShardCount, and what readers and later times see of them."""

import pytest

from headrace.services.kinesis import limits, rules

SHARD = "shardId-000000000000"


def bounds(shards):
    return [(shard["ShardId"][-1], int(shard["HashKeyRange"]["StartingHashKey"])) for shard in shards]


async def test_a_split(unlimited):
    await unlimited.create()
    await unlimited.put(b"before", ExplicitHashKey="5")
    await unlimited("split_shard", StreamName="s", ShardToSplit=SHARD, NewStartingHashKey="100")
    assert (await unlimited.summary())["StreamStatus"] == "UPDATING"
    assert len(await unlimited.shards()) == 1, "nothing has happened yet"
    await unlimited.put(b"meanwhile", ExplicitHashKey="500")
    await unlimited.settle()
    assert (await unlimited.summary())["StreamStatus"] == "ACTIVE"
    parent, low, high = await unlimited.shards()
    assert bounds([parent, low, high]) == [("0", 0), ("1", 0), ("2", 100)]
    assert low["ParentShardId"] == high["ParentShardId"] == SHARD
    assert "AdjacentParentShardId" not in low
    ending = int(parent["SequenceNumberRange"]["EndingSequenceNumber"])
    assert "EndingSequenceNumber" not in low["SequenceNumberRange"]
    assert int(low["SequenceNumberRange"]["StartingSequenceNumber"]) > ending
    put = await unlimited.put(b"after", ExplicitHashKey="5")
    assert put["ShardId"] == low["ShardId"]
    assert int(put["SequenceNumber"]) > ending
    assert [await unlimited.data(number) for number in range(3)] == [[b"before", b"meanwhile"], [b"after"], []]


async def test_the_end_of_a_closed_shard(unlimited):
    await unlimited.create()
    await unlimited.put(b"0")
    await unlimited.put(b"1")
    await unlimited.split()
    first = await unlimited.get(await unlimited.iterator(), Limit=1)
    assert "ChildShards" not in first
    last = await unlimited.get(first["NextShardIterator"])
    assert [record["Data"] for record in last["Records"]] == [b"1"]
    assert "NextShardIterator" not in last
    assert last["MillisBehindLatest"] == 0
    assert last["ChildShards"] == [
        {
            "ShardId": "shardId-000000000001",
            "ParentShards": [SHARD],
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": str(2**127 - 1)},
        },
        {
            "ShardId": "shardId-000000000002",
            "ParentShards": [SHARD],
            "HashKeyRange": {"StartingHashKey": str(2**127), "EndingHashKey": str(2**128 - 1)},
        },
    ]


async def test_an_iterator_at_the_tip_learns_of_the_end(unlimited):
    await unlimited.create()
    await unlimited.put()
    answer = await unlimited.get(await unlimited.iterator(kind="LATEST"))
    await unlimited.split()
    answer = await unlimited.get(answer["NextShardIterator"])
    assert (answer["Records"], len(answer["ChildShards"])) == ([], 2)


@pytest.mark.parametrize("kind", ["LATEST", "AT_TIMESTAMP", "AFTER_SEQUENCE_NUMBER", "AT_SEQUENCE_NUMBER"])
async def test_every_place_at_the_end_of_a_closed_shard_is_its_end(unlimited, kind):
    await unlimited.create()
    await unlimited.put()
    await unlimited.split()
    ending = (await unlimited.shards())[0]["SequenceNumberRange"]["EndingSequenceNumber"]
    params = {
        "LATEST": {},
        "AT_TIMESTAMP": {"Timestamp": unlimited.server.clock.now_ms() / 1000},
    }.get(kind, {"StartingSequenceNumber": ending})
    answer = await unlimited.get(await unlimited.iterator(kind=kind, **params))
    assert (answer["Records"], len(answer["ChildShards"])) == ([], 2)


async def test_an_empty_shard_can_be_split(unlimited):
    await unlimited.create()
    await unlimited.split()
    answer = await unlimited.get(await unlimited.iterator())
    assert (answer["Records"], len(answer["ChildShards"])) == ([], 2)


async def test_a_merge(unlimited):
    await unlimited.create(shards=2)
    await unlimited.put(b"low", ExplicitHashKey="0")
    await unlimited.put(b"high", ExplicitHashKey=str(2**128 - 1))
    await unlimited("merge_shards", StreamName="s", ShardToMerge="shardId-000000000001", AdjacentShardToMerge=SHARD)
    await unlimited.settle()
    child = (await unlimited.shards())[2]
    assert child["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)}
    assert (child["ParentShardId"], child["AdjacentParentShardId"]) == ("shardId-000000000001", SHARD)
    for number, data in enumerate((b"low", b"high")):
        answer = await unlimited.get(await unlimited.iterator(number))
        assert [record["Data"] for record in answer["Records"]] == [data]
        [found] = answer["ChildShards"]
        assert (found["ShardId"], found["ParentShards"]) == (
            "shardId-000000000002",
            ["shardId-000000000001", SHARD],
        )


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("split_shard", {"ShardToSplit": "9", "NewStartingHashKey": "5"}, "ResourceNotFoundException"),
        ("split_shard", {"ShardToSplit": "0", "NewStartingHashKey": "0"}, "InvalidArgumentException"),
        ("split_shard", {"ShardToSplit": "0", "NewStartingHashKey": "1"}, "InvalidArgumentException"),
        ("split_shard", {"ShardToSplit": "0", "NewStartingHashKey": str(2**127)}, "InvalidArgumentException"),
        ("split_shard", {"ShardToSplit": "0", "NewStartingHashKey": "9" * 39}, "InvalidArgumentException"),
        ("merge_shards", {"ShardToMerge": "0", "AdjacentShardToMerge": "2"}, "InvalidArgumentException"),
        ("merge_shards", {"ShardToMerge": "0", "AdjacentShardToMerge": "0"}, "InvalidArgumentException"),
        ("merge_shards", {"ShardToMerge": "0", "AdjacentShardToMerge": "x"}, "ResourceNotFoundException"),
        ("update_shard_count", {"TargetShardCount": 9}, "InvalidArgumentException"),
        ("update_shard_count", {"TargetShardCount": 1}, "InvalidArgumentException"),
        ("update_shard_count", {"TargetShardCount": 10_001}, "InvalidArgumentException"),
        ("update_shard_count", {"TargetShardCount": 30_000}, "LimitExceededException"),
    ],
)
async def test_what_cannot_be(kinesis, operation, params, code):
    await kinesis.create(shards=4)
    assert (await kinesis.error(operation, StreamName="s", **params)).code == code
    assert (await kinesis.summary())["StreamStatus"] == "ACTIVE"


@pytest.mark.parametrize(("target", "wrong"), [(9, "up over double"), (1, "down below half")])
async def test_a_count_is_doubled_or_halved_at_most(kinesis, target, wrong):
    await kinesis.create(shards=4)
    error = await kinesis.error("update_shard_count", StreamName="s", TargetShardCount=target)
    assert error.message == (
        f"UpdateShardCount cannot scale {wrong} your current open shard count. "
        f"Current open shard count: 4 Target shard count: {target}"
    )


async def test_a_closed_shard_is_not_resharded(kinesis):
    await kinesis.create(shards=2)
    await kinesis.split(at=5)
    split = {"ShardToSplit": SHARD, "NewStartingHashKey": "50"}
    assert (await kinesis.error("split_shard", StreamName="s", **split)).code == "InvalidArgumentException"
    merge = {"ShardToMerge": SHARD, "AdjacentShardToMerge": "1"}
    assert (await kinesis.error("merge_shards", StreamName="s", **merge)).code == "InvalidArgumentException"


async def test_one_change_at_a_time(kinesis):
    await kinesis.create(shards=2)
    split = {"ShardToSplit": SHARD, "NewStartingHashKey": "50"}
    await kinesis("split_shard", StreamName="s", **split)
    error = await kinesis.error("merge_shards", StreamName="s", ShardToMerge=SHARD, AdjacentShardToMerge="1")
    assert (error.code, error.message) == (
        "ResourceInUseException",
        "Stream s under account 000000000000 not ACTIVE, instead in state UPDATING",
    )


async def test_on_demand_streams_see_to_themselves(kinesis):
    await kinesis.create(shards=0)
    for operation, params in (
        ("split_shard", {"ShardToSplit": SHARD, "NewStartingHashKey": "50"}),
        ("merge_shards", {"ShardToMerge": SHARD, "AdjacentShardToMerge": "1"}),
        ("update_shard_count", {"TargetShardCount": 8, "ScalingType": "UNIFORM_SCALING"}),
    ):
        assert (await kinesis.error(operation, StreamName="s", **params)).code == "ValidationException"


async def test_uniform_scaling(unlimited):
    await unlimited.create(shards=4)
    await unlimited.put_many(*[(b"%d" % index, f"key-{index}") for index in range(100)])
    answer = await unlimited("update_shard_count", StreamName="s", TargetShardCount=3, ScalingType="UNIFORM_SCALING")
    assert answer == {
        "StreamName": "s",
        "CurrentShardCount": 4,
        "TargetShardCount": 3,
        "StreamARN": unlimited.arn(),
    }
    await unlimited.settle()
    assert (await unlimited.summary())["OpenShardCount"] == 3
    now_open = await unlimited.shards(ShardFilter={"Type": "AT_LATEST"})
    assert sorted(int(shard["HashKeyRange"]["StartingHashKey"]) for shard in now_open) == [
        (2**128 // 3) * index for index in range(3)
    ]
    for shard in await unlimited.shards():
        answer = await unlimited.get(await unlimited.iterator(int(shard["ShardId"][-3:])))
        assert ("ChildShards" in answer) == ("EndingSequenceNumber" in shard["SequenceNumberRange"])


async def test_ten_scalings_a_day(kinesis):
    await kinesis.create(shards=2)
    params = {"StreamName": "s", "ScalingType": "UNIFORM_SCALING"}
    for target in (3, 2) * 5:
        await kinesis("update_shard_count", TargetShardCount=target, **params)
        await kinesis.settle()
    assert (await kinesis.error("update_shard_count", TargetShardCount=3, **params)).code == "LimitExceededException"
    await kinesis.advance(86_400)
    await kinesis("update_shard_count", TargetShardCount=3, **params)


# Afterwards


async def test_closed_shards_stay_until_their_records_have_expired(unlimited):
    await unlimited.create()
    await unlimited.put()
    await unlimited.split()
    stream = await unlimited.state.get("us-east-1", "000000000000", "s")
    log = stream.shards[0].log
    await unlimited.advance(24 * 3600 - 0.3)
    assert len(await unlimited.shards()) == 3
    iterator = await unlimited.iterator()
    await unlimited.advance(0.3)
    assert bounds(await unlimited.shards()) == [("1", 0), ("2", 2**127)]
    assert (await unlimited.error("get_records", ShardIterator=iterator)).code == "ResourceNotFoundException"
    assert not [name for name in unlimited.server.engine.logs._states if name == log]
    child = (await unlimited.shards())[0]
    assert child["ParentShardId"] == SHARD, "the parent is named though it is gone"


async def test_a_longer_retention_keeps_closed_shards_longer(unlimited):
    await unlimited.create()
    await unlimited.split()
    await unlimited("increase_stream_retention_period", StreamName="s", RetentionPeriodHours=48)
    await unlimited.advance(47 * 3600)
    assert len(await unlimited.shards()) == 3
    await unlimited.advance(3600)
    assert len(await unlimited.shards()) == 2


async def test_a_reshard_that_was_asked_for_is_done_after_a_restart(durable):
    kinesis = await durable.start()
    await kinesis.create()
    first = await kinesis.put(b"before")
    await kinesis("split_shard", StreamName="s", ShardToSplit=SHARD, NewStartingHashKey=str(2**127))
    kinesis = await durable.restart()
    assert (await kinesis.summary())["StreamStatus"] == "UPDATING"
    await kinesis.settle()
    assert await kinesis.data() == [b"before"]
    last = await kinesis.put(b"after")
    assert last["ShardId"] != SHARD
    assert int(last["SequenceNumber"]) > int(first["SequenceNumber"])


async def test_a_process_that_died_while_a_shard_was_closed(durable, monkeypatch):
    """Its parents' ends are found out by the next, whether or not the logs had been sealed."""
    kinesis = await durable.start()
    await kinesis.create(shards=2)
    await kinesis.put(b"0", ExplicitHashKey="0")
    await kinesis.put(b"1", ExplicitHashKey=str(2**128 - 1))

    async def die(*_):
        raise RuntimeError("killed")

    await kinesis("merge_shards", StreamName="s", ShardToMerge=SHARD, AdjacentShardToMerge="1")
    revise = kinesis.state.revise
    calls = []

    async def once(stream, change, also=None):
        calls.append(change)
        await (revise if len(calls) == 1 else die)(stream, change, also)

    monkeypatch.setattr(kinesis.state, "revise", once)
    await kinesis.settle()
    assert len(calls) == 2, "closed, sealed, and died before the ends were stored"
    kinesis = await durable.restart()
    for number in range(2):
        answer = await kinesis.get(await kinesis.iterator(number))
        assert [record["Data"] for record in answer["Records"]] == [b"%d" % number]
        assert [child["ShardId"] for child in answer["ChildShards"]] == ["shardId-000000000002"]
    stream = await kinesis.state.get("us-east-1", "000000000000", "s")
    assert [stream.shards[number].record.ending for number in range(2)] == [1, 1]


async def test_a_thousand_shards(unlimited):
    await unlimited.create(shards=1000)
    results = []
    for start in range(0, 5000, 500):
        results += await unlimited.put_many(*[(b"%d" % n, f"key-{n}") for n in range(start, start + 500)])
    assert len({result["ShardId"] for result in results}) > 950
    first = await unlimited("list_shards", StreamName="s", MaxResults=600)
    rest = await unlimited("list_shards", NextToken=first["NextToken"])
    assert (len(first["Shards"]), len(rest["Shards"]), "NextToken" in rest) == (600, 400, False)
    await unlimited("update_shard_count", StreamName="s", TargetShardCount=2000, ScalingType="UNIFORM_SCALING")
    await unlimited.settle()
    assert (await unlimited.summary())["OpenShardCount"] == 2000
    by_shard = {}
    for index, result in enumerate(results):
        by_shard.setdefault(rules.parse_shard_id(result["ShardId"]), []).append(b"%d" % index)
    for number in list(by_shard)[::50]:
        answer = await unlimited.get(await unlimited.iterator(number))
        assert [record["Data"] for record in answer["Records"]] == by_shard[number]
        assert len(answer["ChildShards"]) == 2
    assert limits.SHARDS_PER_STREAM_SCALED >= 2000
