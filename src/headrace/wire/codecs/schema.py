"""Shapes as types that msgspec decodes into and checks on the way, in compiled code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, NotRequired, Required, TypedDict, cast

import msgspec

from headrace.wire.shapes import INTEGER_RANGES, Shape
from headrace.wire.validation import Style

_SCALARS: Final[dict[str, Any]] = {
    "string": str,
    "character": str,
    "blob": bytes,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "timestamp": float,
}

_list, _dict, _typed_dict = cast("tuple[Any, Any, Any]", (list, dict, TypedDict))
"""Untyped, as the types made of them here are made at run time."""


class Recursive(Exception):
    """The shape holds itself; there is no such type."""


def schema_of(shape: Shape, style: Style) -> Any:
    """The type of all values of `shape` that a service of this style takes: plain dicts, lists and scalars.

    It takes nothing that `validation.check` refuses. Raises Recursive.
    """
    return _type(shape, style, ())


def converter(schema: Any) -> Callable[[Any], Any]:
    """What makes a value of the schema's type of plain dicts, lists and scalars; it raises ValueError, RecursionError.

    msgspec keeps what it knows of a type for structures alone; as the field of one, any other is taken in a quarter of
    the time.
    """
    holder: Any = msgspec.defstruct("Holder", [("value", schema)])
    return lambda value: msgspec.convert({"value": value}, holder).value


def _type(shape: Shape, style: Style, within: tuple[str, ...]) -> Any:
    if shape.name in within:
        raise Recursive(shape.name)
    inside = (*within, shape.name)
    constraints = _constraints(shape, style)
    if shape.kind == "structure":
        return _structure(shape, style, inside)
    if shape.kind == "list":
        assert shape.member is not None
        return _annotated(_list[_type(shape.member, style, inside)], constraints)
    if shape.kind == "map":
        assert shape.key is not None
        assert shape.value is not None
        return _annotated(_dict[_type(shape.key, style, inside), _type(shape.value, style, inside)], constraints)
    if shape.enum and style.missing is None:
        return Literal[shape.enum]
    return _annotated(_SCALARS[shape.kind], constraints)


def _structure(shape: Shape, style: Style, inside: tuple[str, ...]) -> Any:
    required = frozenset(() if shape.lenient else shape.required)
    members = {}
    for name, member in shape.members.items():
        kind = _type(member.shape, style, inside)
        members[name] = Required[kind] if name in required else NotRequired[kind]
    return _typed_dict(shape.name, members)


def _constraints(shape: Shape, style: Style) -> dict[str, Any]:
    """What msgspec is to check; ranges of whole numbers always, so that none is out of its kind's range."""
    if shape.kind in INTEGER_RANGES:
        lowest, highest = INTEGER_RANGES[shape.kind]
        if style.missing is None:
            lowest = max(lowest, _bound(shape.minimum, lowest))
            highest = min(highest, _bound(shape.maximum, highest))
        return {"ge": lowest, "le": highest}
    if style.missing is not None:
        return {}
    ends = ("ge", "le") if shape.kind in {"float", "double"} else ("min_length", "max_length")
    constraints: dict[str, Any] = {}
    if shape.minimum is not None:
        constraints[ends[0]] = shape.minimum if ends[0] == "ge" else int(shape.minimum)
    if shape.maximum is not None:
        constraints[ends[1]] = shape.maximum if ends[1] == "le" else int(shape.maximum)
    if shape.pattern is not None and _readable(shape.pattern):
        constraints["pattern"] = rf"\A(?:{shape.pattern})\Z"
    return constraints


def _bound(bound: float | None, otherwise: int) -> int:
    return otherwise if bound is None else int(bound)


def _readable(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _annotated(kind: Any, constraints: dict[str, Any]) -> Any:
    return Annotated[kind, msgspec.Meta(**constraints)] if constraints else kind
