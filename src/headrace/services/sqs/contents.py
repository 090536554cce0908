"""What a message may contain, and the digests that SDKs check it by. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from headrace.errors import ServiceError
from headrace.services.sqs import limits
from headrace.services.sqs.records import MessageAttribute
from headrace.services.sqs.rules import invalid_parameter

_FORBIDDEN_BYTES: Final = bytes([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20)])
_FORBIDDEN_PAIRS: Final = (b"\xef\xbf\xbe", b"\xef\xbf\xbf")
"""U+FFFE and U+FFFF in UTF-8, where surrogates cannot occur."""

_INVALID_CHARACTERS: Final = (
    "Invalid characters found. Valid unicode characters are "
    "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
)
_ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+").fullmatch
_RESERVED_PREFIXES: Final = ("aws.", "amazon.")
_NUMBER: Final = re.compile(r"[+-]?(?P<whole>\d*)(?:\.(?P<part>\d*))?(?:[eE](?P<exponent>[+-]?\d{1,6}))?").fullmatch
_BASE_TYPES: Final = frozenset({"String", "Number", "Binary"})

TRACE_HEADER: Final = "AWSTraceHeader"


def encode_text(text: str) -> bytes | None:
    """The UTF-8 of `text`, or None when it has characters that no message may have."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return None
    if len(data.translate(None, _FORBIDDEN_BYTES)) != len(data):
        return None
    if not data.isascii() and (_FORBIDDEN_PAIRS[0] in data or _FORBIDDEN_PAIRS[1] in data):
        return None
    return data


def invalid_contents() -> ServiceError:
    """AWS's InvalidMessageContents, for a body with forbidden characters."""
    return ServiceError("InvalidMessageContents", _INVALID_CHARACTERS)


def too_long(max_bytes: int) -> ServiceError:
    """AWS's error for a message over the queue's MaximumMessageSize."""
    return invalid_parameter(
        f"One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes."
    )


def digest(attributes: Mapping[str, MessageAttribute]) -> str:
    """The MD5 of message attributes, in hexadecimal (Developer Guide, "Calculating the MD5 message digest")."""
    md5 = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        key, kind, value = name.encode(), attribute.data_type.encode(), attribute.value_bytes()
        transport = b"\x01" if attribute.data is None else b"\x02"
        md5.update(b"".join((len(key).to_bytes(4), key, len(kind).to_bytes(4), kind)))
        md5.update(b"".join((transport, len(value).to_bytes(4), value)))
    return md5.hexdigest()


def attributes_bytes(attributes: Mapping[str, MessageAttribute]) -> int:
    """How much the attributes add to the message's size: names, types and values."""
    return sum(
        len(name.encode()) + len(attribute.data_type.encode()) + len(attribute.value_bytes())
        for name, attribute in attributes.items()
    )


# Message attributes


def parse_attributes(given: Mapping[str, Mapping[str, Any]]) -> dict[str, MessageAttribute]:
    """Message attributes as they are stored. Raises InvalidParameterValue, and UnsupportedOperation for list values."""
    if len(given) > limits.MESSAGE_ATTRIBUTES:
        raise invalid_parameter(
            f"Number of message attributes [{len(given)}] exceeds the allowed maximum [{limits.MESSAGE_ATTRIBUTES}]."
        )
    parsed = {}
    for name, value in given.items():
        _check_attribute_name(name)
        parsed[name] = _parse_attribute(name, value)
    return parsed


def parse_trace(given: Mapping[str, Mapping[str, Any]]) -> MessageAttribute | None:
    """The AWSTraceHeader of MessageSystemAttributes, the only one there is."""
    for name in given:
        if name != TRACE_HEADER:
            raise invalid_parameter(f"Message system attribute name '{name}' is invalid.")
    if TRACE_HEADER not in given:
        return None
    attribute = _parse_attribute(TRACE_HEADER, given[TRACE_HEADER])
    if attribute.data_type != "String":
        raise invalid_parameter(f"The type of message system attribute '{TRACE_HEADER}' must be String.")
    return attribute


