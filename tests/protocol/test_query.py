"""AWS Query as it was spoken before AWS JSON, on every path it was spoken on."""

from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import httpx
import pytest

NS = "{http://queue.amazonaws.com/doc/2012-11-05/}"
SIGNED = "AWS4-HMAC-SHA256 Credential={}/20250101/{}/sqs/aws4_request, SignedHeaders=host, Signature=00"


@pytest.fixture
def http(headrace):
    with httpx.Client(base_url=headrace.endpoint_url, timeout=30) as client:
        yield client


@pytest.fixture
def ask(http):
    """Posts a form, or gets it in the query string; the answer and its XML."""

    def ask(action, path="/", method="POST", headers=None, **fields):
        form = urlencode(
            {"Action": action, "Version": "2012-11-05"} | {k.replace("_", "."): v for k, v in fields.items()}
        )
        if method == "GET":
            answer = http.get(f"{path}?{form}", headers=headers)
        else:
            content_type = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
            answer = http.post(path, content=form, headers=content_type | (headers or {}))
        return answer, ET.fromstring(answer.content)

    return ask


@pytest.fixture
def queue(ask):
    _, xml = ask("CreateQueue", QueueName="q")
    return xml.findtext(f"{NS}CreateQueueResult/{NS}QueueUrl")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    ["/000000000000/q", "/queue/q", "/us-east-1/queue/q", "/queue/000000000000/q", "/us-east-1/queue/000000000000/q"],
)
def test_the_path_names_the_queue(ask, queue, path, method):
    answer, xml = ask("SendMessage", path=path, method=method, MessageBody="hello")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml")
    assert xml.tag == f"{NS}SendMessageResponse"
    assert xml.findtext(f"{NS}SendMessageResult/{NS}MD5OfMessageBody") == "5d41402abc4b2a76b9719d911017c592"
    assert xml.findtext(f"{NS}ResponseMetadata/{NS}RequestId") == answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_parameter_names_the_queue(ask, queue, method):
    assert ask("SendMessage", method=method, QueueUrl=queue, MessageBody="hello")[0].status_code == 200


def test_the_url_echoes_the_host_that_was_asked(ask):
    _, xml = ask("CreateQueue", QueueName="q", headers={"Host": "sqs.example:1234"})
    assert xml.findtext(f"{NS}CreateQueueResult/{NS}QueueUrl") == "http://sqs.example:1234/000000000000/q"


def test_account_and_region_come_from_the_signature(ask):
    signed = {"Authorization": SIGNED.format("123456789012", "eu-west-1")}
    ask("CreateQueue", QueueName="q", headers=signed)
    _, xml = ask("GetQueueAttributes", path="/123456789012/q", headers=signed, AttributeName_1="QueueArn")
    assert (
        xml.find(f"{NS}GetQueueAttributesResult/{NS}Attribute/{NS}Value").text == "arn:aws:sqs:eu-west-1:123456789012:q"
    )


def test_account_and_region_come_from_a_presigned_url(ask):
    credential = {"X-Amz-Credential": "123456789012/20250101/eu-west-1/sqs/aws4_request"}
    answer, _ = ask("CreateQueue", method="GET", QueueName="q", **credential)
    assert answer.status_code == 200
    _, xml = ask("ListQueues", headers={"Authorization": SIGNED.format("123456789012", "eu-west-1")})
    assert xml.findtext(f"{NS}ListQueuesResult/{NS}QueueUrl").endswith("/123456789012/q")


def test_the_region_comes_from_the_host(ask):
    ask("CreateQueue", QueueName="q", headers={"Host": "sqs.ap-northeast-1.localhost"})
    _, xml = ask("ListQueues", headers={"Host": "ap-northeast-1.queue.localhost"})
    assert xml.find(f"{NS}ListQueuesResult/{NS}QueueUrl") is not None
    _, xml = ask("ListQueues")
    assert xml.find(f"{NS}ListQueuesResult/{NS}QueueUrl") is None


def test_a_message_there_and_back(ask, queue):
    body = "<&>\r\n\té€😀"
    ask(
        "SendMessage",
        QueueUrl=queue,
        MessageBody=body,
        MessageAttribute_1_Name="name",
        MessageAttribute_1_Value_DataType="Binary",
        MessageAttribute_1_Value_BinaryValue="AP8=",
    )
    _, xml = ask("ReceiveMessage", QueueUrl=queue, AttributeName_1="All", MessageAttributeName_1="All")
    message = xml.find(f"{NS}ReceiveMessageResult/{NS}Message")
    assert message.findtext(f"{NS}Body") == body
    assert message.findtext(f"{NS}MessageAttribute/{NS}Name") == "name"
    assert message.findtext(f"{NS}MessageAttribute/{NS}Value/{NS}BinaryValue") == "AP8="
    system = {each.findtext(f"{NS}Name"): each.findtext(f"{NS}Value") for each in message.findall(f"{NS}Attribute")}
    assert system["ApproximateReceiveCount"] == "1"
    handle = message.findtext(f"{NS}ReceiptHandle")
    answer, xml = ask("DeleteMessage", path="/000000000000/q", ReceiptHandle=handle)
    assert (answer.status_code, [child.tag for child in xml]) == (200, [f"{NS}ResponseMetadata"])


