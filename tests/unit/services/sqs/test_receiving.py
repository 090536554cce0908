"""ReceiveMessage."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from headrace.services.sqs import operations

START_MS = 1_700_000_000_000
ATTRIBUTES = {
    "Hello": {"DataType": "String", "StringValue": "There"},
    "General": {"DataType": "String", "StringValue": "Kenobi"},
    "Help.Me": {"DataType": "String", "StringValue": "Me"},
}


@pytest.fixture
async def url(sqs):
    return await sqs.create("q")


async def send(sqs, url, *bodies, **params):
    for body in bodies:
        await sqs("send_message", QueueUrl=url, MessageBody=body, **params)


async def settled():
    """Let the calls that were set going come to where they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_message_comes_with_what_identifies_it(sqs, url):
    sent = await sqs("send_message", QueueUrl=url, MessageBody="héllo", MessageAttributes=ATTRIBUTES)
    [message] = await sqs.receive(url)
    assert message.pop("ReceiptHandle")
    assert message == {
        "MessageId": sent["MessageId"],
        "MD5OfBody": hashlib.md5("héllo".encode(), usedforsecurity=False).hexdigest(),
        "Body": "héllo",
    }


async def test_an_empty_queue_gives_nothing(sqs, url):
    assert await sqs("receive_message", QueueUrl=url) == {}


async def test_one_message_or_as_many_as_asked_for(sqs, url):
    await send(sqs, url, *"abcdefghijkl")
    assert await sqs.bodies(url, MaxNumberOfMessages=10) == list("abcdefghij")
    assert [message["Body"] for message in await sqs.receive(url)] == ["k"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"MaxNumberOfMessages": 0}, "Value 0 for parameter MaxNumberOfMessages is invalid."),
        ({"MaxNumberOfMessages": 11}, "Must be between 1 and 10, if provided."),
        ({"WaitTimeSeconds": 21}, "Value 21 for parameter WaitTimeSeconds is invalid."),
        ({"VisibilityTimeout": -1}, "Value -1 for parameter VisibilityTimeout is invalid."),
    ],
)
async def test_parameters_have_ranges(sqs, url, params, message):
    error = await sqs.error("receive_message", QueueUrl=url, **params)
    assert error.code == "InvalidParameterValue"
    assert message in error.message


# System attributes


async def test_all_system_attributes_of_a_standard_message(sqs, url, clock):
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}
    await send(sqs, url, "m", MessageSystemAttributes=trace)
    await clock.advance(5_000)
    await sqs.receive(url, VisibilityTimeout=1)
    await clock.advance(1_000)
    [message] = await sqs.receive(url, MessageSystemAttributeNames=["All"])
    assert message["Attributes"] == {
        "SenderId": "AIDASENDER",
        "SentTimestamp": str(START_MS),
        "ApproximateReceiveCount": "2",
        "ApproximateFirstReceiveTimestamp": str(START_MS + 5_000),
        "AWSTraceHeader": "Root=1",
    }


async def test_all_system_attributes_of_a_fifo_message(sqs):
    url = await sqs.create("q.fifo")
    sent = await sqs("send_message", QueueUrl=url, MessageBody="m", MessageGroupId="g", MessageDeduplicationId="d")
    [message] = await sqs.receive(url, AttributeNames=["All"])
    assert message["Attributes"] == {
        "SenderId": "AIDASENDER",
        "SentTimestamp": str(START_MS),
        "ApproximateReceiveCount": "1",
        "ApproximateFirstReceiveTimestamp": str(START_MS),
        "MessageGroupId": "g",
        "MessageDeduplicationId": "d",
        "SequenceNumber": sent["SequenceNumber"],
    }


async def test_system_attributes_go_by_either_name(sqs, url):
    await send(sqs, url, "m")
    [message] = await sqs.receive(url, AttributeNames=["SenderId"], MessageSystemAttributeNames=["SentTimestamp"])
    assert message["Attributes"].keys() == {"SenderId", "SentTimestamp"}


async def test_names_of_queue_attributes_pass_and_others_do_not(sqs, url):
    await send(sqs, url, "m")
    error = await sqs.error("receive_message", QueueUrl=url, AttributeNames=["Nonsense"])
    assert (error.code, error.message) == ("InvalidAttributeName", "Unknown Attribute Nonsense.")
    [message] = await sqs.receive(url, AttributeNames=["SqsManagedSseEnabled"])
    assert "Attributes" not in message


# Message attributes: digests are AWS's


@pytest.mark.parametrize(
    ("names", "chosen", "digest"),
    [
        (["All"], {"Hello", "General", "Help.Me"}, "4c360f3fdafd970e05fae2f149d997f5"),
        ([".*"], {"Hello", "General", "Help.Me"}, "4c360f3fdafd970e05fae2f149d997f5"),
        (["Hello", "General"], {"Hello", "General"}, "fca026605781cb4126a1e9044df24232"),
        (["Hello", "Foo"], {"Hello"}, "a311262e065454b75da111d535b8dacd"),
        (["Hel.*"], {"Hello", "Help.Me"}, "83fee93c1bcd8b9a5a923ffacdc636c7"),
        (["Foo", "Bar.*"], None, None),
        ([], None, None),
    ],
)
async def test_message_attributes_come_as_chosen_with_their_digest(sqs, url, names, chosen, digest):
    await send(sqs, url, "m", MessageAttributes=ATTRIBUTES)
    [message] = await sqs.receive(url, MessageAttributeNames=names)
    assert message.get("MD5OfMessageAttributes") == digest
    expected = None if chosen is None else {name: ATTRIBUTES[name] for name in chosen}
    assert message.get("MessageAttributes") == expected


