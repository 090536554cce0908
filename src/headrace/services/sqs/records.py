"""What SQS stores: records in metadata, and the header that travels with each message.

Every record carries its version as its tag, so that a later version can read an earlier one's data.
"""

from __future__ import annotations

from typing import Final

import msgspec


class QueueRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A queue, as CreateQueue and its successors left it.

    `attributes` holds what the caller set, normalised; what is absent has AWS's default.
    """

    name: str
    created_at_ms: int
    modified_at_ms: int
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    purged_at_ms: int = 0


class DeletedQueue(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """That a queue of this name was deleted, and when: the name is not free for a minute."""

    deleted_at_ms: int


class MoveTask(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A message move task. `per_second` None lets it run as fast as it can; `status` is AWS's word."""

    task_id: str
    source_arn: str
    destination_arn: str | None
    per_second: int | None
    started_at_ms: int
    to_move: int
    moved: int = 0
    status: str = "RUNNING"
    failure: str | None = None


class MessageAttribute(msgspec.Struct, frozen=True, array_like=True):
    """A message attribute: its type, custom suffix included, and its value: `data` for Binary types, else `text`."""

    data_type: str
    text: str = ""
    data: bytes | None = None

    def value_bytes(self) -> bytes:
        """The value, text in UTF-8."""
        return self.text.encode() if self.data is None else self.data


class Header(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What SQS keeps with a message besides its body: its sender, its body's MD5, attributes, AWSTraceHeader."""

    sender: str
    body_md5: bytes
    attributes: dict[str, MessageAttribute] | None = None
    trace: str | None = None


encode: Final = msgspec.msgpack.Encoder().encode
decode_queue: Final = msgspec.msgpack.Decoder(QueueRecord).decode
decode_deleted: Final = msgspec.msgpack.Decoder(DeletedQueue).decode
decode_move: Final = msgspec.msgpack.Decoder(MoveTask).decode
decode_header: Final = msgspec.msgpack.Decoder(Header).decode


# Keys. Queue names have no slash, so each kind of record is a prefix of its own.


def queue_key(region: str, account: str, name: str) -> str:
    """The key of a queue's record; with an empty or partial name, the prefix of many."""
    return f"sqs/{region}/{account}/queue/{name}"


def deleted_key(region: str, account: str, name: str) -> str:
    """The key that tells that a queue was deleted of late."""
    return f"sqs/{region}/{account}/deleted/{name}"


def source_key(region: str, account: str, dead_letter_name: str, source_name: str) -> str:
    """The key that tells that one queue is another's dead-letter queue; its value is empty."""
    return f"sqs/{region}/{account}/source/{dead_letter_name}/{source_name}"


def move_prefix(region: str, account: str, source_name: str) -> str:
    """What the keys of all move tasks of a source queue begin with; the rest sorts by start."""
    return f"sqs/{region}/{account}/move/{source_name}/"


MOVING_PREFIX: Final = "sqs/moving/"


def moving_key(source_arn: str) -> str:
    """The key, one per source queue, whose value is the key of the task that is moving its messages now."""
    return f"{MOVING_PREFIX}{source_arn}"
