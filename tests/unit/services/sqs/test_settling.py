"""DeleteMessage, ChangeMessageVisibility and their batches."""

from __future__ import annotations

import pytest


@pytest.fixture
async def url(sqs):
    return await sqs.create("q")


@pytest.fixture
async def fifo(sqs):
    return await sqs.create("q.fifo", ContentBasedDeduplication="true")


async def received(sqs, url, *bodies, **params):
    """The receipt handles of these messages, sent and received."""
    extra = {"MessageGroupId": "g"} if url.endswith(".fifo") else {}
    for body in bodies:
        await sqs("send_message", QueueUrl=url, MessageBody=body, **extra)
    messages = await sqs.receive(url, MaxNumberOfMessages=10, **params)
    return [message["ReceiptHandle"] for message in messages]


def change(receipt, timeout_s):
    return {"ReceiptHandle": receipt, "VisibilityTimeout": timeout_s}


# DeleteMessage


async def test_a_deleted_message_does_not_return(sqs, url, clock):
    [receipt] = await received(sqs, url, "m")
    for _ in range(2):
        assert await sqs("delete_message", QueueUrl=url, ReceiptHandle=receipt) == {}
    await clock.advance(60_000)
    assert await sqs.bodies(url) == []


async def test_an_old_handle_still_deletes(sqs, url, clock):
    [old] = await received(sqs, url, "m", VisibilityTimeout=1)
    await clock.advance(1_000)
    await received(sqs, url)
    await sqs("delete_message", QueueUrl=url, ReceiptHandle=old)
    await clock.advance(60_000)
    assert await sqs.bodies(url) == []


@pytest.mark.parametrize("receipt", ["nonsense", "x" * 2000, "AAAA", "ü"])
async def test_a_malformed_handle_is_invalid(sqs, url, receipt):
    for operation, params in (
        ("delete_message", {"ReceiptHandle": receipt}),
        ("change_message_visibility", change(receipt, 5)),
    ):
        error = await sqs.error(operation, QueueUrl=url, **params)
        assert error.code == "ReceiptHandleIsInvalid"
        assert error.message == f'The input receipt handle "{receipt}" is not a valid receipt handle.'


async def test_an_empty_handle_is_a_missing_one(sqs, url):
    assert (await sqs.error("delete_message", QueueUrl=url, ReceiptHandle="")).code == "MissingParameter"
    assert (await sqs.error("change_message_visibility", QueueUrl=url, **change("", 5))).code == "MissingParameter"


async def test_a_fifo_handle_expires_with_its_visibility(sqs, fifo, clock):
    [receipt] = await received(sqs, fifo, "m", VisibilityTimeout=1)
    await clock.advance(1_000)
    for operation, params in (
        ("delete_message", {"ReceiptHandle": receipt}),
        ("change_message_visibility", change(receipt, 5)),
    ):
        error = await sqs.error(operation, QueueUrl=fifo, **params)
        assert error.code == "InvalidParameterValue"
        assert error.message == (
            f"Value {receipt} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
        )


# DeleteMessageBatch


async def test_a_batch_deletes_entry_by_entry(sqs, url, clock):
    first, second = await received(sqs, url, "a", "b")
    entries = [
        {"Id": "1", "ReceiptHandle": first},
        {"Id": "2", "ReceiptHandle": "dummy"},
        {"Id": "3", "ReceiptHandle": second},
        {"Id": "4", "ReceiptHandle": ""},
    ]
    result = await sqs("delete_message_batch", QueueUrl=url, Entries=entries)
    assert result["Successful"] == [{"Id": "1"}, {"Id": "3"}]
    assert [(entry["Id"], entry["Code"], entry["SenderFault"]) for entry in result["Failed"]] == [
        ("2", "ReceiptHandleIsInvalid", True),
        ("4", "MissingParameter", True),
    ]
    await clock.advance(60_000)
    assert await sqs.bodies(url) == []


@pytest.mark.parametrize(
    ("operation", "entry_name"),
    [
        ("delete_message_batch", "DeleteMessageBatchRequestEntry"),
        ("change_message_visibility_batch", "ChangeMessageVisibilityBatchRequestEntry"),
    ],
)
async def test_a_malformed_batch_is_refused_whole(sqs, url, operation, entry_name):
    error = await sqs.error(operation, QueueUrl=url, Entries=[])
    assert error.code == "EmptyBatchRequest"
    assert error.message == f"There should be at least one {entry_name} in the request."
    entries = [{"Id": "1", "ReceiptHandle": "x", "VisibilityTimeout": 1}] * 2
    assert (await sqs.error(operation, QueueUrl=url, Entries=entries)).code == "BatchEntryIdsNotDistinct"


