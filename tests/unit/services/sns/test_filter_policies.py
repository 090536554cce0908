"""What is wrong with filter policies, in AWS's words and with AWS's places."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ServiceError
from headrace.services.sns import filters, limits


def refused(text: str, scope: str = filters.ATTRIBUTES) -> str:
    with pytest.raises(ServiceError) as caught:
        filters.compile_policy(text, scope)
    assert caught.value.code == "InvalidParameter"
    return caught.value.message


BAD = [
    ('{"key":[["value"]]}', "Match value must be String, number, true, false, or null", 10),
    ('{"key":[{"wrong-operator":true}]}', "Unrecognized match type wrong-operator", 31),
    ('{"key":[{"suffix":"value","prefix":"value2"}]}', "Only one key allowed in match expression", 37),
    ('{"key":[{"suffix":100}]}', "suffix match pattern must be a string", 22),
    ('{"key":[{"suffix":null}]}', "suffix match pattern must be a string", 23),
    ('{"key":[{"suffix":[]}]}', "suffix match pattern must be a string", 20),
    ('{"key":[{"prefix":{"equals-ignore-case":"a"}}]}', "prefix match pattern must be a string", 20),
    ('{"key":[{"wildcard":1}]}', "wildcard match pattern must be a string", 22),
    ('{"key":[{"equals-ignore-case":true}]}', "equals-ignore-case match pattern must be a string", 35),
    ('{"key":{"suffix":"value"}}', '"suffix" must be an object or an array', 19),
    ('{"key":{"suffix":"value","prefix":"value"}}', '"suffix" must be an object or an array', 19),
    ('{"key":{"not-an-operator":"value"}}', '"not-an-operator" must be an object or an array', 28),
    ('{"key_a":"value_one"}', '"key_a" must be an object or an array', 11),
    ('{"key":[{"numeric":[]}]}', "Invalid member in numeric match: ]", 22),
    ('{"key":[{"numeric":["operator"]}]}', "Unrecognized numeric range operator: operator", 32),
    ('{"key":[{"numeric":[1,"<="]}]}', "Invalid member in numeric match: 1", 22),
    ('{"key":[{"numeric":["=","000"]}]}', "Value of equals must be numeric", 26),
    ('{"key":[{"numeric":[">="]}]}', "Value of >= must be numeric", 26),
    ('{"key":[{"numeric":["<",100,">",10]}]}', "Too many elements in numeric expression", 30),
    ('{"key":[{"numeric":[">=",1,">",2]}]}', "Bad numeric range operator: >", 31),
    ('{"key":[{"numeric":[">",3,"<",1]}]}', "Bottom must be less than top", 33),
    ('{"key":[{"numeric":[">",20,"<="]}]}', "Value of <= must be numeric", 33),
    ('{"key":[{"numeric":[">",20,30]}]}', "Bad value in numeric range: 30", 30),
    ('{"key":[{"numeric":[">",20,"test"]}]}', "Bad numeric range operator: test", 34),
    ('{"key":[{"numeric":[">","20","<","30"]}]}', "Value of > must be numeric", 26),
    ('{"key":[{"numeric":[">",20,"<","30"]}]}', "Value of < must be numeric", 33),
    ('{"key":[{"numeric":[">",20,"<",30,"<",50]}]}', "Too many terms in numeric range expression", 36),
    ('{"key":[{"exists":null}]}', "exists match pattern must be either true or false.", 23),
    ('{"key":[{"exists":"no"}]}', "exists match pattern must be either true or false.", 20),
]


@pytest.mark.parametrize(("text", "message", "column"), BAD)
def test_errors_are_those_of_aws(text, message, column):
    place = f'\n at [Source: (String)"{text}"; line: 1, column: {column}]'
    assert refused(text) == f"Invalid parameter: FilterPolicy: {message}{place}"
    assert refused(text, filters.BODY) == f"Invalid parameter: FilterPolicy: {message}{place}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["a"]', "Filter is not an object"),
        ('{"key":[]}', "Empty arrays are not allowed"),
        ('{"key":{}}', "Empty objects are not allowed"),
        ('{"key":[{}]}', "Match expression name not found"),
        ('{"key":[{"numeric":5}]}', "Value of numeric must be an array."),
        ('{"key":[{"numeric":["=",1e10]}]}', "Value must be between -1.0E9 and 1.0E9, inclusive"),
        ('{"key":[{"numeric":["=",1],"exists":true}]}', "Too many elements in numeric expression"),
        ('{"key":[{"exists":true,"prefix":"a"}]}', "Only one key allowed in match expression"),
        ('{"key":[{"anything-but":true}]}', "Value of anything-but must be an array or single string/number value."),
        ('{"key":[{"anything-but":[null]}]}', "Inside anything but list, start|null|boolean is not supported."),
        ('{"key":[{"anything-but":[]}]}', "Inside anything but list, either all values are number or string, mixed"),
        (
            '{"key":[{"anything-but":[1,"a"]}]}',
            "Inside anything but list, either all values are number or string, mixed",
        ),
        ('{"key":[{"anything-but":{"numeric":["=",1]}}]}', "Unsupported anything-but pattern: numeric"),
        ('{"key":[{"anything-but":{}}]}', "Anything-But expression name not found"),
        ('{"key":[{"anything-but":{"prefix":""}}]}', "Null prefix/suffix not allowed"),
        ('{"key":[{"anything-but":{"prefix":[1]}}]}', "prefix/suffix match pattern must be a string"),
        ('{"key":[{"anything-but":{"prefix":[]}}]}', "Empty arrays are not allowed"),
        ('{"key":[{"anything-but":{"prefix":"a","suffix":"b"}}]}', "Too many elements in numeric expression"),
        ('{"key":[{"anything-but":{"wildcard":"a**"}}]}', "Consecutive wildcard characters at pos 2"),
        ('{"key":[{"wildcard":"a**"}]}', "Consecutive wildcard characters at pos 2"),
        ('{"key":[{"wildcard":"a\\\\b"}]}', "Invalid escape character at pos 1"),
        ('{"key":[{"cidr":"10.0.0.0"}]}', "Malformed CIDR, one '/' required"),
        ('{"key":[{"cidr":"10.0.0.0/x"}]}', "Malformed CIDR, mask bits must be an integer"),
        ('{"key":[{"cidr":"10.0.0.0/33"}]}', "IPv4 mask bits must be < 32"),
        ('{"key":[{"cidr":"10.0.0/8"}]}', "Nonstandard IP address: 10.0.0"),
        ('{"key":[{"cidr":7}]}', "cidr match pattern must be a string"),
    ],
)
def test_other_errors(text, message):
    assert refused(text).startswith(f"Invalid parameter: FilterPolicy: {message}")


def test_the_place_counts_lines():
    text = '{\n  "key": [\n    {"suffix": 1}\n  ]\n}'
    assert refused(text).endswith("; line: 3, column: 17]")


def test_of_a_long_policy_the_beginning_is_shown():
    text = json.dumps({"key": ["x" * 600, ["y"]]})
    assert f'(String)"{text[:500]}"[truncated {len(text) - 500} chars]; line: 1' in refused(text)


@pytest.mark.parametrize(
    "text", ["", "nope", "{", '{"a":[1]', '{"a":[1]} x', '{"a":[NaN]}', "{'a':[1]}", "[" * 3000 + "]" * 3000]
)
def test_what_is_no_json(text):
    assert refused(text) == "Invalid parameter: FilterPolicy: failed to parse JSON."


def test_nesting_is_for_bodies():
    nested = '{"object":{"key":[{"prefix":"auto-"}]}}'
    filters.compile_policy(nested, filters.BODY)
    message = "Invalid parameter: Filter policy scope MessageAttributes does not support nested filter policy"
    assert refused(nested) == message


def test_nesting_has_a_bound():
    deep = '{"a":' * (limits.FILTER_POLICY_DEPTH + 1) + "[1]" + "}" * (limits.FILTER_POLICY_DEPTH + 1)
    assert refused(deep, filters.BODY) == "Invalid parameter: FilterPolicy: failed to parse JSON."


def test_the_number_of_keys():
    filters.compile_policy(json.dumps({f"key{i}": ["v"] for i in range(5)}), filters.ATTRIBUTES)
    six = json.dumps({f"key{i}": ["v"] for i in range(6)})
    assert refused(six) == "Invalid parameter: FilterPolicy: Filter policy can not have more than 5 keys"


def test_only_the_topmost_keys_are_counted():
    filters.compile_policy(json.dumps({"a": {f"key{i}": ["v"] for i in range(3)}, "b": [1]}), filters.BODY)


def combinations(policy: dict, scope: str = filters.ATTRIBUTES) -> bool:
    """Whether a policy has few enough of them."""
    try:
        filters.compile_policy(json.dumps(policy), scope)
    except ServiceError as error:
        if error.message != "Invalid parameter: FilterPolicy: Filter policy is too complex":
            raise
        return False
    return True


def many(count: int, start: int = 0) -> list[str]:
    return [f"value{i}" for i in range(start, start + count)]


def test_combinations():
    assert combinations({"key": many(150)})
    assert not combinations({"key": many(151)})
    assert combinations({"a": many(3), "b": many(50)})
    assert not combinations({"key1": many(100), "key2": many(51)})


def test_combinations_count_the_depth():
    # AWS's example: four values three deep and three values two deep are 4 * 3 * 3 * 2 = 72 combinations.
    policy = {"key_a": {"key_b": {"key_c": many(4)}}, "key_d": {"key_e": many(3)}}
    assert combinations(policy, filters.BODY)
    assert combinations({**policy, "x": many(2)}, filters.BODY)
    assert not combinations({**policy, "x": many(3)}, filters.BODY)


def test_combinations_of_alternatives_are_added_up():
    def policy(sources: int, metrics: int, spaces: int) -> dict:
        inner = [{"metricId": many(4)}, {"spaceId": many(spaces)}]
        return {"source": many(sources), "$or": [{"metricName": many(metrics)}, {"metricType": many(4), "$or": inner}]}

    assert combinations(policy(3, 6, 7))  # 3 * 6 + 3 * 4 * 4 + 3 * 4 * 7 = 150
    assert not combinations(policy(4, 6, 4))  # 4 * 6 + 4 * 4 * 4 + 4 * 4 * 4 = 152


def test_combinations_of_nested_alternatives():
    policy = {
        "$or": [{"metricName": many(3)}, {"namespace": many(2)}],
        "detail": {"scope": many(2), "$or": [{"source": many(1)}, {"type": many(3)}]},
    }
    assert not combinations(policy, filters.BODY)  # 24 + 72 + 16 + 48 = 160
    policy["detail"]["$or"][1]["type"] = many(2)
    assert combinations(policy, filters.BODY)


def test_the_size():
    text = json.dumps({"key": ["x" * limits.FILTER_POLICY_BYTES]})
    assert "larger than 262144 bytes" in refused(text)


WORDS = [
    "prefix",
    "numeric",
    "anything-but",
    "exists",
    "cidr",
    "wildcard",
    "$or",
    "a",
    "=",
    ">",
    "10.0.0.0/8",
    "*a*",
    "",
]
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.floats(), st.sampled_from(WORDS))
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(ANYTHING, st.sampled_from([filters.ATTRIBUTES, filters.BODY]))
def test_whatever_is_asked_is_compiled_or_refused(value, scope):
    for text in (json.dumps(value), json.dumps({"key": value})):
        try:
            assert filters.compile_policy(text, scope).scope == scope
        except ServiceError as error:
            assert error.code == "InvalidParameter"  # noqa: PT017 - either is right
