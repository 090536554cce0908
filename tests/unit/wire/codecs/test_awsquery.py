from xml.etree import ElementTree as ET

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import QueryParser
from botocore.serialize import QuerySerializer
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ServiceError
from headrace.wire.codecs.awsquery import QueryCodec
from headrace.wire.fields import parse_fields

SOME = settings(max_examples=40, deadline=None)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def codec(served):
    return QueryCodec(served)


@pytest.fixture(scope="module")
def sqs(served):
    return served.services["sqs"]


@pytest.fixture(scope="module")
def models():
    loader = Loader()
    services = ("sns", "autoscaling")
    return {name: ServiceModel(loader.load_service_model(name, "service-2")) for name in services}


def _without_empty(value):
    """Botocore leaves empty lists and maps within lists out, and Query cannot tell them from nothing."""
    if isinstance(value, dict):
        return {name: inner for name, each in value.items() if (inner := _without_empty(each)) not in ({}, [])}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("service", "name"), [("sns", "PublishBatch"), ("sns", "CreateTopic"), ("sns", "SetTopicAttributes")]
)
@SOME
@given(data=st.data())
def test_reads_what_botocore_writes(codec, served, request_of, values_of, models, service, name, data):
    operation = served.services[service].operation(name)
    params = data.draw(values_of(operation.input))
    written = QuerySerializer().serialize_to_request(params, models[service].operation_model(name))
    request = request_of(headers=FORM)
    request._fields = {name: str(value) for name, value in written["body"].items()}
    assert codec.operation(request) is operation
    assert _without_empty(codec.decode(operation, request)) == _without_empty(params)


@pytest.mark.parametrize(
    ("service", "name"), [("sns", "PublishBatch"), ("sns", "GetTopicAttributes"), ("autoscaling", "DescribeTags")]
)
@SOME
@given(data=st.data())
def test_writes_what_botocore_reads(codec, served, values_of, models, service, name, data):
    operation = served.services[service].operation(name)
    result = data.draw(values_of(operation.output))
    response = codec.encode(operation, result, "id")
    raw = {"body": response.body, "headers": {}, "status_code": response.status}
    parsed = QueryParser(timestamp_parser=lambda text: text).parse(
        raw, models[service].operation_model(name).output_shape
    )
    assert parsed.pop("ResponseMetadata")["RequestId"] == "id"
    assert _without_empty(parsed) == _without_empty(result)


class TestSqs:
    """The names that SQS's last Query model had."""

    def decode(self, codec, request_of, form, **given):
        request = request_of(form, headers=FORM, **given)
        return codec.decode(codec.operation(request), request)

    def test_a_send_with_everything(self, codec, request_of):
        form = (
            b"Action=SendMessage&Version=2012-11-05&QueueUrl=u&MessageBody=a+b%26&DelaySeconds=5"
            b"&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Binary&MessageAttribute.1.Value.BinaryValue=QUI%3D"
            b"&MessageAttribute.2.Name=s&MessageAttribute.2.Value.DataType=String&MessageAttribute.2.Value.StringValue=v"
            b"&MessageSystemAttribute.1.Name=AWSTraceHeader&MessageSystemAttribute.1.Value.DataType=String"
        )
        assert self.decode(codec, request_of, form) == {
            "QueueUrl": "u",
            "MessageBody": "a b&",
            "DelaySeconds": 5,
            "MessageAttributes": {
                "n": {"DataType": "Binary", "BinaryValue": b"AB"},
                "s": {"DataType": "String", "StringValue": "v"},
            },
            "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String"}},
        }

    def test_a_batch(self, codec, request_of):
        form = (
            b"Action=SendMessageBatch&QueueUrl=u&SendMessageBatchRequestEntry.1.Id=1&SendMessageBatchRequestEntry.1.MessageBody=a"
            b"&SendMessageBatchRequestEntry.2.Id=2&SendMessageBatchRequestEntry.2.MessageBody=b"
        )
        assert self.decode(codec, request_of, form)["Entries"] == [
            {"Id": "1", "MessageBody": "a"},
            {"Id": "2", "MessageBody": "b"},
        ]

    def test_attributes_and_tags(self, codec, request_of):
        form = (
            b"Action=CreateQueue&QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5"
            b"&Tag.1.Key=k&Tag.1.Value=v"
        )
        expected = {"QueueName": "q", "Attributes": {"DelaySeconds": "5"}, "tags": {"k": "v"}}
        assert self.decode(codec, request_of, form) == expected

    @pytest.mark.parametrize(
        "path",
        [
            "/123456789012/name.fifo",
            "/queue/name",
            "/queue/123456789012/name",
            "/eu-west-1/queue/name",
            "/us-gov-west-1/queue/123456789012/name",
        ],
    )
    def test_the_path_stands_for_the_queue(self, codec, request_of, path):
        params = self.decode(codec, request_of, b"Action=PurgeQueue", path=path)
        assert params == {"QueueUrl": f"http://headrace.test:4566{path}"}

    @pytest.mark.parametrize("path", ["/", "/name", "/12345/name", "/queue/", "/eu/queue/name"])
    def test_other_paths_do_not(self, codec, request_of, path):
        with pytest.raises(ServiceError, match="QueueUrl"):
            self.decode(codec, request_of, b"Action=PurgeQueue", path=path)

    def test_the_parameter_goes_before_the_path(self, codec, request_of):
        params = self.decode(codec, request_of, b"Action=PurgeQueue&QueueUrl=u", path="/123456789012/name")
        assert params == {"QueueUrl": "u"}

    def test_operations_without_queue_take_nothing_from_the_path(self, codec, request_of):
        assert self.decode(codec, request_of, b"Action=ListQueues", path="/123456789012/name") == {}

    def test_results(self, codec, sqs):
        messages = [{"MessageId": "m", "Body": "<&\r\n>", "Attributes": {"SenderId": "s"}}]
        response = codec.encode(sqs.operation("ReceiveMessage"), {"Messages": messages}, "id")
        assert dict(response.headers) == {"content-type": "text/xml", "x-amzn-requestid": "id"}
        assert response.body.decode() == (
            '<?xml version="1.0"?><ReceiveMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/">'
            "<ReceiveMessageResult><Message><MessageId>m</MessageId><Body>&lt;&amp;&#xD;\n&gt;</Body>"
            "<Attribute><Name>SenderId</Name><Value>s</Value></Attribute></Message></ReceiveMessageResult>"
            "<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></ReceiveMessageResponse>"
        )

    def test_an_operation_without_result_has_no_wrapper(self, codec, sqs):
        assert codec.encode(sqs.operation("DeleteMessage"), {}, "id").body.decode() == (
            '<?xml version="1.0"?><DeleteMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/">'
            "<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DeleteMessageResponse>"
        )

    def test_errors(self, codec, sqs):
        response = codec.refuse(sqs, ServiceError("OverLimit", "too <many>"), "id")
        assert response.status == 403
        assert response.body.decode() == (
            '<?xml version="1.0"?><ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error>'
            "<Type>Sender</Type><Code>OverLimit</Code><Message>too &lt;many&gt;</Message><Detail/></Error>"
            "<RequestId>id</RequestId></ErrorResponse>"
        )

    def test_a_failure_of_the_server_is_the_receivers(self, codec, sqs):
        response = codec.refuse(sqs, ServiceError("InternalFailure", "why"), "id")
        assert response.status == 500
        assert b"<Type>Receiver</Type>" in response.body

    def test_an_error_without_service_has_no_namespace(self, codec):
        assert ET.fromstring(codec.refuse(None, ServiceError("InvalidAction", "why"), "id").body).tag == "ErrorResponse"


