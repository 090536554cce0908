"""The JSON of filter policies, read with the place of everything in it: AWS's errors say where in the text they are.

The places are those that AWS's own parser shows. It looks ahead as far as it must: of a string it has read only the
opening quote, of a member's name everything up to there in its value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from headrace.errors import ServiceError
from headrace.services.sns import limits
from headrace.services.sns.rules import invalid_parameter

_TOKEN: Final = re.compile(r'\s*("[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+)', re.DOTALL)
_SOURCE_CHARS: Final = 500
"""So much of a policy's text is shown in an error."""


class Item(msgspec.Struct):
    """A value in the text. `value` is a string, number, boolean or null; `items` are an array's, `members` an object's.

    `opened` is how far the text has been read when the value is begun, `closed` when all of it has been.
    """

    kind: str
    text: str
    opened: int
    closed: int
    value: Any = None
    items: list[Item] = []
    members: list[tuple[str, Item]] = []

    @property
    def is_number(self) -> bool:
        """Whether it is a number."""
        return self.kind == "number"

    @property
    def is_string(self) -> bool:
        """Whether it is a string."""
        return self.kind == "string"

    def after(self, index: int) -> int:
        """How far the text has been read when the array's item of that index is looked at, which need not be there."""
        return self.items[index].opened if index < len(self.items) else self.closed


class Source:
    """A policy's text, read; `root` is the object that it is. Raises ServiceError for what is no JSON object."""

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) > limits.FILTER_POLICY_BYTES or len(text.encode(errors="replace")) > limits.FILTER_POLICY_BYTES:
            raise invalid_parameter(f"FilterPolicy: Filter policy is larger than {limits.FILTER_POLICY_BYTES} bytes")
        try:
            json.loads(text, parse_constant=_no_constant)
            self.root = _Reader(text).read()
        except (ValueError, RecursionError):
            raise invalid_parameter("FilterPolicy: failed to parse JSON.") from None
        if self.root.kind != "object":
            raise self.error("Filter is not an object", self.root.opened)

    def error(self, message: str, offset: int) -> ServiceError:
        """AWS's InvalidParameter for what is wrong where the text has been read up to `offset`."""
        before = self._text[:offset]
        line = before.count("\n") + 1
        column = offset - (before.rfind("\n") + 1) + 1
        shown = self._text[:_SOURCE_CHARS]
        cut = len(self._text) - len(shown)
        more = f"[truncated {cut} chars]" if cut else ""
        return invalid_parameter(
            f'FilterPolicy: {message}\n at [Source: (String)"{shown}"{more}; line: {line}, column: {column}]'
        )


def _no_constant(name: str) -> None:
    raise ValueError(name)


class _Reader:
    """Reads a text that is known to be JSON."""

    def __init__(self, text: str) -> None:
        self._tokens: Iterator[re.Match[str]] = _TOKEN.finditer(text)

    def read(self) -> Item:
        return self._value(self._next(), 0)

    def _next(self) -> tuple[str, int, int]:
        match = next(self._tokens)
        return match[1], match.start(1), match.end(1)

    def _value(self, token: tuple[str, int, int], depth: int) -> Item:
        text, start, end = token
        if depth > limits.FILTER_POLICY_DEPTH:
            raise RecursionError
        if text == "{":
            return self._object(start, depth)
        if text == "[":
            return self._array(start, depth)
        if text[0] == '"':
            return Item("string", text, start + 1, end, json.loads(text, strict=False))
        value = json.loads(text)
        return Item(
            "number" if isinstance(value, int | float) and text[0] not in "tf" else "word", text, end, end, value
        )

    def _object(self, start: int, depth: int) -> Item:
        members = []
        while (token := self._next())[0] != "}":
            if token[0] == ",":
                continue
            self._next()  # the colon
            members.append((json.loads(token[0], strict=False), self._value(self._next(), depth + 1)))
        return Item("object", "{", start + 1, token[2], members=members)

    def _array(self, start: int, depth: int) -> Item:
        items = []
        while (token := self._next())[0] != "]":
            if token[0] != ",":
                items.append(self._value(token, depth + 1))
        return Item("array", "[", start + 1, token[2], items=items)
