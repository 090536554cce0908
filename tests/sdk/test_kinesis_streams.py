"""Streams with boto3: made, described, set, tagged, resharded, scaled and deleted."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def kinesis(headrace):
    return headrace.client("kinesis")


@pytest.fixture
def make_stream(headrace, kinesis):
    """A function that makes a stream, ACTIVE when it returns; its ARN. Without shards it is in on-demand mode."""

    def make(name="clicks", shards=1, **options):
        mode = {"ShardCount": shards} if shards else {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
        kinesis.create_stream(StreamName=name, **mode, **options)
        headrace.advance(1)
        return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]

    return make


def refused(code, call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return caught.value.response["Error"]["Message"]


def summary(kinesis, name="clicks"):
    return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]


def test_a_stream_s_life(headrace, kinesis):
    kinesis.create_stream(StreamName="clicks", ShardCount=2, Tags={"team": "web"})
    described = kinesis.describe_stream(StreamName="clicks")["StreamDescription"]
    assert described["StreamARN"] == "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"
    assert described["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert isinstance(described["StreamCreationTimestamp"], dt.datetime)
    headrace.advance(1)
    assert summary(kinesis)["StreamStatus"] == "ACTIVE"
    assert summary(kinesis)["OpenShardCount"] == 2
    kinesis.delete_stream(StreamARN=described["StreamARN"])
    headrace.advance(1)
    message = refused("ResourceNotFoundException", kinesis.describe_stream, StreamName="clicks")
    assert message == "Stream clicks under account 000000000000 not found."
    kinesis.create_stream(StreamName="clicks", ShardCount=1)


def test_waiters_see_it_come_and_go(headrace, kinesis):
    quickly = {"Delay": 0.05, "MaxAttempts": 400}
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="clicks", WaiterConfig=quickly)
    kinesis.delete_stream(StreamName="clicks", EnforceConsumerDeletion=True)
    kinesis.get_waiter("stream_not_exists").wait(StreamName="clicks", WaiterConfig=quickly)


def test_paginators_give_everything(headrace, kinesis, make_stream):
    for name in ("a", "b", "c"):
        make_stream(name)
    make_stream("wide", shards=120)
    pages = kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2})
    assert [name for page in pages for name in page["StreamNames"]] == ["a", "b", "c", "wide"]
    pages = kinesis.get_paginator("describe_stream").paginate(StreamName="wide")
    assert sum(len(page["StreamDescription"]["Shards"]) for page in pages) == 120


def test_shards_are_listed_a_page_at_a_time(kinesis, make_stream):
    """AWS: NextToken stands alone, which boto3's paginator for ListShards does not heed."""
    make_stream("wide", shards=120)
    page = kinesis.list_shards(StreamName="wide", MaxResults=50)
    sizes = [len(page["Shards"])]
    while "NextToken" in page:
        page = kinesis.list_shards(NextToken=page["NextToken"], MaxResults=50)
        sizes.append(len(page["Shards"]))
    assert sizes == [50, 50, 20]


def test_a_model_s_ranges_are_checked(kinesis, make_stream):
    make_stream()
    message = refused("ValidationException", kinesis.create_stream, StreamName="not a name", ShardCount=1)
    assert message == (
        "1 validation error detected: Value 'not a name' at 'streamName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    )
    iterator = "x"
    refused("ValidationException", kinesis.get_records, ShardIterator=iterator, Limit=10_001)
    refused("InvalidArgumentException", kinesis.get_records, ShardIterator=iterator)


def test_retention(headrace, kinesis, make_stream):
    arn = make_stream()
    kinesis.increase_stream_retention_period(StreamName="clicks", RetentionPeriodHours=168)
    headrace.advance(1)
    assert summary(kinesis)["RetentionPeriodHours"] == 168
    kinesis.decrease_stream_retention_period(StreamARN=arn, RetentionPeriodHours=24)
    headrace.advance(1)
    assert summary(kinesis)["RetentionPeriodHours"] == 24
    refused(
        "InvalidArgumentException",
        kinesis.increase_stream_retention_period,
        StreamName="clicks",
        RetentionPeriodHours=9000,
    )


def test_record_size_encryption_and_monitoring(headrace, kinesis, make_stream):
    arn = make_stream()
    kinesis.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=2048)
    refused("ResourceInUseException", kinesis.update_max_record_size, StreamARN=arn, MaxRecordSizeInKiB=4096)
    headrace.advance(1)
    kinesis.start_stream_encryption(StreamName="clicks", EncryptionType="KMS", KeyId="alias/aws/kinesis")
    headrace.advance(1)
    answer = kinesis.enable_enhanced_monitoring(StreamName="clicks", ShardLevelMetrics=["IncomingBytes"])
    assert (answer["CurrentShardLevelMetrics"], answer["DesiredShardLevelMetrics"]) == ([], ["IncomingBytes"])
    headrace.advance(1)
    found = summary(kinesis)
    assert (found["MaxRecordSizeInKiB"], found["EncryptionType"], found["KeyId"]) == (2048, "KMS", "alias/aws/kinesis")
    kinesis.stop_stream_encryption(StreamName="clicks", EncryptionType="KMS", KeyId="alias/aws/kinesis")
    headrace.advance(1)
    answer = kinesis.disable_enhanced_monitoring(StreamName="clicks", ShardLevelMetrics=["ALL"])
    assert answer["DesiredShardLevelMetrics"] == []
    assert summary(kinesis)["EncryptionType"] == "NONE"


