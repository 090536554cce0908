"""Filter policies from their text: the language as AWS documents it, with AWS's limits and errors. Pure.

What a policy says is kept as a tree: a node holds if all its leaves and nodes and, of each of its `$or`s, one
alternative hold.
"""

from __future__ import annotations

from typing import Final

import msgspec

from headrace.services.sns import filter_values as values
from headrace.services.sns import limits
from headrace.services.sns.filter_json import Item, Source
from headrace.services.sns.filter_numbers import numeric, read_number
from headrace.services.sns.filter_values import BadPattern, Condition, Value
from headrace.services.sns.rules import invalid_parameter

Path = tuple[str, ...]

_RESERVED: Final = frozenset(
    {"exact", "prefix", "suffix", "numeric", "anything-but", "exists", "cidr", "equals-ignore-case", "wildcard"}
)
"""AWS: an `$or` of objects with such names is a name like others."""

_TEXTUAL: Final = {
    "prefix": values.prefix,
    "suffix": values.suffix,
    "equals-ignore-case": values.equals_ignore_case,
    "wildcard": values.wildcard,
}
_LEAST_ALTERNATIVES: Final = 2


class Leaf(msgspec.Struct, frozen=True):
    """What is asked of the value at a path: one of the conditions, or that it is there, or that it is not."""

    path: Path
    exact: frozenset[Value]
    conditions: tuple[Condition, ...]
    present: bool
    absent: bool

    def passes(self, given: tuple[Value, ...]) -> bool:
        """Whether a value that is there passes; of an array one element has to."""
        if self.present:
            return True
        exact = self.exact
        for value in given:
            if value in exact:
                return True
            for condition in self.conditions:
                if condition.test(value):
                    return True
        return False


class Node(msgspec.Struct):
    """What is asked of an object."""

    leaves: list[tuple[str, Leaf]] = []
    nodes: list[tuple[str, Node]] = []
    either: list[list[Node]] = []


def read_policy(text: str, *, nested: bool) -> Node:
    """What a policy asks; `nested` tells whether it may go into objects. Raises InvalidParameter with AWS's words."""
    source = Source(text)
    root = source.root
    node, combinations = _Compiler(source, nested=nested).node(root, ())
    if len({name for name, _ in root.members}) > limits.FILTER_POLICY_KEYS:
        raise invalid_parameter(f"FilterPolicy: Filter policy can not have more than {limits.FILTER_POLICY_KEYS} keys")
    if combinations > limits.FILTER_POLICY_COMBINATIONS:
        raise invalid_parameter("FilterPolicy: Filter policy is too complex")
    return node


