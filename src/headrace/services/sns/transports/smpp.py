"""SMPP 3.4, as a client that sends and receives short messages needs it: its PDUs to bytes and back. Pure.

A PDU is a header of four 32-bit numbers (length, command, status, sequence) and a body of C strings and octets, after
which come optional parameters, each a tag, a length and a value.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

import msgspec

VERSION: Final = 0x34
HEADER: Final = struct.Struct(">IIII")
_PARAMETER: Final = struct.Struct(">HH")
MAX_PDU_BYTES: Final = 64 * 1024
"""Largest PDU taken; a short message with all its parameters stays far below."""

MAX_SHORT_MESSAGE: Final = 254
"""Octets that `short_message` holds."""

UDHI: Final = 0x40
"""In `esm_class`: the message begins with a user data header."""

_RECEIPT_MASK: Final = 0x3C
_TON_INTERNATIONAL: Final = 1
_TON_ALPHANUMERIC: Final = 5
_NPI_ISDN: Final = 1
_MESSAGE_PAYLOAD: Final = 0x0424

DEFAULT_ALPHABET: Final = 0
UCS2: Final = 8


class Command(enum.IntEnum):
    """The commands this client sends or answers; a response has the highest bit set."""

    GENERIC_NACK = 0x80000000
    BIND_TRANSCEIVER = 0x00000009
    BIND_TRANSCEIVER_RESP = 0x80000009
    SUBMIT_SM = 0x00000004
    SUBMIT_SM_RESP = 0x80000004
    DELIVER_SM = 0x00000005
    DELIVER_SM_RESP = 0x80000005
    UNBIND = 0x00000006
    UNBIND_RESP = 0x80000006
    ENQUIRE_LINK = 0x00000015
    ENQUIRE_LINK_RESP = 0x80000015


RESPONSE: Final = 0x80000000
"""The bit that tells a response from a request."""

OK: Final = 0
INVALID_COMMAND: Final = 0x03
SYSTEM_ERROR: Final = 0x08

PASSING: Final = {
    0x04: "the session is not bound as it should be",
    SYSTEM_ERROR: "the message centre had a system error",
    0x14: "the message centre's queue is full",
    0x58: "the message centre throttles",
    0x64: "the message centre had a temporary error",
}
"""Statuses after which the same message may be taken later. (0x64 is ESME_RX_T_APPN.)"""

_LASTING: Final = {
    0x01: "the message's length is wrong",
    0x0A: "the sender's address is not allowed",
    0x0B: "the phone number is not valid",
    0x0D: "binding failed",
    0x0E: "the password is wrong",
    0x0F: "the system id is wrong",
    0x45: "the message could not be submitted",
    0x65: "the phone number cannot be reached",
}


class SmppError(Exception):
    """Bytes that are no SMPP."""


class Pdu(msgspec.Struct, frozen=True):
    """One protocol data unit; `command` is a plain number, for there are more than this client knows."""

    command: int
    sequence: int
    status: int = OK
    body: bytes = b""


def encode(pdu: Pdu) -> bytes:
    """The bytes of a PDU."""
    return HEADER.pack(HEADER.size + len(pdu.body), pdu.command, pdu.status, pdu.sequence) + pdu.body


def take(buffer: bytearray) -> Pdu | None:
    """The first PDU of what has come in, taken off the buffer; None while it is not complete. Raises SmppError."""
    if len(buffer) < HEADER.size:
        return None
    length, command, status, sequence = HEADER.unpack_from(buffer)
    if not HEADER.size <= length <= MAX_PDU_BYTES:
        raise SmppError(f"a PDU of {length} bytes")
    if len(buffer) < length:
        return None
    body = bytes(buffer[HEADER.size : length])
    del buffer[:length]
    return Pdu(command, sequence, status, body)


def describe(status: int) -> str:
    """A status in words."""
    words = PASSING.get(status) or _LASTING.get(status) or "the message centre refused"
    return f"{words} (SMPP status 0x{status:08x})"


# Bodies


class Bind(msgspec.Struct, frozen=True):
    """Who binds; `address_range` is left empty."""

    system_id: str
    password: str
    system_type: str = ""


def bind_body(bind: Bind) -> bytes:
    """The body of `bind_transceiver`. Raises SmppError for names that SMPP has no room for."""
    if len(bind.system_id) > 15 or len(bind.password) > 8 or len(bind.system_type) > 12:  # noqa: PLR2004 - SMPP's sizes
        raise SmppError("SMPP takes a system id of 15 characters, a password of 8 and a system type of 12 at most")
    return _text(bind.system_id) + _text(bind.password) + _text(bind.system_type) + bytes([VERSION, 0, 0]) + b"\0"


class Message(msgspec.Struct, frozen=True):
    """A short message on its way to a phone (`submit_sm`) or from one (`deliver_sm`)."""

    source: str
    destination: str
    octets: bytes
    esm_class: int = 0
    data_coding: int = DEFAULT_ALPHABET
    priority: int = 0

    @property
    def is_receipt(self) -> bool:
        """Whether it tells of the fate of a message sent earlier, and is none from a person."""
        return bool(self.esm_class & _RECEIPT_MASK)


def message_body(message: Message) -> bytes:
    """The body of `submit_sm` or `deliver_sm`; what is too long for `short_message` goes into `message_payload`."""
    long = len(message.octets) > MAX_SHORT_MESSAGE
    short = b"" if long else message.octets
    return b"".join(
        (
            b"\0",  # service_type
            _address(message.source),
            _address(message.destination),
            bytes([message.esm_class, 0, message.priority]),
            b"\0\0",  # at once, valid for as long as the message centre keeps it
            bytes([0, 0, message.data_coding, 0, len(short)]),
            short,
            _PARAMETER.pack(_MESSAGE_PAYLOAD, len(message.octets)) + message.octets if long else b"",
        )
    )


def read_message(body: bytes) -> Message:
    """The message in the body of `submit_sm` or `deliver_sm`. Raises SmppError."""
    reader = _Reader(body)
    reader.text()
    source = reader.address()
    destination = reader.address()
    esm_class, _, priority = reader.octets(3)
    reader.text()
    reader.text()
    _, _, data_coding, _, length = reader.octets(5)
    octets = reader.octets(length)
    for tag, value in reader.parameters():
        if tag == _MESSAGE_PAYLOAD:
            octets = value
    return Message(source, destination, octets, esm_class, data_coding, priority)


def read_id(body: bytes) -> str:
    """The message centre's id for a message, in the body of `submit_sm_resp`; "" when there is none."""
    return body.partition(b"\0")[0].decode("latin-1")


