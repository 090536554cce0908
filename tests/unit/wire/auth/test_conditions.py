import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.wire.auth import conditions

KEYS = {
    "aws:sourcearn": ("arn:aws:sns:eu-west-1:111122223333:orders",),
    "aws:sourceaccount": ("111122223333",),
    "aws:currenttime": ("2026-03-01T12:00:00+00:00",),
    "aws:epochtime": ("1772366400",),
    "aws:securetransport": ("true",),
    "aws:sourceip": ("203.0.113.7",),
    "app:size": ("10",),
    "app:data": (base64.b64encode(b"blue").decode(),),
    "app:tags": ("red", "blue"),
    "app:stars": ("a*b",),
    "app:brackets": ("[ab]",),
}

TOPIC = KEYS["aws:sourcearn"][0]


def hold(operator, key, wanted, *, variables=True):
    return conditions.hold({operator: {key: wanted}}, KEYS, variables=variables)


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "holds"),
    [
        ("StringEquals", "aws:SourceAccount", "111122223333", True),
        ("StringEquals", "aws:SourceAccount", 111122223333, True),
        ("StringEquals", "AWS:SOURCEACCOUNT", ["1", "111122223333"], True),
        ("StringEquals", "aws:SourceAccount", "1111*", False),
        ("StringEquals", "aws:SourceArn", TOPIC.upper(), False),
        ("StringEqualsIgnoreCase", "aws:SourceArn", TOPIC.upper(), True),
        ("StringNotEquals", "aws:SourceAccount", "444455556666", True),
        ("StringNotEquals", "aws:SourceAccount", ["444455556666", "111122223333"], False),
        ("StringNotEqualsIgnoreCase", "aws:SourceArn", TOPIC.upper(), False),
        ("StringLike", "aws:SourceAccount", "1111*", True),
        ("StringLike", "aws:SourceAccount", "11112222333?", True),
        ("StringLike", "aws:SourceAccount", "1111", False),
        ("StringLike", "app:brackets", "[ab]", True),
        ("StringLike", "app:brackets", "[*]", True),
        ("StringNotLike", "aws:SourceAccount", "4444*", True),
        ("StringNotLike", "aws:SourceAccount", ["4444*", "1111*"], False),
        ("ArnEquals", "aws:SourceArn", TOPIC, True),
        ("ArnLike", "aws:SourceArn", "arn:aws:sns:*:*:orders", True),
        ("ArnEquals", "aws:SourceArn", "arn:*:*:*:*:*", True),
        ("ArnLike", "aws:SourceArn", "*", True),
        ("ArnLike", "aws:SourceArn", "arn:aws:sns:*:orders", False),
        ("ArnLike", "aws:SourceArn", "arn:aws:sns:eu-*", False),
        ("ArnLike", "aws:SourceArn", "arn:aws:s3:*:*:orders", False),
        ("ArnNotEquals", "aws:SourceArn", TOPIC, False),
        ("ArnNotLike", "aws:SourceArn", "arn:aws:sns:*:444455556666:*", True),
        ("NumericEquals", "app:size", 10, True),
        ("NumericEquals", "app:size", "10.0", True),
        ("NumericNotEquals", "app:size", ["9", "11"], True),
        ("NumericLessThan", "app:size", 10, False),
        ("NumericLessThanEquals", "app:size", 10, True),
        ("NumericGreaterThan", "app:size", 9.5, True),
        ("NumericGreaterThanEquals", "app:size", 10.5, False),
        ("DateLessThan", "aws:CurrentTime", "2026-03-01T12:00:01Z", True),
        ("DateGreaterThan", "aws:CurrentTime", "2026-03-01T12:00:00Z", False),
        ("DateGreaterThanEquals", "aws:CurrentTime", "2026-03-01T14:00:00+02:00", True),
        ("DateLessThanEquals", "aws:CurrentTime", "2026-03-01", False),
        ("DateEquals", "aws:EpochTime", "2026-03-01T12:00:00Z", True),
        ("DateNotEquals", "aws:EpochTime", "1772366400", False),
        ("NumericGreaterThan", "aws:EpochTime", "1772366399", True),
        ("Bool", "aws:SecureTransport", True, True),
        ("Bool", "aws:SecureTransport", "false", False),
        ("Bool", "aws:SecureTransport", "True", True),
        ("BinaryEquals", "app:data", "Ymx1ZQ==", True),
        ("BinaryEquals", "app:data", "Ymx1ZA==", False),
        ("IpAddress", "aws:SourceIp", "203.0.113.0/24", True),
        ("IpAddress", "aws:SourceIp", ["2001:db8::/32", "203.0.113.7"], True),
        ("NotIpAddress", "aws:SourceIp", "203.0.113.0/24", False),
        ("NotIpAddress", "aws:SourceIp", "198.51.100.0/24", True),
        ("Null", "aws:SourceIp", "false", True),
        ("Null", "aws:SourceIp", True, False),
        ("Null", "aws:SourceVpc", "true", True),
        ("Null", "aws:SourceVpc", False, False),
    ],
)
def test_operators(operator, key, wanted, holds):
    assert hold(operator, key, wanted) is holds


