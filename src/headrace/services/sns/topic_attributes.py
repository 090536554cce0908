"""Topic attributes: names, ranges, defaults, and how they are shown. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from headrace.services.sns import delivery_policy, limits, policies
from headrace.services.sns.rules import invalid_parameter, read_boolean

_ENDPOINT_KINDS: Final = ("HTTP", "Firehose", "Lambda", "Application", "SQS")
_ROLES: Final = frozenset(
    f"{kind}{outcome}FeedbackRoleArn" for kind in _ENDPOINT_KINDS for outcome in ("Success", "Failure")
)
_SAMPLE_RATES: Final = frozenset(f"{kind}SuccessFeedbackSampleRate" for kind in _ENDPOINT_KINDS)
_CHOICES: Final = {
    "TracingConfig": ("PassThrough", "Active"),
    "SignatureVersion": ("1", "2"),
    "FifoThroughputScope": ("Topic", "MessageGroup"),
}
_FIFO_ONLY: Final = frozenset({"ArchivePolicy", "ContentBasedDeduplication", "FifoThroughputScope"})
_STANDARD_ONLY: Final = frozenset({"TracingConfig"})
_PLAIN: Final = frozenset({"DeliveryPolicy", "DisplayName", "KmsMasterKeyId", "MaximumMessageSize", "Policy"})
_SETTABLE: Final = _PLAIN | _FIFO_ONLY | _ROLES | _SAMPLE_RATES | _CHOICES.keys()

_DISPLAY_FORBIDDEN: Final = frozenset(chr(code) for code in (*range(0x20), 0x7F))
_SAMPLE_MAX: Final = 100
_DIGITS: Final = 7
"""Digits of the largest number an attribute takes."""


Fail = Callable[[str], Exception]
"""Makes the error for what is wrong with an attribute: CreateTopic and SetTopicAttributes word it differently."""


def creating_failed(problem: str) -> Exception:
    """InvalidParameter as CreateTopic answers it."""
    return invalid_parameter(f"Attributes Reason: {problem}")


def normalise(name: str, value: str, *, fail: Fail) -> str:
    """An attribute's value as it is stored; "" takes it away. Raises what `fail` makes of what is wrong.

    The name must be known (`is_settable`).
    """
    if not value and name not in ("ContentBasedDeduplication", "FifoThroughputScope"):
        return ""
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            choices = " or ".join(_CHOICES[name])
            raise fail(f"{name}: Invalid value [{value}]. Must be {choices}.")
        return value
    if name in _SAMPLE_RATES:
        return _number(name, value, 0, _SAMPLE_MAX, fail)
    if name in _ROLES:
        if not value.startswith("arn:") or ":iam:" not in value or ":role/" not in value:
            raise fail(f"{name}: {value} is not the ARN of a role")
        return value
    check = _CHECKS.get(name)
    return check(value, fail) if check is not None else value


def is_settable(name: str, *, fifo: bool) -> bool:
    """Whether a topic of that type has such an attribute to set."""
    if name in _FIFO_ONLY:
        return fifo
    return name in _SETTABLE and not (fifo and name in _STANDARD_ONLY)


def _content_dedup(value: str, fail: Fail) -> str:
    read = read_boolean(value)
    if read is None:
        raise fail(f"ContentBasedDeduplication: Invalid value [{value}]. Must be true or false.")
    return read


def _display_name(value: str, fail: Fail) -> str:
    if len(value) > limits.DISPLAY_NAME_CHARS or not _DISPLAY_FORBIDDEN.isdisjoint(value):
        raise fail(f"DisplayName: must be at most {limits.DISPLAY_NAME_CHARS} characters without control characters")
    return value


def _maximum_size(value: str, fail: Fail) -> str:
    low, high, _ = limits.MESSAGE_BYTES
    return _number("MaximumMessageSize", value, low, high, fail)


def _number(name: str, value: str, low: int, high: int, fail: Fail) -> str:
    if not (value.isascii() and value.isdecimal() and len(value) <= _DIGITS and low <= int(value) <= high):
        raise fail(f"{name}: Invalid value [{value}]. Must be a whole number from {low} to {high}.")
    return str(int(value))


def _policy(value: str, fail: Fail) -> str:
    if problem := policies.check_policy(value):
        raise fail(f"Policy {problem}" if problem.startswith("must") else f"Policy: {problem}")
    return value


def _archive_policy(value: str, fail: Fail) -> str:
    """AWS: `{"MessageRetentionPeriod": "30"}`, in days; an empty object ends archiving."""
    try:
        policy = json.loads(value)
    except (ValueError, RecursionError):
        raise fail("ArchivePolicy: failed to parse JSON.") from None
    if policy == {}:
        return ""
    if not isinstance(policy, dict) or policy.keys() != {"MessageRetentionPeriod"}:
        raise fail("ArchivePolicy: must have MessageRetentionPeriod and nothing else")
    low, high = limits.ARCHIVE_DAYS
    days = _number("ArchivePolicy: MessageRetentionPeriod", str(policy["MessageRetentionPeriod"]), low, high, fail)
    return json.dumps({"MessageRetentionPeriod": days}, separators=(",", ":"))


def _delivery_policy(value: str, fail: Fail) -> str:
    return delivery_policy.check_topic(value, fail)


_CHECKS: Final[Mapping[str, Callable[[str, Fail], str]]] = {
    "ArchivePolicy": _archive_policy,
    "ContentBasedDeduplication": _content_dedup,
    "DeliveryPolicy": _delivery_policy,
    "DisplayName": _display_name,
    "MaximumMessageSize": _maximum_size,
    "Policy": _policy,
}


def archive_days(stored: Mapping[str, str]) -> int:
    """For how many days the topic's messages are archived; 0 when they are not."""
    policy = stored.get("ArchivePolicy")
    return int(json.loads(policy)["MessageRetentionPeriod"]) if policy else 0


def max_bytes(stored: Mapping[str, str]) -> int:
    """The largest message the topic takes."""
    return int(stored.get("MaximumMessageSize", limits.MESSAGE_BYTES[2]))


def differing(stored: Mapping[str, str], given: Mapping[str, str]) -> str | None:
    """The first of the (normalised) attributes given to CreateTopic that an existing topic has otherwise.

    AWS: attributes that are not given are not compared.
    """
    for name, value in given.items():
        if stored.get(name, _UNSET.get(name, "")) != value:
            return name
    return None


_UNSET: Final = {
    "ContentBasedDeduplication": "false",
    "FifoThroughputScope": "Topic",
    "MaximumMessageSize": str(limits.MESSAGE_BYTES[2]),
    "SignatureVersion": "1",
    "TracingConfig": "PassThrough",
}
"""What holds where an attribute was not set."""


def shown(stored: Mapping[str, str], *, arn: str, account: str, fifo: bool) -> dict[str, str]:
    """What GetTopicAttributes says of the topic itself: what was set, and what AWS shows of what was not."""
    result = {"Policy": policies.default_policy(arn, account), "DisplayName": "", **stored}
    result.update(TopicArn=arn, Owner=account)
    if fifo:
        result["FifoTopic"] = "true"
        result.setdefault("ContentBasedDeduplication", "false")
    return result
