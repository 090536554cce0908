"""SendMessage: bodies, sizes, delays."""

import hashlib
import uuid

import pytest
from botocore.exceptions import ClientError

MAX_BYTES = 1_048_576
CHARACTER_RULE = (
    "Invalid characters found. Valid unicode characters are "
    "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
)


def too_long(limit):
    return f"One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."


def text(value):
    return {"DataType": "String", "StringValue": value}


def test_send_message_answers_with_id_and_digest(queue):
    answer = queue.send("message")
    assert str(uuid.UUID(answer["MessageId"])) == answer["MessageId"]
    assert answer["MD5OfMessageBody"] == "78e731027d8fd50ed642340b7c9a63b3"
    assert not {"MD5OfMessageAttributes", "MD5OfMessageSystemAttributes", "SequenceNumber"} & set(answer)


def test_the_message_arrives_as_it_was_sent(queue):
    sent = queue.send("message")
    (message,) = queue.receive()
    assert message.pop("ReceiptHandle")
    assert message == {
        "MessageId": sent["MessageId"],
        "MD5OfBody": "78e731027d8fd50ed642340b7c9a63b3",
        "Body": "message",
    }


def test_every_message_has_its_own_id(queue):
    assert len({queue.send("same")["MessageId"] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    "body",
    [
        " ",
        "  leading and trailing  ",
        "\t\n\r",
        "line\r\nline\rline\n",
        '<a href="x">&amp;\'&lt;</a>',
        "]]>",
        '"&quot;&quot;\r',
        '{"foo": "ba\rr", "foo2": "ba&quot;r&quot;"}',
        "a+b=c&d%20e;f",
        "\u0080\u0085\u009f\u2028",
        "\ud7ff\ue000\ufffd",
        "\U00010000\U0001f680\U0010ffff",
        "Grüße, 世界, عالم",
        "\\u0000 \\n",
        "0",
        "null",
    ],
    ids=range(16),
)
def test_bodies_survive_unchanged(queue, body):
    assert queue.send(body)["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    (message,) = queue.receive()
    assert message["Body"] == body
    assert message["MD5OfBody"] == hashlib.md5(body.encode()).hexdigest()


@pytest.mark.parametrize("character", ["\0", "\x01", "\x08", "\x0b", "\x0c", "\x1f", "\ufffe", "\uffff"])
def test_characters_that_are_not_allowed(queue, character, refused):
    with refused("InvalidMessageContents", CHARACTER_RULE):
        queue.send(f"a{character}b")
    assert queue.depth() == (0, 0, 0)


@pytest.mark.parametrize("protocol", ["json"])
def test_half_a_surrogate_pair_is_refused(queue):
    with pytest.raises(ClientError) as caught:
        queue.send("\ud800")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert queue.depth() == (0, 0, 0)


def test_an_empty_body_is_refused(queue, refused):
    with refused("MissingParameter", "The request must contain the parameter MessageBody."):
        queue.send("")


def test_the_largest_message(queue):
    queue.send("a" * MAX_BYTES)
    (message,) = queue.receive()
    assert message["Body"] == "a" * MAX_BYTES


def test_one_byte_too_many(queue, refused):
    with refused("InvalidParameterValue", too_long(MAX_BYTES)):
        queue.send("a" * (MAX_BYTES + 1))


def test_size_counts_bytes_not_characters(make_queue, refused):
    queue = make_queue("small", MaximumMessageSize="1024")
    queue.send("ü" * 512)
    with refused("InvalidParameterValue", too_long(1024)):
        queue.send("ü" * 512 + "a")


def test_size_counts_attribute_names_types_and_values(make_queue, refused):
    queue = make_queue("small", MaximumMessageSize="1024")
    attributes = {"k": text("x"), "b": {"DataType": "Binary.png", "BinaryValue": b"\0\1\2"}}
    overhead = len("k" + "String" + "x") + len("b" + "Binary.png") + 3
    queue.send("a" * (1024 - overhead), MessageAttributes=attributes)
    with refused("InvalidParameterValue", too_long(1024)):
        queue.send("a" * (1024 - overhead + 1), MessageAttributes=attributes)


def test_size_does_not_count_the_trace_header(make_queue):
    queue = make_queue("small", MaximumMessageSize="1024")
    queue.send("a" * 1024, MessageSystemAttributes={"AWSTraceHeader": text("Root=1-5759e988-bd862e3fe1be46a994272793")})


def test_a_smaller_limit_of_the_queue(queue, refused):
    queue.set(MaximumMessageSize="1024")
    queue.send("a" * 1024)
    with refused("InvalidParameterValue", too_long(1024)):
        queue.send("a" * 1025)


def test_delay_of_a_message(queue, headrace):
    queue.send("later", DelaySeconds=900)
    assert queue.bodies() == []
    headrace.advance(898)
    assert queue.bodies() == []
    headrace.advance(2)
    assert queue.bodies() == ["later"]


def test_delay_of_the_queue(make_queue, headrace):
    queue = make_queue("slow", DelaySeconds="60")
    queue.send("later")
    queue.send("now", DelaySeconds=0)
    queue.send("soon", DelaySeconds=10)
    assert queue.bodies() == ["now"]
    headrace.advance(10)
    assert queue.bodies() == ["soon"]
    headrace.advance(50)
    assert "later" in queue.bodies()


def test_a_changed_delay_of_a_standard_queue_is_for_later_messages(queue, headrace):
    queue.send("before")
    queue.set(DelaySeconds="60")
    queue.send("after")
    assert queue.bodies() == ["before"]
    queue.set(DelaySeconds="0")
    assert queue.bodies() == []
    headrace.advance(60)
    assert "after" in queue.bodies()


@pytest.mark.parametrize("delay", [-1, 901])
def test_delays_out_of_range(queue, delay, refused):
    message = f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
    with refused("InvalidParameterValue", message):
        queue.send("never", DelaySeconds=delay)


def test_a_standard_queue_takes_no_deduplication_id(queue, refused):
    message = (
        "Value once for parameter MessageDeduplicationId is invalid. "
        "Reason: The request include parameter that is not valid for this queue type."
    )
    with refused("InvalidParameterValue", message):
        queue.send("a", MessageDeduplicationId="once")


def test_messages_of_two_queues_stay_apart(queue, make_queue):
    other = make_queue("other")
    queue.send("a")
    other.send("b")
    assert (queue.bodies(), other.bodies()) == (["a"], ["b"])
