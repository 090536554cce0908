"""The NATS protocol's frames: read in bulk from what the socket brings, and written.

Reading is one loop over the bytes at hand, one callback a message and nothing else: no task, no queue and no object
for a message that nobody waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

OnMessage = Callable[[int, bytes, bytes, bytes, bytes], None]
"""Subscription id, subject, reply subject (b"" when none), header block (b"" when none), payload."""
OnControl = Callable[[bytes], None]
"""A line that is no message: INFO, PING, PONG, +OK or -ERR with what follows it."""

VERSION: Final = b"NATS/1.0"
MAX_LINE_BYTES: Final = 1024 * 1024
"""Longest line read; an INFO that lists a large cluster has a few kilobytes."""

_MESSAGE: Final = ord("M")
_HEADED: Final = ord("H")


class ProtocolBroken(Exception):
    """What came is not the NATS protocol; the session cannot go on."""


class FrameReader:
    """Cuts what the socket brings into frames and hands each on at once."""

    __slots__ = ("_have", "_need", "_on_control", "_on_message", "_parts")

    def __init__(self, on_message: OnMessage, on_control: OnControl) -> None:
        self._on_message = on_message
        self._on_control = on_control
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 0
        """Bytes without which the frame begun is known to be incomplete."""

    def feed(self, data: bytes) -> None:
        """Take what came; calls back for every frame that is whole. Raises ProtocolBroken."""
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data = b"".join(self._parts)
        rest = self._read(data)
        if rest < len(data):
            self._parts = [data[rest:] if rest else data]
            self._have = len(data) - rest
        else:
            self._parts = []

    def _read(self, data: bytes) -> int:
        """Read whole frames; the offset of the first that is not."""
        on_message = self._on_message
        offset, end = 0, len(data)
        while offset < end:
            line_end = data.find(b"\r\n", offset)
            if line_end < 0:
                self._need = 0
                if end - offset > MAX_LINE_BYTES:
                    raise ProtocolBroken("a line has no end")
                return offset
            kind = data[offset]
            if kind in (_MESSAGE, _HEADED):
                words = data[offset:line_end].split()
                start = line_end + 2
                stop = start + _length(words[-1])
                if stop + 2 > end:
                    self._need = stop + 2 - offset
                    return offset
                body = start if kind == _MESSAGE else start + _length(words[-2])
                reply = words[3] if len(words) == (5 if kind == _MESSAGE else 6) else b""
                on_message(int(words[2]), words[1], reply, data[start:body], data[body:stop])
                offset = stop + 2
            else:
                self._on_control(data[offset:line_end])
                offset = line_end + 2
        return offset


def _length(word: bytes) -> int:
    try:
        return int(word)
    except ValueError:
        raise ProtocolBroken("a message without a length") from None


def pub(subject: str, reply: str, headers: bytes, payload: bytes) -> bytes:
    """A PUB or, with headers, an HPUB frame."""
    if headers:
        size = len(headers)
        return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (
            subject.encode(),
            reply.encode(),
            size,
            size + len(payload),
            headers,
            payload,
        )
    return b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(payload), payload)


def header_block(headers: Mapping[str, str | int]) -> bytes:
    """A header block as it stands in a frame; values must hold no line breaks. b"" for no headers."""
    if not headers:
        return b""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"NATS/1.0\r\n%b\r\n" % lines.encode()


def status(headers: bytes) -> int:
    """The status of a header block (404, 408, 503 …); 0 when it has none."""
    if headers[:9] == b"NATS/1.0 " and headers[9:12].isdigit():
        return int(headers[9:12])
    return 0


def description(headers: bytes) -> str:
    """What stands after the status."""
    return headers[12:].partition(b"\r\n")[0].decode(errors="replace").strip()


def header(headers: bytes, name: bytes) -> bytes | None:
    """The value of one header, None when it is not there. Names are compared as they are written."""
    found = headers.find(b"\r\n%b:" % name)
    if found < 0:
        return None
    start = found + len(name) + 3
    return headers[start : headers.find(b"\r\n", start)].strip()


def header_map(headers: bytes) -> dict[str, str]:
    """All headers; of one given twice, the last."""
    lines = headers.decode(errors="replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name: value.strip() for name, _, value in pairs}
