"""FIFO queues: order, groups, deduplication, sequence numbers."""

import hashlib

import pytest

NO_DEDUPLICATION = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
)
NO_GROUP = "The request must contain the parameter MessageGroupId."


@pytest.fixture
def put(fifo):
    """A function that sends a message whose deduplication id is its body, to group `g` unless told otherwise."""
    return lambda body, group="g", **options: fifo.send(
        body, MessageGroupId=group, **({"MessageDeduplicationId": body} | options)
    )


def test_send_answers_with_a_sequence_number_of_20_digits_that_grows(put):
    numbers = [put(str(count))["SequenceNumber"] for count in range(5)]
    assert all(len(number) == 20 and number.isdecimal() for number in numbers)
    assert numbers == sorted(set(numbers))


def test_attributes_of_a_fifo_message(fifo, put):
    sent = put("message-body-1", MessageDeduplicationId="dedup-1", group="group-1")
    assert sent["MD5OfMessageBody"] == "19c9e282d65f9733bc6b35d50062c7ee"
    (message,) = fifo.receive(AttributeNames=["All"], VisibilityTimeout=0)
    attributes = message["Attributes"]
    assert attributes["MessageDeduplicationId"] == "dedup-1"
    assert attributes["MessageGroupId"] == "group-1"
    assert attributes["SequenceNumber"] == sent["SequenceNumber"]
    assert attributes["ApproximateReceiveCount"] == "1"
    (again,) = fifo.receive(AttributeNames=["SequenceNumber", "ApproximateReceiveCount"])
    assert again["Attributes"] == {"SequenceNumber": sent["SequenceNumber"], "ApproximateReceiveCount": "2"}


def test_a_group_comes_in_order(fifo, put):
    for count in range(10):
        put(str(count))
    assert fifo.bodies(4) == ["0", "1", "2", "3"]


def test_a_group_waits_while_some_of_it_is_in_flight(fifo, put):
    for count in range(4):
        put(str(count))
    first, second = fifo.receive(2)
    assert fifo.bodies() == []
    fifo.delete(first)
    assert fifo.bodies() == []
    fifo.delete(second)
    assert fifo.bodies() == ["2", "3"]


def test_groups_do_not_wait_for_each_other(fifo, put):
    put("a1", "a")
    put("b1", "b")
    put("a2", "a")
    assert fifo.bodies(1) == ["a1"]
    assert fifo.bodies() == ["b1"]
    put("c1", "c")
    assert fifo.bodies() == ["c1"]


def test_a_message_sent_to_a_group_in_flight_waits_too(fifo, put):
    put("1")
    (first,) = fifo.receive()
    put("2")
    assert fifo.bodies() == []
    fifo.delete(first)
    assert fifo.bodies() == ["2"]


def test_a_group_comes_back_in_order_after_its_timeout(fifo, put, headrace):
    for count in range(3):
        put(str(count))
    assert fifo.bodies(2) == ["0", "1"]
    headrace.advance(30)
    assert fifo.bodies() == ["0", "1", "2"]


def test_a_message_given_back_is_first_again(fifo, put):
    put("1")
    put("2")
    (first,) = fifo.receive(1)
    fifo.hide(first, 0)
    assert fifo.bodies() == ["1", "2"]


def test_a_longer_timeout_of_the_first_holds_back_the_group(fifo, put, headrace):
    put("1")
    put("2")
    first, _ = fifo.receive(2)
    fifo.hide(first, 100)
    headrace.advance(40)
    assert fifo.bodies() == []
    headrace.advance(60)
    assert fifo.bodies() == ["1", "2"]


def test_one_receive_may_span_groups(fifo, put):
    for count in range(3):
        put(f"a{count}", "a")
        put(f"b{count}", "b")
    bodies = fifo.bodies(10)
    assert [body for body in bodies if body[0] == "a"] == ["a0", "a1", "a2"]
    assert [body for body in bodies if body[0] == "b"] == ["b0", "b1", "b2"]


