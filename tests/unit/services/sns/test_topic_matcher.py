"""All policies of a topic at once, held against a reference that looks at each condition of each policy."""

from __future__ import annotations

import fnmatch
import ipaddress
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ServiceError
from headrace.services.sns import filters
from headrace.services.sns.records import MessageAttribute, Publication

# The reference. It knows nothing of what the compiled policies do.

ABSENT = object()


def same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    if isinstance(left, str) or isinstance(right, str):
        return type(left) is type(right) and left == right
    return round(left, 5) == round(right, 5)


def in_block(value: Any, block: str) -> bool:
    try:
        return isinstance(value, str) and ipaddress.ip_address(value) in ipaddress.ip_network(block)
    except ValueError:
        return False


def in_range(value: Any, terms: list[Any]) -> bool:
    if isinstance(value, bool | str) or value is None:
        return False
    compare = {
        "=": lambda a, b: a == b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }
    pairs = zip(terms[::2], terms[1::2], strict=True)
    return all(compare[operator](round(value, 5), round(bound, 5)) for operator, bound in pairs)


def textual(operator: str, value: Any, text: str) -> bool:
    if not isinstance(value, str):
        return False
    match operator:
        case "prefix":
            return value[: len(text)] == text
        case "suffix":
            return not text or value[-len(text) :] == text
        case "equals-ignore-case":
            return value.lower() == text.lower()
        case _:
            return fnmatch.fnmatchcase(value, text)


def meets(value: Any, condition: Any) -> bool:
    """Whether a value that is there meets a condition."""
    if not isinstance(condition, dict):
        return same(value, condition)
    ((operator, operand),) = condition.items()
    match operator, operand:
        case "exists", _:
            met = operand
        case "numeric", _:
            met = in_range(value, operand)
        case "cidr", _:
            met = in_block(value, operand)
        case "anything-but", dict():
            ((inner, texts),) = operand.items()
            met = not any(textual(inner, value, text) for text in texts)
        case "anything-but", _:
            met = not any(same(value, each) for each in operand)
        case _:
            met = textual(operator, value, operand)
    return met


def flatten(found: Any) -> list[Any]:
    if isinstance(found, list):
        return [scalar for each in found for scalar in flatten(each)]
    return [] if isinstance(found, dict) or found is ABSENT else [found]


def everywhere(found: Any, path: list[str]) -> list[Any]:
    if isinstance(found, list):
        return [scalar for each in found for scalar in everywhere(each, path)]
    if not path:
        return flatten(found)
    return everywhere(found.get(path[0], ABSENT), path[1:]) if isinstance(found, dict) else []


def objects(found: Any) -> list[dict[str, Any]]:
    if isinstance(found, dict):
        return [found]
    return [each for item in found for each in objects(item)] if isinstance(found, list) else []


def reference(policy: dict[str, Any], found: dict[str, Any], root: dict[str, Any], path: list[str]) -> bool:
    for name, asked in policy.items():
        if name == "$or":
            if not any(reference(each, found, root, path) for each in asked):
                return False
        elif isinstance(asked, dict):
            inside = objects(found.get(name)) or [{}]
            if not any(reference(asked, each, root, [*path, name]) for each in inside):
                return False
        else:
            scalars = flatten(found.get(name, ABSENT))
            if scalars:
                if not any(meets(scalar, condition) for scalar in scalars for condition in asked):
                    return False
            elif {"exists": False} not in asked or everywhere(root, [*path, name]):
                return False
    return True


# Policies and messages that have something to do with each other: few names, few texts.

TEXTS = st.text("ab*", max_size=3).map(lambda text: text.replace("*", "c"))
NUMBERS = st.sampled_from([-1, 0, 1, 1.5, 2, 1e3, 1.000001])
ADDRESSES = st.sampled_from(["10.0.0.1", "10.1.0.1", "::1"])
SCALARS = st.one_of(TEXTS, NUMBERS, st.sampled_from([True, False, None]), ADDRESSES)
WILDCARDS = st.sampled_from(["a*", "*a", "*", "a*b", "b*a*", "*b*"])


def ranges() -> st.SearchStrategy[list[Any]]:
    one = st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBERS).map(list)
    two = st.tuples(st.sampled_from([">", ">="]), st.sampled_from([-1, 0]), st.sampled_from(["<", "<="]), NUMBERS)
    return st.one_of(one, two.map(list).filter(lambda terms: terms[1] < terms[3] - 0.00001))


def conditions() -> st.SearchStrategy[Any]:
    some_texts = st.lists(TEXTS.filter(bool), min_size=1, max_size=2)
    return st.one_of(
        SCALARS,
        TEXTS.map(lambda text: {"prefix": text}),
        TEXTS.map(lambda text: {"suffix": text}),
        TEXTS.map(lambda text: {"equals-ignore-case": text.upper()}),
        WILDCARDS.map(lambda text: {"wildcard": text}),
        ranges().map(lambda terms: {"numeric": terms}),
        st.sampled_from(["10.0.0.0/8", "10.0.0.0/24", "::/64"]).map(lambda block: {"cidr": block}),
        st.booleans().map(lambda there: {"exists": there}),
        st.lists(TEXTS, min_size=1, max_size=2).map(lambda texts: {"anything-but": texts}),
        st.lists(NUMBERS, min_size=1, max_size=2).map(lambda numbers: {"anything-but": numbers}),
        st.sampled_from(["prefix", "suffix", "equals-ignore-case"]).flatmap(
            lambda operator: some_texts.map(lambda texts: {"anything-but": {operator: texts}})
        ),
        st.lists(WILDCARDS, min_size=1, max_size=2).map(lambda texts: {"anything-but": {"wildcard": texts}}),
    )


