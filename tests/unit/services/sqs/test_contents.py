"""Bodies, message attributes, their digests, and the choice ReceiveMessage makes among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ServiceError
from headrace.services.sqs import contents
from headrace.services.sqs.records import MessageAttribute


def text(value, data_type="String"):
    return {"DataType": data_type, "StringValue": value}


def allowed(character):
    point = ord(character)
    return point in (0x9, 0xA, 0xD) or 0x20 <= point <= 0xD7FF or 0xE000 <= point <= 0xFFFD or point >= 0x10000


# Text


@given(st.characters())
def test_a_text_holds_the_characters_of_xml(character):
    data = contents.encode_text(f"a{character}b")
    assert (data is not None) == allowed(character)


@given(st.text())
def test_an_allowed_text_is_given_as_utf8(body):
    if all(allowed(character) for character in body):
        assert contents.encode_text(body) == body.encode()
    else:
        assert contents.encode_text(body) is None


def test_surrogates_are_not_text():
    assert contents.encode_text("\ud800") is None


# Digests: known answers, given by AWS


@pytest.mark.parametrize(
    ("attributes", "digest"),
    [
        (
            {"Hello": text("There"), "General": text("Kenobi"), "Help.Me": text("Me")},
            "4c360f3fdafd970e05fae2f149d997f5",
        ),
        ({"Hello": text("There"), "General": text("Kenobi")}, "fca026605781cb4126a1e9044df24232"),
        ({"Hello": text("There")}, "a311262e065454b75da111d535b8dacd"),
        ({"Hello": text("There"), "Help.Me": text("Me")}, "83fee93c1bcd8b9a5a923ffacdc636c7"),
        ({"Foo": text("Bar")}, "ae7155c6026991b6d54b11589678bf9c"),
        ({"UserId": text("1234567890123456789012", "Number.bigint")}, "797ab158d73dcb5242dedc4412c8e855"),
        ({"data1": text("1", "Number"), "data2": text("2", "Number")}, "b53b5acf24e7fd9567705bd8027b1c76"),
        (
            {
                "attr1": {
                    "DataType": "Binary",
                    "BinaryValue": b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01",
                }
            },
            "8cbe4db156db8a94db8b801b7addb984",
        ),
    ],
)
def test_the_digest_of_attributes_is_awss(attributes, digest):
    assert contents.digest(contents.parse_attributes(attributes)) == digest


def test_the_digest_of_the_trace_header_is_awss():
    trace = contents.parse_trace({"AWSTraceHeader": text("some-trace-id")})
    assert trace is not None
    assert contents.digest({"AWSTraceHeader": trace}) == "fdce4f2818803f2f73becc09a54792c0"


# Message attributes


def test_attributes_are_read_by_their_types():
    parsed = contents.parse_attributes(
        {
            "s": text("ü", "String.url"),
            "n": text("-1.5e3", "Number"),
            "b": {"DataType": "Binary.png", "BinaryValue": b"\0"},
        }
    )
    assert parsed == {
        "s": MessageAttribute("String.url", "ü"),
        "n": MessageAttribute("Number", "-1.5e3"),
        "b": MessageAttribute("Binary.png", data=b"\0"),
    }
    assert contents.attributes_bytes(parsed) == (1 + 10 + 2) + (1 + 6 + 6) + (1 + 10 + 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "non-empty message \\(user\\) attribute names"),
        ("a" * 257, "shorter than 256 bytes"),
        ("a b", "name can only contain"),
        ("ü", "name can only contain"),
        ("a..b", "name can only contain"),
        ("AWS.x", "beginning with 'AWS.' or 'Amazon.'"),
        ("aMaZoN.x", "beginning with 'AWS.' or 'Amazon.'"),
        (".a", "cannot start or end"),
        ("a.", "cannot start or end"),
    ],
)
def test_attribute_names_have_rules(name, message):
    with pytest.raises(ServiceError, match=message) as caught:
        contents.parse_attributes({name: text("v")})
    assert caught.value.code == "InvalidParameterValue"


@pytest.mark.parametrize("name", ["a", "a" * 256, "A-Z_0.9", "awsome.x", "All", "amazonas"])
def test_names_within_them_are_taken(name):
    assert name in contents.parse_attributes({name: text("v")})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "non-empty message attribute type"),
        ({"DataType": "", "StringValue": "v"}, "non-empty message attribute type"),
        (text("v", "Text"), "supported type prefixes: Binary, Number, String"),
        (text("v", "Stringy"), "supported type prefixes"),
        (text("v", "String." + "x" * 250), "type must be shorter than 256"),
        (text(""), "non-empty value of type 'String'"),
        ({"DataType": "String", "BinaryValue": b"v"}, "non-empty value of type 'String'"),
        ({"DataType": "Binary", "StringValue": "v"}, "non-empty value of type 'Binary'"),
        (text("v\0"), "Invalid characters found"),
        (text("world", "Number"), "Can't cast the value of message \\(user\\) attribute 'a' to a number"),
    ],
)
def test_attribute_values_have_rules(value, message):
    with pytest.raises(ServiceError, match=message) as caught:
        contents.parse_attributes({"a": value})
    assert caught.value.code == "InvalidParameterValue"


@pytest.mark.parametrize("values", [{"StringListValues": ["v"]}, {"BinaryListValues": [b""]}, {"BinaryListValues": []}])
def test_list_values_are_not_supported(values):
    message = "Message attribute list values in SendMessage operation are not supported."
    with pytest.raises(ServiceError, match=message) as caught:
        contents.parse_attributes({"a": {"DataType": "String"} | values})
    assert caught.value.code == "UnsupportedOperation"


def test_a_message_has_ten_attributes_at_most():
    contents.parse_attributes({f"a{n}": text("v") for n in range(10)})
    with pytest.raises(ServiceError, match=r"Number of message attributes \[11\] exceeds the allowed maximum \[10\]"):
        contents.parse_attributes({f"a{n}": text("v") for n in range(11)})


@pytest.mark.parametrize(
    "number", ["0", "-0.0", "1", "+1", "1.", ".5", "1e126", "9" * 38, "0." + "0" * 127 + "1", "000001e126"]
)
def test_numbers_are_decimal(number):
    contents.parse_attributes({"n": text(number, "Number")})


@pytest.mark.parametrize(
    "number",
    ["", "+", ".", "e5", "1e", "0x10", "1,5", "NaN", "Infinity", "1e127", "9" * 39, "1e-129", " 1", "1\n", "٣"],
)
def test_what_is_no_number_or_beyond_38_digits_is_refused(number):
    with pytest.raises(ServiceError):
        contents.parse_attributes({"n": text(number, "Number")})


def test_there_is_one_system_attribute():
    assert contents.parse_trace({}) is None
    with pytest.raises(ServiceError, match="Message system attribute name 'Hello' is invalid"):
        contents.parse_trace({"Hello": text("v")})
    with pytest.raises(ServiceError, match="must be String"):
        contents.parse_trace({"AWSTraceHeader": text("1", "Number")})


# Choosing


ATTRIBUTES = {name: MessageAttribute("String", name) for name in ("Hello", "Help.Me", "General")}


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["All"], {"Hello", "Help.Me", "General"}),
        ([".*"], {"Hello", "Help.Me", "General"}),
        (["Hel.*"], {"Hello", "Help.Me"}),
        (["Help.*", "General"], {"Help.Me", "General"}),
        (["Hello", "Foo"], {"Hello"}),
        (["hello", "AWS.", "..foo"], set()),
    ],
)
def test_receivers_choose_by_name_and_prefix(names, chosen):
    assert contents.attribute_filter(names).select(ATTRIBUTES).keys() == chosen


def test_attributes_are_given_as_they_came():
    given_values = {"s": text("v", "String.x"), "b": {"DataType": "Binary", "BinaryValue": b"\x00"}}
    assert contents.attribute_values(contents.parse_attributes(given_values)) == given_values