def test_tags(kinesis, make_stream):
    arn = make_stream(Tags={"a": "1"})
    kinesis.add_tags_to_stream(StreamName="clicks", Tags={"b": "2"})
    kinesis.tag_resource(ResourceARN=arn, Tags={"c": "3"})
    listed = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}, {"Key": "c", "Value": "3"}]
    assert kinesis.list_tags_for_stream(StreamName="clicks")["Tags"] == listed
    assert kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == listed
    kinesis.remove_tags_from_stream(StreamARN=arn, TagKeys=["a"])
    kinesis.untag_resource(ResourceARN=arn, TagKeys=["b"])
    assert kinesis.list_tags_for_stream(StreamName="clicks")["Tags"] == listed[2:]


def test_policies(kinesis, make_stream):
    arn = make_stream()
    statement = {"Effect": "Allow", "Principal": "*", "Action": "kinesis:GetRecords", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    kinesis.put_resource_policy(ResourceARN=arn, Policy=policy)
    assert kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == policy
    kinesis.delete_resource_policy(ResourceARN=arn)
    refused("ResourceNotFoundException", kinesis.get_resource_policy, ResourceARN=arn)
    refused("InvalidArgumentException", kinesis.put_resource_policy, ResourceARN=arn, Policy="{}")


def test_account_settings_and_limits(headrace, kinesis, make_stream):
    make_stream(shards=3)
    make_stream("views", shards=0)
    found = kinesis.describe_limits()
    assert (found["OpenShardCount"], found["OnDemandStreamCount"], found["ShardLimit"]) == (7, 1, 20_000)
    enable = {"Status": "ENABLED"}
    commitment = kinesis.update_account_settings(MinimumThroughputBillingCommitment=enable)
    found = kinesis.describe_account_settings()["MinimumThroughputBillingCommitment"]
    assert found == commitment["MinimumThroughputBillingCommitment"]
    assert found["EarliestAllowedEndAt"] - found["StartedAt"] == dt.timedelta(days=1)


# Shards


def test_splitting_merging_and_counting(headrace, kinesis, make_stream):
    arn = make_stream()
    kinesis.split_shard(StreamName="clicks", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    headrace.advance(1)
    kinesis.merge_shards(
        StreamARN=arn, ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002"
    )
    headrace.advance(1)
    shards = kinesis.list_shards(StreamName="clicks")["Shards"]
    assert [(shard.get("ParentShardId"), shard.get("AdjacentParentShardId")) for shard in shards] == [
        (None, None),
        ("shardId-000000000000", None),
        ("shardId-000000000000", None),
        ("shardId-000000000001", "shardId-000000000002"),
    ]
    answer = kinesis.update_shard_count(StreamName="clicks", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    assert (answer["CurrentShardCount"], answer["TargetShardCount"], answer["StreamARN"]) == (1, 2, arn)
    headrace.advance(1)
    latest = kinesis.list_shards(StreamName="clicks", ShardFilter={"Type": "AT_LATEST"})["Shards"]
    assert [shard["HashKeyRange"]["StartingHashKey"] for shard in latest] == ["0", str(2**127)]
    refused(
        "InvalidArgumentException",
        kinesis.split_shard,
        StreamName="clicks",
        ShardToSplit=latest[0]["ShardId"],
        NewStartingHashKey=str(2**127),
    )


def test_a_closed_shard_goes_after_the_retention(headrace, kinesis, make_stream):
    make_stream()
    kinesis.split_shard(StreamName="clicks", ShardToSplit="shardId-000000000000", NewStartingHashKey="5")
    headrace.advance(86_000)
    assert len(kinesis.list_shards(StreamName="clicks")["Shards"]) == 3
    headrace.advance(500)
    assert [shard["ShardId"][-1] for shard in kinesis.list_shards(StreamName="clicks")["Shards"]] == ["1", "2"]


# Capacity modes


def test_modes(headrace, kinesis, make_stream):
    arn = make_stream(shards=5)
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    headrace.advance(1)
    found = summary(kinesis)
    assert (found["StreamModeDetails"], found["OpenShardCount"]) == ({"StreamMode": "ON_DEMAND"}, 5)
    kinesis.update_stream_record_distribution_strategy(StreamARN=arn, RecordDistributionStrategy="AUTO")
    assert summary(kinesis)["RecordDistributionStrategy"] == "AUTO"
    refused("ValidationException", kinesis.update_stream_warm_throughput, StreamARN=arn, WarmThroughputMiBps=8)
    kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    kinesis.update_stream_warm_throughput(StreamARN=arn, WarmThroughputMiBps=8)
    headrace.advance(1)
    found = summary(kinesis)
    assert (found["WarmThroughput"], found["OpenShardCount"]) == ({"TargetMiBps": 8, "CurrentMiBps": 8}, 8)


CHANNEL = {"ChannelARN": "arn:aws:kinesis:us-east-1:000000000000:channel/c"}
NEW_CHANNEL = {
    "ChannelName": "c",
    "ServiceExecutionRoleARN": "arn:aws:iam::000000000000:role/r",
    "StreamConfigurationList": [
        {
            "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/clicks",
            "RecordConfiguration": {"RecordFormatType": "JSON"},
        }
    ],
}


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("create_channel", NEW_CHANNEL),
        ("delete_channel", CHANNEL),
        ("describe_channel", CHANNEL),
        ("list_channels", {}),
        ("update_channel", CHANNEL),
    ],
)
def test_channels_are_not_supported(kinesis, operation, params):
    message = refused("UnsupportedOperationException", getattr(kinesis, operation), **params)
    assert "does not support" in message
