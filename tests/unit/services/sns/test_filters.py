"""The filter language, by the examples of AWS's documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.services.sns import filters
from headrace.services.sns.records import MessageAttribute, Publication


def publication(message: str = "text", bodies: dict[str, str] | None = None, **attributes: Any) -> Publication:
    """A message with attributes: a string, a number, a list (String.Array) or bytes each."""
    return Publication(
        message_id="00000000-0000-0000-0000-000000000000",
        topic_arn="arn:aws:sns:us-east-1:000000000000:t",
        region="us-east-1",
        account="000000000000",
        message=message,
        published_at_ms=0,
        bodies=bodies or {},
        attributes={name: attribute(value) for name, value in attributes.items()},
    )


def attribute(value: Any) -> MessageAttribute:
    if isinstance(value, MessageAttribute):
        return value
    if isinstance(value, bytes):
        return MessageAttribute("Binary", data=value)
    if isinstance(value, list):
        return MessageAttribute("String.Array", json.dumps(value))
    if isinstance(value, str):
        return MessageAttribute("String", value)
    return MessageAttribute("Number", str(value))


def passes(policy: Any, *, body: Any = None, **attributes: Any) -> bool:
    """Whether a message with these attributes, or with that body, gets through."""
    scope = filters.ATTRIBUTES if body is None else filters.BODY
    compiled = filters.compile_policy(json.dumps(policy), scope)
    message = body if isinstance(body, str) else json.dumps(body)
    return compiled.matches(filters.prepare(publication(message, **attributes)))


KEY = "customer_interests"

STRINGS = [
    (["rugby", "tennis"], ["rugby", "tennis", ["rugby", "tennis"], ["chess", "tennis"]], ["baseball", ["baseball"]]),
    ([{"anything-but": ["rugby", "tennis"]}], ["baseball", ["rugby", "baseball"]], ["rugby", ["rugby"]]),
    ([{"anything-but": "rugby"}], ["tennis"], ["rugby"]),
    ([{"anything-but": {"prefix": "order-"}}], ["data-entry"], ["order-number"]),
    ([{"anything-but": {"prefix": ["order-", "data-"]}}], ["entry"], ["order-number", "data-entry"]),
    ([{"anything-but": {"suffix": "ball"}}], ["tennis"], ["football"]),
    ([{"anything-but": {"wildcard": "*ball"}}], ["ballet"], ["ball", "football"]),
    ([{"anything-but": {"wildcard": ["*ball", "t*"]}}], ["rugby"], ["football", "tennis"]),
    ([{"anything-but": {"equals-ignore-case": ["tennis", "RUGBY"]}}], ["chess"], ["TENNIS", "rugby"]),
    ([{"equals-ignore-case": "tennis"}], ["tennis", "TENNIS", "Tennis"], ["rugby", "tenni"]),
    ([{"prefix": "bas"}], ["baseball", "basketball", "bas"], ["rugby", "Baseball"]),
    ([{"suffix": "ball"}], ["baseball", "ball"], ["rugby", "balls"]),
    ([{"wildcard": "*ball"}], ["baseball", "ball"], ["balls"]),
    ([{"wildcard": "b*a*l"}], ["baseball", "bal"], ["ball-", "bl", "abl"]),
    ([{"wildcard": "b\\*l\\\\"}], ["b*l\\"], ["bal\\", "b*l"]),
    ([{"wildcard": "ab*ba"}], ["abba", "abxba"], ["aba"]),
    ([{"wildcard": "*"}], ["", "x"], []),
    (["rugby", {"prefix": "bas"}], ["rugby", "baseball"], ["tennis"]),
    ([{"exists": True}], ["", "x", [], ["a"], 1], [b"binary"]),
    ([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255"], ["10.1.1.0", "10.0.1.0", "10.0.0", "::1"]),
    ([{"cidr": "2001:db8::/32"}], ["2001:db8::1"], ["2001:db9::1", "10.0.0.1"]),
    ([{"cidr": "10.0.0.7/24"}], ["10.0.0.1"], ["10.0.1.1"]),
]


@pytest.mark.parametrize(("conditions", "let_through", "held_back"), STRINGS)
def test_strings(conditions, let_through, held_back):
    for value in let_through:
        assert passes({KEY: conditions}, **{KEY: value}), value
        if not isinstance(value, int | bytes) and value != []:
            assert passes({KEY: conditions}, body={KEY: value}), value
    for value in held_back:
        assert not passes({KEY: conditions}, **{KEY: value}), value
        if not isinstance(value, bytes):
            assert not passes({KEY: conditions}, body={KEY: value}), value


NUMBERS = [
    ([{"numeric": ["=", 301.5]}], [301.5, "3.015e2", "301.50"], [301, 302]),
    ([{"numeric": [">", 0, "<", 150]}], [100, 0.00001, 149.99999], [0, 150, -1]),
    ([{"numeric": [">=", 0, "<=", 150]}], [0, 150], [-0.00001, 150.00001]),
    ([{"numeric": [">", 180]}], [181], [180, 179]),
    ([{"numeric": ["<", 10]}], [9, -5], [10]),
    ([{"numeric": ["<=", 10]}], [10], [10.1]),
    ([{"numeric": [">=", 10]}], [10], [9.9]),
    ([{"anything-but": [100, 500]}], [101, 100.1], [100, 500]),
    ([{"anything-but": 100}], [101], [100]),
    ([100], [100, "100.0", "1e2"], [101]),
    ([123456789012], [123456789012], [123456789013]),
]


@pytest.mark.parametrize(("conditions", "let_through", "held_back"), NUMBERS)
def test_numbers(conditions, let_through, held_back):
    for value in let_through:
        number = MessageAttribute("Number", str(value))
        assert passes({"price_usd": conditions}, price_usd=number), value
        assert passes({"price_usd": conditions}, body=f'{{"price_usd": {value}}}'), value
        assert passes({"price_usd": conditions}, price_usd=[json.loads(str(value))]), value
    for value in held_back:
        assert not passes({"price_usd": conditions}, price_usd=value), value
        assert not passes({"price_usd": conditions}, body={"price_usd": value}), value


def test_numbers_are_compared_up_to_five_digits_after_the_point():
    assert passes({"n": [1.000001]}, n=1)
    assert not passes({"n": [1.00001]}, n=1)


def test_types_do_not_mix():
    assert not passes({"n": [100]}, n="100")
    assert not passes({"n": ["100"]}, n=100)
    assert not passes({"n": [{"prefix": "1"}]}, n=100)
    assert not passes({"n": [1]}, body={"n": True})
    assert not passes({"n": ["true"]}, body={"n": True})
    assert passes({"n": [{"anything-but": ["100"]}]}, n=100)
    assert passes({"n": [{"anything-but": {"prefix": "1"}}]}, n=100)


def test_keywords():
    assert passes({"k": [True]}, body={"k": True})
    assert not passes({"k": [True]}, body={"k": False})
    assert passes({"k": [None]}, body={"k": None})
    assert not passes({"k": [None]}, body={})
    assert passes({"k": [True]}, k=[True, "x"])
    assert passes({"k": [None]}, k=[None])


def test_null_among_attributes_is_one_that_is_not_there():
    assert passes({"attr1": [None, {"anything-but": "whatever"}]})
    assert not passes({"attr1": [None]}, attr1="x")


def test_exists():
    assert passes({"store": [{"exists": True}]}, store="x")
    assert not passes({"store": [{"exists": True}]}, other="x")
    assert passes({"store": [{"exists": False}]}, other="x")
    assert not passes({"store": [{"exists": False}]}, store="x")
    assert passes({"store": [{"exists": False}, "here"]}, store="here")


def test_binary_attributes_are_not_there():
    assert passes({"b": [{"exists": False}]}, b=b"x")


def test_a_string_array_that_is_none_matches_nothing_but_is_there():
    broken = MessageAttribute("String.Array", "[not json")
    assert not passes({"a": ["[not json"]}, a=broken)
    assert passes({"a": [{"exists": True}]}, a=broken)


def test_own_type_names():
    assert passes({"n": [{"numeric": ["=", 5]}]}, n=MessageAttribute("Number.int", "5"))
    assert passes({"s": ["x"]}, s=MessageAttribute("String.custom", "x"))


def test_and():
    policy = {KEY: ["rugby"], "price_usd": [{"numeric": [">", 100]}]}
    assert passes(policy, **{KEY: "rugby"}, price_usd=101)
    assert not passes(policy, **{KEY: "rugby"}, price_usd=100)
    assert not passes(policy, price_usd=101)
    assert passes(policy, body={KEY: "rugby", "price_usd": 101, "more": {}})


OR = {
    "source": ["aws.cloudwatch"],
    "$or": [
        {"metricName": ["CPUUtilization"]},
        {"namespace": ["AWS/EC2", "AWS/ES"], "$or": [{"a": [1]}, {"b": [2]}]},
    ],
}


def test_or():
    source = "aws.cloudwatch"
    assert passes(OR, source=source, metricName="CPUUtilization")
    assert passes(OR, source=source, namespace="AWS/ES", b=2)
    assert not passes(OR, source=source, namespace="AWS/ES")
    assert not passes(OR, source=source, namespace="AWS/ES", b=3)
    assert not passes(OR, metricName="CPUUtilization")
    assert passes(OR, body={"source": source, "namespace": "AWS/EC2", "a": 1})


@pytest.mark.parametrize(
    "policy",
    [
        {"$or": ["a", "b"]},
        {"$or": [{"numeric": ["=", 1]}, {"prefix": "a"}]},
        {"$or": [{"prefix": "a"}]},
    ],
)
def test_an_or_that_is_a_name_like_others(policy):
    assert passes(policy, **{"$or": ["a", 1]})
    assert not passes(policy, a="a")


def test_nested_keys():
    policy = {"store": {"name": ["shop"], "address": {"city": [{"prefix": "B"}]}}}
    assert passes(policy, body={"store": {"name": "shop", "address": {"city": "Basel"}}})
    assert not passes(policy, body={"store": {"name": "shop", "address": "Basel"}})
    assert not passes(policy, body={"store": "shop"})
    assert not passes(policy, body={"store": {"name": "shop"}})


def test_nested_or():
    policy = {"detail": {"scope": ["Service"], "$or": [{"source": ["a"]}, {"type": ["b"]}]}}
    assert passes(policy, body={"detail": {"scope": "Service", "type": "b"}})
    assert not passes(policy, body={"detail": {"scope": "Service", "type": "c"}})


def test_arrays_in_the_body():
    assert passes({"tags": ["b"]}, body={"tags": ["a", ["b"]]})
    assert not passes({"tags": ["c"]}, body={"tags": ["a", "b"]})
    policy = {"items": {"sku": ["x"], "count": [{"numeric": [">", 1]}]}}
    assert passes(policy, body={"items": [{"sku": "y", "count": 5}, {"sku": "x", "count": 2}]})
    # Both have to hold in the same element.
    assert not passes(policy, body={"items": [{"sku": "y", "count": 5}, {"sku": "x", "count": 1}]})


def test_absent_in_the_body_is_what_is_nowhere_in_it():
    policy = {"items": {"sku": [{"exists": False}]}}
    assert passes(policy, body={})
    assert passes(policy, body={"items": []})
    assert passes(policy, body={"items": [{"a": 1}]})
    assert not passes(policy, body={"items": [{"a": 1}, {"sku": 1}]})
    # AWS: only what is no object is there, or not.
    assert passes({"items": [{"exists": False}]}, body={"items": {"sku": 1}})


@pytest.mark.parametrize("body", ["no json", "[]", '"x"', "1", "null", "", '{"a": 1'])
def test_a_body_that_is_no_object_gets_through_no_policy(body):
    assert not passes({"a": [{"exists": False}]}, body=body or " ")


def test_an_empty_policy_lets_everything_through():
    assert passes({})


def test_a_text_for_the_protocol_is_what_its_subscribers_filter():
    matcher = filters.TopicMatcher()
    policy = filters.compile_policy('{"a":[1]}', filters.BODY)
    matcher.add("queue", policy, "sqs")
    matcher.add("mail", policy, "email")
    bodies = {"default": '{"a": 2}', "sqs": '{"a": 1}'}
    assert matcher.matching(filters.prepare(publication("{}", bodies))) == ["queue"]


def test_deep_bodies_are_no_trouble():
    deep = "[" * 5000 + "]" * 5000
    assert not passes({"a": [1]}, body=f'{{"a": {deep}}}')
