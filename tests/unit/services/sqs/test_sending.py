"""SendMessage and SendMessageBatch."""

from __future__ import annotations

import hashlib

import pytest

from headrace.context import Quotas
from headrace.services.sqs.sending import sequence_number

TEXT = {"DataType": "String", "StringValue": "v"}
TRACE = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}


def md5(text):
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def entry(number, **members):
    return {"Id": f"id-{number}", "MessageBody": f"m{number}"} | members


@pytest.fixture
async def url(sqs):
    return await sqs.create("q")


@pytest.fixture
async def fifo(sqs):
    return await sqs.create("q.fifo")


# SendMessage


async def test_a_message_is_answered_with_its_id_and_digests(sqs, url):
    result = await sqs("send_message", QueueUrl=url, MessageBody="hé\n", MessageAttributes={"a": TEXT})
    assert result.keys() == {"MessageId", "MD5OfMessageBody", "MD5OfMessageAttributes"}
    assert result["MD5OfMessageBody"] == md5("hé\n")
    result = await sqs("send_message", QueueUrl=url, MessageBody="x", MessageSystemAttributes=TRACE)
    assert result.keys() == {"MessageId", "MD5OfMessageBody", "MD5OfMessageSystemAttributes"}


async def test_a_queue_goes_by_its_url_its_path_and_its_name(sqs, url):
    for address in (url, "https://sqs.us-east-1.amazonaws.com/000000000000/q", "/queue/q", "q", "000000000000/q"):
        await sqs("send_message", QueueUrl=address, MessageBody=address)
    assert len(await sqs.bodies(url)) == 5


async def test_another_region_is_another_queue(sqs, url):
    elsewhere = sqs.caller(region="eu-west-1")
    assert (await elsewhere.error("send_message", QueueUrl=url, MessageBody="x")).code == "QueueDoesNotExist"
    assert (await sqs.error("send_message", QueueUrl="http://localhost", MessageBody="x")).code == "InvalidAddress"


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"MessageBody": ""}, "MissingParameter", "must contain the parameter MessageBody"),
        ({"MessageBody": "a\0"}, "InvalidMessageContents", "Invalid characters found"),
        ({"MessageBody": "\ufffe"}, "InvalidMessageContents", "Invalid characters found"),
        ({"DelaySeconds": -1}, "InvalidParameterValue", "Value -1 for parameter DelaySeconds is invalid"),
        ({"DelaySeconds": 901}, "InvalidParameterValue", "DelaySeconds must be >= 0 and <= 900."),
        ({"MessageDeduplicationId": "x"}, "InvalidParameterValue", "not valid for this queue type"),
        ({"MessageGroupId": ""}, "InvalidParameterValue", "alphanumeric and punctuation"),
        ({"MessageGroupId": "a b"}, "InvalidParameterValue", "alphanumeric and punctuation"),
        ({"MessageAttributes": {"": TEXT}}, "InvalidParameterValue", "non-empty message (user) attribute names"),
        ({"MessageSystemAttributes": {"X": TEXT}}, "InvalidParameterValue", "Message system attribute name 'X'"),
        ({"MessageBody": "x" * 1_048_577}, "InvalidParameterValue", "Message must be shorter than 1048576 bytes."),
    ],
)
async def test_what_sqs_does_not_take_is_refused(sqs, url, params, code, message):
    error = await sqs.error("send_message", QueueUrl=url, **{"MessageBody": "m"} | params)
    assert error.code == code
    assert message in error.message
    assert await sqs.bodies(url) == []


async def test_attributes_count_towards_the_size_and_the_trace_header_does_not(sqs):
    url = await sqs.create("small", MaximumMessageSize=1024)
    attributes = {"name": {"DataType": "Binary", "BinaryValue": b"\0" * 10}}
    params = {"QueueUrl": url, "MessageAttributes": attributes, "MessageSystemAttributes": TRACE}
    await sqs("send_message", MessageBody="x" * (1024 - 20), **params)
    error = await sqs.error("send_message", MessageBody="x" * (1024 - 19), **params)
    assert error.message.endswith("Message must be shorter than 1024 bytes.")
    await sqs.error("send_message", QueueUrl=url, MessageBody="é" * 513)


async def test_a_delay_holds_a_message_back(sqs, url, clock):
    await sqs("send_message", QueueUrl=url, MessageBody="later", DelaySeconds=900)
    assert await sqs.bodies(url) == []
    await clock.advance(900_000)
    assert await sqs.bodies(url) == ["later"]


