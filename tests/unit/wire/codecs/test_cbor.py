import cbor2
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.serialize import JSONSerializer
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ServiceError
from headrace.wire.codecs.awsjson import JsonCodec
from headrace.wire.codecs.cbor import CborCodec, moments

SOME = settings(max_examples=40, deadline=None)
OPERATIONS = ["PutRecords", "GetShardIterator", "ListShards", "SubscribeToShard", "UpdateShardCount", "CreateStream"]


@pytest.fixture(scope="module")
def codec(served):
    return CborCodec(served)


@pytest.fixture(scope="module")
def operation(served):
    return served.services["kinesis"].operation


def outcome(act):
    """What comes of it, be it a ServiceError."""
    try:
        return act()
    except ServiceError as error:
        return error.code, error.message


def as_java_writes(shape, value):
    """A value as the SDKs for Java have it: blobs as they are, moments in milliseconds under tag 1."""
    return moments(shape, lambda seconds: cbor2.CBORTag(1, round(seconds * 1000)))(value)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("indefinite", [False, True])
@SOME
@given(data=st.data())
def test_reads_the_same_from_cbor_as_from_json(codec, served, operation, request_of, values_of, name, indefinite, data):
    params = data.draw(values_of(operation(name).input))
    written = cbor2.dumps(as_java_writes(operation(name).input, params), indefinite_containers=indefinite)
    model = ServiceModel(Loader().load_service_model("kinesis", "service-2")).operation_model(name)
    in_json = JSONSerializer().serialize_to_request(params, model)["body"]
    json_codec = JsonCodec("application/x-amz-json-1.1", served)
    expected = outcome(lambda: json_codec.decode(operation(name), request_of(in_json)))
    assert outcome(lambda: codec.decode(operation(name), request_of(written))) == expected


@SOME
@given(data=st.data())
def test_writes_moments_in_milliseconds_and_all_else_as_it_is(codec, operation, values_of, data):
    shape = operation("GetRecords").output
    result = data.draw(values_of(shape))
    response = codec.encode(operation("GetRecords"), result, "id")
    assert dict(response.headers) == {"content-type": "application/x-amz-cbor-1.1", "x-amzn-requestid": "id"}
    raw = cbor2.loads(response.body, semantic_decoders={1: lambda value, _immutable: value / 1000})
    assert raw == result


def test_a_moment_is_a_whole_number_under_tag_1(codec, operation):
    result = {"Records": [{"Data": b"\0\xff", "ApproximateArrivalTimestamp": 1700000000.123, "SequenceNumber": "1"}]}
    body = codec.encode(operation("GetRecords"), result, "id").body
    assert b"\xc1" + b"\x1b" + (1700000000123).to_bytes(8) in body
    assert b"\x42\x00\xff" in body


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [(cbor2.CBORTag(1, 1_500), 1.5), (1_500, 1.5), (cbor2.CBORTag(1, 1.25), 1.25), (1.25, 1.25)],
)
def test_whole_numbers_are_milliseconds_and_fractions_seconds(codec, operation, request_of, moment, seconds):
    body = cbor2.dumps({"ShardId": "s", "ShardIteratorType": "AT_TIMESTAMP", "StreamName": "x", "Timestamp": moment})
    assert codec.decode(operation("GetShardIterator"), request_of(body))["Timestamp"] == seconds


def test_what_does_not_fit_is_told_in_the_words_json_gets(codec, operation, request_of):
    def refusal(value):
        with pytest.raises(ServiceError) as refused:
            codec.decode(operation("PutRecord"), request_of(cbor2.dumps(value)))
        return refused.value.code, refused.value.message

    record = {"StreamName": "s", "PartitionKey": "p"}
    missing = "1 validation error detected: Value null at 'data' failed to satisfy constraint: Member must not be null"
    assert refusal(record) == ("ValidationException", missing)
    assert refusal(record | {"Data": 5}) == (
        "SerializationException",
        "NUMBER_VALUE can not be converted to a Blob",
    )
    assert refusal(record | {"Data": b"", "StreamName": b"s"}) == (
        "SerializationException",
        "EMBEDDED_OBJECT can not be converted to a String",
    )
    assert refusal([]) == ("SerializationException", "Start of list found where not expected")


def test_nulls_and_strangers_are_passed_over(codec, operation, request_of):
    body = cbor2.dumps({"StreamName": "s", "Limit": None, "Stranger": {"x": b"y"}})
    assert codec.decode(operation("DescribeStream"), request_of(body)) == {"StreamName": "s"}


@pytest.mark.parametrize(
    "hexadecimal",
    [
        "",
        "ff",
        "a1",
        "5b7fffffffffffffff",
        "9b7fffffffffffffff",
        "81" * 100 + "00",
        "a100" * 100,
        "d81c81d81d00",  # a list that holds itself
        "d8236128",  # a regular expression
        "c249010000000000000000",  # a number of any size
        "c074323031332d30332d32315432303a30343a30305a",
        "da0001000000",
        "a10102",
        "61ff",
    ],
)
def test_what_is_no_cbor_or_means_too_much_is_refused(codec, operation, request_of, hexadecimal):
    with pytest.raises(ServiceError, match="The request body is not CBOR") as refused:
        codec.decode(operation("ListStreams"), request_of(bytes.fromhex(hexadecimal)))
    assert refused.value.code == "SerializationException"


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(codec, operation, request_of, body):
    try:
        params = codec.decode(operation("ListStreams"), request_of(body))
    except ServiceError as error:
        assert error.code in {"SerializationException", "ValidationException"}  # noqa: PT017 - either will do
    else:
        assert params.keys() <= operation("ListStreams").input.members.keys()


def test_errors_are_cbor_too(codec, served):
    response = codec.refuse(served.services["kinesis"], ServiceError("ResourceInUseException", "In use."), "id")
    assert response.status == 400
    assert cbor2.loads(response.body) == {"__type": "ResourceInUseException", "message": "In use."}
