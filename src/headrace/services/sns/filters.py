"""Which messages a subscription gets: filter policies on messages, and all those of a topic at once. Pure.

A message is read once for all policies (`prepare`), and of a topic's policies only those are looked at that something
in the message speaks for (`TopicMatcher`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from headrace.services.sns import limits
from headrace.services.sns.filter_gates import Gate, gates_of
from headrace.services.sns.filter_policies import Leaf, Node, Path, read_policy
from headrace.services.sns.filter_tables import Table
from headrace.services.sns.filter_values import Value, normalise, number
from headrace.services.sns.records import MessageAttribute, Publication

ATTRIBUTES: Final = "MessageAttributes"
BODY: Final = "MessageBody"

_MISSING: Final = object()
_NOTHING: Final[Mapping[str, Any]] = {}


class Prepared:
    """A message as policies look at it. Nothing is read before a policy asks for it, and then once."""

    __slots__ = ("_attributes", "_bodies", "_body_values", "_publication", "protocol")

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._attributes: dict[str, tuple[Value, ...]] | None = None
        self._bodies: dict[str, Any] = {}
        self._body_values: dict[Path, tuple[Value, ...]] = {}
        self.protocol = "default"
        """Whose body is looked at."""

    @property
    def varies(self) -> bool:
        """Whether protocols get texts of their own."""
        return bool(self._publication.bodies)

    @property
    def attributes(self) -> dict[str, tuple[Value, ...]]:
        """The values of each attribute; a String.Array has many."""
        if self._attributes is None:
            self._attributes = {
                name: _attribute_values(each)
                for name, each in self._publication.attributes.items()
                # AWS: what is binary is not there for a policy.
                if each.data is None
            }
        return self._attributes

    @property
    def body(self) -> Any:
        """The body, if it is a JSON object; else `_MISSING`."""
        found = self._bodies.get(self.protocol)
        if found is None:
            found = self._bodies[self.protocol] = _read_body(self._publication.text_for(self.protocol))
        return found

    def values(self, scope: str, path: Path) -> tuple[Value, ...] | None:
        """The values at a path, in all elements of arrays on the way; None when there is nothing there."""
        if scope == ATTRIBUTES:
            return self.attributes.get(path[0])
        if self.varies:
            return tuple(_at(self.body, path)) or None
        found = self._body_values.get(path)
        if found is None:
            found = self._body_values[path] = tuple(_at(self.body, path))
        return found or None


def prepare(publication: Publication) -> Prepared:
    """A publication as policies look at it, to be used for all of them."""
    return Prepared(publication)


def _attribute_values(attribute: MessageAttribute) -> tuple[Value, ...]:
    if attribute.data_type == "String.Array":
        try:
            found = msgspec.json.decode(attribute.text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return ()
        if not isinstance(found, list):
            found = [found]
        return tuple(normalise(each) for each in found if not isinstance(each, list | dict))
    if attribute.data_type.partition(".")[0] == "Number":
        text = attribute.text.strip()
        try:
            return (number(int(text) if text.isdecimal() else float(text)),)
        except (ValueError, OverflowError):
            return ()
    return (attribute.text,)


def _read_body(text: str) -> Any:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _MISSING
    return found if isinstance(found, dict) else _MISSING


def _at(found: Any, path: Path) -> Iterator[Value]:
    """The scalars at a path below a JSON value."""
    if isinstance(found, list):
        for each in found:
            yield from _at(each, path)
    elif not path:
        if not isinstance(found, dict) and found is not _MISSING:
            yield normalise(found)
    elif isinstance(found, dict) and path[0] in found:
        yield from _at(found[path[0]], path[1:])


# One policy


class Policy:
    """A filter policy, compiled. `gates` are what a message must have, one of them, to match; None when it need not."""

    __slots__ = ("gates", "root", "scope")

    def __init__(self, scope: str, root: Node) -> None:
        self.scope = scope
        self.root = root
        self.gates: tuple[Gate, ...] | None = gates_of(root)

    def matches(self, prepared: Prepared) -> bool:
        """Whether the message is one that the policy lets through. AWS: a body must be a JSON object for that."""
        if self.scope == ATTRIBUTES:
            return _holds(self.root, prepared.attributes, prepared)
        body = prepared.body
        return body is not _MISSING and _holds(self.root, body, prepared)


@lru_cache(maxsize=limits.FILTER_POLICIES_CACHED)
def compile_policy(text: str, scope: str) -> Policy:
    """The policy of a text. `scope` is MessageAttributes or MessageBody.

    Raises InvalidParameter in AWS's words, with the place in the text where there is one.
    """
    return Policy(scope, read_policy(text, nested=scope == BODY))


def _holds(node: Node, found: Mapping[str, Any], prepared: Prepared) -> bool:
    for name, leaf in node.leaves:
        if not _leaf_holds(leaf, found.get(name, _MISSING), prepared):
            return False
    for name, inner in node.nodes:
        if not any(_holds(inner, each, prepared) for each in _objects(found.get(name))):
            return False
    return all(any(_holds(each, found, prepared) for each in alternatives) for alternatives in node.either)


def _leaf_holds(leaf: Leaf, found: Any, prepared: Prepared) -> bool:
    if isinstance(found, tuple):  # an attribute
        return leaf.passes(found)
    if found is not _MISSING:
        scalars = tuple(_at(found, ()))
        if scalars:
            return leaf.passes(scalars)
    # AWS: absent is what is nowhere in the message, not in other elements of an array either.
    return leaf.absent and (len(leaf.path) == 1 or prepared.values(BODY, leaf.path) is None)


def _objects(found: Any) -> list[Mapping[str, Any]]:
    """The objects that a nested policy may hold for. AWS: in an array all of it has to hold in the same element."""
    if isinstance(found, dict):
        return [found]
    if isinstance(found, list):
        inside = [each for item in found for each in _objects(item)]
        return inside or [_NOTHING]
    return [_NOTHING]


# All policies of a topic


class TopicMatcher:
    """The filter policies of a topic's subscriptions, kept so that a message is held against few of them.

    Every policy stands in tables under what a message must have to match it. What is found there is a candidate;
    whether it matches, the policy itself says.
    """

    __slots__ = ("_always", "_policies", "_tables")

    def __init__(self) -> None:
        self._policies: dict[str, tuple[Policy, str]] = {}
        self._always: dict[str, None] = {}
        self._tables: dict[tuple[str, Path], Table] = {}

    def add(self, subscription: str, policy: Policy, protocol: str = "default") -> None:
        """Take up a subscription's policy, in the place of the one it had. `protocol` tells which body it is to see."""
        self.remove(subscription)
        self._policies[subscription] = policy, protocol
        if policy.gates is None:
            self._always[subscription] = None
            return
        for gate in policy.gates:
            place = policy.scope, gate.path
            table = self._tables.get(place)
            if table is None:
                table = self._tables[place] = Table()
            table.add(gate, subscription)

    def remove(self, subscription: str) -> None:
        """Let go of a subscription's policy; harmless when it has none."""
        known = self._policies.pop(subscription, None)
        if known is None:
            return
        policy, _ = known
        self._always.pop(subscription, None)
        for gate in policy.gates or ():
            place = policy.scope, gate.path
            table = self._tables[place]
            table.remove(gate, subscription)
            if not table:
                del self._tables[place]

    def matching(self, prepared: Prepared) -> list[str]:
        """The subscriptions whose policies let the message through."""
        if prepared.varies:
            return [name for name in self._policies if self._matches(name, prepared)]
        candidates = dict(self._always)
        for (scope, path), table in self._tables.items():
            values = prepared.values(scope, path)
            if values is not None:
                for found in table.find(values):
                    candidates.update(found)
        return [name for name in candidates if self._policies[name][0].matches(prepared)]

    def _matches(self, name: str, prepared: Prepared) -> bool:
        policy, prepared.protocol = self._policies[name]
        return policy.matches(prepared)