async def test_a_message_says_that_it_is_not_to_wait(sqs):
    url = await sqs.create("slow", DelaySeconds=10)
    await sqs("send_message", QueueUrl=url, MessageBody="now", DelaySeconds=0)
    await sqs("send_message", QueueUrl=url, MessageBody="later")
    assert await sqs.bodies(url) == ["now"]


async def test_standard_queues_take_tenants(sqs, url):
    await sqs("send_message", QueueUrl=url, MessageBody="m", MessageGroupId="tenant")
    [message] = await sqs.receive(url, AttributeNames=["All"])
    assert message["Attributes"]["MessageGroupId"] == "tenant"
    assert "SequenceNumber" not in message["Attributes"]


# FIFO queues


async def test_fifo_messages_have_sequence_numbers_that_grow(sqs, fifo):
    numbers = []
    for number in range(3):
        ids = {"MessageGroupId": "g", "MessageDeduplicationId": str(number)}
        sent = await sqs("send_message", QueueUrl=fifo, MessageBody="m", **ids)
        numbers.append(sent["SequenceNumber"])
    assert all(len(number) == 20 and number.isdecimal() for number in numbers)
    assert numbers == sorted(set(numbers))


def test_sequence_numbers_keep_their_length():
    assert [len(sequence_number(sequence)) for sequence in (0, 1, 2**62)] == [20, 20, 20]


async def test_a_duplicate_is_answered_as_the_first_was(sqs, fifo, clock):
    ids = {"QueueUrl": fifo, "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    first = await sqs("send_message", MessageBody="one", **ids)
    again = await sqs("send_message", MessageBody="two", **ids)
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    assert again["MD5OfMessageBody"] == md5("two")
    await clock.advance(300_000)
    later = await sqs("send_message", MessageBody="three", **ids)
    assert later["MessageId"] != first["MessageId"]


async def test_the_body_stands_for_the_id_when_the_queue_says_so(sqs):
    url = await sqs.create("c.fifo", ContentBasedDeduplication="true")
    first, again = [await sqs("send_message", QueueUrl=url, MessageBody="same", MessageGroupId="g") for _ in range(2)]
    assert first == again
    [message] = await sqs.receive(url, AttributeNames=["All"])
    assert message["Attributes"]["MessageDeduplicationId"] == hashlib.sha256(b"same").hexdigest()
    explicit = await sqs(
        "send_message", QueueUrl=url, MessageBody="other", MessageGroupId="g",
        MessageDeduplicationId=hashlib.sha256(b"same").hexdigest(),
    )  # fmt: skip
    assert explicit["MessageId"] == first["MessageId"]


async def test_the_scope_of_deduplication_may_be_the_group(sqs):
    url = await sqs.create("s.fifo", DeduplicationScope="messageGroup")
    for group in ("a", "b"):
        await sqs("send_message", QueueUrl=url, MessageBody=group, MessageGroupId=group, MessageDeduplicationId="d")
    assert sorted(await sqs.bodies(url)) == ["a", "b"]


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"MessageDeduplicationId": "d"}, "MissingParameter", "must contain the parameter MessageGroupId."),
        ({"MessageGroupId": "g"}, "InvalidParameterValue", "either have ContentBasedDeduplication enabled or"),
        ({"MessageGroupId": "g", "MessageDeduplicationId": "ü"}, "InvalidParameterValue", "MessageDeduplicationId"),
        (
            {"MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 2},
            "InvalidParameterValue",
            "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter",
        ),
    ],
)
async def test_fifo_messages_have_rules_of_their_own(sqs, fifo, params, code, message):
    error = await sqs.error("send_message", QueueUrl=fifo, MessageBody="m", **params)
    assert error.code == code
    assert message in error.message


async def test_a_delay_of_zero_leaves_the_fifo_queues_own_in_force(sqs):
    url = await sqs.create("slow.fifo", DelaySeconds=10)
    ids = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
    await sqs("send_message", QueueUrl=url, MessageBody="m", DelaySeconds=0, **ids)
    assert await sqs.bodies(url) == []


# Batches


async def test_a_batch_is_answered_entry_by_entry(sqs, url):
    result = await sqs("send_message_batch", QueueUrl=url, Entries=[entry(1), entry(2, MessageAttributes={"a": TEXT})])
    assert result.keys() == {"Successful"}
    assert [each["Id"] for each in result["Successful"]] == ["id-1", "id-2"]
    assert [each["MD5OfMessageBody"] for each in result["Successful"]] == [md5("m1"), md5("m2")]
    assert "MD5OfMessageAttributes" in result["Successful"][1]
    assert await sqs.bodies(url) == ["m1", "m2"]


