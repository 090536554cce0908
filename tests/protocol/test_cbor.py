"""AWS CBOR 1.1 over a socket, as the SDKs for Java speak it to Kinesis: bodies, dates, errors and events."""

import datetime as dt
import http.client
from urllib.parse import urlsplit

import cbor2
import pytest
from botocore.eventstream import EventStreamBuffer

CBOR = "application/x-amz-cbor-1.1"
SHARD = "shardId-000000000000"


class Moment(int):
    """What stood under the tag of moments: whole milliseconds."""


def loads(body):
    return cbor2.loads(body, semantic_decoders={1: lambda value, _immutable: Moment(value)})


class CborClient:
    """Calls by CBOR on one connection."""

    def __init__(self, endpoint_url):
        address = urlsplit(endpoint_url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)

    def ask(self, operation, body):
        """The response, its body unread."""
        headers = {"Content-Type": CBOR, "X-Amz-Target": f"Kinesis_20131202.{operation}"}
        self.connection.request("POST", "/", body, headers)
        return self.connection.getresponse()

    def raw(self, operation, body):
        answer = self.ask(operation, body)
        assert answer.headers["Content-Type"] == CBOR
        return answer.status, answer.read()

    def __call__(self, operation, **params):
        status, body = self.raw(operation, cbor2.dumps(params))
        assert status == 200, body
        return loads(body) if body else None


@pytest.fixture
def call(headrace):
    client = CborClient(headrace.endpoint_url)
    client("CreateStream", StreamName="clicks", ShardCount=1)
    headrace.advance(1)
    yield client
    client.connection.close()


def iterate(call, kind="TRIM_HORIZON", **position):
    params = {"StreamName": "clicks", "ShardId": SHARD, "ShardIteratorType": kind, **position}
    return call("GetShardIterator", **params)["ShardIterator"]


def test_records_make_the_round(call):
    first = call("PutRecord", StreamName="clicks", Data=b"\x00\xff", PartitionKey="ключ 🚀")
    batch = call("PutRecords", StreamName="clicks", Records=[{"Data": b"1", "PartitionKey": "k"}])
    assert batch["FailedRecordCount"] == 0
    found = call("GetRecords", ShardIterator=iterate(call))
    assert (found["MillisBehindLatest"], isinstance(found["NextShardIterator"], str)) == (0, True)
    assert [record["Data"] for record in found["Records"]] == [b"\x00\xff", b"1"]
    assert found["Records"][0]["PartitionKey"] == "ключ 🚀"
    assert found["Records"][0]["SequenceNumber"] == first["SequenceNumber"]


def test_moments_are_milliseconds_under_a_tag(call):
    call("PutRecord", StreamName="clicks", Data=b"a", PartitionKey="k")
    [record] = call("GetRecords", ShardIterator=iterate(call))["Records"]
    at_ms = record["ApproximateArrivalTimestamp"]
    assert isinstance(at_ms, Moment)
    assert abs(at_ms / 1000 - dt.datetime.now(dt.UTC).timestamp()) < 3600
    for later_ms, expected in ((0, [b"a"]), (1, [])):
        iterator = iterate(call, "AT_TIMESTAMP", Timestamp=cbor2.CBORTag(1, at_ms + later_ms))
        assert [each["Data"] for each in call("GetRecords", ShardIterator=iterator)["Records"]] == expected


def test_errors_are_cbor_too(call):
    status, body = call.raw("DescribeStream", cbor2.dumps({"StreamName": "nowhere"}))
    error = cbor2.loads(body)
    assert (status, error["__type"]) == (400, "ResourceNotFoundException")
    assert error["message"] == "Stream nowhere under account 000000000000 not found."
    for bad in (b"", b"\xff", b"{}", cbor2.dumps([]), cbor2.dumps({"StreamName": 5})):
        status, body = call.raw("DescribeStream", bad)
        assert (status, cbor2.loads(body)["__type"]) == (400, "SerializationException")
    assert call("ListStreams")["StreamNames"] == ["clicks"]


def test_events_are_cbor(headrace, call):
    arn = call("DescribeStreamSummary", StreamName="clicks")["StreamDescriptionSummary"]["StreamARN"]
    consumer = call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    headrace.advance(1)
    call("PutRecord", StreamName="clicks", Data=b"\x00\xff", PartitionKey="k")
    asked = {"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": "TRIM_HORIZON"}}
    answer = call.ask("SubscribeToShard", cbor2.dumps(asked))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/vnd.amazon.eventstream")
    buffer, messages = EventStreamBuffer(), []
    while len(messages) < 2:
        buffer.add_data(answer.read1())
        messages += list(buffer)
    names = [message.headers[":event-type"] for message in messages]
    assert names == ["initial-response", "SubscribeToShardEvent"]
    assert messages[1].headers[":content-type"] == CBOR
    event = loads(messages[1].payload)
    assert [record["Data"] for record in event["Records"]] == [b"\x00\xff"]
    assert event["MillisBehindLatest"] == 0