def test_a_batch_keeps_its_order(fifo):
    answer = fifo.send_batch(
        *(
            {"Id": str(n), "MessageBody": str(n), "MessageGroupId": "g", "MessageDeduplicationId": str(n)}
            for n in range(10)
        )
    )
    numbers = {entry["Id"]: entry["SequenceNumber"] for entry in answer["Successful"]}
    assert [numbers[str(n)] for n in range(10)] == sorted(numbers.values())
    assert fifo.bodies(10) == [str(n) for n in range(10)]


def test_a_duplicate_is_answered_and_not_delivered(fifo, put):
    first = put("original", MessageDeduplicationId="once")
    second = put("repeated", MessageDeduplicationId="once")
    assert second["MessageId"] == first["MessageId"]
    assert second["SequenceNumber"] == first["SequenceNumber"]
    assert fifo.bodies() == ["original"]
    assert fifo.depth() == (0, 1, 0)


def test_a_duplicate_is_recognised_after_the_first_was_deleted(fifo, put):
    put("a")
    (message,) = fifo.receive()
    fifo.delete(message)
    put("a")
    assert fifo.bodies() == []


def test_deduplication_ends_after_five_minutes(fifo, put, headrace):
    first = put("a")
    headrace.advance(298)
    assert put("a")["MessageId"] == first["MessageId"]
    headrace.advance(2)
    assert put("a")["MessageId"] != first["MessageId"]
    assert fifo.bodies() == ["a", "a"]


def test_a_duplicate_within_one_batch(fifo):
    answer = fifo.send_batch(
        *({"Id": n, "MessageBody": n, "MessageGroupId": "g", "MessageDeduplicationId": "same"} for n in "ab")
    )
    first, second = sorted(answer["Successful"], key=lambda entry: entry["Id"])
    assert first["MessageId"] == second["MessageId"]
    assert fifo.bodies() == ["a"]


def test_deduplication_by_queue_spans_groups(fifo, put):
    put("a", "one")
    put("a", "two")
    assert fifo.bodies() == ["a"]


def test_deduplication_by_message_group(fifo, put):
    fifo.set(DeduplicationScope="messageGroup")
    put("a", "one")
    put("a", "two")
    put("a", "one")
    assert fifo.bodies() == ["a", "a"]


