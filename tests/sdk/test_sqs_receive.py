"""ReceiveMessage and DeleteMessage: counts, attributes, timeouts and receipt handles."""

import boto3
import pytest

SYSTEM = ["SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"]


def test_an_empty_queue_gives_no_messages_member(sqs, queue):
    assert "Messages" not in sqs.receive_message(QueueUrl=queue.url)


def test_one_message_unless_more_are_asked_for(sqs, queue):
    for number in range(3):
        queue.send(str(number))
    assert len(sqs.receive_message(QueueUrl=queue.url)["Messages"]) == 1
    assert len(queue.receive(10)) == 2


def test_up_to_ten_messages(queue):
    for number in range(12):
        queue.send(str(number))
    first, second = queue.bodies(10), queue.bodies(10)
    assert (len(first), len(second)) == (10, 2)
    assert {int(body) for body in first + second} == set(range(12))


def test_best_effort_order_is_the_order_of_sending(queue):
    for number in range(10):
        queue.send(str(number))
    assert queue.bodies(10) == [str(number) for number in range(10)]


@pytest.mark.parametrize("count", [0, -1, 11])
def test_counts_out_of_range(queue, count, refused):
    message = (
        f"Value {count} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
    )
    with refused("InvalidParameterValue", message):
        queue.receive(count)


def test_a_received_message_is_hidden_until_its_timeout(queue, headrace):
    queue.send("a")
    assert queue.bodies() == ["a"]
    assert queue.bodies() == []
    headrace.advance(28)
    assert queue.bodies() == []
    headrace.advance(2)
    assert queue.bodies() == ["a"]


def test_a_receive_may_choose_the_timeout(queue, headrace):
    queue.send("a")
    assert queue.bodies(VisibilityTimeout=600) == ["a"]
    headrace.advance(598)
    assert queue.bodies() == []
    headrace.advance(2)
    assert queue.bodies(VisibilityTimeout=0) == ["a"]
    assert queue.bodies() == ["a"]


@pytest.mark.parametrize("timeout", [-1, 43_201])
def test_timeouts_out_of_range(queue, timeout, refused):
    with refused("InvalidParameterValue"):
        queue.receive(VisibilityTimeout=timeout)


@pytest.mark.parametrize("wait", [-1, 21])
def test_waits_out_of_range(queue, wait, refused):
    message = f"Value {wait} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."
    with refused("InvalidParameterValue", message):
        queue.receive(WaitTimeSeconds=wait)


def test_system_attributes(queue, headrace):
    sent_s = headrace.advance(0)
    queue.send("a")
    headrace.advance(10)
    (message,) = queue.receive(AttributeNames=["All"], VisibilityTimeout=5)
    first = message["Attributes"]
    assert sorted(first) == sorted(SYSTEM)
    assert 0 <= int(first["SentTimestamp"]) - sent_s * 1000 < 10_000
    assert 10_000 <= int(first["ApproximateFirstReceiveTimestamp"]) - int(first["SentTimestamp"]) < 30_000
    assert first["ApproximateReceiveCount"] == "1"
    headrace.advance(10)
    (message,) = queue.receive(AttributeNames=["All"])
    assert message["Attributes"] == first | {"ApproximateReceiveCount": "2"}


@pytest.mark.parametrize("name", SYSTEM)
def test_each_system_attribute_can_be_asked_for(queue, name):
    queue.send("a")
    (message,) = queue.receive(AttributeNames=[name])
    assert list(message["Attributes"]) == [name]


def test_no_system_attributes_unless_asked_for(queue):
    queue.send("a")
    (message,) = queue.receive()
    assert "Attributes" not in message


def test_system_attributes_a_standard_message_lacks(queue):
    queue.send("a")
    names = ["SenderId", "SequenceNumber", "MessageGroupId", "MessageDeduplicationId", "DeadLetterQueueSourceArn"]
    (message,) = queue.receive(AttributeNames=names)
    assert list(message["Attributes"]) == ["SenderId"]


