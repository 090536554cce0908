"""Receipts: what a receiver shows to delete a message or change its visibility.

A receipt names the queue, the message by its sequence, the receive it was given for, and when that was; a checksum
tells a receipt from a typing error. Nothing has to be kept for it: it is good in every process, and after restarts.
"""

from __future__ import annotations

import binascii
import hashlib
import struct
import zlib
from typing import Final, NamedTuple

_FIELDS: Final = struct.Struct(">QQIQ")
_CHECKED: Final = struct.Struct(">QQIQI")
_ID: Final = struct.Struct(">QQ")


class Receipt(NamedTuple):
    """The message's sequence, which of its receives this was (1 for the first), and when."""

    sequence: int
    receive_count: int
    received_ms: int


def encode(number: int, sequence: int, receive_count: int, received_ms: int) -> str:
    """The receipt of a message of the queue with that number, as text."""
    fields = _FIELDS.pack(number, sequence, receive_count, received_ms)
    return binascii.b2a_base64(fields + zlib.crc32(fields).to_bytes(4, "big"), newline=False).decode()


def decode(receipt: str, number: int) -> Receipt | None:
    """What the receipt says, or None when it is not one of this queue's."""
    try:
        raw = binascii.a2b_base64(receipt, strict_mode=True)
        queue, sequence, receive_count, received_ms, checksum = _CHECKED.unpack(raw)
    except (ValueError, struct.error):
        return None
    if queue != number or zlib.crc32(raw[:-4]) != checksum:
        return None
    return Receipt(sequence, receive_count, received_ms)


def message_id(number: int, sequence: int) -> str:
    """The id of the message with that sequence: a UUID (version 8, RFC 9562) that need not be kept anywhere."""
    digits = hashlib.blake2b(_ID.pack(number, sequence), digest_size=16).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
