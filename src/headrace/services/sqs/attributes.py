"""Queue attributes: names, ranges, defaults, and what they make of a queue in the engine. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from headrace.errors import ServiceError
from headrace.primitives.queues import QueueSettings
from headrace.services.sqs import limits
from headrace.services.sqs.policies import check_policy
from headrace.services.sqs.redrive import normalise_redrive, parse_redrive, parse_redrive_allow

_RANGES: Final = {
    "VisibilityTimeout": limits.VISIBILITY_TIMEOUT_S,
    "MessageRetentionPeriod": limits.MESSAGE_RETENTION_S,
    "MaximumMessageSize": limits.MESSAGE_SIZE_BYTES,
    "DelaySeconds": limits.DELAY_S,
    "ReceiveMessageWaitTimeSeconds": limits.WAIT_TIME_S,
    "KmsDataKeyReusePeriodSeconds": limits.KMS_REUSE_S,
}
_BOOLEANS: Final = frozenset({"FifoQueue", "ContentBasedDeduplication", "SqsManagedSseEnabled"})
_CHOICES: Final = {
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
_DOCUMENTS: Final[dict[str, Callable[[str], object]]] = {
    "Policy": check_policy,
    "RedrivePolicy": parse_redrive,
    "RedriveAllowPolicy": parse_redrive_allow,
}
_FIFO_ONLY: Final = frozenset({"FifoQueue", "ContentBasedDeduplication", *_CHOICES})
_SETTABLE: Final = frozenset({*_RANGES, *_BOOLEANS, *_CHOICES, *_DOCUMENTS, "KmsMasterKeyId"})

DEPTH: Final = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}
"""The attributes that count messages, and the state each counts."""

_READ_ONLY: Final = frozenset({*DEPTH, "QueueArn", "CreatedTimestamp", "LastModifiedTimestamp"})
KNOWN: Final = _SETTABLE | _READ_ONLY
"""Every attribute GetQueueAttributes takes besides `All`."""

_DEFAULTS: Final = {
    **{name: str(default) for name, (_, _, default) in _RANGES.items() if name != "KmsDataKeyReusePeriodSeconds"},
    "SqsManagedSseEnabled": "true",
}
_FIFO_DEFAULTS: Final = {
    **_DEFAULTS,
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}


def unknown_attribute(name: str) -> ServiceError:
    """AWS's InvalidAttributeName."""
    return ServiceError("InvalidAttributeName", f"Unknown Attribute {name}.")


def invalid_attribute(name: str, reason: str = "") -> ServiceError:
    """AWS's InvalidAttributeValue."""
    return ServiceError(
        "InvalidAttributeValue", f"Invalid value for the parameter {name}.{reason and ' Reason: '}{reason}"
    )


def wants_fifo(given: Mapping[str, str]) -> bool:
    """Whether CreateQueue's attributes ask for a FIFO queue."""
    return given.get("FifoQueue", "").lower() == "true"


def normalise(given: Mapping[str, str], *, fifo: bool, creating: bool) -> dict[str, str]:
    """Attributes as they are stored; an empty value takes the attribute away.

    Raises InvalidAttributeName and InvalidAttributeValue, and for policies InvalidParameterValue and OverLimit.
    """
    result = {}
    for name, value in given.items():
        _check_name(name, fifo=fifo)
        # AWS: a queue's type stays what it was; saying it again is harmless, and says nothing new when creating.
        if name == "FifoQueue" and value.lower() != "true":
            if creating:
                raise unknown_attribute(name)
            raise invalid_attribute(name, "Modifying queue type is not supported.")
        if name != "FifoQueue":
            result[name] = _normalise_value(name, value)
    if result.get("SqsManagedSseEnabled") == "true" and result.get("KmsMasterKeyId"):
        raise ServiceError(
            "InvalidAttributeName",
            "You can use one type of server-side encryption (SSE) at one time. "
            "You can either enable KMS SSE or SQS SSE.",
        )
    return result


