"""What a model demands of an operation's parameters, and the answer AWS gives to those that do not meet it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from headrace.errors import ServiceError
from headrace.wire.shapes import Shape

MAX_VIOLATIONS: Final = 10
"""Violations named in one answer. AWS: names as many."""


class Refusal(msgspec.Struct, frozen=True):
    """How a service answers to a missing parameter; `message` may hold `{name}` and, for lists, `{element}`."""

    code: str
    message: str


class Style(msgspec.Struct, frozen=True):
    """How a service answers to parameters that do not meet its model.

    Most services list all violations in one `ValidationException`; that is what no `missing` means. SQS names the first
    missing parameter alone, some in words of their own (`missing_members`), and leaves everything else to its rules.
    """

    missing: Refusal | None = None
    missing_members: dict[str, Refusal] = {}


class Violation(msgspec.Struct, frozen=True):
    """One thing that is wrong: where, in the model's names (`path`) and the Query protocol's (`query_path`)."""

    path: str
    query_path: str
    value: Any
    constraint: str
    member: str = ""
    element: str = ""


MISSING: Final = "Member must not be null"


def check(style: Style, shape: Shape, params: dict[str, Any]) -> None:
    """Raise the ServiceError with which the service refuses these parameters, if it does."""
    if style.missing is not None:
        for violation in violations(shape, params):
            if violation.constraint is MISSING:
                raise _missing(style, style.missing, violation)
        return
    found = [found for found, _ in zip(violations(shape, params), range(MAX_VIOLATIONS), strict=False)]
    if found:
        raise ServiceError("ValidationException", _all_in_one(found))


def violations(shape: Shape, value: Any, path: str = "", query_path: str = "") -> Iterator[Violation]:
    """What is wrong with a decoded value, the outermost first. `path` and `query_path` say where the value stands."""
    for constraint in _unmet(shape, value):
        yield Violation(path, query_path, value, constraint)
    if shape.kind == "structure":
        yield from _members(shape, value, path, query_path)
    elif shape.kind == "list":
        assert shape.member is not None
        between = "" if shape.flattened else f".{shape.element_name}"
        for index, element in enumerate(value, start=1):
            yield from violations(shape.member, element, f"{path}.{index}.member", f"{query_path}{between}.{index}")
    elif shape.kind == "map":
        yield from _entries(shape, value, path, query_path)


def _members(shape: Shape, value: dict[str, Any], path: str, query_path: str) -> Iterator[Violation]:
    if not shape.lenient:
        for name in shape.required:
            if name not in value:
                member = shape.members[name]
                element = member.query_name if member.shape.kind == "list" else ""
                places = _below(path, _lower_first(name)), _below(query_path, member.query_name)
                yield Violation(*places, None, MISSING, member=name, element=element)
    for name, inner in value.items():
        if (known := shape.members.get(name)) is not None:
            places = _below(path, _lower_first(name)), _below(query_path, known.query_name)
            yield from violations(known.shape, inner, *places)


def _entries(shape: Shape, value: dict[str, Any], path: str, query_path: str) -> Iterator[Violation]:
    assert shape.key is not None
    assert shape.value is not None
    between = "" if shape.flattened else ".entry"
    for index, (key, inner) in enumerate(value.items(), start=1):
        place = f"{query_path}{between}.{index}"
        yield from violations(shape.key, key, f"{path}.{key}.key", f"{place}.{shape.key_name}")
        yield from violations(shape.value, inner, f"{path}.{key}.member", f"{place}.{shape.value_name}")


def _unmet(shape: Shape, value: Any) -> Iterator[str]:
    number = isinstance(value, int | float)
    measure = value if number else len(value)
    what = "value" if number else "length"
    if shape.minimum is not None and measure < shape.minimum:
        yield f"Member must have {what} greater than or equal to {_plain(shape.minimum)}"
    if shape.maximum is not None and measure > shape.maximum:
        yield f"Member must have {what} less than or equal to {_plain(shape.maximum)}"
    if shape.pattern is not None and not matcher(shape.pattern)(value):
        yield f"Member must satisfy regular expression pattern: {shape.pattern}"
    if shape.enum and value not in shape.enum:
        yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


@functools.lru_cache(maxsize=512)
def matcher(pattern: str) -> Callable[[str], Any]:
    """Whether a whole string matches a model's pattern. A pattern Python cannot read is met by everything."""
    try:
        return re.compile(pattern).fullmatch
    except re.error:
        return _anything


def _anything(_value: str) -> bool:
    return True


def _missing(style: Style, missing: Refusal, violation: Violation) -> ServiceError:
    refusal = style.missing_members.get(violation.member, missing)
    # AWS: a parameter of the call goes by its own name, one within a list by its place in a Query request.
    name = violation.query_path if "." in violation.query_path else violation.member
    return ServiceError(refusal.code, refusal.message.format(name=name, element=violation.element))


def _all_in_one(found: list[Violation]) -> str:
    plural = "" if len(found) == 1 else "s"
    listed = "; ".join(
        f"Value {_shown(violation.value)} at '{violation.path}' failed to satisfy constraint: {violation.constraint}"
        for violation in found
    )
    return f"{len(found)} validation error{plural} detected: {listed}"


def _shown(value: Any) -> str:
    """A value as AWS's messages, which come from Java, show it."""
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return f"'java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]'"
    if isinstance(value, list):
        return f"'[{', '.join(str(element) for element in value)}]'"
    if isinstance(value, dict):
        return "'{" + ", ".join(f"{key}={inner}" for key, inner in value.items()) + "}'"
    return f"'{value}'"


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def _plain(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)
