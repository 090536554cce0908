"""SendMessageBatch, DeleteMessageBatch and ChangeMessageVisibilityBatch: results and errors, each entry on its own."""

import hashlib

import pytest

MAX_BYTES = 1_048_576
ID_RULE = (
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
    "It can be at most 80 letters long."
)
ENTRY = {
    "send_message_batch": {"MessageBody": "a"},
    "delete_message_batch": {"ReceiptHandle": "a"},
    "change_message_visibility_batch": {"ReceiptHandle": "a", "VisibilityTimeout": 1},
}
BATCHES = pytest.mark.parametrize("method", ENTRY)


def by_id(entries):
    return {entry["Id"]: entry for entry in entries}


def call(queue, method, ids):
    return getattr(queue.client, method)(QueueUrl=queue.url, Entries=[{"Id": key} | ENTRY[method] for key in ids])


def test_a_batch_of_ten(queue):
    answer = queue.send_batch(*({"Id": f"e-{number}", "MessageBody": f"body {number}"} for number in range(10)))
    assert not answer.get("Failed")
    assert sorted(by_id(answer["Successful"])) == [f"e-{number}" for number in range(10)]
    received = {message["MessageId"]: message["Body"] for message in queue.receive(10)}
    for number in range(10):
        entry = by_id(answer["Successful"])[f"e-{number}"]
        assert received[entry["MessageId"]] == f"body {number}"
        assert entry["MD5OfMessageBody"] == hashlib.md5(f"body {number}".encode()).hexdigest()
        assert not {"MD5OfMessageAttributes", "SequenceNumber"} & set(entry)


def test_entries_have_their_own_attributes_and_delay(queue, headrace):
    attributes = {"k": {"DataType": "String", "StringValue": "x"}}
    queue.send_batch(
        {"Id": "1", "MessageBody": "now", "MessageAttributes": attributes},
        {"Id": "2", "MessageBody": "later", "DelaySeconds": 20},
    )
    (message,) = queue.receive(MessageAttributeNames=["All"])
    assert (message["Body"], message["MessageAttributes"]) == ("now", attributes)
    headrace.advance(20)
    assert queue.bodies() == ["later"]


@BATCHES
def test_an_empty_batch(queue, method, refused):
    with refused("AWS.SimpleQueueService.EmptyBatchRequest"):
        call(queue, method, [])


@BATCHES
def test_more_than_ten_entries(queue, method, refused):
    message = "Maximum number of entries per request are 10. You have sent 11."
    with refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", message):
        call(queue, method, [str(number) for number in range(11)])
    assert queue.depth() == (0, 0, 0)


@BATCHES
def test_ids_that_are_not_distinct(queue, method, refused):
    with refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Id twice repeated."):
        call(queue, method, ["once", "twice", "twice"])
    assert queue.depth() == (0, 0, 0)


@BATCHES
@pytest.mark.parametrize("key", ["", "invalid:id", "a b", "é", "i" * 81])
def test_ids_that_are_not_well_formed(queue, method, key, refused):
    with refused("AWS.SimpleQueueService.InvalidBatchEntryId", ID_RULE):
        call(queue, method, ["good", key])


@BATCHES
def test_a_batch_for_a_queue_that_is_not_there(sqs, headrace, method, refused):
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        getattr(sqs, method)(
            QueueUrl=f"{headrace.endpoint_url}/000000000000/nowhere", Entries=[{"Id": "1"} | ENTRY[method]]
        )


def test_ids_may_be_80_letters_long(queue):
    assert by_id(queue.send_batch({"Id": "i" * 80, "MessageBody": "a"})["Successful"])


def test_a_batch_is_limited_as_a_whole(queue, refused):
    attributes = {"k": {"DataType": "String", "StringValue": "x"}}
    body = "a" * (MAX_BYTES - len("kStringx"))
    message = f"Batch requests cannot be longer than {MAX_BYTES} bytes. You have sent {MAX_BYTES + 1} bytes."
    with refused("AWS.SimpleQueueService.BatchRequestTooLong", message):
        queue.send_batch(
            {"Id": "1", "MessageBody": body, "MessageAttributes": attributes}, {"Id": "2", "MessageBody": "a"}
        )
    assert queue.depth() == (0, 0, 0)
    queue.send_batch(
        {"Id": "1", "MessageBody": body[1:], "MessageAttributes": attributes}, {"Id": "2", "MessageBody": "a"}
    )
    assert queue.depth() == (2, 0, 0)


