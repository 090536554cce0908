"""Receipt handles: what a receiver shows to acknowledge a record, change its visibility or restore it. Pure.

A handle names the queue, the record, and where the record was at the time: in the queue, in its last receive before it
becomes a dead letter, or among the dead letters.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from headrace.errors import ServiceError
from headrace.services.kinesis import rules
from headrace.services.kinesis.queue_records import Pointer


class Kind(enum.StrEnum):
    """Where a record was when it was received."""

    QUEUED = "q"
    LAST = "l"
    DEAD = "d"


class Receipt(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What a handle says. `claim` is the engine's own receipt."""

    queue_id: str
    kind: Kind
    shard: int
    sequence: int
    first_received_ms: int
    claim: str

    @property
    def pointer(self) -> Pointer:
        """The record it is for."""
        return Pointer(self.shard, self.sequence)


_decode: Final = msgspec.msgpack.Decoder(Receipt).decode


def write(receipt: Receipt) -> str:
    """The receipt as a handle. AWS: up to 1,024 characters."""
    return rules.encode_opaque(receipt)


def read(handle: str, queue_id: str) -> Receipt | None:
    """What the handle says, or None when it is not one of this queue's."""
    try:
        receipt = rules.decode_opaque(handle, _decode, "ReceiptHandle")
    except ServiceError:
        return None
    return receipt if receipt.queue_id == queue_id else None