def test_a_receive_that_finds_nothing(ask, queue):
    _, xml = ask("ReceiveMessage", QueueUrl=queue)
    assert len(xml.find(f"{NS}ReceiveMessageResult")) == 0


def test_batches(ask, queue):
    entries = {
        f"SendMessageBatchRequestEntry_{index}_{name}": value
        for index, fields in enumerate([{"Id": "good", "MessageBody": "a"}, {"Id": "bad", "MessageBody": "\x01"}], 1)
        for name, value in fields.items()
    }
    _, xml = ask("SendMessageBatch", QueueUrl=queue, **entries)
    result = xml.find(f"{NS}SendMessageBatchResult")
    assert result.findtext(f"{NS}SendMessageBatchResultEntry/{NS}Id") == "good"
    failed = result.find(f"{NS}BatchResultErrorEntry")
    assert (failed.findtext(f"{NS}Id"), failed.findtext(f"{NS}SenderFault")) == ("bad", "true")


def test_tags(ask, queue):
    ask("TagQueue", QueueUrl=queue, Tag_1_Key="k", Tag_1_Value="v", Tag_2_Key="l", Tag_2_Value="w")
    ask("UntagQueue", QueueUrl=queue, TagKey_1="k")
    _, xml = ask("ListQueueTags", QueueUrl=queue)
    (tag,) = xml.findall(f"{NS}ListQueueTagsResult/{NS}Tag")
    assert (tag.findtext(f"{NS}Key"), tag.findtext(f"{NS}Value")) == ("l", "w")


@pytest.mark.parametrize(
    ("action", "fields", "status", "code"),
    [
        ("GetQueueUrl", {"QueueName": "nothing"}, 400, "AWS.SimpleQueueService.NonExistentQueue"),
        ("SendMessage", {"QueueName": "q"}, 400, "MissingParameter"),
        ("SendMessage", {"QueueUrl": "q", "MessageBody": "b", "DelaySeconds": "x"}, 400, "MalformedInput"),
        ("DeleteMessage", {"QueueUrl": "q", "ReceiptHandle": "x"}, 404, "ReceiptHandleIsInvalid"),
        ("SendMessageBatch", {"QueueUrl": "q"}, 400, "AWS.SimpleQueueService.EmptyBatchRequest"),
        ("ReceiveMessage", {"QueueUrl": "q", "MaxNumberOfMessages": "11"}, 400, "InvalidParameterValue"),
        ("Nothing", {}, 400, "InvalidAction"),
        ("", {}, 400, "MissingAction"),
    ],
)
def test_errors(ask, queue, action, fields, status, code):
    answer, xml = ask(action, **fields)
    namespace = xml.tag.removesuffix("ErrorResponse")
    error = xml.find(f"{namespace}Error")
    assert (answer.status_code, error.findtext(f"{namespace}Code")) == (status, code)
    assert error.findtext(f"{namespace}Type") == "Sender"
    assert error.findtext(f"{namespace}Message")
    assert xml.findtext(f"{namespace}RequestId") == answer.headers["x-amzn-requestid"]


def test_a_megabyte_is_taken(ask, queue):
    assert ask("SendMessage", QueueUrl=queue, MessageBody="é" * (512 * 1024))[0].status_code == 200


def test_other_services_are_not_served(http):
    signed = {"Authorization": SIGNED.format("key", "us-east-1").replace("/sqs/", "/ec2/")}
    answer = http.post("/", data={"Action": "DescribeInstances"}, headers=signed)
    assert answer.status_code == 400
    assert "it serves kinesis, sns, sqs" in answer.text


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"Content-Type": "text/plain"}, "Action=ListQueues"),
        ({"Content-Type": "application/x-www-form-urlencoded", "X-Amz-Target": "AmazonSQS.ListQueues"}, "{}"),
    ],
)
def test_the_wrong_content_type_is_told_the_right_one(http, headers, content):
    answer = http.post("/", content=content, headers=headers)
    assert answer.status_code == 415
    assert "application/x-amz-json-1.0" in answer.text