async def test_an_entry_that_cannot_be_sent_fails_alone(sqs, url):
    entries = [entry(1), entry(2, MessageBody="\0"), entry(3, DelaySeconds=901), entry(4)]
    result = await sqs("send_message_batch", QueueUrl=url, Entries=entries)
    assert [each["Id"] for each in result["Successful"]] == ["id-1", "id-4"]
    assert [(each["Id"], each["Code"], each["SenderFault"]) for each in result["Failed"]] == [
        ("id-2", "InvalidMessageContents", True),
        ("id-3", "InvalidParameterValue", True),
    ]
    assert await sqs.bodies(url) == ["m1", "m4"]


async def test_a_batch_of_failures_only_sends_nothing(sqs, url):
    result = await sqs("send_message_batch", QueueUrl=url, Entries=[entry(1, MessageBody="")])
    assert result.keys() == {"Failed"}
    assert result["Failed"][0]["Code"] == "MissingParameter"


async def test_a_batch_has_one_mebibyte_in_all(sqs, url):
    entries = [entry(number, MessageBody="x" * 524_288) for number in range(2)]
    await sqs("send_message_batch", QueueUrl=url, Entries=entries)
    entries[1]["MessageAttributes"] = {"a": TEXT}
    error = await sqs.error("send_message_batch", QueueUrl=url, Entries=entries)
    assert error.code == "BatchRequestTooLong"
    assert error.message == "Batch requests cannot be longer than 1048576 bytes. You have sent 1048584 bytes."


async def test_a_bad_entry_fails_a_fifo_batch_whole(sqs, fifo):
    ids = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
    error = await sqs.error("send_message_batch", QueueUrl=fifo, Entries=[entry(1, **ids), entry(2)])
    assert error.code == "InvalidParameterValue"
    assert error.message == "The request must contain the parameter MessageGroupId."
    assert await sqs.bodies(fifo) == []


async def test_a_fifo_batch_keeps_its_order(sqs, fifo):
    entries = [entry(n, MessageGroupId="g", MessageDeduplicationId=str(n)) for n in range(10)]
    result = await sqs("send_message_batch", QueueUrl=fifo, Entries=entries)
    numbers = [each["SequenceNumber"] for each in result["Successful"]]
    assert numbers == sorted(numbers)
    assert await sqs.bodies(fifo) == [f"m{n}" for n in range(10)]


async def test_a_malformed_batch_is_refused_whole(sqs, url):
    for entries, code in (
        ([], "EmptyBatchRequest"),
        ([entry(n) for n in range(11)], "TooManyEntriesInBatchRequest"),
        ([entry(1), entry(1)], "BatchEntryIdsNotDistinct"),
        ([entry("!")], "InvalidBatchEntryId"),
    ):
        assert (await sqs.error("send_message_batch", QueueUrl=url, Entries=entries)).code == code


# Throughput


def numbered(number, group="g"):
    return {"MessageBody": "m", "MessageGroupId": group, "MessageDeduplicationId": str(number)}


async def test_a_fifo_queue_takes_300_sends_a_second(sqs, fifo, clock):
    for number in range(300):
        await sqs("send_message", QueueUrl=fifo, **numbered(number))
    error = await sqs.error("send_message", QueueUrl=fifo, **numbered(300))
    assert (error.code, error.message) == ("RequestThrottled", "Request is throttled.")
    await sqs.receive(fifo)
    await clock.advance(1_000)
    await sqs("send_message", QueueUrl=fifo, **numbered(300))


async def test_high_throughput_counts_by_group(sqs):
    url = await sqs.create("h.fifo", DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    for number in range(600):
        await sqs("send_message", QueueUrl=url, **numbered(number, f"g{number % 2}"))
    assert (await sqs.error("send_message", QueueUrl=url, **numbered(600, "g0"))).code == "RequestThrottled"
    await sqs("send_message", QueueUrl=url, **numbered(601, "g2"))


async def test_without_quotas_there_is_no_limit(sqs, fifo):
    sqs.server.quotas = Quotas(throughput=False)
    for number in range(301):
        await sqs("send_message", QueueUrl=fifo, **numbered(number))