@pytest.mark.parametrize("protocol", ["json"])
def test_both_spellings_of_the_system_attribute_names(queue):
    queue.send("a")
    (message,) = queue.receive(MessageSystemAttributeNames=["SenderId"], VisibilityTimeout=0)
    assert list(message["Attributes"]) == ["SenderId"]
    (message,) = queue.receive(MessageSystemAttributeNames=["All"])
    assert sorted(message["Attributes"]) == sorted(SYSTEM)


def test_an_unknown_system_attribute_is_refused(queue, refused):
    with refused("InvalidAttributeName", "Unknown Attribute Colour."):
        queue.receive(AttributeNames=["Colour"])


def test_a_deleted_message_does_not_come_back(queue, headrace):
    queue.send("a")
    (message,) = queue.receive()
    queue.delete(message)
    assert queue.depth() == (0, 0, 0)
    headrace.advance(60)
    assert queue.bodies() == []


def test_deleting_again_succeeds(queue):
    queue.send("a")
    (message,) = queue.receive()
    queue.delete(message)
    queue.delete(message)


def test_each_receive_gives_another_handle(queue):
    queue.send("a")
    handles = {queue.receive(VisibilityTimeout=0)[0]["ReceiptHandle"] for _ in range(3)}
    assert len(handles) == 3


def test_a_message_can_be_deleted_after_its_timeout(queue, headrace):
    queue.send("a")
    (message,) = queue.receive()
    headrace.advance(31)
    queue.delete(message)
    assert queue.bodies() == []


def test_an_older_handle_still_deletes_from_a_standard_queue(queue, headrace):
    queue.send("a")
    (first,) = queue.receive(VisibilityTimeout=0)
    assert queue.bodies() == ["a"]
    queue.delete(first)
    headrace.advance(31)
    assert queue.bodies() == []


@pytest.mark.parametrize("handle", ["garbage", "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a", "ünïcode", "x" * 2000])
def test_handles_that_were_never_given_out(queue, handle, refused):
    with refused("ReceiptHandleIsInvalid", status=404):
        queue.delete({"ReceiptHandle": handle})
    with refused("ReceiptHandleIsInvalid", status=404):
        queue.hide({"ReceiptHandle": handle}, 10)


def test_a_handle_of_another_queue_is_refused(queue, make_queue, refused):
    other = make_queue("other")
    queue.send("a")
    (message,) = queue.receive()
    with refused("ReceiptHandleIsInvalid", status=404):
        other.delete(message)
    assert queue.depth() == (0, 1, 0)


def test_a_message_expires_while_it_is_in_flight_and_its_handle_is_harmless(make_queue, headrace):
    queue = make_queue("short", MessageRetentionPeriod="60")
    queue.send("a")
    headrace.advance(50)
    (message,) = queue.receive(VisibilityTimeout=100)
    headrace.advance(60)
    queue.delete(message)
    headrace.advance(60)
    assert queue.bodies() == []


def test_the_headrace_client_of_the_testing_plugin(headrace):
    client = headrace.client("sqs")
    url = client.create_queue(QueueName="plain")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="a")
    assert client.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "a"


def test_the_resource_interface_of_boto3(headrace):
    session = boto3.session.Session(aws_access_key_id="headrace", aws_secret_access_key="headrace")
    sqs = session.resource("sqs", endpoint_url=headrace.endpoint_url, region_name="us-east-1")
    queue = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "60"})
    queue.send_messages(Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(3)])
    assert [found.url for found in sqs.queues.filter(QueueNamePrefix="ord")] == [queue.url]
    first, *rest = queue.receive_messages(MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    first.change_visibility(VisibilityTimeout=0)
    for message in rest:
        message.delete()
    (again,) = queue.receive_messages()
    assert again.message_id == first.message_id
    queue.reload()
    assert queue.attributes["ApproximateNumberOfMessagesNotVisible"] == "1"
    queue.delete()
    sqs.meta.client.close()