def _check_attribute_name(name: str) -> None:
    if not name:
        raise invalid_parameter("The request must contain non-empty message (user) attribute names.")
    if len(name) > limits.ATTRIBUTE_NAME_CHARS:
        raise invalid_parameter("Message (user) attribute name must be shorter than 256 bytes.")
    if not _ATTRIBUTE_NAME(name) or ".." in name:
        raise invalid_parameter(
            "Message (user) attributes name can only contain upper and lower score characters, digits, periods, "
            "hyphens and underscores."
        )
    if name.lower().startswith(_RESERVED_PREFIXES) or name[0] == "." or name[-1] == ".":
        raise invalid_parameter(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. "
            "These strings are reserved for internal use. Additionally, they cannot start or end with '.'."
        )


def _parse_attribute(name: str, given: Mapping[str, Any]) -> MessageAttribute:
    # AWS: the model has list values, the service refuses even empty ones.
    if "StringListValues" in given or "BinaryListValues" in given:
        raise ServiceError(
            "UnsupportedOperation", "Message attribute list values in SendMessage operation are not supported."
        )
    data_type = given.get("DataType")
    if not data_type:
        raise invalid_parameter(
            f"The message (user) attribute '{name}' must contain a non-empty message attribute type."
        )
    base = data_type.partition(".")[0]
    if base not in _BASE_TYPES:
        raise invalid_parameter(
            f"The type of message (user) attribute '{name}' is invalid. "
            "You must use only the following supported type prefixes: Binary, Number, String."
        )
    if len(data_type.encode(errors="replace")) > limits.ATTRIBUTE_TYPE_BYTES:
        raise invalid_parameter("Message (user) attribute type must be shorter than 256 bytes.")
    value = given.get("BinaryValue" if base == "Binary" else "StringValue")
    if not value:
        raise invalid_parameter(f"Message (user) attribute '{name}' must contain a non-empty value of type '{base}'.")
    if base == "Binary":
        return MessageAttribute(data_type, data=value)
    if encode_text(value) is None:
        raise invalid_parameter(_INVALID_CHARACTERS)
    if base == "Number" and not _is_number(value):
        raise invalid_parameter(f"Can't cast the value of message (user) attribute '{name}' to a number.")
    return MessageAttribute(data_type, value)


def _is_number(text: str) -> bool:
    match = _NUMBER(text)
    if match is None or not text.isascii():
        return False
    whole, part = match["whole"], match["part"] or ""
    digits = (whole + part).strip("0")
    if not digits:
        return bool(whole + part)
    first = len(whole) - len(whole + part) + len((whole + part).lstrip("0")) - 1
    low, high = limits.NUMBER_EXPONENTS
    return len(digits) <= limits.NUMBER_DIGITS and low <= first + int(match["exponent"] or 0) <= high


# Choosing what ReceiveMessage returns


class AttributeFilter(msgspec.Struct, frozen=True):
    """Which message attributes a receiver asked for: all of them, or those of these names and name prefixes."""

    everything: bool
    names: frozenset[str]
    prefixes: tuple[str, ...]

    def select(self, attributes: dict[str, MessageAttribute]) -> dict[str, MessageAttribute]:
        """The attributes asked for."""
        if self.everything:
            return attributes
        return {
            name: attribute
            for name, attribute in attributes.items()
            if name in self.names or name.startswith(self.prefixes)
        }


def attribute_filter(names: list[str]) -> AttributeFilter:
    """The filter that MessageAttributeNames describes. AWS: names that no attribute can have are ignored."""
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return AttributeFilter("All" in names or ".*" in names, frozenset(names), prefixes)


def attribute_values(attributes: Mapping[str, MessageAttribute]) -> dict[str, dict[str, Any]]:
    """Message attributes as ReceiveMessage gives them."""
    return {
        name: {"StringValue": attribute.text, "DataType": attribute.data_type}
        if attribute.data is None
        else {"BinaryValue": attribute.data, "DataType": attribute.data_type}
        for name, attribute in attributes.items()
    }
