"""Records with boto3: put, read from any place, in order, over reshardings and restarts."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore.exceptions import ClientError

SHARD = "shardId-000000000000"


@pytest.fixture(scope="module")
def server(serve):
    """A server without throughput limits: these tests read more than five times a second."""
    with serve(quotas="none") as endpoint:
        yield endpoint


@pytest.fixture
def headrace(server):
    server.reset()
    yield server
    server.close_clients()


@pytest.fixture
def kinesis(headrace):
    return headrace.client("kinesis")


@pytest.fixture
def make_stream(headrace, kinesis):
    def make(name="clicks", shards=1):
        kinesis.create_stream(StreamName=name, ShardCount=shards)
        headrace.advance(1)

    return make


def read(kinesis, shard=SHARD, kind="TRIM_HORIZON", **params):
    """All records of a shard from there to its end, or to where nothing comes any more; and its children."""
    iterator = kinesis.get_shard_iterator(StreamName="clicks", ShardId=shard, ShardIteratorType=kind, **params)[
        "ShardIterator"
    ]
    found = []
    while True:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=7)
        found += answer["Records"]
        iterator = answer.get("NextShardIterator")
        if iterator is None or (not answer["Records"] and answer["MillisBehindLatest"] == 0):
            return found, [child["ShardId"] for child in answer.get("ChildShards", [])]


def data(found):
    return [record["Data"] for record in found[0]]


def test_a_record_comes_back(kinesis, make_stream):
    make_stream()
    put = kinesis.put_record(StreamName="clicks", Data=bytes(range(256)), PartitionKey="ключ 🚀")
    assert put["ShardId"] == SHARD
    [record], children = read(kinesis)
    assert (record["Data"], record["PartitionKey"], children) == (bytes(range(256)), "ключ 🚀", [])
    assert record["SequenceNumber"] == put["SequenceNumber"]
    assert isinstance(record["ApproximateArrivalTimestamp"], dt.datetime)


def test_a_batch_is_read_in_its_order(kinesis, make_stream):
    make_stream(shards=4)
    entries = [{"Data": b"%d" % number, "PartitionKey": f"key-{number % 20}"} for number in range(500)]
    answer = kinesis.put_records(StreamName="clicks", Records=entries)
    assert answer["FailedRecordCount"] == 0
    by_key = {}
    for number in range(4):
        for record in read(kinesis, f"shardId-{number:012d}")[0]:
            by_key.setdefault(record["PartitionKey"], []).append(int(record["Data"]))
    assert by_key == {f"key-{key}": list(range(key, 500, 20)) for key in range(20)}


def test_every_type_of_iterator(headrace, kinesis, make_stream):
    make_stream()
    numbers, times = [], []
    for number in range(4):
        times.append(dt.datetime.fromtimestamp(headrace.advance(10), dt.UTC))
        put = kinesis.put_record(StreamName="clicks", Data=b"%d" % number, PartitionKey="k")
        numbers.append(put["SequenceNumber"])
    assert data(read(kinesis)) == [b"0", b"1", b"2", b"3"]
    assert data(read(kinesis, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2])) == [b"2", b"3"]
    assert data(read(kinesis, kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2])) == [b"3"]
    assert data(read(kinesis, kind="AT_TIMESTAMP", Timestamp=times[1])) == [b"1", b"2", b"3"]
    assert data(read(kinesis, kind="LATEST")) == []


def test_an_iterator_expires(headrace, kinesis, make_stream):
    make_stream()
    iterator = kinesis.get_shard_iterator(StreamName="clicks", ShardId=SHARD, ShardIteratorType="LATEST")
    headrace.advance(301)
    with pytest.raises(kinesis.exceptions.ExpiredIteratorException):
        kinesis.get_records(ShardIterator=iterator["ShardIterator"])


def test_order_and_completeness_per_key_over_reshardings(headrace, kinesis, make_stream):
    make_stream(shards=2)
    written = 0

    def put(count):
        nonlocal written
        for _ in range(count):
            kinesis.put_record(StreamName="clicks", Data=b"%d" % written, PartitionKey=f"key-{written % 5}")
            written += 1

    put(40)
    kinesis.split_shard(StreamName="clicks", ShardToSplit=SHARD, NewStartingHashKey=str(2**126))
    put(40)
    headrace.advance(1)
    put(40)
    kinesis.update_shard_count(StreamName="clicks", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    put(40)
    headrace.advance(1)
    put(40)

    by_key, open_now, seen = {}, [SHARD, "shardId-000000000001"], set()
    while open_now:
        shard = open_now.pop(0)
        parents = parents_of(kinesis, shard)
        if shard in seen or not parents <= seen:
            continue
        seen.add(shard)
        records, children = read(kinesis, shard)
        for record in records:
            by_key.setdefault(record["PartitionKey"], []).append(int(record["Data"]))
        open_now += children
    assert by_key == {f"key-{key}": list(range(key, 200, 5)) for key in range(5)}


def parents_of(kinesis, shard_id):
    [shard] = [s for s in kinesis.list_shards(StreamName="clicks")["Shards"] if s["ShardId"] == shard_id]
    return {shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard}


def test_replay_from_any_point_of_the_retention(headrace, kinesis, make_stream):
    make_stream()
    kinesis.increase_stream_retention_period(StreamName="clicks", RetentionPeriodHours=8760)
    headrace.advance(1)
    for day in range(5):
        kinesis.put_record(StreamName="clicks", Data=b"%d" % day, PartitionKey="k")
        now = headrace.advance(86_400 * 60)
    assert data(read(kinesis)) == [b"0", b"1", b"2", b"3", b"4"]
    since = dt.datetime.fromtimestamp(now - 86_400 * 150, dt.UTC)
    assert data(read(kinesis, kind="AT_TIMESTAMP", Timestamp=since)) == [b"3", b"4"]
    headrace.advance(86_400 * 70)
    assert data(read(kinesis)) == [b"1", b"2", b"3", b"4"]


def test_streams_of_two_accounts_and_regions_are_apart(headrace, kinesis, make_stream):
    make_stream()
    kinesis.put_record(StreamName="clicks", Data=b"mine", PartitionKey="k")
    for options in ({"aws_access_key_id": "123456789012"}, {"region_name": "eu-west-1"}):
        other = headrace.client("kinesis", **options)
        with pytest.raises(other.exceptions.ResourceNotFoundException):
            other.describe_stream(StreamName="clicks")
        other.create_stream(StreamName="clicks", ShardCount=1)
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"
    other = headrace.client("kinesis", aws_access_key_id="123456789012")
    answer = other.get_shard_iterator(StreamARN=arn, ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")
    assert data((other.get_records(ShardIterator=answer["ShardIterator"], StreamARN=arn)["Records"],)) == [b"mine"]


def test_throughput_is_limited_as_on_aws(serve):
    with serve() as limited:
        kinesis = limited.client("kinesis")
        kinesis.create_stream(StreamName="clicks", ShardCount=1)
        limited.advance(1)
        entries = [{"Data": b"x" * 400_000, "PartitionKey": "k"}] * 5
        answer = kinesis.put_records(StreamName="clicks", Records=entries)
        assert answer["FailedRecordCount"] == 3
        codes = [result.get("ErrorCode") for result in answer["Records"]]
        assert codes == [None, None] + ["ProvisionedThroughputExceededException"] * 3
        with pytest.raises(ClientError) as caught:
            kinesis.put_record(StreamName="clicks", Data=b"x" * 1_000_000, PartitionKey="k")
        assert caught.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
        limited.advance(1)
        kinesis.put_record(StreamName="clicks", Data=b"x" * 1_000_000, PartitionKey="k")


def test_records_outlive_a_restart(serve, tmp_path):
    settings = {"data": str(tmp_path / "data"), "quotas": "none"}
    with serve(**settings) as first:
        kinesis = first.client("kinesis")
        kinesis.create_stream(StreamName="clicks", ShardCount=1)
        first.advance(1)
        put = kinesis.put_record(StreamName="clicks", Data=b"before", PartitionKey="k")
    with serve(**settings) as second:
        second.advance(1)  # its clock begins anew, before the time that the first one's was moved to
        kinesis = second.client("kinesis")
        assert data(read(kinesis)) == [b"before"]
        again = kinesis.put_record(StreamName="clicks", Data=b"after", PartitionKey="k")
        assert int(again["SequenceNumber"]) > int(put["SequenceNumber"])
        assert data(read(kinesis)) == [b"before", b"after"]


def test_streams_of_a_resources_file_are_ready_at_the_start(serve, tmp_path):
    file = tmp_path / "streams.yaml"
    file.write_text("streams:\n  clicks: {shards: 2, retention_hours: 48, tags: {team: web}}\n  views:\n")
    with serve(resources=str(file), quotas="none") as server:
        kinesis = server.client("kinesis")
        kinesis.put_record(StreamName="clicks", Data=b"x", PartitionKey="k")
        kinesis.put_record(StreamName="views", Data=b"x", PartitionKey="k")
        found = kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]
        assert (found["OpenShardCount"], found["RetentionPeriodHours"], found["StreamStatus"]) == (2, 48, "ACTIVE")
        server.reset()
        assert kinesis.list_streams()["StreamNames"] == ["clicks", "views"]
