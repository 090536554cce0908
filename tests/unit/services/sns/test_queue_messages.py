import pytest

from headrace.errors import ServiceError
from headrace.services.sns import queue_messages
from headrace.services.sns.records import MessageAttribute, Publication

PUBLICATION = Publication(
    message_id="id",
    topic_arn="t",
    region="r",
    account="a",
    message="text",
    published_at_ms=0,
    attributes={"s": MessageAttribute("String", "x"), "b": MessageAttribute("Binary", data=b"\1")},
    group="g",
    dedup_id="d",
    trace="Root=1",
)


def test_raw_delivery_has_the_attributes():
    entry = queue_messages.entry(PUBLICATION, "text", raw=True, fifo=True)
    assert entry == {
        "MessageBody": "text",
        "MessageAttributes": {
            "s": {"DataType": "String", "StringValue": "x"},
            "b": {"DataType": "Binary", "BinaryValue": b"\1"},
        },
        "MessageGroupId": "g",
        "MessageDeduplicationId": "d",
        "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}},
    }


def test_an_envelope_has_them_inside():
    entry = queue_messages.entry(PUBLICATION, "{}", raw=False, fifo=False)
    assert set(entry) == {"MessageBody", "MessageGroupId", "MessageSystemAttributes"}


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ServiceError("RequestThrottled", ""), True),
        (ServiceError("Whatever", "", status=503), True),
        (ServiceError("QueueDoesNotExist", ""), False),
        (ServiceError("AccessDenied", "", status=403), False),
    ],
)
def test_servers_errors_are_retried(error, retried):
    assert queue_messages.is_retried(error) is retried
