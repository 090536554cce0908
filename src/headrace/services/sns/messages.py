"""What Publish takes, checked and made into a publication. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from headrace.errors import ServiceError
from headrace.services.sns import limits, rules
from headrace.services.sns.records import MessageAttribute, Publication

_NAME_CHARS: Final = re.compile(r"[A-Za-z0-9_.-]")
_DATA_TYPE: Final = re.compile(r"(String|Number|Binary)(?:\..+)?", re.DOTALL).fullmatch
_NUMBER: Final = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?\s*", re.ASCII).fullmatch
_CONTROL: Final = frozenset(chr(code) for code in (*range(0x20), 0x7F))


class Place(msgspec.Struct, frozen=True):
    """Where a message is published to, as far as its rules go.

    `topic_arn` is empty for a phone number or an endpoint; `needs_default` is false for an endpoint, whose platform
    may have a text of its own instead.
    """

    region: str
    account: str
    topic_arn: str = ""
    fifo: bool = False
    content_dedup: bool = False
    max_bytes: int = limits.MESSAGE_BYTES[2]
    needs_default: bool = True
    signature_version: str = "1"


def read(
    given: Mapping[str, Any], place: Place, *, message_id: str, now_ms: int, trace: str | None = None
) -> tuple[Publication, int]:
    """The publication that Publish's (or an entry's) parameters make, and its size in bytes.

    Raises InvalidParameter and ParameterValueInvalid.
    """
    subject: str | None = given.get("Subject")
    if subject is not None:
        _check_subject(subject)
    message: str = given.get("Message") or ""
    if not message:
        raise rules.invalid_parameter("Empty message")
    named = given.get("MessageAttributes")
    attributes = _read_attributes(named) if named else {}
    size_bytes = _size(message, attributes)
    if size_bytes > place.max_bytes:
        raise rules.invalid_parameter("Message too long")
    group, dedup_id = _address(given, place, message)
    bodies = _read_bodies(message, given["MessageStructure"], place) if given.get("MessageStructure") else {}
    publication = Publication(
        message_id=message_id,
        topic_arn=place.topic_arn,
        region=place.region,
        account=place.account,
        message=message,
        published_at_ms=now_ms,
        subject=subject,
        bodies=bodies,
        attributes=attributes,
        group=group,
        dedup_id=dedup_id,
        trace=trace,
        signature_version=place.signature_version,
    )
    return publication, size_bytes


def _check_subject(subject: str) -> None:
    if not 1 <= len(subject) <= limits.SUBJECT_CHARS or not _CONTROL.isdisjoint(subject):
        raise rules.invalid_parameter("Subject")


def _size(message: str, attributes: Mapping[str, MessageAttribute]) -> int:
    """The bytes of a message: its text, and the names, types and values of its attributes."""
    size_bytes = len(message) if message.isascii() else len(message.encode(errors="surrogatepass"))
    for name, attribute in attributes.items():
        value = attribute.text.encode(errors="surrogatepass") if attribute.data is None else attribute.data
        size_bytes += len(name.encode()) + len(attribute.data_type.encode()) + len(value)
    return size_bytes


def _address(given: Mapping[str, Any], place: Place, message: str) -> tuple[str | None, str | None]:
    """The message group and deduplication id."""
    group: str | None = given.get("MessageGroupId")
    dedup_id: str | None = given.get("MessageDeduplicationId")
    if not place.fifo:
        if dedup_id is not None:
            raise rules.invalid_parameter(
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not "
                "valid for this topic type"
            )
        if group is not None:
            rules.check_token_text(group, "MessageGroupId")
        return group, None
    if not group:
        raise rules.invalid_parameter("The MessageGroupId parameter is required for FIFO topics")
    rules.check_token_text(group, "MessageGroupId")
    if dedup_id:
        rules.check_token_text(dedup_id, "MessageDeduplicationId")
        return group, dedup_id
    if not place.content_dedup:
        raise rules.invalid_parameter(
            "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )
    return group, hashlib.sha256(message.encode(errors="surrogatepass")).hexdigest()


def _read_bodies(message: str, structure: str, place: Place) -> dict[str, str]:
    """The texts by protocol of a message with MessageStructure json. AWS: what is not a string is passed over."""
    if structure != "json":
        raise rules.invalid_parameter("Message Structure - must be json")
    try:
        values = json.loads(message)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise rules.invalid_parameter("Message Structure - JSON message body failed to parse")
    bodies = {key: value for key, value in values.items() if isinstance(value, str)}
    if "default" not in bodies and (place.needs_default or not bodies):
        raise rules.invalid_parameter("Message Structure - No default entry in JSON message body")
    return bodies


# Attributes


def _read_attributes(given: Mapping[str, Mapping[str, Any]]) -> dict[str, MessageAttribute]:
    """Message attributes as they are kept. Raises ParameterValueInvalid."""
    result = {}
    for name, value in given.items():
        _check_name(name)
        result[name] = _read_attribute(name, value)
    return result


def _invalid(message: str) -> ServiceError:
    return ServiceError("ParameterValueInvalid", message)


def _check_name(name: str) -> None:
    if not name:
        raise _invalid("The message attribute name must not be empty.")
    if len(name) > limits.ATTRIBUTE_NAME_CHARS:
        raise _invalid("Length of message attribute name must be less than 256 bytes.")
    for place, at in (("starting", 0), ("ending", -1)):
        if name[at] == ".":
            raise _invalid(f"Invalid message attribute name {place} with character '.' was found.")
    for char in name:
        if not _NAME_CHARS.match(char):
            raise _invalid(
                f"Invalid non-alphanumeric character '#x{ord(char):X}' was found in the message attribute name. "
                "Can only include alphanumeric characters, hyphens, underscores, or dots."
            )
    if ".." in name:
        raise _invalid("Message attribute name can not have successive '.' character.")


def _read_attribute(name: str, given: Mapping[str, Any]) -> MessageAttribute:
    data_type: str = given["DataType"]
    known = _DATA_TYPE(data_type)
    if known is None:
        raise _invalid(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String."
        )
    field, other = ("Binary", "String") if known[1] == "Binary" else ("String", "Binary")
    value = given.get(f"{field}Value")
    if value is None and given.get(f"{other}Value"):
        raise _invalid(f"The message attribute '{name}' with type '{data_type}' must use field '{field}'.")
    if not value:
        raise _invalid(
            f"The message attribute '{name}' must contain non-empty message attribute value for message attribute "
            f"type '{data_type}'."
        )
    if field == "Binary":
        return MessageAttribute(data_type, data=value)
    if known[1] == "Number" and not _NUMBER(value):
        raise _invalid(f"Could not cast message attribute '{name}' value to number.")
    return MessageAttribute(data_type, value)
