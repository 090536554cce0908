import json
from base64 import b64encode

import msgspec
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import JSONParser
from botocore.serialize import JSONSerializer
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ServiceError
from headrace.wire.codecs.awsjson import JsonCodec, convert
from headrace.wire.shapes import Member, Shape
from headrace.wire.validation import check

SOME = settings(max_examples=40, deadline=None)
CONTENT_TYPE = "application/x-amz-json-1.0"


def outcome(act):
    """What comes of it, be it a ServiceError."""
    try:
        return act()
    except ServiceError as error:
        return error.code, error.message


def checked(operation, params):
    check(operation.service.overlay.style, operation.input, params)
    return params


@pytest.fixture(scope="module")
def codec(served):
    return JsonCodec(CONTENT_TYPE, served)


@pytest.fixture(scope="module")
def operation(served):
    return served.services["sqs"].operation


@pytest.fixture(scope="module")
def models():
    loader = Loader()
    return {name: ServiceModel(loader.load_service_model(name, "service-2")) for name in ("sqs", "kinesis")}


OPERATIONS = [
    ("sqs", "SendMessageBatch"),
    ("sqs", "ReceiveMessage"),
    ("sqs", "CreateQueue"),
    ("kinesis", "PutRecords"),
    ("kinesis", "GetShardIterator"),
    ("kinesis", "ListShards"),
]


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
@SOME
@given(data=st.data())
def test_reads_what_botocore_writes(codec, served, request_of, values_of, models, service, name, data):
    operation = served.services[service].operation(name)
    params = data.draw(values_of(operation.input))
    written = JSONSerializer().serialize_to_request(params, models[service].operation_model(name))["body"]
    assert outcome(lambda: codec.decode(operation, request_of(written))) == outcome(lambda: checked(operation, params))


@pytest.mark.parametrize(("service", "name"), [("sqs", "ReceiveMessage"), ("kinesis", "GetRecords")])
@SOME
@given(data=st.data())
def test_writes_what_botocore_reads(codec, served, values_of, models, service, name, data):
    operation = served.services[service].operation(name)
    result = data.draw(values_of(operation.output))
    response = codec.encode(operation, result, "id")
    raw = {"body": response.body, "headers": {"x-amzn-requestid": "id"}, "status_code": response.status}
    parser = JSONParser(timestamp_parser=float)
    parsed = parser.parse(raw, models[service].operation_model(name).output_shape)
    assert parsed.pop("ResponseMetadata")["RequestId"] == "id"
    assert parsed == result


BROKEN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.just("QUJD"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)