@pytest.mark.parametrize(
    ("operator", "holds"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("ArnNotLike", True),
        ("NumericLessThan", False),
        ("Bool", False),
        ("StringEqualsIfExists", True),
        ("StringNotEqualsIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAnyValue:StringEqualsIfExists", True),
    ],
)
def test_a_key_that_the_call_does_not_have(operator, holds):
    assert hold(operator, "aws:SourceVpc", "vpc-1") is holds


def test_if_exists_compares_what_there_is():
    assert hold("StringEqualsIfExists", "aws:SourceAccount", "111122223333")
    assert not hold("StringEqualsIfExists", "aws:SourceAccount", "444455556666")
    assert not hold("StringNotEqualsIfExists", "aws:SourceAccount", "111122223333")


@pytest.mark.parametrize(
    ("operator", "wanted", "holds"),
    [
        ("ForAnyValue:StringEquals", ["blue", "green"], True),
        ("ForAnyValue:StringEquals", ["green"], False),
        ("ForAllValues:StringEquals", ["blue", "green"], False),
        ("ForAllValues:StringEquals", ["blue", "green", "red"], True),
        ("ForAllValues:StringLike", ["*e*"], True),
        ("ForAnyValue:StringNotEquals", ["blue"], True),
        ("ForAllValues:StringNotEquals", ["blue"], False),
        ("ForAllValues:StringNotEquals", ["green"], True),
        ("StringEquals", ["blue"], False),
        ("StringNotEquals", ["blue"], False),
    ],
)
def test_keys_of_several_values(operator, wanted, holds):
    assert hold(operator, "app:tags", wanted) is holds


def test_all_conditions_must_hold():
    account = {"aws:SourceAccount": "111122223333"}
    both = {"StringEquals": account, "ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:orders"}}
    assert conditions.hold(both, KEYS, variables=True)
    assert not conditions.hold(both | {"Bool": {"aws:SecureTransport": "false"}}, KEYS, variables=True)
    assert not conditions.hold({"StringEquals": account | {"app:size": "11"}}, KEYS, variables=True)
    assert conditions.hold({}, KEYS, variables=True)


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "holds"),
    [
        ("StringEquals", "aws:SourceAccount", "${aws:SourceAccount}", True),
        ("StringLike", "aws:SourceArn", "arn:aws:sns:*:${AWS:SourceAccount}:*", True),
        ("ArnLike", "aws:SourceArn", "arn:aws:sns:*:${aws:SourceAccount}:*", True),
        ("StringEquals", "aws:SourceAccount", "${aws:SourceVpc}", False),
        ("StringNotEquals", "aws:SourceAccount", "${aws:SourceVpc}", True),
        ("StringEquals", "aws:SourceAccount", ["${aws:SourceVpc}", "111122223333"], True),
        ("StringEquals", "aws:SourceAccount", "${aws:SourceVpc, '111122223333'}", True),
        ("StringEquals", "aws:SourceAccount", "${app:tags}", False),
        ("StringLike", "app:stars", "a${*}?", True),
        ("StringLike", "aws:SourceAccount", "1${*}", False),
        ("StringLike", "aws:SourceAccount", "${app:stars}", False),
        ("StringLike", "app:stars", "${app:stars}", True),
    ],
)
def test_variables(operator, key, wanted, holds):
    assert hold(operator, key, wanted) is holds


def test_older_versions_have_no_variables():
    assert not hold("StringEquals", "aws:SourceAccount", "${aws:SourceAccount}", variables=False)


@pytest.mark.parametrize(
    ("operator", "key", "wanted"),
    [
        ("StringAlmostEquals", "aws:SourceArn", "a"),
        ("BoolNot", "aws:SecureTransport", "true"),
        ("ForSomeValues:StringEquals", "app:tags", "red"),
        ("ForAnyValue:Null", "app:tags", "true"),
        ("NumericEquals", "app:size", "ten"),
        ("NumericEquals", "aws:SourceArn", "10"),
        ("DateLessThan", "aws:CurrentTime", "tomorrow"),
        ("IpAddress", "aws:SourceIp", "everywhere"),
        ("StringEquals", "aws:SourceArn", {"a": "b"}),
        ("StringEquals", "aws:SourceArn", None),
    ],
)
def test_what_cannot_be_read(operator, key, wanted):
    with pytest.raises(ValueError, match=r"."):
        hold(operator, key, wanted)


@given(st.text(), st.text())
def test_a_text_without_wildcards_is_like_itself_alone(text, other):
    pattern = conditions.pattern_of(text.replace("*", "").replace("?", ""), None)
    assert conditions.like(text.replace("*", "").replace("?", ""), pattern)
    assert conditions.like(other, pattern) is (other == text.replace("*", "").replace("?", ""))


@given(st.text(alphabet="ab*?[]!", max_size=8), st.text(alphabet="ab[]!", max_size=8))
def test_wildcards_against_a_plain_reading(pattern, text):
    assert conditions.like(text, conditions.pattern_of(pattern, None)) is plainly_like(text, pattern)


def plainly_like(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(plainly_like(text[at:], pattern[1:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in (text[0], "?") and plainly_like(text[1:], pattern[1:])


def test_many_wildcards_take_no_time():
    assert not conditions.like("a" * 250 + "c", conditions.pattern_of("*a" * 500 + "b", None))
