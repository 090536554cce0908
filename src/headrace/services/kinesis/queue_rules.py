"""What stream queues demand of their parameters, how they are described, and the errors they answer with. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from headrace.errors import ServiceError
from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis.queue_records import Attributes, QueueRecord
from headrace.services.kinesis.rules import (
    arn_of,
    decode_opaque,
    encode_opaque,
    invalid_argument,
    not_found,
    parse_resource_arn,
    stream_arn,
    validation,
)

_ID: Final = re.compile(r"queue/([a-z0-9]+)").fullmatch

ACTIVE: Final = "ACTIVE"
CREATING: Final = "CREATING"
UPDATING: Final = "UPDATING"
DELETING: Final = "DELETING"


def no_such_queue(arn: str) -> ServiceError:
    """AWS's ResourceNotFoundException for a queue."""
    return not_found(f"Queue {arn} not found.")


def queue_arn(region: str, account: str, queue_id: str) -> str:
    """A queue's ARN. AWS: it holds a generated id, not the queue's name."""
    return arn_of(region, account, resource_of(queue_id))


def resource_of(queue_id: str) -> str:
    """The last part of a queue's ARN, under which its tags and its policy are kept."""
    return f"queue/{queue_id}"


def parse_queue_arn(arn: str) -> tuple[str, str, str]:
    """The (region, account, id) of a queue's ARN. Raises ResourceNotFoundException: no other has a queue."""
    region, account, resource = parse_resource_arn(arn)
    match = _ID(resource)
    if match is None:
        raise no_such_queue(arn)
    return region, account, match[1]


# Attributes

DEFAULTS: Final = Attributes(
    visibility_timeout_s=limits.VISIBILITY_TIMEOUT_S,
    max_receives=limits.MAX_RECEIVE_COUNT,
)


def change(attributes: Attributes, given: Mapping[str, Any]) -> Attributes:
    """Attributes with those that a QueueAttributes gives put over them. Raises ValidationException."""
    if (visibility_s := given.get("VisibilityTimeoutSeconds")) is not None:
        attributes = msgspec.structs.replace(attributes, visibility_timeout_s=visibility_s)
    if (dead_letters := given.get("DeadLetterConfiguration")) is not None:
        attributes = msgspec.structs.replace(attributes, max_receives=_max_receives(dead_letters))
    return attributes


def _max_receives(dead_letters: Mapping[str, Any]) -> int:
    if dead_letters["TargetType"] == "NONE":
        return 0
    max_receives: int | None = dead_letters.get("MaxReceiveCount")
    if max_receives is None:
        raise validation("MaxReceiveCount is required when the TargetType of DeadLetterConfiguration is BUILT_IN.")
    return max_receives


def describe_attributes(attributes: Attributes) -> dict[str, Any]:
    """A QueueAttributes."""
    dead_letters: dict[str, Any] = {"TargetType": "NONE"}
    if attributes.max_receives:
        dead_letters = {"TargetType": "BUILT_IN", "MaxReceiveCount": attributes.max_receives}
    return {"VisibilityTimeoutSeconds": attributes.visibility_timeout_s, "DeadLetterConfiguration": dead_letters}


# Where a queue begins


