"""What a message must have for a filter policy to match, to find the policies that may match a message. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from headrace.services.sns.filter_policies import Leaf, Node, Path
from headrace.services.sns.filter_values import Range, Value

_SEARCHED: Final = 1_000
"""What a gate that any value opens is worth, in gates that one value opens: it is taken where there is no other."""


class Gate(msgspec.Struct, frozen=True):
    """A value that a message may have at a path: one that is `exact`, or of that `prefix`, …, or any (`present`)."""

    path: Path
    kind: str
    value: Value | Range = ""


def gates_of(node: Node) -> tuple[Gate, ...] | None:
    """Gates of which a message has at least one if the policy matches it. None when it may match without."""
    choices = [found for found in _choices(node) if found is not None]
    return min(choices, key=_cost) if choices else None


def _choices(node: Node) -> Iterator[tuple[Gate, ...] | None]:
    """The gates of each of the things that all have to hold."""
    for _, leaf in node.leaves:
        yield _leaf_gates(leaf)
    for _, inner in node.nodes:
        yield gates_of(inner)
    for alternatives in node.either:
        found = [gates_of(each) for each in alternatives]
        united = {gate: None for each in found for gate in each or ()}
        yield None if None in found else tuple(united)


def _leaf_gates(leaf: Leaf) -> tuple[Gate, ...] | None:
    if leaf.absent:
        return None
    if leaf.present or any(each.keys is None for each in leaf.conditions):
        return (Gate(leaf.path, "present"),)
    keys = dict.fromkeys(key for each in leaf.conditions for key in each.keys or ())
    return (*(Gate(leaf.path, "exact", value) for value in leaf.exact), *(Gate(leaf.path, *key) for key in keys))


def _cost(gates: tuple[Gate, ...]) -> int:
    return sum(_SEARCHED if gate.kind == "present" else 1 for gate in gates)
