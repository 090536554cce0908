"""Errors as SDKs show them: codes, exception classes, status, request ids, messages."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ENTRY = {"Id": "1", "MessageBody": "a"}
ON_A_QUEUE = {
    "add_permission": {"Label": "l", "AWSAccountIds": ["123456789012"], "Actions": ["SendMessage"]},
    "change_message_visibility": {"ReceiptHandle": "h", "VisibilityTimeout": 1},
    "change_message_visibility_batch": {"Entries": [{"Id": "1", "ReceiptHandle": "h", "VisibilityTimeout": 1}]},
    "delete_message": {"ReceiptHandle": "h"},
    "delete_message_batch": {"Entries": [{"Id": "1", "ReceiptHandle": "h"}]},
    "delete_queue": {},
    "get_queue_attributes": {"AttributeNames": ["All"]},
    "list_dead_letter_source_queues": {},
    "list_queue_tags": {},
    "purge_queue": {},
    "receive_message": {},
    "remove_permission": {"Label": "l"},
    "send_message": {"MessageBody": "a"},
    "send_message_batch": {"Entries": [ENTRY]},
    "set_queue_attributes": {"Attributes": {"DelaySeconds": "1"}},
    "tag_queue": {"Tags": {"k": "v"}},
    "untag_queue": {"TagKeys": ["k"]},
}
ABSENT = {
    "json": "The specified queue does not exist.",
    "query": "The specified queue does not exist for this wsdl version.",
}


@pytest.mark.parametrize("method", ON_A_QUEUE)
def test_a_queue_that_does_not_exist(sqs, headrace, protocol, method, refused):
    url = f"{headrace.endpoint_url}/000000000000/nowhere"
    with refused("AWS.SimpleQueueService.NonExistentQueue", ABSENT[protocol]) as caught:
        getattr(sqs, method)(QueueUrl=url, **ON_A_QUEUE[method])
    metadata = caught.value.response["ResponseMetadata"]
    assert metadata["RequestId"]
    assert metadata["RequestId"] == metadata["HTTPHeaders"]["x-amzn-requestid"]


def test_success_has_a_request_id_too(sqs):
    metadata = sqs.list_queues()["ResponseMetadata"]
    assert metadata["HTTPStatusCode"] == 200
    assert metadata["RequestId"] == metadata["HTTPHeaders"]["x-amzn-requestid"]
    assert metadata["RequestId"] != sqs.list_queues()["ResponseMetadata"]["RequestId"]


@pytest.fixture
def raises(sqs):
    """A function that calls and gives the class of what was raised, and its response."""

    def call(method, **params):
        with pytest.raises(ClientError) as caught:
            getattr(sqs, method)(**params)
        return type(caught.value), caught.value.response["Error"]

    return call


@pytest.mark.parametrize("protocol", ["json"])
def test_modeled_errors_are_raised_as_their_classes(sqs, queue, raises):
    named = sqs.exceptions
    url = queue.url
    queue.client.purge_queue(QueueUrl=url)
    found = {
        "QueueDoesNotExist": raises("get_queue_url", QueueName="nowhere"),
        "QueueNameExists": raises("create_queue", QueueName="orders", Attributes={"DelaySeconds": "1"}),
        "EmptyBatchRequest": raises("send_message_batch", QueueUrl=url, Entries=[]),
        "BatchEntryIdsNotDistinct": raises("send_message_batch", QueueUrl=url, Entries=[ENTRY, ENTRY]),
        "InvalidBatchEntryId": raises("send_message_batch", QueueUrl=url, Entries=[ENTRY | {"Id": "a b"}]),
        "TooManyEntriesInBatchRequest": raises("send_message_batch", QueueUrl=url, Entries=[ENTRY] * 11),
        "InvalidMessageContents": raises("send_message", QueueUrl=url, MessageBody="\0"),
        "InvalidAttributeName": raises("set_queue_attributes", QueueUrl=url, Attributes={"Colour": "red"}),
        "InvalidAttributeValue": raises("set_queue_attributes", QueueUrl=url, Attributes={"DelaySeconds": "-1"}),
        "ReceiptHandleIsInvalid": raises("delete_message", QueueUrl=url, ReceiptHandle="h"),
        "PurgeQueueInProgress": raises("purge_queue", QueueUrl=url),
        "ResourceNotFoundException": raises("start_message_move_task", SourceArn=queue.arn + "-not"),
    }
    assert {name: kind for name, (kind, _) in found.items()} == {name: getattr(named, name) for name in found}
    assert {name: error["QueryErrorCode"] for name, (_, error) in found.items()} == {name: name for name in found}


@pytest.mark.parametrize("protocol", ["json"])
def test_unmodeled_errors_have_their_query_code_too(queue, raises):
    kind, error = raises("receive_message", QueueUrl=queue.url, MaxNumberOfMessages=11)
    assert kind is ClientError
    assert (error["Code"], error["QueryErrorCode"], error["Type"]) == (
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "Sender",
    )


@pytest.fixture
def unchecked(headrace):
    """A client that sends whatever it is given."""
    client = boto3.client(
        "sqs",
        endpoint_url=headrace.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="headrace",
        aws_secret_access_key="headrace",
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


@pytest.mark.parametrize("protocol", ["json"])
@pytest.mark.parametrize(
    ("method", "missing"),
    [
        ("send_message", "MessageBody"),
        ("delete_message", "ReceiptHandle"),
        ("remove_permission", "Label"),
        ("receive_message", "QueueUrl"),
    ],
)
def test_parameters_that_are_missing(unchecked, queue, method, missing, refused):
    params = {"QueueUrl": queue.url} if missing != "QueueUrl" else {}
    with refused("MissingParameter", f"The request must contain the parameter {missing}."):
        getattr(unchecked, method)(**params)


@pytest.mark.parametrize("protocol", ["query"])
def test_a_presigned_url_can_be_fetched(sqs, queue):
    import urllib.request

    url = sqs.generate_presigned_url(
        ClientMethod="send_message", Params={"QueueUrl": queue.url, "MessageBody": "by GET"}, HttpMethod="GET"
    )
    with urllib.request.urlopen(url) as answer:
        assert answer.headers["Content-Type"].startswith("text/xml")
        assert b"<SendMessageResponse" in answer.read()
    assert queue.bodies() == ["by GET"]