def _mangled(shape, values):
    """JSON values that are mostly, but not all, as the shape has them."""
    if shape.kind == "structure":
        members = {name: _mangled(member.shape, values) for name, member in shape.members.items()}
        return st.fixed_dictionaries({}, optional=members | {"Stranger": BROKEN}) | BROKEN
    if shape.kind == "list":
        return st.lists(_mangled(shape.member, values), max_size=3) | BROKEN
    if shape.kind == "map":
        return st.dictionaries(st.text(max_size=3), _mangled(shape.value, values), max_size=3) | BROKEN
    good = values(shape)
    return (good.map(lambda blob: b64encode(blob).decode()) if shape.kind == "blob" else good) | BROKEN


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
@SOME
@given(data=st.data())
def test_the_quick_way_takes_nothing_that_the_careful_way_does_not(
    codec, served, request_of, values_of, service, name, data
):
    """Whatever comes, it is decoded or refused as if each value had been converted and checked by itself."""
    operation = served.services[service].operation(name)
    value = data.draw(_mangled(operation.input, values_of))

    def carefully():
        return checked(operation, convert(operation.input, msgspec.json.decode(json.dumps(value))))

    body = json.dumps(value).encode()
    assert outcome(lambda: codec.decode(operation, request_of(body))) == outcome(carefully)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"QueueUrl": 5}', "NUMBER_VALUE can not be converted to a String"),
        (b'{"QueueUrl": true}', "TRUE_VALUE can not be converted to a String"),
        (b'{"QueueUrl": []}', "Start of list found where not expected"),
        (b'{"QueueUrl": {}}', "Start of structure or map found where not expected."),
        (b'{"DelaySeconds": "5"}', "STRING_VALUE can not be converted to an Integer"),
        (b'{"DelaySeconds": false}', "FALSE_VALUE can not be converted to an Integer"),
        (b'{"MessageAttributes": []}', "Start of list found where not expected"),
        (b'{"MessageAttributes": "a"}', "Expected map or null"),
        (b'{"MessageAttributes": {"a": "b"}}', "Expected null"),
        (b'{"MessageAttributes": {"a": {"BinaryListValues": "b"}}}', "Expected list or null"),
        (b'{"MessageAttributes": {"a": {"BinaryValue": 1}}}', "NUMBER_VALUE can not be converted to a Blob"),
        (b'{"MessageAttributes": {"a": {"BinaryValue": "x"}}}', "'x' can not be converted to a Blob: "),
        (b"[]", "Start of list found where not expected"),
        (b'"text"', "Expected null"),
        (b"", "The request body is not JSON: "),
        (b"{", "The request body is not JSON: "),
        (b'{"QueueUrl": "\xff"}', "The request body is not JSON: "),
        (b'{"QueueUrl": "\\ud800"}', "The request body is not JSON: "),
        (b'{"QueueUrl": NaN}', "The request body is not JSON: "),
        (b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "The request body is not JSON: "),
    ],
)
def test_what_is_malformed_is_named_as_aws_names_it(codec, operation, request_of, body, message):
    with pytest.raises(ServiceError) as refused:
        codec.decode(operation("SendMessage"), request_of(body))
    assert refused.value.code == "SerializationException"
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(
    ("delay", "decoded"),
    [(b"5.0", 5), (b"5.9", 5), (b"-5.9", -5), (b"1e2", 100), (b"99999999999", 2**31 - 1), (b"-1e300", -(2**31))],
)
def test_numbers_are_cut_to_whole_ones_in_range(codec, operation, request_of, delay, decoded):
    body = b'{"QueueUrl": "u", "MessageBody": "b", "DelaySeconds": %s}' % delay
    assert codec.decode(operation("SendMessage"), request_of(body))["DelaySeconds"] == decoded


def test_nulls_and_strangers_are_left_out(codec, operation, request_of):
    body = b'{"QueueUrl": "u", "MessageBody": "b", "DelaySeconds": null, "Nothing": 1}'
    assert codec.decode(operation("SendMessage"), request_of(body)) == {"QueueUrl": "u", "MessageBody": "b"}


def test_a_shape_that_holds_itself_is_decoded_with_care(served, request_of, monkeypatch):
    tree = Shape(name="Tree", kind="structure")
    tree.members["Child"] = Member("Child", "Child", tree)
    operation = msgspec.structs.replace(served.services["sqs"].operation("SendMessage"), input=tree)
    body = b'{"Child": {"Child": {"Other": 1}}}'
    assert JsonCodec(CONTENT_TYPE, served).decode(operation, request_of(body)) == {"Child": {"Child": {}}}


def test_timestamps_booleans_and_numbers():
    shape = Shape(name="S", kind="structure")
    for kind in ("timestamp", "boolean", "double"):
        shape.members[kind] = Member(kind, kind, Shape(name=kind, kind=kind))
    assert convert(shape, {"timestamp": 1, "boolean": False, "double": 2}) == {
        "timestamp": 1.0,
        "boolean": False,
        "double": 2,
    }
    for wrong, message in [
        ({"timestamp": "now"}, "STRING_VALUE can not be converted to milliseconds since epoch"),
        ({"boolean": 1}, "NUMBER_VALUE can not be converted to a Boolean"),
        ({"double": "1"}, "STRING_VALUE can not be converted to a Double"),
    ]:
        with pytest.raises(ServiceError, match=message):
            convert(shape, wrong)