async def test_binary_values_come_as_bytes(sqs, url):
    attributes = {"b": {"DataType": "Binary.png", "BinaryValue": b"\0\xff"}}
    await send(sqs, url, "m", MessageAttributes=attributes)
    [message] = await sqs.receive(url, MessageAttributeNames=["All"])
    assert message["MessageAttributes"] == attributes


# Visibility


async def test_received_messages_are_hidden_for_the_time_asked_for_or_the_queues(sqs, clock):
    url = await sqs.create("v", VisibilityTimeout=20)
    await send(sqs, url, "m")
    assert await sqs.bodies(url) == ["m"]
    await clock.advance(19_999)
    assert await sqs.bodies(url) == []
    await clock.advance(1)
    assert await sqs.bodies(url, VisibilityTimeout=5) == ["m"]
    await clock.advance(5_000)
    assert await sqs.bodies(url, VisibilityTimeout=0) == ["m"]
    assert await sqs.bodies(url) == ["m"]


async def test_too_many_in_flight_is_over_the_limit(sqs, monkeypatch):
    monkeypatch.setattr("headrace.services.sqs.limits.IN_FLIGHT_MESSAGES", 2)
    url = await sqs.create("narrow")
    await send(sqs, url, *"abc")
    await sqs.bodies(url)
    assert (await sqs.error("receive_message", QueueUrl=url)).code == "OverLimit"


async def test_a_long_poll_waits_for_room_instead(sqs, monkeypatch):
    monkeypatch.setattr("headrace.services.sqs.limits.IN_FLIGHT_MESSAGES", 1)
    url = await sqs.create("narrow")
    await send(sqs, url, "a", "b")
    [held] = await sqs.receive(url)
    waiting = asyncio.create_task(sqs.receive(url, WaitTimeSeconds=20))
    await settled()
    assert not waiting.done()
    await sqs("delete_message", QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
    assert [message["Body"] for message in await waiting] == ["b"]


# Waiting


async def test_a_waiting_call_is_woken_by_a_send(sqs, url):
    waiting = asyncio.create_task(sqs.receive(url, WaitTimeSeconds=20))
    await settled()
    await send(sqs, url, "m")
    assert [message["Body"] for message in await waiting] == ["m"]


async def test_a_waiting_call_ends_with_nothing_when_its_time_is_over(sqs, clock):
    url = await sqs.create("patient", ReceiveMessageWaitTimeSeconds=20)
    waiting = asyncio.create_task(sqs("receive_message", QueueUrl=url))
    await settled()
    await clock.advance(19_999)
    assert not waiting.done()
    await clock.advance(1)
    assert await waiting == {}


async def test_zero_overrides_the_queues_wait(sqs):
    url = await sqs.create("patient", ReceiveMessageWaitTimeSeconds=20)
    assert await sqs("receive_message", QueueUrl=url, WaitTimeSeconds=0) == {}


async def test_a_caller_who_hangs_up_takes_no_message_along(sqs, url):
    gone = asyncio.Event()
    context = sqs.context()
    context.hangup = gone.wait
    waiting = asyncio.create_task(operations.receive_message(context, {"QueueUrl": url, "WaitTimeSeconds": 20}))
    await settled()
    gone.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await send(sqs, url, "m")
    assert await sqs.bodies(url) == ["m"]


async def test_deleting_a_queue_ends_the_waiting(sqs, url):
    waiting = asyncio.create_task(sqs.error("receive_message", QueueUrl=url, WaitTimeSeconds=20))
    await settled()
    await sqs("delete_queue", QueueUrl=url)
    assert (await waiting).code == "QueueDoesNotExist"


# FIFO


async def test_an_attempt_made_again_gives_the_same_messages(sqs):
    url = await sqs.create("q.fifo", ContentBasedDeduplication="true")
    await send(sqs, url, *"abc", MessageGroupId="g")
    attempt = {"MaxNumberOfMessages": 2, "ReceiveRequestAttemptId": "attempt-1"}
    first = await sqs.receive(url, **attempt)
    again = await sqs.receive(url, **attempt)
    assert [(m["MessageId"], m["ReceiptHandle"]) for m in again] == [
        (m["MessageId"], m["ReceiptHandle"]) for m in first
    ]
    assert await sqs.receive(url, ReceiveRequestAttemptId="attempt-2") == []
    error = await sqs.error("receive_message", QueueUrl=url, ReceiveRequestAttemptId="a b")
    assert error.code == "InvalidParameterValue"


async def test_standard_queues_ignore_attempts(sqs, url):
    await send(sqs, url, "a")
    assert await sqs.bodies(url, ReceiveRequestAttemptId="any thing") == ["a"]
    assert await sqs.bodies(url, ReceiveRequestAttemptId="any thing") == []


async def test_a_fifo_queue_takes_300_receives_a_second(sqs):
    url = await sqs.create("q.fifo")
    for _ in range(300):
        await sqs.receive(url)
    assert (await sqs.error("receive_message", QueueUrl=url)).code == "RequestThrottled"
