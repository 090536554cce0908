"""Receipt handles: what a receiver shows to acknowledge a record, change its visibility or restore it. Pure.

A handle names the queue, the record, and where the record was at the time: in the queue, in its last receive before it
becomes a dead letter, or among the dead letters. A checksum tells a handle from a typing error.
"""

from __future__ import annotations

import base64
import enum
import zlib
from typing import Final

import msgspec

from headrace.services.kinesis.queue_records import Pointer

_CHECKSUM_BYTES: Final = 4


class Kind(enum.StrEnum):
    """Where a record was when it was received."""

    QUEUED = "q"
    LAST = "l"
    DEAD = "d"


class Receipt(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What a handle says. `claim` is the engine's own receipt, "" for a last receive, which the engine has not."""

    queue_id: str
    kind: Kind
    shard: int
    sequence: int
    first_received_ms: int
    claim: str = ""

    @property
    def pointer(self) -> Pointer:
        """The record it is for."""
        return Pointer(self.shard, self.sequence)


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Receipt)


def write(receipt: Receipt) -> str:
    """The receipt as a handle. AWS: up to 1,024 characters."""
    packed = _encoder.encode(receipt)
    return base64.urlsafe_b64encode(packed + zlib.crc32(packed).to_bytes(_CHECKSUM_BYTES, "big")).decode()


def read(handle: str, queue_id: str) -> Receipt | None:
    """What the handle says, or None when it is not one of this queue's."""
    try:
        raw = base64.b64decode(handle, b"-_", validate=True)
        packed, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
        if zlib.crc32(packed).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
            return None
        receipt = _decoder.decode(packed)
    except ValueError:  # binascii's and msgspec's errors are ValueErrors
        return None
    return receipt if receipt.queue_id == queue_id else None