class TestServices:
    """Which service a call is for."""

    @pytest.mark.parametrize(
        "given",
        [
            {"headers": {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20250101/us-east-1/sqs/aws4_request, x"}},
            {"query_string": "X-Amz-Credential=k%2F20250101%2Fus-east-1%2Fsqs%2Faws4_request"},
            {"headers": {"Host": "sqs.eu-west-1.amazonaws.com"}},
            {"headers": {"Host": "eu-west-1.queue.amazonaws.com:443"}},
            {"headers": {"Host": "localhost"}, "path": "/queue/name"},
            {"headers": {"Host": "localhost"}, "query_string": "Action=Nothing&Version=2012-11-05"},
            {"headers": {"Host": "localhost"}, "query_string": "Action=SendMessage"},
        ],
    )
    def test_told_by(self, codec, sqs, request_of, given):
        assert codec.service(request_of(**given)) is sqs

    @pytest.mark.parametrize(
        "given",
        [
            {"headers": {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20250101/us-east-1/ec2/aws4_request, x"}},
            {"headers": {"Host": "localhost"}, "query_string": "Action=Nothing"},
            {"headers": {"Host": "localhost"}, "query_string": "%"},
            {"headers": {"Host": "sqs"}},
        ],
    )
    def test_not_told(self, codec, request_of, given):
        assert codec.service(request_of(**given)) is None

    def test_the_signature_goes_before_the_action(self, codec, served, request_of):
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20250101/us-east-1/sns/aws4_request, x"}
        request = request_of(query_string="Action=AddPermission&Version=2012-11-05", headers=signed)
        assert codec.operation(request) is served.services["sns"].operation("AddPermission")


class TestNoOperation:
    def refused(self, codec, request):
        with pytest.raises(ServiceError) as refusal:
            codec.operation(request)
        return refusal.value

    def test_no_action(self, codec, request_of):
        assert self.refused(codec, request_of()).code == "MissingAction"
        assert self.refused(codec, request_of(query_string="Action=")).code == "MissingAction"

    def test_an_action_the_service_does_not_have(self, codec, request_of):
        request = request_of(query_string="Action=Nothing&Version=2012-11-05")
        assert self.refused(codec, request).code == "UnknownOperationException"

    def test_a_service_that_is_not_served(self, codec, request_of):
        error = self.refused(codec, request_of(query_string="Action=DescribeInstances"))
        assert (error.code, "sqs" in error.message) == ("InvalidAction", True)

    def test_a_body_of_a_type_that_is_not_read(self, codec, request_of):
        error = self.refused(codec, request_of(b"Action=ListQueues", headers={"Content-Type": "text/plain"}))
        assert (error.code, error.status) == ("UnsupportedMediaType", 415)
        assert "text/plain" in error.message

    def test_json_without_its_content_type(self, codec, request_of):
        error = self.refused(codec, request_of(b"{}", headers={"X-Amz-Target": "AmazonSQS.ListQueues"}))
        assert error.status == 415
        assert "application/x-amz-json-1.0" in error.message

    def test_another_method(self, codec, request_of):
        assert self.refused(codec, request_of(method="PUT", query_string="Action=ListQueues")).status == 405


def test_fields_are_those_of_the_form(request_of):
    assert request_of(b"a=%41", headers=FORM).fields() == parse_fields(b"a=A")
