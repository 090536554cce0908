"""Making, describing, listing and deleting streams."""

import asyncio

import pytest

from headrace.primitives.logs import LogMissing
from headrace.services.kinesis import limits, records

from .conftest import START_S


async def test_a_stream_is_creating_then_active(kinesis):
    await kinesis("create_stream", StreamName="s", ShardCount=2)
    assert (await kinesis.summary())["StreamStatus"] == "CREATING"
    await kinesis.settle()
    described = (await kinesis("describe_stream", StreamName="s"))["StreamDescription"]
    shards = described.pop("Shards")
    assert described == {
        "StreamName": "s",
        "StreamARN": kinesis.arn(),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "HasMoreShards": False,
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": START_S,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
    }
    assert [shard["ShardId"] for shard in shards] == ["shardId-000000000000", "shardId-000000000001"]
    assert shards[0]["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": str(2**127 - 1)}
    assert set(shards[0]["SequenceNumberRange"]) == {"StartingSequenceNumber"}


async def test_a_stream_that_is_creating_takes_and_gives_nothing(kinesis):
    await kinesis("create_stream", StreamName="s", ShardCount=1)
    error = await kinesis.error("put_record", StreamName="s", Data=b"", PartitionKey="k")
    assert (error.code, error.message) == (
        "ResourceNotFoundException",
        "Stream s under account 000000000000 not found.",
    )
    kind = {"ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"}
    assert (await kinesis.error("get_shard_iterator", StreamName="s", **kind)).code == "ResourceNotFoundException"
    error = await kinesis.error("list_shards", StreamName="s")
    assert (error.code, error.message) == (
        "ResourceInUseException",
        "Stream s under account 000000000000 not ACTIVE or UPDATING, instead in state CREATING",
    )
    described = (await kinesis("describe_stream", StreamName="s"))["StreamDescription"]
    assert (described["Shards"], described["HasMoreShards"]) == ([], False)
    assert (await kinesis.summary())["OpenShardCount"] == 0


async def test_a_name_is_taken_once(kinesis):
    await kinesis.create()
    error = await kinesis.error("create_stream", StreamName="s", ShardCount=1)
    assert (error.code, error.message) == (
        "ResourceInUseException",
        "Stream s under account 000000000000 already exists.",
    )
    await kinesis.caller(account="123456789012").create()
    await kinesis.caller(region="eu-west-1").create()


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "InvalidArgumentException"),
        ({"ShardCount": 2, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}, "InvalidArgumentException"),
        ({"ShardCount": 1, "RecordDistributionStrategy": "AUTO"}, "InvalidArgumentException"),
        ({"ShardCount": 1, "WarmThroughputMiBps": 10}, "ValidationException"),
        ({"StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "WarmThroughputMiBps": 10}, "ValidationException"),
        ({"ShardCount": 1, "Tags": {"aws:x": "y"}}, "InvalidArgumentException"),
        ({"ShardCount": limits.SHARDS_PER_ACCOUNT + 1}, "LimitExceededException"),
    ],
)
async def test_what_does_not_go_together(kinesis, params, code):
    assert (await kinesis.error("create_stream", StreamName="s", **params)).code == code


async def test_an_on_demand_stream_starts_with_four_shards(kinesis):
    await kinesis.create(shards=0, MaxRecordSizeInKiB=2048, Tags={"a": "b"})
    summary = await kinesis.summary()
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert (summary["OpenShardCount"], summary["MaxRecordSizeInKiB"]) == (4, 2048)
    assert summary["RecordDistributionStrategy"] == "USER_PARTITION_KEY"
    tags = await kinesis("list_tags_for_stream", StreamName="s")
    assert tags == {"Tags": [{"Key": "a", "Value": "b"}], "HasMoreTags": False}


# Addresses


async def test_a_stream_is_found_by_name_arn_and_id(kinesis):
    await kinesis.create("one")
    await kinesis.create("two")
    one = await kinesis.summary("one")
    for address in (
        {"StreamName": "one"},
        {"StreamARN": kinesis.arn("one")},
        {"StreamId": one["StreamId"]},
        {"StreamName": "one", "StreamARN": kinesis.arn("one"), "StreamId": one["StreamId"]},
    ):
        found = await kinesis("describe_stream_summary", **address)
        assert found["StreamDescriptionSummary"] == one, address


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ({}, "InvalidArgumentException"),
        ({"StreamName": "none"}, "ResourceNotFoundException"),
        ({"StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/none"}, "ResourceNotFoundException"),
        ({"StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/s"}, "ResourceNotFoundException"),
        ({"StreamARN": "arn:aws:sqs:us-east-1:000000000000:s"}, "InvalidArgumentException"),
        (
            {"StreamName": "s", "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/other"},
            "InvalidArgumentException",
        ),
        ({"StreamId": "abcdefghij0123456789-abc"}, "ResourceNotFoundException"),
    ],
)
async def test_addresses_of_nothing(kinesis, address, code):
    await kinesis.create()
    assert (await kinesis.error("describe_stream_summary", **address)).code == code


async def test_an_id_that_is_another_stream_s(kinesis):
    await kinesis.create("one")
    await kinesis.create("two")
    stream_id = (await kinesis.summary("one"))["StreamId"]
    error = await kinesis.error("describe_stream", StreamName="two", StreamId=stream_id)
    assert error.code == "InvalidArgumentException"


async def test_another_account_s_stream_is_found_by_its_arn(kinesis):
    await kinesis.create()
    other = kinesis.caller(account="123456789012", region="eu-west-1")
    await other("put_record", StreamARN=kinesis.arn(), Data=b"from afar", PartitionKey="k")
    assert await kinesis.data() == [b"from afar"]


