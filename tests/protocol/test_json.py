"""AWS JSON as it stands on the wire: heads, types, codes."""

import httpx
import pytest

JSON_1_0 = "application/x-amz-json-1.0"


@pytest.fixture
def ask(headrace):
    with httpx.Client(base_url=headrace.endpoint_url, timeout=30) as client:

        def ask(target, content=b"{}", content_type=JSON_1_0, **headers):
            return client.post(
                "/", content=content, headers={"X-Amz-Target": target, "Content-Type": content_type} | headers
            )

        yield ask


@pytest.mark.parametrize("version", [JSON_1_0, "application/x-amz-json-1.1", "application/json"])
def test_the_answer_has_the_content_type_of_the_request(ask, version):
    answer = ask("AmazonSQS.ListQueues", content_type=version)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, version, b"{}")


def test_a_content_type_may_have_parameters(ask):
    assert ask("AmazonSQS.ListQueues", content_type="application/x-amz-json-1.0; charset=UTF-8").status_code == 200


@pytest.mark.parametrize(
    ("target", "content", "status", "kind", "query_error"),
    [
        (
            "AmazonSQS.GetQueueUrl",
            b'{"QueueName": "nothing"}',
            400,
            "com.amazonaws.sqs#QueueDoesNotExist",
            "AWS.SimpleQueueService.NonExistentQueue;Sender",
        ),
        (
            "AmazonSQS.SendMessage",
            b"{}",
            400,
            "com.amazon.coral.service#MissingRequiredParameterException",
            "MissingParameter;Sender",
        ),
        (
            "AmazonSQS.CreateQueue",
            b'{"QueueName": "not good"}',
            400,
            "com.amazon.coral.service#InvalidParameterValueException",
            "InvalidParameterValue;Sender",
        ),
        (
            "AmazonSQS.SendMessage",
            b"{",
            400,
            "com.amazon.coral.service#SerializationException",
            "MalformedInput;Sender",
        ),
        (
            "AmazonSQS.Nothing",
            b"{}",
            400,
            "com.amazon.coral.service#UnknownOperationException",
            "InvalidAction;Sender",
        ),
    ],
)
def test_errors(ask, target, content, status, kind, query_error):
    answer = ask(target, content)
    assert (answer.status_code, answer.json()["__type"]) == (status, kind)
    assert answer.json()["message"]
    assert answer.headers["x-amzn-query-error"] == query_error
    assert answer.headers["x-amzn-requestid"]


def test_another_service(ask):
    answer = ask("DynamoDB_20120810.GetItem")
    assert (answer.status_code, answer.json()["__type"]) == (400, "UnknownOperationException")
    assert "DynamoDB_20120810.GetItem" in answer.json()["message"]


def test_account_and_region_come_from_the_signature(ask):
    signed = (
        "AWS4-HMAC-SHA256 Credential=123456789012/20250101/eu-west-1/sqs/aws4_request, SignedHeaders=host, Signature=00"
    )
    answer = ask("AmazonSQS.CreateQueue", b'{"QueueName": "q"}', Authorization=signed, Host="queues.example")
    url = answer.json()["QueueUrl"]
    assert url == "http://queues.example/123456789012/q"
    content = b'{"QueueUrl": "%s", "AttributeNames": ["QueueArn"]}' % url.encode()
    answer = ask("AmazonSQS.GetQueueAttributes", content, Authorization=signed)
    assert answer.json()["Attributes"] == {"QueueArn": "arn:aws:sqs:eu-west-1:123456789012:q"}
