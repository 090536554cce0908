"""Receipts: what a receiver shows to delete a message or change its visibility.

A receipt names the message (its id holds the queue's number), the receive it was given for, and when
that was; a checksum tells a receipt from a typing error. It stays valid over restarts.
"""

from __future__ import annotations

import binascii
import struct
import zlib
from typing import Final, NamedTuple

QUEUE_SHIFT: Final = 40
"""Bits of a message id below its queue's number: the sequence."""
MAX_SEQUENCE: Final = (1 << QUEUE_SHIFT) - 1

_FIELDS: Final = struct.Struct(">QIQ")
_CHECKED: Final = struct.Struct(">QIQI")


class Receipt(NamedTuple):
    """The message, which of its receives this was (1 for the first), and when."""

    id: int
    receive_count: int
    received_ms: int


def encode(message_id: int, receive_count: int, received_ms: int) -> str:
    """The receipt as text."""
    fields = _FIELDS.pack(message_id, receive_count, received_ms)
    return binascii.b2a_base64(fields + zlib.crc32(fields).to_bytes(4, "big"), newline=False).decode()


def decode(receipt: str, queue_number: int) -> Receipt | None:
    """What the receipt says, or None when it is not one of this queue's."""
    try:
        raw = binascii.a2b_base64(receipt, strict_mode=True)
        message_id, receive_count, received_ms, checksum = _CHECKED.unpack(raw)
    except (ValueError, struct.error):
        return None
    if message_id >> QUEUE_SHIFT != queue_number or zlib.crc32(raw[:-4]) != checksum:
        return None
    return Receipt(message_id, receive_count, received_ms)