def test_deduplication_by_content(make_queue):
    queue = make_queue("content.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    first = queue.send("same", MessageGroupId="g")
    attributes = {"k": {"DataType": "String", "StringValue": "attributes do not count"}}
    second = queue.send("same", MessageGroupId="g", MessageAttributes=attributes)
    third = queue.send("same", MessageGroupId="g", MessageDeduplicationId="explicit")
    fourth = queue.send("other", MessageGroupId="g", MessageDeduplicationId=hashlib.sha256(b"same").hexdigest())
    assert first["MessageId"] == second["MessageId"] == fourth["MessageId"] != third["MessageId"]
    messages = queue.receive(AttributeNames=["MessageDeduplicationId"])
    ids = [message["Attributes"]["MessageDeduplicationId"] for message in messages]
    assert ids == [hashlib.sha256(b"same").hexdigest(), "explicit"]


def test_a_deduplication_id_is_needed(fifo, refused):
    with refused("InvalidParameterValue", NO_DEDUPLICATION):
        fifo.send("a", MessageGroupId="g")
    with refused("InvalidParameterValue", NO_DEDUPLICATION):
        fifo.send_batch({"Id": "1", "MessageBody": "a", "MessageGroupId": "g"})


def test_a_group_is_needed(fifo, refused):
    with refused("MissingParameter", NO_GROUP):
        fifo.send("a", MessageDeduplicationId="1")
    with refused("InvalidParameterValue", NO_GROUP):
        fifo.send_batch({"Id": "1", "MessageBody": "a", "MessageDeduplicationId": "1"})


@pytest.mark.parametrize("parameter", ["MessageGroupId", "MessageDeduplicationId"])
@pytest.mark.parametrize("value", ["i" * 129, "two words", "ü", "tab\t"])
def test_ids_that_are_not_allowed(put, parameter, value, refused):
    message = (
        f"Value {value} for parameter {parameter} is invalid. Reason: "
        f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."
    )
    with refused("InvalidParameterValue", message):
        put("a", **({"group": value} if parameter == "MessageGroupId" else {parameter: value}))


def test_every_letter_of_an_id(fifo, put):
    letters = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~azAZ09"
    put("a", letters, MessageDeduplicationId=letters)
    put("b", "i" * 128, MessageDeduplicationId="i" * 128)
    found = [message["Attributes"] for message in fifo.receive(AttributeNames=["All"])]
    assert {attributes["MessageGroupId"] for attributes in found} == {letters, "i" * 128}
    assert {attributes["MessageDeduplicationId"] for attributes in found} == {letters, "i" * 128}


def test_a_message_has_no_delay_of_its_own(put, refused):
    message = (
        "Value 2 for parameter DelaySeconds is invalid. "
        "Reason: The request include parameter that is not valid for this queue type."
    )
    with refused("InvalidParameterValue", message):
        put("a", DelaySeconds=2)
    put("a", DelaySeconds=0)


def test_delay_of_the_queue(fifo, put, headrace):
    fifo.set(DelaySeconds="10")
    put("a")
    assert fifo.depth() == (0, 0, 1)
    assert fifo.bodies() == []
    headrace.advance(10)
    assert fifo.bodies() == ["a"]


def test_an_expired_handle_does_not_delete(fifo, put, headrace, refused):
    put("a")
    (message,) = fifo.receive()
    headrace.advance(31)
    handle = message["ReceiptHandle"]
    expired = f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    with refused("InvalidParameterValue", expired):
        fifo.delete(message)
    answer = fifo.client.delete_message_batch(QueueUrl=fifo.url, Entries=[{"Id": "1", "ReceiptHandle": handle}])
    assert answer["Failed"][0]["Code"] == "InvalidParameterValue"
    assert fifo.bodies() == ["a"]


def test_an_older_handle_does_not_delete(fifo, put, refused):
    put("a")
    (first,) = fifo.receive(VisibilityTimeout=0)
    (second,) = fifo.receive()
    with refused("InvalidParameterValue"):
        fifo.delete(first)
    fifo.delete(second)
    assert fifo.depth() == (0, 0, 0)


def test_an_expired_handle_does_not_change_visibility(fifo, put, headrace, refused):
    put("a")
    (message,) = fifo.receive()
    headrace.advance(31)
    with refused("InvalidParameterValue"):
        fifo.hide(message, 10)


def test_a_retried_receive_gives_the_same_messages(fifo, put):
    for count in range(3):
        put(str(count))
    first = fifo.receive(2, ReceiveRequestAttemptId="try")
    again = fifo.receive(2, ReceiveRequestAttemptId="try")
    assert [m["Body"] for m in first] == [m["Body"] for m in again] == ["0", "1"]
    assert [m["MessageId"] for m in first] == [m["MessageId"] for m in again]
    assert fifo.receive(2, ReceiveRequestAttemptId="another") == []
    for message in again:
        fifo.delete(message)
    assert fifo.bodies() == ["2"]


def test_content_deduplication_switched_on_later(fifo):
    fifo.set(ContentBasedDeduplication="true")
    assert fifo.send("a", MessageGroupId="g")["MessageId"] == fifo.send("a", MessageGroupId="g")["MessageId"]
    assert fifo.bodies() == ["a"]


def test_purge(fifo, put):
    put("1")
    fifo.receive()
    put("2")
    fifo.client.purge_queue(QueueUrl=fifo.url)
    assert fifo.depth() == (0, 0, 0)
    put("3")
    assert fifo.bodies() == ["3"]


def test_many_groups(fifo):
    for start in range(0, 200, 10):
        fifo.send_batch(
            *(
                {"Id": str(n), "MessageBody": str(n), "MessageGroupId": f"g{n}", "MessageDeduplicationId": str(n)}
                for n in range(start, start + 10)
            )
        )
    found = [body for _ in range(20) for body in fifo.bodies(10)]
    assert len(found) == 200
    assert {int(body) for body in found} == set(range(200))