def test_bad_entries_fail_alone(queue):
    queue.set(MaximumMessageSize="1024")
    answer = queue.send_batch(
        {"Id": "good", "MessageBody": "arrives"},
        {"Id": "delay", "MessageBody": "a", "DelaySeconds": 1800},
        {"Id": "letters", "MessageBody": "a\x0bb"},
        {"Id": "size", "MessageBody": "a" * 1025},
        {"Id": "attribute", "MessageBody": "a", "MessageAttributes": {"k": {"DataType": "Text", "StringValue": "x"}}},
        {"Id": "also-good", "MessageBody": "arrives too"},
    )
    assert sorted(by_id(answer["Successful"])) == ["also-good", "good"]
    failed = by_id(answer["Failed"])
    assert {key: entry["Code"] for key, entry in failed.items()} == {
        "delay": "InvalidParameterValue",
        "letters": "InvalidMessageContents",
        "size": "InvalidParameterValue",
        "attribute": "InvalidParameterValue",
    }
    assert all(entry["SenderFault"] is True for entry in failed.values())
    assert failed["delay"]["Message"] == (
        "Value 1800 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
    )
    assert "Message must be shorter than 1024 bytes." in failed["size"]["Message"]
    assert sorted(queue.bodies()) == ["arrives", "arrives too"]


def test_delete_message_batch(queue):
    queue.send_batch(*({"Id": str(number), "MessageBody": str(number)} for number in range(5)))
    messages = queue.receive(10)
    entries = [{"Id": m["Body"], "ReceiptHandle": m["ReceiptHandle"]} for m in messages[:4]]
    entries.append({"Id": "bad", "ReceiptHandle": "never-given-out"})
    answer = queue.client.delete_message_batch(QueueUrl=queue.url, Entries=entries)
    assert sorted(by_id(answer["Successful"])) == sorted(m["Body"] for m in messages[:4])
    (failed,) = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("bad", "ReceiptHandleIsInvalid", True)
    assert queue.depth() == (0, 1, 0)


def test_deleting_twice_in_one_batch_succeeds_twice(queue):
    queue.send("a")
    (message,) = queue.receive()
    receipt = message["ReceiptHandle"]
    entries = [{"Id": key, "ReceiptHandle": receipt} for key in ("first", "second")]
    answer = queue.client.delete_message_batch(QueueUrl=queue.url, Entries=entries)
    assert sorted(by_id(answer["Successful"])) == ["first", "second"]


def test_change_message_visibility_batch(queue, headrace):
    queue.send_batch({"Id": "1", "MessageBody": "now"}, {"Id": "2", "MessageBody": "later"})
    handles = {message["Body"]: message["ReceiptHandle"] for message in queue.receive()}
    answer = queue.client.change_message_visibility_batch(
        QueueUrl=queue.url,
        Entries=[
            {"Id": "now", "ReceiptHandle": handles["now"], "VisibilityTimeout": 0},
            {"Id": "later", "ReceiptHandle": handles["later"], "VisibilityTimeout": 600},
            {"Id": "long", "ReceiptHandle": handles["later"], "VisibilityTimeout": 43_201},
            {"Id": "bad", "ReceiptHandle": "never-given-out", "VisibilityTimeout": 1},
        ],
    )
    assert sorted(by_id(answer["Successful"])) == ["later", "now"]
    failed = by_id(answer["Failed"])
    assert failed["long"]["Code"] == "InvalidParameterValue"
    assert failed["bad"]["Code"] == "ReceiptHandleIsInvalid"
    assert all(entry["SenderFault"] is True for entry in failed.values())
    assert queue.bodies() == ["now"]
    headrace.advance(600)
    assert sorted(queue.bodies()) == ["later", "now"]