def concatenated(parts: tuple[bytes, ...], reference: int) -> list[bytes]:
    """Parts of one message, each behind the header that has the phone put them together again."""
    return [bytes([5, 0, 3, reference & 0xFF, len(parts), number]) + part for number, part in enumerate(parts, start=1)]


def plain_octets(message: Message) -> bytes:
    """What was written, without the user data header. Raises SmppError."""
    if not message.esm_class & UDHI:
        return message.octets
    if not message.octets or len(message.octets) <= message.octets[0]:
        raise SmppError("a user data header that ends early")
    return message.octets[message.octets[0] + 1 :]


def _address(address: str) -> bytes:
    """Type of number, numbering plan, and the address: an international number without its plus, or a name."""
    if address.startswith("+"):
        return bytes([_TON_INTERNATIONAL, _NPI_ISDN]) + _text(address[1:])
    if address.isdecimal() or not address:
        return bytes([0, 0]) + _text(address)  # a short code, or whatever the message centre sends as
    return bytes([_TON_ALPHANUMERIC, 0]) + _text(address)


def _text(text: str) -> bytes:
    octets = text.encode("latin-1", "replace")
    if b"\0" in octets:
        raise SmppError("a zero octet in a text")
    return octets + b"\0"


class _Reader:
    """Reads a body from its beginning to its end."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def octets(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._body):
            raise SmppError("a PDU that ends early")
        octets, self._at = self._body[self._at : end], end
        return octets

    def text(self) -> str:
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise SmppError("a text without an end")
        text = self._body[self._at : end].decode("latin-1")
        self._at = end + 1
        return text

    def address(self) -> str:
        kind, _ = self.octets(2)
        text = self.text()
        return f"+{text}" if kind == _TON_INTERNATIONAL and not text.startswith("+") else text

    def parameters(self) -> list[tuple[int, bytes]]:
        found = []
        while self._at < len(self._body):
            tag, length = _PARAMETER.unpack(self.octets(_PARAMETER.size))
            found.append((tag, self.octets(length)))
        return found
