"""Enhanced fan-out with boto3: consumers, and records that are pushed to them over a socket."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from botocore.exceptions import ClientError, EventStreamError

SHARD = "shardId-000000000000"


@pytest.fixture
def kinesis(headrace):
    return headrace.client("kinesis")


@pytest.fixture
def consumer(headrace, kinesis):
    """A function that registers a consumer of the stream `clicks`, and gives its ARN once it is ACTIVE."""
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    headrace.advance(1)
    stream = kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]["StreamARN"]

    def register(name="reader"):
        arn = kinesis.register_stream_consumer(StreamARN=stream, ConsumerName=name)["Consumer"]["ConsumerARN"]
        headrace.advance(1)
        return arn

    return register


@pytest.fixture
def subscribe(kinesis):
    streams = []

    def subscribe(consumer, kind="TRIM_HORIZON", **position):
        answer = kinesis.subscribe_to_shard(
            ConsumerARN=consumer, ShardId=SHARD, StartingPosition={"Type": kind, **position}
        )
        streams.append(answer["EventStream"])
        return (event["SubscribeToShardEvent"] for event in answer["EventStream"])

    yield subscribe
    for stream in streams:
        stream.close()


def put(kinesis, *data):
    kinesis.put_records(StreamName="clicks", Records=[{"Data": each, "PartitionKey": each.decode()} for each in data])


def take(events, count):
    """That many records' data, from as many events as it takes."""
    found = []
    while len(found) < count:
        found += [record["Data"] for record in next(events)["Records"]]
    return found


def test_a_consumer_s_life(headrace, kinesis, consumer):
    arns = [consumer(name) for name in ("b", "a", "c")]
    stream = arns[0].partition("/consumer/")[0]
    described = kinesis.describe_stream_consumer(ConsumerARN=arns[0])["ConsumerDescription"]
    assert described == kinesis.describe_stream_consumer(StreamARN=stream, ConsumerName="b")["ConsumerDescription"]
    assert (described["ConsumerName"], described["ConsumerStatus"], described["StreamARN"]) == ("b", "ACTIVE", stream)
    assert isinstance(described["ConsumerCreationTimestamp"], dt.datetime)
    pages = kinesis.get_paginator("list_stream_consumers").paginate(StreamARN=stream, PaginationConfig={"PageSize": 2})
    assert [[each["ConsumerName"] for each in page["Consumers"]] for page in pages] == [["a", "b"], ["c"]]
    kinesis.deregister_stream_consumer(StreamARN=stream, ConsumerName="b")
    assert kinesis.describe_stream_consumer(ConsumerARN=arns[0])["ConsumerDescription"]["ConsumerStatus"] == "DELETING"
    headrace.advance(1)
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        kinesis.describe_stream_consumer(ConsumerARN=arns[0])


def test_consumers_are_limited_and_tagged(headrace, kinesis, consumer):
    arn = consumer()
    stream = arn.partition("/consumer/")[0]
    with pytest.raises(kinesis.exceptions.ResourceInUseException):
        kinesis.register_stream_consumer(StreamARN=stream, ConsumerName="reader")
    kinesis.tag_resource(ResourceARN=arn, Tags={"team": "web"})
    assert kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "web"}]
    for number in range(19):
        kinesis.register_stream_consumer(StreamARN=stream, ConsumerName=f"c{number}")
        headrace.advance(1)
    with pytest.raises(kinesis.exceptions.LimitExceededException):
        kinesis.register_stream_consumer(StreamARN=stream, ConsumerName="one-too-many")


def test_records_are_pushed_in_order(kinesis, consumer, subscribe):
    sent = [b"%d" % number for number in range(60)]
    put(kinesis, *sent[:20])
    events = subscribe(consumer())
    assert take(events, 20) == sent[:20]
    writer = threading.Thread(target=lambda: [put(kinesis, each) for each in sent[20:]])
    writer.start()
    assert take(events, 40) == sent[20:]
    writer.join()


def test_a_record_as_it_is_pushed(kinesis, consumer, subscribe):
    sent = kinesis.put_record(StreamName="clicks", Data=b"\x00\xff", PartitionKey="k")
    event = next(subscribe(consumer()))
    (record,) = event["Records"]
    assert (record["Data"], record["PartitionKey"]) == (b"\x00\xff", "k")
    assert record["SequenceNumber"] == sent["SequenceNumber"]
    assert int(event["ContinuationSequenceNumber"]) >= int(sent["SequenceNumber"])
    assert event["MillisBehindLatest"] == 0


def test_going_on_where_the_last_event_ended(headrace, kinesis, consumer, subscribe):
    arn = consumer()
    put(kinesis, b"0", b"1")
    event = next(subscribe(arn))
    put(kinesis, b"2")
    headrace.advance(5)
    events = subscribe(arn, "AFTER_SEQUENCE_NUMBER", SequenceNumber=event["ContinuationSequenceNumber"])
    assert take(events, 1) == [b"2"]


def test_a_second_subscription_takes_over_from_the_first_after_five_seconds(headrace, consumer, subscribe):
    arn = consumer()
    first = subscribe(arn)
    next(first)
    with pytest.raises(ClientError, match="ResourceInUseException"):
        subscribe(arn)
    headrace.advance(5)
    second = subscribe(arn)
    with pytest.raises(EventStreamError, match="ResourceInUseException"):
        list(first)
    assert next(second)["Records"] == []


def test_a_subscription_ends_after_five_minutes(headrace, consumer, subscribe):
    events = subscribe(consumer())
    next(events)
    headrace.advance(300)
    assert all(event["Records"] == [] for event in events)


def test_the_end_of_a_shard_names_its_children(headrace, kinesis, consumer, subscribe):
    put(kinesis, b"0")
    events = subscribe(consumer())
    kinesis.split_shard(StreamName="clicks", ShardToSplit=SHARD, NewStartingHashKey=str(1 << 127))
    headrace.advance(1)
    *others, last = events
    assert [record["Data"] for event in [*others, last] for record in event["Records"]] == [b"0"]
    assert [child["ShardId"] for child in last["ChildShards"]] == [f"shardId-{number:012d}" for number in (1, 2)]


def test_a_consumer_that_is_given_up_is_told(kinesis, consumer, subscribe):
    arn = consumer()
    events = subscribe(arn)
    next(events)
    kinesis.deregister_stream_consumer(ConsumerARN=arn)
    with pytest.raises(EventStreamError, match="ResourceNotFoundException"):
        list(events)


def test_one_who_does_not_read_holds_up_nobody(headrace, kinesis, consumer, subscribe):
    idle, reading = subscribe(consumer("idle")), subscribe(consumer("reading"))
    sent = [b"%06d" % number + b"x" * 900_000 for number in range(4)]
    taken = []
    for data in sent:
        kinesis.put_record(StreamName="clicks", Data=data, PartitionKey="k")
        taken += take(reading, 1)
        headrace.advance(1)
    assert taken == sent
    assert take(idle, 1) == sent[:1]


def test_a_reset_ends_subscriptions(headrace, consumer, subscribe):
    events = subscribe(consumer())
    next(events)
    headrace.reset()
    assert all(event["Records"] == [] for event in events)


@pytest.mark.parametrize(
    ("position", "code"),
    [
        ({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "12"}, "InvalidArgumentException"),
        ({"Type": "NOWHERE"}, "ValidationException"),
    ],
)
def test_places_that_are_none(kinesis, consumer, position, code):
    with pytest.raises(ClientError, match=code):
        kinesis.subscribe_to_shard(ConsumerARN=consumer(), ShardId=SHARD, StartingPosition=position)
