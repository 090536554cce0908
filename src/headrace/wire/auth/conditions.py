"""Conditions of policies: whether those of a statement hold for a call. Pure.

A condition names an operator, a key of the call and the values wanted of it. Of several values one is enough, and none
may match where the operator is a negated one; all conditions of a statement must hold. A key that the call does not
have matches nothing: a plain operator fails then, and a negated one holds. Follows the IAM User Guide, "Condition
operators" and "Set operators for multivalued context keys".
"""

from __future__ import annotations

import fnmatch
import functools
import glob
import ipaddress
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

Keys = Mapping[str, tuple[str, ...]]
"""What is known of a call: the values of each condition key, the keys in lower case (`aws:sourcearn`)."""

Test = Callable[[str, str], bool]
"""Whether a value of the call is as the policy's value wants it."""

_ARN_PARTS: Final = 6
_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")


# Texts with wildcards and variables


def like(text: str, pattern: str) -> bool:
    """Whether a text is as a pattern says, of which `*` stands for any characters and `?` for one."""
    return fnmatch.fnmatchcase(text, pattern)


def pattern_of(text: str, keys: Keys | None) -> str:
    """A policy's text as a pattern for `like`; see `filled` for `keys`."""
    return filled(text.replace("[", "[[]"), keys, quote=glob.escape)


def filled(text: str, keys: Keys | None, *, quote: Callable[[str], str] = str) -> str:
    """A policy's text with its variables, `${aws:SourceAccount}`, replaced by the call's values for them, quoted.

    Without `keys` variables are none: policies of version 2008-10-17 have none. Raises LookupError when the call
    has not the one value for a variable, and the policy (`${aws:SourceAccount, 'none'}`) no other.
    """
    if keys is None or "${" not in text:
        return text
    return _VARIABLE.sub(lambda found: quote(_value_of(found[1], keys)), text)


def _value_of(variable: str, keys: Keys) -> str:
    name, comma, default = (part.strip() for part in variable.partition(","))
    if name in ("*", "?", "$"):
        return name
    values = keys.get(name.lower(), ())
    if len(values) == 1:
        return values[0]
    if comma:
        return default.strip("'")
    raise LookupError(name)


# Operators


def _arn_like(value: str, pattern: str) -> bool:
    """AWS: the six parts of an ARN are compared each by itself; a wildcard does not reach into the next."""
    wanted, found = pattern.split(":", _ARN_PARTS - 1), value.split(":", _ARN_PARTS - 1)
    return pattern == "*" or (len(wanted) == len(found) and all(map(like, found, wanted)))


def _ordered(value: str, wanted: str, *, read: Callable[[str], float], compare: Callable[[float, float], bool]) -> bool:
    return compare(read(value), read(wanted))


def _seconds(text: str) -> float:
    """A time, in seconds since 1970, from an ISO 8601 date or such seconds. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _in_network(value: str, network: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)


_ORDERS: Final[dict[str, Callable[[float, float], bool]]] = {
    "equals": operator.eq,
    "lessthan": operator.lt,
    "lessthanequals": operator.le,
    "greaterthan": operator.gt,
    "greaterthanequals": operator.ge,
}
_PATTERNS: Final[dict[str, Test]] = {"stringlike": like, "arnequals": _arn_like, "arnlike": _arn_like}
_TESTS: Final[dict[str, Test]] = {
    **_PATTERNS,
    **{f"numeric{name}": functools.partial(_ordered, read=float, compare=order) for name, order in _ORDERS.items()},
    **{f"date{name}": functools.partial(_ordered, read=_seconds, compare=order) for name, order in _ORDERS.items()},
    "stringequals": operator.eq,
    "stringequalsignorecase": lambda value, wanted: value.casefold() == wanted.casefold(),
    "bool": lambda value, wanted: value.casefold() == wanted.casefold(),
    "binaryequals": operator.eq,
    "ipaddress": _in_network,
}
_NEGATED: Final = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}
_NULL: Final = "null"


class Operator(msgspec.Struct, frozen=True):
    """A condition's operator: its plain `name`, whether it is negated, and what holds for keys of many values or none.

    `quantifier` is "forallvalues", "foranyvalue" or "".
    """

    name: str
    negated: bool
    if_exists: bool
    quantifier: str


def _operator(text: str) -> Operator:
    """The operator of that name (`ForAnyValue:StringLikeIfExists`). Raises ValueError when there is none."""
    quantifier, _, name = text.lower().rpartition(":")
    plain = name.removesuffix("ifexists")
    found = _NEGATED.get(plain, plain)
    known = found in _TESTS or (name == _NULL and not quantifier)
    if not known or quantifier not in ("", "forallvalues", "foranyvalue"):
        raise ValueError(f"there is no condition operator {text}")
    return Operator(found, plain in _NEGATED, plain != name, quantifier)


# Conditions


def hold(conditions: Mapping[str, Mapping[str, Any]], keys: Keys, *, variables: bool) -> bool:
    """Whether all conditions of a statement, its `Condition`, hold for a call that has these keys.

    `variables` tells whether `${…}` stands for a key's value. Raises ValueError for conditions that cannot be read: an
    operator that there is not, or values that are not of its kind.
    """
    return all(
        _holds(_operator(text), wanted, keys.get(key.lower(), ()), keys if variables else None)
        for text, operands in conditions.items()
        for key, wanted in operands.items()
    )


def _holds(which: Operator, wanted: Any, values: tuple[str, ...], keys: Keys | None) -> bool:
    texts = [_text(each) for each in (wanted if isinstance(wanted, list) else [wanted])]
    if which.name == _NULL:
        return any((text.lower() == "true") == (not values) for text in texts)
    if not values:
        if which.if_exists or which.quantifier == "forallvalues":
            return True
        return which.negated and not which.quantifier
    matches = (_matches(which, value, texts, keys) != which.negated for value in values)
    # Without a quantifier a key has one value, or is treated so that more let nobody in.
    return any(matches) if which.quantifier == "foranyvalue" else all(matches)


def _matches(which: Operator, value: str, wanted: list[str], keys: Keys | None) -> bool:
    read = pattern_of if which.name in _PATTERNS else filled
    test = _TESTS[which.name]
    for text in wanted:
        try:
            if test(value, read(text, keys)):
                return True
        except LookupError:
            continue
    return False


def _text(value: Any) -> str:
    """A condition's value as text: policies write numbers and truths with or without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"a condition wants a text, a number, true or false, not {value}")
