"""Results as XML, by their shapes."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from headrace.wire.shapes import Member, Shape

Write = Callable[[Any, list[str]], None]
"""Appends a value's content, without an element around it, to the pieces of a document."""

_SPECIAL: Final = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"}


def escape(text: str) -> str:
    """Text as it stands in an element. What XML cannot hold becomes U+FFFD."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found.group(), "\ufffd"), text)


def writer(shape: Shape) -> Write:
    """What writes values of `shape`. A structure's absent and unknown members are left out."""
    return _writer(shape, {})


def _writer(shape: Shape, made: dict[str, Write]) -> Write:
    """The writer of a shape; `made` has those begun already, as a shape may hold itself."""
    if shape.name in made and shape.kind == "structure":
        return made[shape.name]
    if shape.kind == "structure":
        return _structure(shape, made)
    if shape.kind == "list":
        return _list(shape, made, shape.element_name)
    return _map(shape, made, "entry") if shape.kind == "map" else _scalar(shape)


def _structure(shape: Shape, made: dict[str, Write]) -> Write:
    members: list[tuple[str, Write]] = []

    def write(value: dict[str, Any], out: list[str]) -> None:
        for name, write_member in members:
            inner = value.get(name)
            if inner is not None:
                write_member(inner, out)

    made[shape.name] = write
    members.extend((name, _member(member, made)) for name, member in shape.members.items())
    return write


def _member(member: Member, made: dict[str, Write]) -> Write:
    """A member with its element around it; a flattened list or map is an element for each of its entries."""
    shape = member.shape
    if shape.flattened:
        return _list(shape, made, member.query_name) if shape.kind == "list" else _map(shape, made, member.query_name)
    return _within(member.query_name, _writer(shape, made))


def _within(name: str, write_content: Write) -> Write:
    opening, closing = f"<{name}>", f"</{name}>"

    def write(value: Any, out: list[str]) -> None:
        out.append(opening)
        write_content(value, out)
        out.append(closing)

    return write


def _list(shape: Shape, made: dict[str, Write], name: str) -> Write:
    assert shape.member is not None
    write_element = _within(name, _writer(shape.member, made))

    def write(value: list[Any], out: list[str]) -> None:
        for element in value:
            write_element(element, out)

    return write


def _map(shape: Shape, made: dict[str, Write], name: str) -> Write:
    assert shape.key is not None
    assert shape.value is not None
    write_key = _within(shape.key_name, _writer(shape.key, made))
    write_value = _within(shape.value_name, _writer(shape.value, made))
    opening, closing = f"<{name}>", f"</{name}>"

    def write(value: dict[str, Any], out: list[str]) -> None:
        for key, inner in value.items():
            out.append(opening)
            write_key(key, out)
            write_value(inner, out)
            out.append(closing)

    return write


def _scalar(shape: Shape) -> Write:
    text = _TEXTS.get(shape.kind, str)

    def write(value: Any, out: list[str]) -> None:
        out.append(text(value))

    return write


def _blob(value: bytes) -> str:
    return b64encode(value).decode()


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _timestamp(value: float) -> str:
    moment = datetime.fromtimestamp(value, UTC)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


_TEXTS: Final[dict[str, Callable[[Any], str]]] = {
    "string": escape,
    "character": escape,
    "blob": _blob,
    "boolean": _boolean,
    "timestamp": _timestamp,
}