def stream_configuration(configurations: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The one entry of a StreamConfigurationList. Raises ValidationException."""
    if len(configurations) != 1:
        raise validation("StreamConfigurationList must contain exactly one entry.")
    return configurations[0]


def starting_position(configuration: Mapping[str, Any]) -> tuple[str, int | None]:
    """The starting position's type and, for AT_TIMESTAMP, its time in milliseconds. Raises ValidationException."""
    position: Mapping[str, Any] = configuration.get("StartingPosition") or {"Type": "LATEST"}
    kind: str = position["Type"]
    timestamp_s: float | None = position.get("Timestamp")
    if (kind == "AT_TIMESTAMP") != (timestamp_s is not None):
        raise validation(
            "A StartingPosition of type AT_TIMESTAMP requires a Timestamp."
            if timestamp_s is None
            else f"Timestamp can only be specified for a StartingPosition of type AT_TIMESTAMP, not {kind}."
        )
    return kind, None if timestamp_s is None else milliseconds(timestamp_s)


def milliseconds(timestamp_s: float) -> int:
    """A time in seconds since the epoch as the nearest whole milliseconds. Raises ValidationException."""
    try:
        return round(timestamp_s * 1000)
    except (ValueError, OverflowError) as error:
        raise validation("Timestamp is not a point in time.") from error


def effective_start_ms(kind: str, timestamp_ms: int | None, now_ms: int, oldest_ms: int) -> int:
    """When a queue begins; `oldest_ms` is the earliest time that its stream can be read from."""
    if kind == "LATEST":
        return now_ms
    return oldest_ms if timestamp_ms is None else max(timestamp_ms, oldest_ms)


# How a queue stands and is described


def status(record: QueueRecord, now_ms: int) -> str:
    """AWS's QueueStatus."""
    return ACTIVE if record.phase != DELETING and now_ms >= record.phase_ends_ms else record.phase


def is_gone(record: QueueRecord, now_ms: int) -> bool:
    """Whether its deletion is through, though what it held may still be about to be removed."""
    return record.phase == DELETING and now_ms >= record.phase_ends_ms


def attributes_now(record: QueueRecord, now_ms: int) -> Attributes:
    """The attributes in force. AWS: a change applies once the queue is ACTIVE again."""
    return record.before if record.before is not None and now_ms < record.phase_ends_ms else record.attributes


def describe(record: QueueRecord, region: str, account: str, now_ms: int) -> dict[str, Any]:
    """A QueueDescription."""
    state = status(record, now_ms)
    position: dict[str, Any] = {"Type": record.position}
    # AWS: until the queue is there, its start is what the caller said, if he said a time.
    start_ms = record.timestamp_ms if state == CREATING else record.starts_at_ms
    if start_ms is not None:
        position["Timestamp"] = start_ms / 1000
    return {
        "QueueName": record.name,
        "QueueARN": queue_arn(region, account, record.id),
        "QueueStatus": state,
        "QueueCreationTimestamp": record.created_at_ms / 1000,
        "StreamConfigurationList": [
            {"StreamARN": stream_arn(region, account, record.stream_name), "StartingPosition": position}
        ],
        "QueueAttributes": describe_attributes(record.attributes),
    }


def summarise(record: QueueRecord, region: str, account: str, now_ms: int) -> dict[str, Any]:
    """A QueueSummary."""
    return {
        "QueueName": record.name,
        "QueueARN": queue_arn(region, account, record.id),
        "QueueStatus": status(record, now_ms),
        "QueueCreationTimestamp": record.created_at_ms / 1000,
        "Streams": [
            {
                "StreamARN": stream_arn(region, account, record.stream_name),
                "StreamCreationTimestamp": float(record.stream_created_at_ms // 1000),
            }
        ],
    }


def matches(record: QueueRecord, region: str, account: str, filters: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a queue is on one of the streams of a StreamFilter; an empty one lets all pass.

    StreamCreationTimestamp tells a stream from an earlier one of its name. It counts to the second: AWS's own clients
    send no more of it.
    """
    arn = stream_arn(region, account, record.stream_name)
    created_s = record.stream_created_at_ms // 1000
    return not filters or any(
        each["StreamARN"] == arn and milliseconds(each.get("StreamCreationTimestamp", created_s)) // 1000 == created_s
        for each in filters
    )


# Pages


class Place(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What a NextToken of ListQueues stands for: after which queue to go on, and when it was given out."""

    after: str
    issued_ms: int


_decode_place: Final = msgspec.msgpack.Decoder(Place).decode


def write_token(last_name: str, now_ms: int) -> str:
    """The NextToken that continues after a queue."""
    return encode_opaque(Place(last_name, now_ms))


def read_token(token: str | None, now_ms: int) -> str:
    """The name that a NextToken continues after. Raises InvalidArgumentException and ExpiredNextTokenException."""
    if token is None:
        return ""
    place = decode_opaque(token, _decode_place)
    if now_ms > place.issued_ms + limits.TOKEN_LIFE_MS:
        raise ServiceError("ExpiredNextTokenException", "NextToken has expired; begin again without one.")
    return place.after


# Entries


def refused(handle: str, error: ServiceError) -> dict[str, Any]:
    """An entry of a Failed list."""
    return {"ReceiptHandle": handle, "ErrorCode": error.code, "ErrorMessage": error.message}


def not_a_receipt() -> ServiceError:
    """For a handle that the queue's receive of that kind did not give."""
    return invalid_argument("The receipt handle is not one that this queue gave for such records.")


def not_in_queue() -> ServiceError:
    """For the handle of a record that was acknowledged, moved or has expired."""
    return not_found("The record of this receipt handle is not in the queue any more.")


def not_in_flight() -> ServiceError:
    """For a change of visibility of a record that is visible."""
    return invalid_argument("The record of this receipt handle is not in flight; receive it again.")
