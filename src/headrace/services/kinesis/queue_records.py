"""What stream queues store: their records, how far they were fed, and receives that are a record's last.

A stream queue holds no data. Its engine queue holds *pointers*, each the shard and log sequence of a record, whose body
is `<shard>:<sequence>`; the data is read from the shard's log when a pointer is received. A second engine queue holds
the pointers of dead letters. The receive that is a record's last before it is one takes its pointer out of the first
queue: until that receive ends it is a `LastReceive` under a key of its own, with an entry under the time when it ends.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec


class Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """How a queue treats its records; `max_receives` 0 means that none becomes a dead letter."""

    visibility_timeout_s: int
    max_receives: int


class QueueRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A stream queue, as CreateQueue and its successors left it.

    `phase` is CREATING, UPDATING or DELETING and lasts until `phase_ends_ms`; `before` holds while UPDATING lasts.
    `position` is the starting position's type, `timestamp_ms` what the caller gave with it, and `starts_at_ms` the
    effective one.
    """

    name: str
    id: str
    created_at_ms: int
    stream_name: str
    stream_created_at_ms: int
    position: str
    timestamp_ms: int | None
    starts_at_ms: int
    attributes: Attributes
    before: Attributes | None = None
    phase: str = "CREATING"
    phase_ends_ms: int = 0


class Header(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What a pointer brings from an earlier life: receives, and when the first was (0 for never)."""

    receives: int = 0
    first_received_ms: int = 0


class LastReceive(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A record that is in flight for the last time before it is a dead letter, until `due_ms`.

    `claim` is the engine's receipt for that receive: whose handle does not have it was given for another one.
    """

    due_ms: int
    receives: int
    first_received_ms: int
    claim: str


class Pointer(NamedTuple):
    """Where a record stands: its shard's number, and its sequence in that shard's log."""

    shard: int
    sequence: int


encode: Final = msgspec.msgpack.Encoder().encode
decode_queue: Final = msgspec.msgpack.Decoder(QueueRecord).decode
decode_header: Final = msgspec.msgpack.Decoder(Header).decode
decode_last: Final = msgspec.msgpack.Decoder(LastReceive).decode

FRESH: Final = encode(Header())
"""The header of a pointer that was never received."""


def write_pointer(pointer: Pointer) -> str:
    """A pointer as the body of a message."""
    return f"{pointer.shard}:{pointer.sequence}"


def read_pointer(body: str) -> Pointer:
    """The pointer that a message's body is."""
    shard, _, sequence = body.partition(":")
    return Pointer(int(shard), int(sequence))


# Keys, besides `records.queue_key` and `records.stream_queue_key`. Ids have no slash.

PREFIX: Final = "kinesis-queue/"
"""What the keys of all that serves queues begin with."""


def id_key(region: str, account: str, queue_id: str) -> str:
    """The key whose value is the name of the queue with this id."""
    return f"{PREFIX}id/{region}/{account}/{queue_id}"


def fed_key(queue_id: str, shard: int | None) -> str:
    """The key whose value is the last log sequence of a shard that was fed; without a shard, a queue's prefix."""
    return f"{PREFIX}fed/{queue_id}/{'' if shard is None else shard}"


def last_key(queue_id: str, pointer: Pointer | None) -> str:
    """The key of a record's last receive; without a pointer, the prefix of a queue's."""
    return f"{PREFIX}last/{queue_id}/{write_pointer(pointer) if pointer else ''}"


DUE_PREFIX: Final = f"{PREFIX}due/"


class Due(NamedTuple):
    """Something to do at a time: a last receive ends, or (without a pointer) a queue is to be removed."""

    due_ms: int
    region: str
    account: str
    queue_id: str
    pointer: Pointer | None = None


def due_key(due: Due) -> str:
    """The key that stands for it. Such keys sort by time."""
    what = write_pointer(due.pointer) if due.pointer else ""
    return f"{DUE_PREFIX}{due.due_ms:015d}/{due.region}/{due.account}/{due.queue_id}/{what}"


def read_due(key: str) -> Due:
    """What a key made by `due_key` stands for."""
    due_ms, region, account, queue_id, what = key.removeprefix(DUE_PREFIX).split("/")
    return Due(int(due_ms), region, account, queue_id, read_pointer(what) if what else None)
