"""A stream of a thousand shards."""

from __future__ import annotations

import pytest

SHARDS = 1_000


@pytest.fixture
def headrace(serve):
    with serve(quotas="none") as endpoint:
        yield endpoint


def shards(kinesis, **params):
    page = kinesis.list_shards(StreamName="wide", MaxResults=400, **params)
    found = page["Shards"]
    while "NextToken" in page:
        page = kinesis.list_shards(NextToken=page["NextToken"], MaxResults=400)
        found += page["Shards"]
    return found


def read(kinesis, shard_id):
    """The records of a shard, and the ids of its children when it is closed."""
    position = {"ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(StreamName="wide", **position)["ShardIterator"]
    answer = kinesis.get_records(ShardIterator=iterator)
    if "NextShardIterator" in answer and not answer["Records"]:
        return [], []
    rest = kinesis.get_records(ShardIterator=answer["NextShardIterator"]) if "NextShardIterator" in answer else answer
    children = [child["ShardId"] for child in rest.get("ChildShards", [])]
    return [record["Data"] for record in answer["Records"]], children


def test_a_thousand_shards(headrace):
    kinesis = headrace.client("kinesis")
    kinesis.create_stream(StreamName="wide", ShardCount=SHARDS)
    headrace.advance(1)
    found = shards(kinesis)
    starts = [int(shard["HashKeyRange"]["StartingHashKey"]) for shard in found]
    ends = [int(shard["HashKeyRange"]["EndingHashKey"]) for shard in found]
    assert (len(found), starts[0], ends[-1]) == (SHARDS, 0, 2**128 - 1)
    assert [end + 1 for end in ends[:-1]] == starts[1:]

    entries = [{"Data": str(start).encode(), "PartitionKey": "k", "ExplicitHashKey": str(start)} for start in starts]
    for half in (entries[:500], entries[500:]):
        answer = kinesis.put_records(StreamName="wide", Records=half)
        assert answer["FailedRecordCount"] == 0
    assert answer["Records"][-1]["ShardId"] == found[-1]["ShardId"]

    kinesis.update_shard_count(StreamName="wide", TargetShardCount=SHARDS // 2, ScalingType="UNIFORM_SCALING")
    headrace.advance(1)
    latest = shards(kinesis, ShardFilter={"Type": "AT_LATEST"})
    assert len(latest) == SHARDS // 2
    assert len(shards(kinesis)) == SHARDS + SHARDS // 2
    for place in range(0, SHARDS, 97):
        expected = latest[place // 2]["ShardId"]
        assert read(kinesis, found[place]["ShardId"]) == ([str(starts[place]).encode()], [expected])
    kinesis.delete_stream(StreamName="wide")
    headrace.advance(1)
    kinesis.create_stream(StreamName="wide", ShardCount=1)
    headrace.advance(1)
    assert read(kinesis, found[0]["ShardId"]) == ([], [])