def _check_name(name: str, *, fifo: bool) -> None:
    if name not in _SETTABLE:
        raise unknown_attribute(name)
    if name in _FIFO_ONLY and not fifo:
        if name in _CHOICES:
            raise ServiceError(
                "InvalidAttributeName", f"You can specify the {name} only when FifoQueue is set to true."
            )
        raise unknown_attribute(name)


def _normalise_value(name: str, value: str) -> str:
    if name in _RANGES:
        low, high, _ = _RANGES[name]
        if not (value.isascii() and value.isdecimal() and len(value) <= 18 and low <= int(value) <= high):  # noqa: PLR2004 - what fits 64 bits
            raise invalid_attribute(name)
        return str(int(value))
    if name in _BOOLEANS:
        if value.lower() not in ("true", "false"):
            raise invalid_attribute(name)
        return value.lower()
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise invalid_attribute(name)
        return value
    if name in _DOCUMENTS and value:
        _DOCUMENTS[name](value)
    return normalise_redrive(value) if name == "RedrivePolicy" and value else value


def merge(stored: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """What is stored after SetQueueAttributes (or CreateQueue, with nothing stored before).

    Raises InvalidAttributeValue when high throughput is asked for without its deduplication scope.
    """
    merged = {**stored, **changes}
    # AWS: choosing one kind of encryption ends the other.
    if changes.get("KmsMasterKeyId"):
        merged["SqsManagedSseEnabled"] = "false"
    elif changes.get("SqsManagedSseEnabled") == "true":
        merged.pop("KmsMasterKeyId", None)
        merged.pop("KmsDataKeyReusePeriodSeconds", None)
    merged = {name: value for name, value in merged.items() if value}
    if merged.get("FifoThroughputLimit") == "perMessageGroupId" and merged.get("DeduplicationScope") != "messageGroup":
        raise ServiceError(
            "InvalidAttributeValue",
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup",
        )
    return merged


def effective(stored: Mapping[str, str], *, fifo: bool) -> dict[str, str]:
    """What is stored, with AWS's defaults for the rest."""
    result = {**(_FIFO_DEFAULTS if fifo else _DEFAULTS), **stored}
    reuse = str(limits.KMS_REUSE_S[2])
    if "KmsMasterKeyId" in result:
        result.setdefault("KmsDataKeyReusePeriodSeconds", reuse)
    elif result.get("KmsDataKeyReusePeriodSeconds") == reuse:
        # AWS: without a key, the default period is not shown.
        del result["KmsDataKeyReusePeriodSeconds"]
    return result


def conflict(stored: Mapping[str, str], given: Mapping[str, str], *, fifo: bool) -> str | None:
    """The first of the (normalised) attributes given to CreateQueue that an existing queue has otherwise.

    AWS: attributes that are not given are not compared; policies are compared as JSON.
    """
    now = {"KmsDataKeyReusePeriodSeconds": str(limits.KMS_REUSE_S[2]), **effective(stored, fifo=fifo)}
    for name, value in given.items():
        current = now.get(name, "")
        if current != value and not (
            name in _DOCUMENTS and current and value and json.loads(current) == json.loads(value)
        ):
            return name
    return None


def settings(stored: Mapping[str, str], *, fifo: bool) -> QueueSettings:
    """How the engine is to treat the queue."""
    values = effective(stored, fifo=fifo)
    redrive = parse_redrive(stored["RedrivePolicy"]) if "RedrivePolicy" in stored else None
    return QueueSettings(
        fifo=fifo,
        visibility_timeout_ms=int(values["VisibilityTimeout"]) * 1000,
        retention_ms=int(values["MessageRetentionPeriod"]) * 1000,
        delay_ms=int(values["DelaySeconds"]) * 1000,
        max_receive_count=redrive.max_receive_count if redrive else 0,
        dead_letter_queue=redrive.target_arn if redrive else None,
        dedup_per_group=values.get("DeduplicationScope") == "messageGroup",
        dedup_window_ms=limits.DEDUPLICATION_WINDOW_MS,
        max_in_flight=limits.IN_FLIGHT_MESSAGES,
        max_hidden_ms=limits.VISIBILITY_TIMEOUT_S[1] * 1000,
        fair=not fifo,
    )
