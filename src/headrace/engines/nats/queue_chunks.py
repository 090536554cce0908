"""What is written to a queue's journal: chunks, each of some effects and the bodies of the messages they bring.

An effect says what became of messages, not what was asked for. So a process of another version that reads the journal
comes to the same state, and a reader that begins after a journal's removed part may pass over effects on messages it
does not know: those are gone, or come again further on, as they were then.
"""

from __future__ import annotations

from typing import Final

import msgspec

from headrace.errors import StorageCorrupt

VERSION: Final = 1
BODY_BYTES: Final = 12
"""What a body takes in a chunk besides its texts, at most."""


class Message(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """A message without its body: as it is kept in the journal, and in memory.

    `due_ms` is when it is (or became) visible; `arrived_count` its receive count when it came to this queue; `group`
    the FIFO message group or the tenant. `message_id` None stands for the one that follows from the sequence.
    """

    sequence: int
    due_ms: int
    sent_ms: int
    group: str | None = None
    dedup_id: str | None = None
    receive_count: int = 0
    first_received_ms: int = 0
    arrived_count: int = 0
    message_id: str | None = None
    source: str | None = None


class Put(msgspec.Struct, array_like=True, tag="p", gc=False):
    """Messages that came, or that were written again as they are now; their bodies are the chunk's, from `first` on."""

    first: int
    messages: list[Message]


class Hidden(msgspec.Struct, array_like=True, tag="h", gc=False):
    """Messages that were handed out at `now_ms`, until `due_ms`."""

    now_ms: int
    due_ms: int
    sequences: list[int]


class Due(msgspec.Struct, array_like=True, tag="d", gc=False):
    """Messages that are due at another time than before, but were not handed out: (sequence, due time) of each."""

    dues: list[tuple[int, int]]


class Returned(msgspec.Struct, array_like=True, tag="r", gc=False):
    """Messages whose last receive did not happen after all; visible since `due_ms`."""

    due_ms: int
    sequences: list[int]


class Gone(msgspec.Struct, array_like=True, tag="g", gc=False):
    """Messages that were deleted, have expired or were moved away."""

    sequences: list[int]


class Purged(msgspec.Struct, array_like=True, tag="x", gc=False):
    """All messages up to that sequence are gone."""

    through: int


class Seen(msgspec.Struct, array_like=True, tag="s", gc=False):
    """Deduplication keys, each with the sequence of its message, remembered until `expires_ms`."""

    expires_ms: int
    keys: list[tuple[str, int]]


class Known(msgspec.Struct, array_like=True, tag="k", gc=False):
    """Deduplication keys as `Seen` has them, of messages whose ids do not follow from their sequences."""

    expires_ms: int
    keys: list[tuple[str, int, str]]


class Attempted(msgspec.Struct, array_like=True, tag="a", gc=False):
    """What a receive attempt was given: (sequence, receive count, when) of each, all hidden until `due_ms`."""

    attempt_id: str
    expires_ms: int
    due_ms: int
    given: list[tuple[int, int, int]]


class Moved(msgspec.Struct, array_like=True, tag="m", gc=False):
    """Moves from other queues that were made, remembered until `expires_ms` so that none is made twice."""

    expires_ms: int
    moves: list[str]


class Claimed(msgspec.Struct, array_like=True, tag="c", gc=False):
    """The queue is kept by another process from here on."""

    process: str


Effect = Put | Hidden | Due | Returned | Gone | Purged | Seen | Known | Attempted | Moved | Claimed


class Body(msgspec.Struct, array_like=True, gc=False):
    """A message's texts."""

    header: bytes
    body: str


class _Writing(msgspec.Struct, array_like=True):
    """A chunk as it is written."""

    version: int
    now_ms: int
    next_sequence: int
    effects: list[msgspec.Raw]
    bodies: list[Body]


class _Written(msgspec.Struct, array_like=True):
    """A chunk as it is read; `bodies` are a list of `Body`, left unread until one is wanted."""

    version: int
    now_ms: int
    next_sequence: int
    effects: list[Effect]
    bodies: msgspec.Raw


class _Versioned(msgspec.Struct, array_like=True):
    version: int


class Chunk(msgspec.Struct, gc=False):
    """A chunk as a process knows it.

    `place` is its sequence in the stream, 0 until it is written; `live` how many messages have their bodies here;
    `bodies` is None when they are not in memory. It can be removed after `keep_until_ms` once nothing in it is live.
    """

    place: int = 0
    size: int = 0
    live: int = 0
    count: int = 0
    keep_until_ms: int = 0
    bodies: list[Body] | None = None


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Written)
_VERSION: Final = msgspec.msgpack.Decoder(_Versioned)
_BODIES: Final = msgspec.msgpack.Decoder(list[Body])


def note(effect: Effect) -> msgspec.Raw:
    """An effect as bytes: as things are now, for the messages that it holds change later."""
    return msgspec.Raw(_ENCODER.encode(effect))


def encode(now_ms: int, next_sequence: int, effects: list[msgspec.Raw], bodies: list[Body]) -> bytes:
    """A chunk as bytes. `next_sequence` is one that no message of it or before has or is after."""
    return _ENCODER.encode(_Writing(VERSION, now_ms, next_sequence, effects, bodies))


def decode(payload: bytes) -> tuple[int, int, list[Effect]]:
    """Time, next sequence and effects of a chunk. Raises StorageCorrupt."""
    written = _read(payload)
    return written.now_ms, written.next_sequence, written.effects


def decode_bodies(payload: bytes) -> list[Body]:
    """The bodies of a chunk. Raises StorageCorrupt."""
    return _BODIES.decode(_read(payload).bodies)


def _read(payload: bytes) -> _Written:
    try:
        version = _VERSION.decode(payload).version
        if version == VERSION:
            return _DECODER.decode(payload)
    except msgspec.DecodeError as cause:
        raise StorageCorrupt(f"A queue's journal on NATS holds what is no chunk: {cause}.") from cause
    raise StorageCorrupt(f"A queue's journal is of a newer Headrace (version {version}): use that.")
