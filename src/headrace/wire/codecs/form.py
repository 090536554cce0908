"""The parameters of a Query request: from flat, dotted names to the values a shape describes."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from headrace.errors import ServiceError
from headrace.wire.shapes import INTEGER_RANGES, Shape

Node = str | dict[str, Any]
"""What stands under a name: a value, or more names."""

Read = Callable[[Node, str], Any]
"""From what stands under a name, and that name in full, to a value."""

MAX_INDEX_DIGITS: Final = 6
"""Digits of an element's number."""

MAX_NAME_PARTS: Final = 16
"""Dots and names in one parameter's name. AWS: no parameter lies deeper."""

_INDEX: Final = re.compile(rf"0*[1-9][0-9]{{,{MAX_INDEX_DIGITS - 1}}}")
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")


def nest(fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields as a tree: `Attribute.1.Name=x` as `{"Attribute": {"1": {"Name": "x"}}}`. Raises ServiceError."""
    root: dict[str, Any] = {}
    for name, value in fields.items():
        if "." not in name and name not in root:
            root[name] = value
            continue
        *parents, last = name.split(".", MAX_NAME_PARTS)
        node = root
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise _malformed(f"{name} stands below a parameter that has a value.")
        if isinstance(node.get(last), dict):
            raise _malformed(f"{name} has a value and parameters below it.")
        node[last] = value
    return root


def reader(shape: Shape) -> Read:
    """What reads values of `shape`. It raises ServiceError `SerializationException` for what is of another type."""
    return _reader(shape, {})


def _reader(shape: Shape, made: dict[str, Read]) -> Read:
    """The reader of a shape; `made` has those begun already, as a shape may hold itself."""
    if shape.name in made and shape.kind == "structure":
        return made[shape.name]
    if shape.kind == "structure":
        return _structure(shape, made)
    if shape.kind == "list":
        return _list(shape, made)
    return _map(shape, made) if shape.kind == "map" else _scalar(shape)


def _structure(shape: Shape, made: dict[str, Read]) -> Read:
    members: dict[str, tuple[str, Read, bool]] = {}

    def read(node: Node, path: str) -> dict[str, Any]:
        if isinstance(node, str):
            raise _malformed(f"{path} cannot have a value of its own.")
        prefix = f"{path}." if path else ""
        values = {}
        for query_name, value in node.items():
            if (member := members.get(query_name)) is not None:
                name, read_member, is_text = member
                # Most members are texts, which stand as they are.
                plain = is_text and isinstance(value, str)
                values[name] = value if plain else read_member(value, prefix + query_name)
        return values

    made[shape.name] = read
    for name, member in shape.members.items():
        is_text = _SCALARS.get(member.shape.kind) is _string
        members[member.query_name] = name, _reader(member.shape, made), is_text
    return read


def _list(shape: Shape, made: dict[str, Read]) -> Read:
    assert shape.member is not None
    read_element = _reader(shape.member, made)

    def read(node: Node, path: str) -> list[Any]:
        if not node:
            return []
        if not shape.flattened:
            node, path = _within(node, shape.element_name, path)
        return [read_element(element, place) for element, place in _numbered(node, path)]

    return read


def _map(shape: Shape, made: dict[str, Read]) -> Read:
    assert shape.key is not None
    assert shape.value is not None
    read_key, read_value = _reader(shape.key, made), _reader(shape.value, made)
    key_name, value_name = shape.key_name, shape.value_name

    def read(node: Node, path: str) -> dict[str, Any]:
        if not node:
            return {}
        if not shape.flattened:
            node, path = _within(node, "entry", path)
        entries = {}
        for entry, place in _numbered(node, path):
            for name in (key_name, value_name):
                if isinstance(entry, str) or name not in entry:
                    raise ServiceError("MissingParameter", f"The request must contain the parameter {place}.{name}.")
            assert not isinstance(entry, str)
            key = read_key(entry[key_name], f"{place}.{key_name}")
            entries[key] = read_value(entry[value_name], f"{place}.{value_name}")
        return entries

    return read


def _within(node: Node, name: str, path: str) -> tuple[Node, str]:
    if isinstance(node, str) or name not in node:
        raise _malformed(f"{path} must be followed by .{name} and a number.")
    inner: Node = node[name]
    return inner, f"{path}.{name}"


def _numbered(node: Node, path: str) -> list[tuple[Node, str]]:
    """The elements under `path.1`, `path.2` and so on, in order. AWS: a single one may do without its number."""
    if isinstance(node, str) or not any(index.isdecimal() for index in node):
        return [(node, path)]
    for index in node:
        if not _INDEX.fullmatch(index):
            raise _malformed(f"{index} is not a valid index")
    return [
        (node[index], f"{path}.{index}") for index in sorted(node, key=lambda index: int(index[-MAX_INDEX_DIGITS:]))
    ]


def _scalar(shape: Shape) -> Read:
    convert = _SCALARS[shape.kind]

    def read(node: Node, path: str) -> Any:
        if not isinstance(node, str):
            raise _malformed(f"{path} must have a value of its own.")
        return convert(node)

    return read


def _whole(kind: str) -> Callable[[str], int]:
    lowest, highest = INTEGER_RANGES[kind]
    most_digits = len(str(highest)) + 1

    def whole(text: str) -> int:
        if not _WHOLE.fullmatch(text):
            raise _malformed(f"STRING_VALUE can not be converted to {'an Integer' if kind == 'integer' else 'a Long'}")
        if len(text.lstrip("+-0")) > most_digits:
            return lowest if text.startswith("-") else highest
        return max(lowest, min(highest, int(text)))

    return whole


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise _malformed("STRING_VALUE can not be converted to a Double")
    return number


def _boolean(text: str) -> bool:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    raise _malformed("STRING_VALUE can not be converted to a Boolean")


def _timestamp(text: str) -> float:
    """ISO 8601, or seconds since the epoch."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _number(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _blob(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise _malformed(f"'{text}' can not be converted to a Blob: {error}") from error


def _string(text: str) -> str:
    return text


_SCALARS: Final[dict[str, Callable[[str], Any]]] = {
    "string": _string,
    "character": _string,
    "boolean": _boolean,
    "integer": _whole("integer"),
    "long": _whole("long"),
    "float": _number,
    "double": _number,
    "timestamp": _timestamp,
    "blob": _blob,
}


def _malformed(message: str) -> ServiceError:
    return ServiceError("SerializationException", message)