# Pages


async def test_shards_are_described_a_page_at_a_time(kinesis):
    await kinesis.create(shards=150)
    first = (await kinesis("describe_stream", StreamName="s", Limit=10_000))["StreamDescription"]
    assert (len(first["Shards"]), first["HasMoreShards"]) == (100, True)
    last = first["Shards"][-1]["ShardId"]
    rest = (await kinesis("describe_stream", StreamName="s", ExclusiveStartShardId=last))["StreamDescription"]
    assert (len(rest["Shards"]), rest["HasMoreShards"]) == (50, False)
    assert rest["Shards"][0]["ShardId"] == "shardId-000000000100"
    two = (await kinesis("describe_stream", StreamName="s", Limit=2))["StreamDescription"]
    assert (len(two["Shards"]), two["HasMoreShards"]) == (2, True)
    error = await kinesis.error("describe_stream", StreamName="s", ExclusiveStartShardId="what")
    assert error.code == "InvalidArgumentException"


async def test_streams_are_listed_a_page_at_a_time(kinesis):
    for name in ("c", "a", "b"):
        await kinesis.create(name)
    await kinesis.caller(account="123456789012").create("other")
    first = await kinesis("list_streams", Limit=2)
    assert (first["StreamNames"], first["HasMoreStreams"]) == (["a", "b"], True)
    assert first["StreamSummaries"][0] == {
        "StreamName": "a",
        "StreamARN": kinesis.arn("a"),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "StreamCreationTimestamp": START_S,
    }
    rest = await kinesis("list_streams", NextToken=first["NextToken"])
    assert (rest["StreamNames"], rest["HasMoreStreams"]) == (["c"], False)
    assert "NextToken" not in rest
    assert (await kinesis("list_streams", ExclusiveStartStreamName="a"))["StreamNames"] == ["b", "c"]
    assert (await kinesis.error("list_streams", NextToken="what")).code == "InvalidArgumentException"


async def test_no_streams(kinesis):
    assert await kinesis("list_streams") == {"StreamNames": [], "HasMoreStreams": False, "StreamSummaries": []}


# Deleting


async def test_a_stream_is_deleting_then_gone(kinesis):
    await kinesis.create(Tags={"a": "b"})
    await kinesis.put()
    stream = await kinesis.state.get("us-east-1", "000000000000", "s")
    log = stream.shards[0].log
    await kinesis("delete_stream", StreamName="s")
    assert (await kinesis.summary())["StreamStatus"] == "DELETING"
    assert (await kinesis("list_streams"))["StreamSummaries"][0]["StreamStatus"] == "DELETING"
    assert (await kinesis.error("put_record", StreamName="s", Data=b"", PartitionKey="k")).code == (
        "ResourceNotFoundException"
    )
    await kinesis("delete_stream", StreamName="s")
    await kinesis.settle()
    assert (await kinesis("list_streams"))["StreamNames"] == []
    assert stream.gone
    with pytest.raises(LogMissing):
        await kinesis.server.engine.logs.tip(log)
    metadata = kinesis.server.engine.metadata
    assert await metadata.list("kinesis/") == await metadata.list(records.DUE_PREFIX) == []


async def test_a_stream_made_anew_knows_nothing_of_the_first(kinesis):
    await kinesis.create()
    first = await kinesis.put(b"first")
    iterator = await kinesis.iterator()
    await kinesis("delete_stream", StreamName="s")
    await kinesis.advance(1)
    await kinesis.create(Tags={"new": "tag"})
    assert await kinesis.data() == []
    assert (await kinesis.error("get_records", ShardIterator=iterator)).code == "ResourceNotFoundException"
    second = await kinesis.put(b"second")
    assert second["SequenceNumber"] != first["SequenceNumber"]
    number = first["SequenceNumber"]
    error = await kinesis.error(
        "get_shard_iterator",
        StreamName="s",
        ShardId="0",
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=number,
    )
    assert error.code == "InvalidArgumentException"


async def test_a_stream_with_consumers_or_queues_stays(kinesis):
    await kinesis.create()
    metadata = kinesis.server.engine.metadata
    place = ("us-east-1", "000000000000", "s")
    await metadata.put(records.stream_queue_key(*place, "q"), b"")
    assert (await kinesis.error("delete_stream", StreamName="s")).code == "ResourceInUseException"
    await metadata.delete(records.stream_queue_key(*place, "q"))
    await metadata.put(records.consumer_key(*place, "c"), b"")
    assert (await kinesis.error("delete_stream", StreamName="s")).code == "ResourceInUseException"
    assert (await kinesis.error("delete_stream", StreamName="s", EnforceConsumerDeletion=False)).code == (
        "ResourceInUseException"
    )
    await kinesis("delete_stream", StreamName="s", EnforceConsumerDeletion=True)
    await kinesis.settle()
    assert await metadata.list("kinesis/") == []


async def test_a_deletion_ends_after_a_restart(durable):
    kinesis = await durable.start()
    await kinesis.create()
    await kinesis("delete_stream", StreamName="s")
    kinesis = await durable.restart()
    await kinesis.settle()
    assert await kinesis.server.engine.metadata.list("kinesis/") == []
    await kinesis.create()


async def test_only_one_of_many_makes_a_stream(kinesis):
    made = await asyncio.gather(
        *[kinesis("create_stream", StreamName="s", ShardCount=1) for _ in range(10)], return_exceptions=True
    )
    assert [each for each in made if each == {}] == [{}]
    assert {each.code for each in made if each != {}} == {"ResourceInUseException"}