NAMES = st.sampled_from(["a", "b", "c"])
ARRAYS = st.lists(conditions(), min_size=1, max_size=2)
FLAT = st.dictionaries(NAMES, ARRAYS, min_size=1, max_size=2)
EITHER = st.lists(FLAT, min_size=2, max_size=2)


def with_either(policies: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(policies, st.none() | EITHER).map(
        lambda pair: pair[0] if pair[1] is None else {**pair[0], "$or": pair[1]}
    )


def is_simple_enough(policy: dict[str, Any]) -> bool:
    try:
        filters.compile_policy(json.dumps(policy), filters.BODY)
    except ServiceError as error:
        if "too complex" not in error.message:
            raise
        return False
    return True


FLAT_POLICIES = with_either(FLAT)
NESTED_POLICIES = with_either(st.dictionaries(NAMES, st.one_of(ARRAYS, FLAT_POLICIES), min_size=1, max_size=2)).filter(
    is_simple_enough
)
BODIES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, BODIES, max_size=3)


def publication(body: str, attributes: dict[str, MessageAttribute]) -> Publication:
    return Publication(
        message_id="m", topic_arn="t", region="r", account="a", message=body, published_at_ms=0, attributes=attributes
    )


def compile_all(policies: list[dict[str, Any]], scope: str) -> filters.TopicMatcher:
    matcher = filters.TopicMatcher()
    for at, policy in enumerate(policies):
        matcher.add(str(at), filters.compile_policy(json.dumps(policy), scope))
    return matcher


@settings(max_examples=150, deadline=None)
@given(st.lists(NESTED_POLICIES, min_size=1, max_size=6), OBJECTS)
def test_bodies(policies, body):
    prepared = filters.prepare(publication(json.dumps(body), {}))
    expected = [str(at) for at, policy in enumerate(policies) if reference(policy, body, body, [])]
    assert sorted(compile_all(policies, filters.BODY).matching(prepared)) == expected


def attribute(value: Any) -> MessageAttribute:
    if isinstance(value, list):
        return MessageAttribute("String.Array", json.dumps(value))
    if isinstance(value, str):
        return MessageAttribute("String", value)
    return MessageAttribute("Number", repr(value))


VALUES = st.one_of(TEXTS, ADDRESSES, NUMBERS, st.lists(SCALARS, min_size=1, max_size=3))


def nothing_of_null(policy: dict[str, Any]) -> bool:
    """Null means something else among attributes (see test_filters)."""
    return "null" not in json.dumps(policy)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(FLAT_POLICIES.filter(nothing_of_null), min_size=1, max_size=6),
    st.dictionaries(NAMES, VALUES, max_size=3),
)
def test_attributes(policies, values):
    prepared = filters.prepare(publication("x", {name: attribute(value) for name, value in values.items()}))
    expected = [str(at) for at, policy in enumerate(policies) if reference(policy, values, values, [])]
    assert sorted(compile_all(policies, filters.ATTRIBUTES).matching(prepared)) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(NESTED_POLICIES, min_size=2, max_size=6), st.data(), OBJECTS)
def test_policies_that_are_changed_or_removed_leave_nothing(policies, data, body):
    matcher = compile_all(policies, filters.BODY)
    kept = {str(at): policy for at, policy in enumerate(policies)}
    for name in list(kept):
        change = data.draw(st.sampled_from(["keep", "remove", "replace"]))
        if change == "remove":
            del kept[name]
            matcher.remove(name)
        elif change == "replace":
            kept[name] = data.draw(NESTED_POLICIES)
            matcher.add(name, filters.compile_policy(json.dumps(kept[name]), filters.BODY))
    prepared = filters.prepare(publication(json.dumps(body), {}))
    expected = sorted(name for name, policy in kept.items() if reference(policy, body, body, []))
    assert sorted(matcher.matching(prepared)) == expected
    for name in kept:
        matcher.remove(name)
    matcher.remove("never there")
    assert not matcher._tables
    assert not matcher._always
    assert not matcher._policies


def test_few_of_many_policies_are_looked_at():
    matcher = filters.TopicMatcher()
    for at in range(1000):
        text = json.dumps({"tenant": [f"tenant-{at}"], "price": [{"numeric": [">", at]}]})
        matcher.add(str(at), filters.compile_policy(text, filters.ATTRIBUTES))
    looked_at = 0

    class Counted(filters.Prepared):
        @property
        def attributes(self):
            nonlocal looked_at
            looked_at += 1
            return super().attributes

    attributes = {"tenant": attribute("tenant-7"), "price": attribute(8)}
    assert matcher.matching(Counted(publication("x", attributes))) == ["7"]
    assert looked_at == 2  # once for the tenants, once for the policy of tenant 7