class _Compiler:
    """Makes the tree, and counts the combinations of values on the way.

    AWS: what is counted is the product of the number of values of each array, each times the depth it stands at;
    the alternatives of an `$or` are added up.
    """

    def __init__(self, source: Source, *, nested: bool) -> None:
        self._source = source
        self._nested = nested

    def node(self, item: Item, path: Path) -> tuple[Node, int]:
        """What an object asks, and its combinations."""
        node, combinations = Node([], [], []), 1
        # AWS: of a name that comes twice the last counts.
        for name, member in dict(item.members).items():
            if name == "$or" and _is_alternatives(member):
                alternatives = [self.node(each, path) for each in member.items]
                node.either.append([each for each, _ in alternatives])
                combinations *= sum(each for _, each in alternatives)
            elif member.kind == "array":
                leaf = self._leaf(member, (*path, name))
                node.leaves.append((name, leaf))
                combinations *= len(member.items) * (len(path) + 1)
            elif member.kind == "object":
                if not self._nested:
                    self._check_inside(member)
                inner, inside = self.node(self._not_empty(member), (*path, name))
                node.nodes.append((name, inner))
                combinations *= inside
            else:
                raise self._source.error(f'"{name}" must be an object or an array', member.opened)
        return node, combinations

    def _check_inside(self, member: Item) -> None:
        """Refuse what goes into objects. AWS: what is wrong in the object is said first."""
        _Compiler(self._source, nested=True).node(self._not_empty(member), ())
        raise invalid_parameter("Filter policy scope MessageAttributes does not support nested filter policy")

    def _not_empty(self, item: Item) -> Item:
        if not item.members:
            raise self._source.error("Empty objects are not allowed", item.closed)
        return item

    def _leaf(self, item: Item, path: Path) -> Leaf:
        if not item.items:
            raise self._source.error("Empty arrays are not allowed", item.closed)
        exact: set[Value] = set()
        conditions: list[Condition] = []
        present = absent = False
        for each in item.items:
            if each.kind == "array":
                raise self._source.error("Match value must be String, number, true, false, or null", each.opened)
            if each.kind != "object":
                exact.add(values.normalise(each.value))
                # AWS: among attributes, where nothing can be null, null is one that is not there.
                absent = absent or (each.value is None and not self._nested)
                continue
            operator, operand = self._expression(each)
            if operator == "exists":
                present, absent = present or operand.value, absent or not operand.value
                continue
            self._collect(self._condition(operator, operand), exact, conditions)
        return Leaf(path, frozenset(exact), tuple(conditions), present, absent)

    def _collect(self, condition: Condition, exact: set[Value], conditions: list[Condition]) -> None:
        """Put a condition where it is tested fastest."""
        match condition.keys:
            case (("exact", str() | int() | bytes() as value),):
                exact.add(value)
            case _:
                conditions.append(condition)

    def _expression(self, item: Item) -> tuple[str, Item]:
        """An expression's operator and operand."""
        fail = self._source.error
        if not item.members:
            raise fail("Match expression name not found", item.closed)
        operator, operand = item.members[0]
        if operator not in _RESERVED:
            raise fail(f"Unrecognized match type {operator}", operand.opened)
        if operator == "exists" and operand.text not in ("true", "false"):
            raise fail("exists match pattern must be either true or false.", operand.opened)
        if len(item.members) > 1:
            if operator != "exists":
                self._condition(operator, operand)  # AWS: what is wrong with the first is said first
            several = "Too many elements in numeric expression"
            text = several if operator in ("numeric", "anything-but") else "Only one key allowed in match expression"
            raise fail(text, item.members[1][1].opened)
        return operator, operand

    def _condition(self, operator: str, operand: Item) -> Condition:
        fail = self._source.error
        if operator == "numeric":
            return numeric(self._source, operand)
        if operator == "anything-but":
            return self._anything_but(operand)
        if not operand.is_string:
            raise fail(f"{operator} match pattern must be a string", operand.opened)
        try:
            match operator:
                case "cidr":
                    return values.cidr(operand.value)
                case "exact":
                    return values.exact(operand.value)
                case _:
                    return _TEXTUAL[operator](operand.value)
        except BadPattern as error:
            raise fail(str(error), operand.closed) from None

    # --- anything-but ---

    def _anything_but(self, operand: Item) -> Condition:
        fail = self._source.error
        if operand.kind == "object":
            return self._anything_but_like(operand)
        if operand.kind != "array" and not operand.is_string and not operand.is_number:
            raise fail("Value of anything-but must be an array or single string/number value.", operand.opened)
        items = operand.items if operand.kind == "array" else [operand]
        for each in items:
            if not each.is_string and not each.is_number:
                raise fail("Inside anything but list, start|null|boolean is not supported.", each.opened)
        if len({each.kind for each in items}) != 1:
            raise fail(
                "Inside anything but list, either all values are number or string, mixed type is not supported",
                operand.closed,
            )
        return values.anything_but_values(
            frozenset(each.value if each.is_string else read_number(self._source, each) for each in items)
        )

    def _anything_but_like(self, operand: Item) -> Condition:
        """`anything-but` with an operator of strings inside."""
        fail = self._source.error
        if not operand.members:
            raise fail("Anything-But expression name not found", operand.closed)
        operator, inner = operand.members[0]
        if operator not in _TEXTUAL:
            raise fail(f"Unsupported anything-but pattern: {operator}", inner.opened)
        if inner.kind not in ("array", "string", "number"):
            raise fail("Value of anything-but must be an array or single string/number value.", inner.opened)
        conditions = []
        for each in inner.items if inner.kind == "array" else [inner]:
            if not each.is_string:
                raise fail(_NOT_TEXT[operator], each.opened)
            if not each.value and operator in ("prefix", "suffix"):
                raise fail("Null prefix/suffix not allowed", each.closed)
            try:
                conditions.append(_TEXTUAL[operator](each.value))
            except BadPattern as error:
                raise fail(str(error), each.closed) from None
        if not conditions:
            raise fail("Empty arrays are not allowed", inner.closed)
        if len(operand.members) > 1:
            raise fail("Too many elements in numeric expression", operand.members[1][1].opened)
        return values.anything_but(conditions)


_NOT_TEXT: Final = {
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "wildcard": "wildcard match pattern must be a string",
    "equals-ignore-case": "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
}


def _is_alternatives(item: Item) -> bool:
    """Whether the value of an `$or` makes it one: two objects or more, none of which has an operator for a name."""
    return (
        item.kind == "array"
        and len(item.items) >= _LEAST_ALTERNATIVES
        and all(each.kind == "object" and each.members for each in item.items)
        and not any(name in _RESERVED for each in item.items for name, _ in each.members)
    )
