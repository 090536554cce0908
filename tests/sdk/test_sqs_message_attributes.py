"""Message attributes: types, names, digests, and which of them a receive returns."""

import hashlib
import struct

import pytest

STAR_WARS = {
    "Hello": {"DataType": "String", "StringValue": "There"},
    "General": {"DataType": "String", "StringValue": "Kenobi"},
    "Help.Me": {"DataType": "String", "StringValue": "Me"},
}
# Digests that AWS answered for these attributes.
MD5_OF_ALL = "4c360f3fdafd970e05fae2f149d997f5"
MD5_OF_HELLO_GENERAL = "fca026605781cb4126a1e9044df24232"
MD5_OF_HELLO = "a311262e065454b75da111d535b8dacd"
MD5_OF_HELLO_HELP = "83fee93c1bcd8b9a5a923ffacdc636c7"


def string(value, kind="String"):
    return {"DataType": kind, "StringValue": value}


def binary(value, kind="Binary"):
    return {"DataType": kind, "BinaryValue": value}


def digest(attributes):
    """The digest as SDKs check it: length-prefixed names, types and values in the order of the names."""
    packed = b""
    for name, attribute in sorted(attributes.items()):
        value = attribute.get("StringValue", "").encode() or attribute["BinaryValue"]
        transport = b"\1" if "StringValue" in attribute else b"\2"
        parts = [_sized(name.encode()), _sized(attribute["DataType"].encode()), transport, _sized(value)]
        packed += b"".join(parts)
    return hashlib.md5(packed).hexdigest()


def _sized(part):
    return struct.pack(">I", len(part)) + part


@pytest.mark.parametrize(
    "attributes",
    [
        STAR_WARS,
        {"n": string("42", "Number")},
        {"n": string("-1.5e10", "Number.double")},
        {"n": string("0", "Number.int.age")},
        {"b": binary(b"\x00\xff\x1e binary")},
        {"b": binary(b"PNG", "Binary.png")},
        {"s": string("grün <&> \r\n", "String.colour")},
        {"s": string(" ")},
        {"Z": string("1"), "a": string("2"), "_": string("3"), "-": string("4"), "0": string("5"), "a.b": string("6")},
        {f"a{number}": string("x") for number in range(10)},
        {"n" * 256: string("long name")},
    ],
    ids=range(11),
)
def test_attributes_survive_with_their_digest(queue, attributes):
    sent = queue.send("body", MessageAttributes=attributes)
    assert sent["MD5OfMessageAttributes"] == digest(attributes)
    (message,) = queue.receive(MessageAttributeNames=["All"])
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == digest(attributes)


def test_digests_are_those_of_aws(queue):
    assert queue.send("msg", MessageAttributes=STAR_WARS)["MD5OfMessageAttributes"] == MD5_OF_ALL
    trace = binary(b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01")
    assert queue.send("test", MessageAttributes={"attr1": trace})["MD5OfMessageAttributes"] == (
        "8cbe4db156db8a94db8b801b7addb984"
    )


@pytest.mark.parametrize(
    ("asked", "names", "md5"),
    [
        (["All"], ["General", "Hello", "Help.Me"], MD5_OF_ALL),
        ([".*"], ["General", "Hello", "Help.Me"], MD5_OF_ALL),
        (["Hello", "General"], ["General", "Hello"], MD5_OF_HELLO_GENERAL),
        (["Hello", "Nobody"], ["Hello"], MD5_OF_HELLO),
        (["Hel.*"], ["Hello", "Help.Me"], MD5_OF_HELLO_HELP),
        (["Hello", "Help.*"], ["Hello", "Help.Me"], MD5_OF_HELLO_HELP),
        (["Hello", "All"], ["General", "Hello", "Help.Me"], MD5_OF_ALL),
    ],
)
def test_a_receive_returns_the_attributes_asked_for(queue, asked, names, md5):
    queue.send("msg", MessageAttributes=STAR_WARS)
    (message,) = queue.receive(MessageAttributeNames=asked)
    assert message["MessageAttributes"] == {name: STAR_WARS[name] for name in names}
    assert message["MD5OfMessageAttributes"] == md5


@pytest.mark.parametrize("asked", [[], ["Nobody"], ["hello"], ["Nob.*"]])
def test_a_receive_that_asks_for_none_of_them(queue, asked):
    queue.send("msg", MessageAttributes=STAR_WARS)
    (message,) = queue.receive(**({"MessageAttributeNames": asked} if asked else {}))
    assert not message.get("MessageAttributes")
    assert "MD5OfMessageAttributes" not in message


def test_an_empty_value_is_refused(queue, refused):
    message = "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'."
    with refused("InvalidParameterValue", message):
        queue.send("a", MessageAttributes={"ErrorDetails": string("")})


@pytest.mark.parametrize(
    "attribute",
    [
        string("x", "string"),
        string("x", "Text"),
        string("x", ""),
        string("x", "Stringy"),
        string("x", "String." + "t" * 256),
        string("many", "Number"),
        string("", "Number"),
        string("12 apples", "Number.int"),
        string("NaN", "Number"),
        binary(b"", "Binary"),
        binary(b"x", "String"),
        string("x", "Binary"),
        {"DataType": "String"},
        string("a\x0bb"),
    ],
    ids=range(14),
)
def test_attributes_that_are_not_well_formed(queue, attribute, refused):
    with refused("InvalidParameterValue"):
        queue.send("a", MessageAttributes={"name": attribute})
    assert queue.depth() == (0, 0, 0)


@pytest.mark.parametrize(
    "name",
    ["AWS.x", "aws.x", "Amazon.x", "AMAZON.x", ".a", "a.", "a..b", "two words", "a/b", "ü", "n" * 257],
)
def test_names_that_are_not_allowed(queue, name, refused):
    with refused("InvalidParameterValue"):
        queue.send("a", MessageAttributes={name: string("x")})


@pytest.mark.parametrize("name", ["AWSx", "Amazon_x", "a.b.c", "A-b_c.0"])
def test_names_that_look_reserved_and_are_not(queue, name):
    queue.send("a", MessageAttributes={name: string("x")})


def test_ten_attributes_at_most(queue, refused):
    with refused("InvalidParameterValue", "Number of message attributes [11] exceeds the allowed maximum [10]."):
        queue.send("a", MessageAttributes={f"a{number}": string("x") for number in range(11)})


@pytest.mark.parametrize("values", [{"StringListValues": ["a"]}, {"BinaryListValues": [b"a"]}])
def test_list_values_are_not_supported(queue, values, refused):
    with refused("AWS.SimpleQueueService.UnsupportedOperation"):
        queue.send("a", MessageAttributes={"name": {"DataType": "String"} | values})


def test_the_trace_header_is_a_system_attribute(queue):
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    sent = queue.send("a", MessageSystemAttributes={"AWSTraceHeader": string(header)})
    assert sent["MD5OfMessageSystemAttributes"] == digest({"AWSTraceHeader": string(header)})
    assert "MD5OfMessageAttributes" not in sent
    (message,) = queue.receive(AttributeNames=["AWSTraceHeader"], MessageAttributeNames=["All"])
    assert message["Attributes"] == {"AWSTraceHeader": header}
    assert not message.get("MessageAttributes")


def test_the_trace_header_must_be_text(queue, refused):
    with refused("InvalidParameterValue"):
        queue.send("a", MessageSystemAttributes={"AWSTraceHeader": string("1", "Number")})


def test_no_other_system_attribute_can_be_sent(queue, refused):
    with refused("InvalidParameterValue"):
        queue.send("a", MessageSystemAttributes={"SenderId": string("me")})