class TestOperations:
    def test_found_by_target(self, codec, operation, request_of):
        request = request_of(headers={"X-Amz-Target": "AmazonSQS.SendMessage"})
        assert codec.operation(request) is operation("SendMessage")
        assert codec.service(request) is operation("SendMessage").service

    @pytest.mark.parametrize(
        ("target", "message"),
        [
            ("AmazonSQS.Nothing", "The action Nothing is not valid for Amazon Simple Queue Service."),
            ("Nobody.SendMessage", "There is no operation Nobody.SendMessage; services served: sqs, "),
            ("", "There is no operation ; services served: "),
        ],
    )
    def test_unknown_ones(self, codec, request_of, target, message):
        with pytest.raises(ServiceError) as refused:
            codec.operation(request_of(headers={"X-Amz-Target": target}))
        assert refused.value.code == "UnknownOperationException"
        assert refused.value.message.startswith(message)

    def test_none_named(self, codec, request_of):
        with pytest.raises(ServiceError, match="no X-Amz-Target"):
            codec.operation(request_of())

    def test_none_by_another_method(self, codec, request_of):
        with pytest.raises(ServiceError) as refused:
            codec.operation(request_of(method="PUT", headers={"X-Amz-Target": "AmazonSQS.SendMessage"}))
        assert refused.value.status == 405

    def test_the_signature_tells_the_service_where_no_target_does(self, codec, served, request_of):
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20250101/us-east-1/sqs/aws4_request, x"}
        assert codec.service(request_of(headers=signed)) is served.services["sqs"]
        assert codec.service(request_of()) is None


class TestErrors:
    def refuse(self, codec, service, *error, **fields):
        response = codec.refuse(service, ServiceError(*error, fields=fields), "id")
        return response.status, msgspec.json.decode(response.body), dict(response.headers)

    @pytest.mark.parametrize(
        ("code", "status", "kind", "query_code"),
        [
            ("OverLimit", 403, "com.amazonaws.sqs#OverLimit", "OverLimit;Sender"),
            ("QueueNameExists", 400, "com.amazonaws.sqs#QueueNameExists", "QueueAlreadyExists;Sender"),
            (
                "InvalidParameterValue",
                400,
                "com.amazon.coral.service#InvalidParameterValueException",
                "InvalidParameterValue;Sender",
            ),
            (
                "MissingParameter",
                400,
                "com.amazon.coral.service#MissingRequiredParameterException",
                "MissingParameter;Sender",
            ),
            (
                "ReceiptHandleIsInvalid",
                404,
                "com.amazonaws.sqs#ReceiptHandleIsInvalid",
                "ReceiptHandleIsInvalid;Sender",
            ),
            ("SerializationException", 400, "com.amazon.coral.service#SerializationException", "MalformedInput;Sender"),
            (
                "UnknownOperationException",
                400,
                "com.amazon.coral.service#UnknownOperationException",
                "InvalidAction;Sender",
            ),
            ("InternalFailure", 500, "com.amazon.coral.service#InternalFailure", "InternalFailure;Receiver"),
        ],
    )
    def test_codes_of_sqs(self, codec, served, code, status, kind, query_code):
        answered, body, headers = self.refuse(codec, served.services["sqs"], code, "why")
        assert (answered, body) == (status, {"__type": kind, "message": "why"})
        assert (headers["x-amzn-query-error"], headers["x-amzn-requestid"]) == (query_code, "id")
        assert headers["content-type"] == CONTENT_TYPE

    def test_other_services_have_bare_types_and_no_query_codes(self, codec, served):
        status, body, headers = self.refuse(codec, served.services["kinesis"], "ResourceNotFoundException", "why")
        assert (status, body["__type"]) == (400, "ResourceNotFoundException")
        assert "x-amzn-query-error" not in headers

    def test_no_service(self, codec):
        assert self.refuse(codec, None, "UnknownOperationException", "why")[:2] == (
            400,
            {"__type": "UnknownOperationException", "message": "why"},
        )

    def test_further_members(self, codec, served):
        _, body, _ = self.refuse(codec, served.services["sqs"], "OverLimit", "why", Limit=5)
        assert body["Limit"] == 5
