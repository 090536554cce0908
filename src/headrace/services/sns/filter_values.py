"""The values that filter policies compare, and the comparisons: one form for attributes, bodies and policies. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from headrace.services.sns import limits

Value = str | int | bytes
"""A string is itself, a number its hundred-thousandths, and everything else the bytes of its JSON."""

Range = tuple[int, int]
"""Numbers from and to, both of them included."""

Key = tuple[str, Value | Range]
"""What a value is looked up by: `exact`, `prefix`, `suffix` or `folded` and what to compare with, or a `range`."""

_UNIT: Final = 100_000
"""AWS: numbers are compared up to five digits after the point."""


_INFINITE: Final = limits.FILTER_NUMBER * _UNIT + 1
"""Beyond every number that is compared."""


class BadPattern(Exception):
    """A comparison that cannot be made; the message is AWS's."""


class Condition(msgspec.Struct, frozen=True):
    """One comparison: `test` says whether a value passes it.

    `keys` are what a value that passes can be found by; None when there is nothing of the kind.
    """

    test: Callable[[Value], bool]
    keys: tuple[Key, ...] | None = None


def normalise(value: Any) -> Value:
    """A scalar of decoded JSON in the form that is compared."""
    if isinstance(value, str):
        return value
    if value is None:
        return b"null"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return number(value)


def number(value: float) -> Value:
    """A number in the form that is compared. AWS: one beyond a thousand million equals only what is written alike."""
    if -limits.FILTER_NUMBER <= value <= limits.FILTER_NUMBER:
        return round(value * _UNIT)
    return repr(value).encode()


# Conditions


def exact(value: Value) -> Condition:
    """Equal to `value`."""
    return Condition(lambda given: given == value, (("exact", value),))


def prefix(text: str) -> Condition:
    """A string that starts with `text`."""
    return Condition(lambda given: isinstance(given, str) and given.startswith(text), (("prefix", text),))


def suffix(text: str) -> Condition:
    """A string that ends with `text`."""
    return Condition(lambda given: isinstance(given, str) and given.endswith(text), (("suffix", text),))


def equals_ignore_case(text: str) -> Condition:
    """A string that differs from `text` in case only."""
    folded = text.lower()
    return Condition(lambda given: isinstance(given, str) and given.lower() == folded, (("folded", folded),))


def wildcard(pattern: str) -> Condition:
    """A string of the pattern, in which `*` stands for any characters. Raises BadPattern."""
    pieces = _pieces(pattern)
    if len(pieces) == 1:
        return exact(pieces[0])
    first, *middle, last = pieces
    least = sum(map(len, pieces))

    def test(given: Value) -> bool:
        if not isinstance(given, str) or len(given) < least:
            return False
        if not given.startswith(first) or not given.endswith(last):
            return False
        at, end = len(first), len(given) - len(last)
        # The first place where a piece fits leaves the most room to the others.
        for piece in middle:
            found = given.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return Condition(test, (("prefix", first),) if first else (("suffix", last),) if last else None)


def _pieces(pattern: str) -> list[str]:
    """The texts between a pattern's stars. A backslash makes a star or a backslash of the one that follows."""
    pieces = [""]
    at, after_star = 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            if after_star:
                raise BadPattern(f"Consecutive wildcard characters at pos {at}")
            pieces.append("")
        elif char == "\\":
            at += 1
            if pattern[at : at + 1] not in ("*", "\\"):
                raise BadPattern(f"Invalid escape character at pos {at - 1}")
            pieces[-1] += pattern[at]
        else:
            pieces[-1] += char
        after_star = char == "*"
        at += 1
    return pieces


def cidr(text: str) -> Condition:
    """A string that is an IP address of the block. Raises BadPattern."""
    address, slash, bits = text.partition("/")
    if not slash or "/" in bits:
        raise BadPattern("Malformed CIDR, one '/' required")
    if not bits.isascii() or not bits.isdigit():
        raise BadPattern("Malformed CIDR, mask bits must be an integer")
    try:
        base = ipaddress.ip_address(address)
    except ValueError:
        raise BadPattern(f"Nonstandard IP address: {address}") from None
    if int(bits) > base.max_prefixlen:
        raise BadPattern(f"IPv{base.version} mask bits must be < {base.max_prefixlen}")
    network = ipaddress.ip_network(text, strict=False)

    def test(given: Value) -> bool:
        if not isinstance(given, str):
            return False
        try:
            return ipaddress.ip_address(given) in network
        except ValueError:
            return False

    return Condition(test)


def between(bottom: int | None, top: int | None, *, open_bottom: bool = False, open_top: bool = False) -> Condition:
    """A number of a range; an end that is None is open to infinity, one that is `open` does not belong to it."""
    low = -_INFINITE if bottom is None else bottom + open_bottom
    high = _INFINITE if top is None else top - open_top
    return Condition(lambda given: isinstance(given, int) and low <= given <= high, (("range", (low, high)),))


def anything_but(conditions: Sequence[Condition]) -> Condition:
    """Whatever passes none of the conditions."""
    tests = [each.test for each in conditions]
    return Condition(lambda given: not any(test(given) for test in tests))


def anything_but_values(values: frozenset[Value]) -> Condition:
    """Whatever is none of the values."""
    return Condition(lambda given: given not in values)