# ChangeMessageVisibility


async def test_visibility_is_counted_from_now(sqs, url, clock):
    [receipt] = await received(sqs, url, "m", VisibilityTimeout=10)
    await clock.advance(9_000)
    assert await sqs("change_message_visibility", QueueUrl=url, **change(receipt, 10)) == {}
    await clock.advance(9_999)
    assert await sqs.bodies(url) == []
    await clock.advance(1)
    assert await sqs.bodies(url) == ["m"]


async def test_zero_shows_a_message_at_once(sqs, url):
    [receipt] = await received(sqs, url, "m")
    await sqs("change_message_visibility", QueueUrl=url, **change(receipt, 0))
    assert await sqs.bodies(url) == ["m"]


@pytest.mark.parametrize("timeout_s", [-1, 43_201])
async def test_visibility_has_a_range(sqs, url, timeout_s):
    [receipt] = await received(sqs, url, "m")
    error = await sqs.error("change_message_visibility", QueueUrl=url, **change(receipt, timeout_s))
    assert error.message == (
        f"Value {timeout_s} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200."
    )


async def test_twelve_hours_in_all(sqs, url, clock):
    [receipt] = await received(sqs, url, "m", VisibilityTimeout=100)
    await clock.advance(50_000)
    error = await sqs.error("change_message_visibility", QueueUrl=url, **change(receipt, 43_200))
    assert error.code == "InvalidParameterValue"
    assert "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]" in error.message
    await sqs("change_message_visibility", QueueUrl=url, **change(receipt, 43_150))


async def test_a_message_deleted_or_visible_again_is_not_to_be_changed(sqs, url, clock):
    [gone] = await received(sqs, url, "a")
    await sqs("delete_message", QueueUrl=url, ReceiptHandle=gone)
    error = await sqs.error("change_message_visibility", QueueUrl=url, **change(gone, 5))
    assert error.code == "InvalidParameterValue"
    assert error.message.endswith("Message does not exist or is not available for visibility timeout change.")
    [visible] = await received(sqs, url, "b", VisibilityTimeout=1)
    await clock.advance(1_000)
    error = await sqs.error("change_message_visibility", QueueUrl=url, **change(visible, 5))
    assert error.code == "MessageNotInflight"
    assert await sqs.bodies(url) == ["b"]


# ChangeMessageVisibilityBatch


async def test_a_batch_changes_entry_by_entry(sqs, url):
    first, second = await received(sqs, url, "a", "b")
    entries = [
        {"Id": "1"} | change(first, 0),
        {"Id": "2"} | change("dummy", 0),
        {"Id": "3"} | change(second, 43_201),
        {"Id": "4", "ReceiptHandle": second},
    ]
    result = await sqs("change_message_visibility_batch", QueueUrl=url, Entries=entries)
    assert result["Successful"] == [{"Id": "1"}]
    assert [(entry["Id"], entry["Code"]) for entry in result["Failed"]] == [
        ("2", "ReceiptHandleIsInvalid"),
        ("3", "InvalidParameterValue"),
        ("4", "MissingParameter"),
    ]
    assert await sqs.bodies(url) == ["a"]


async def test_a_batch_of_failures_only_changes_nothing(sqs, url):
    entries = [{"Id": "1"} | change("x", -1)]
    result = await sqs("change_message_visibility_batch", QueueUrl=url, Entries=entries)
    assert result.keys() == {"Failed"}


@pytest.mark.parametrize("operation", ["delete_message", "change_message_visibility"])
async def test_a_fifo_queue_takes_300_calls_a_second(sqs, fifo, operation):
    [receipt] = await received(sqs, fifo, "m")
    params = change(receipt, 5) if operation == "change_message_visibility" else {"ReceiptHandle": receipt}
    for _ in range(300):
        await sqs(operation, QueueUrl=fifo, **params)
    assert (await sqs.error(operation, QueueUrl=fifo, **params)).code == "RequestThrottled"
