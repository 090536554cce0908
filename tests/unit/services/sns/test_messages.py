import hashlib

import pytest

from headrace.errors import ServiceError
from headrace.services.sns.messages import Place, read

STANDARD = Place(region="r", account="a", topic_arn="t")
FIFO = Place(region="r", account="a", topic_arn="t.fifo", fifo=True, content_dedup=True)
ENDPOINT = Place(region="r", account="a", needs_default=False)


def published(place=STANDARD, **given):
    return read({"Message": "text"} | given, place, message_id="id", now_ms=7)[0]


def test_what_was_given_is_kept():
    attributes = {
        "a": {"DataType": "Binary.png", "BinaryValue": b"\1"},
        "b": {"DataType": "Number", "StringValue": "1"},
    }
    publication = published(Subject="s", MessageAttributes=attributes, MessageGroupId="g")
    assert (publication.message_id, publication.published_at_ms, publication.subject) == ("id", 7, "s")
    assert publication.attributes["a"].data == b"\1"
    assert publication.attributes["b"].text == "1"
    assert (publication.group, publication.dedup_id) == ("g", None)


def test_the_size_counts_bytes_names_types_and_values():
    attributes = {"ab": {"DataType": "String", "StringValue": "ü"}, "c": {"DataType": "Binary", "BinaryValue": b"123"}}
    given = {"Message": "ü", "MessageAttributes": attributes}
    assert read(given, STANDARD, message_id="", now_ms=0)[1] == 2 + (2 + 6 + 2) + (1 + 6 + 3)


def test_a_message_of_the_largest_size():
    assert published(Message="x" * 262_144).message
    with pytest.raises(ServiceError, match="too long"):
        published(Message="ü" * 131_073)


def test_content_makes_a_deduplication_id():
    assert published(FIFO, MessageGroupId="g").dedup_id == hashlib.sha256(b"text").hexdigest()
    assert published(FIFO, MessageGroupId="g", MessageDeduplicationId="d").dedup_id == "d"


def test_each_protocol_has_its_text():
    publication = published(Message='{"default": "d", "sqs": "q", "email": 1, "http": ""}', MessageStructure="json")
    assert [publication.text_for(each) for each in ("sqs", "email", "http", "sms")] == ["q", "d", "", "d"]


def test_an_endpoint_needs_no_default():
    publication = published(ENDPOINT, Message='{"GCM": "{}"}', MessageStructure="json")
    assert publication.text_for("GCM") == "{}"
    with pytest.raises(ServiceError, match="No default entry"):
        published(ENDPOINT, Message='{"GCM": 1}', MessageStructure="json")


@pytest.mark.parametrize("message", ["[]", '"default"', "{", "[" * 100_000])
def test_structures_that_are_none(message):
    with pytest.raises(ServiceError, match="failed to parse"):
        published(Message=message, MessageStructure="json")


def test_another_structure():
    with pytest.raises(ServiceError, match="Message Structure"):
        published(MessageStructure="xml")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty"),
        ("x" * 257, "less than 256"),
        (".a", "starting with"),
        ("a.", "ending with"),
        ("a..b", "successive"),
        ("a b", "#x20"),
    ],
)
def test_names_that_no_attribute_has(name, said):
    with pytest.raises(ServiceError, match=said) as caught:
        published(MessageAttributes={name: {"DataType": "String", "StringValue": "x"}})
    assert caught.value.code == "ParameterValueInvalid"


@pytest.mark.parametrize("value", ["x", "1x", "--1", "1.2.3", " ", "0x10", "1e1000"])
def test_values_that_are_no_numbers(value):
    with pytest.raises(ServiceError, match="to number"):
        published(MessageAttributes={"a": {"DataType": "Number", "StringValue": value}})


@pytest.mark.parametrize("value", ["0", "-1.5", "+.5", "2.", "1e3", "1E-3"])
def test_values_that_are_numbers(value):
    assert (
        published(MessageAttributes={"a": {"DataType": "Number.int", "StringValue": value}}).attributes["a"].text
        == value
    )
