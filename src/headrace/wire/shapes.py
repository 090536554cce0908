"""What a service model says of the values that cross the wire: plain types, free of any model file's format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

Kind = Literal[
    "structure",
    "list",
    "map",
    "string",
    "character",
    "blob",
    "boolean",
    "integer",
    "long",
    "float",
    "double",
    "timestamp",
]

INTEGER_RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "integer": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
}
"""The smallest and the largest value of the whole-number kinds."""


class Member(msgspec.Struct, frozen=True, eq=False):
    """One member of a structure. `query_name` is what the Query protocol calls it."""

    name: str
    query_name: str
    shape: Shape


class Shape(msgspec.Struct, eq=False, kw_only=True):
    """One shape of a model: what its values are made of and must satisfy.

    Which fields mean something depends on `kind`: `members` and `required` belong to structures, `member` to lists,
    `key` and `value` to maps. `minimum` and `maximum` bound a number's value or else a length. The names of list
    elements and map entries, and `flattened`, are the Query protocol's.
    """

    name: str
    kind: Kind
    members: dict[str, Member] = {}
    required: tuple[str, ...] = ()
    member: Shape | None = None
    key: Shape | None = None
    value: Shape | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    flattened: bool = False
    element_name: str = "member"
    key_name: str = "key"
    value_name: str = "value"
    lenient: bool = False
    """Whether the service's own rules judge what of this structure is missing, with messages of their own."""
    streams: bool = False
    """Whether values of this structure come one after another, as events: each has one member, which names its kind."""

    def __repr__(self) -> str:
        """In one line, as a shape may hold itself."""
        return f"Shape({self.kind} {self.name})"
