"""What a process keeps in memory of a log: its definition, and its end as far as it was seen. No records.

All of it is a cache. That the end is where it was last seen is what every append has the server check.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from typing import Final

import msgspec

from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.log_chunks import Chunk, is_seal
from headrace.engines.nats.naming import token
from headrace.primitives.logs import Appending
from headrace.primitives.metadata import Entry

PARTITIONS: Final = 16
"""Streams that logs are spread over. Each is made when the first of its logs is."""
CURSORS_KEPT: Final = 64
"""Places of a log that readers are expected to come back to."""


class Definition(msgspec.Struct, array_like=True, frozen=True):
    """A log as it is kept among the records. Its records are those after `floor`.

    `incarnation` tells a log from an earlier one of the same name. What has expired and what was trimmed is below the
    floor when either the retention was changed or the log was trimmed; what expires later follows from the retention.
    """

    incarnation: str
    retention_ms: int | None
    floor: int = 0
    floor_total_bytes: int = 0


class Appended(msgspec.Struct):
    """Records that wait to be written; `first` becomes the sequence of the first of them."""

    records: list[Appending]
    first: asyncio.Future[int]


class LogState:
    """A log that is open, as one process sees it."""

    def __init__(self, jetstream: JetStream, name: str, entry: Entry) -> None:
        self.name = name
        partition = zlib.crc32(name.encode()) % PARTITIONS
        self.stream = stream_of(jetstream.prefix, partition)
        self.entry = entry
        self.definition = msgspec.msgpack.decode(entry.value, type=Definition)
        self.subject = f"{jetstream.prefix}.l.{partition}.{token(name)}.{self.definition.incarnation}"
        self.news = f"{jetstream.prefix}.n.{token(name)}.{self.definition.incarnation}"
        self.floor = self.definition.floor
        self.floor_total_bytes = self.definition.floor_total_bytes
        self.oldest_ms = 0
        """No record after `floor` was appended before this."""
        self.seen = False
        """Whether the end was looked for at all."""
        self.place = 0
        """The last chunk's sequence in the stream; 0 when there never was one."""
        self.last = 0
        self.total_bytes = 0
        self.appended_at_ms: int | None = None
        self.sealed = False
        """Whether the last record seen is a seal."""
        self.queue: list[Appended] = []
        self.writer: asyncio.Task[None] | None = None
        self.gone = False
        self._cursors: OrderedDict[int, int] = OrderedDict()

    def redefine(self, entry: Entry) -> bool:
        """Take over a changed definition; False when it is another log's, of the same name."""
        definition = msgspec.msgpack.decode(entry.value, type=Definition)
        if definition.incarnation != self.definition.incarnation:
            return False
        self.entry, self.definition = entry, definition
        self.raise_floor(definition.floor, definition.floor_total_bytes)
        return True

    def saw(self, chunk: Chunk) -> None:
        """Take note of a chunk, which may be the newest."""
        self.advance(chunk.place, chunk.last, chunk.total_bytes, chunk.appended_at_ms, is_seal(chunk))

    def advance(self, place: int, last: int, total_bytes: int, appended_at_ms: int, sealed: bool) -> None:
        """Take note of where a chunk ended, which may be the newest."""
        self.seen = True
        if place > self.place:
            self.place, self.last, self.total_bytes, self.appended_at_ms = place, last, total_bytes, appended_at_ms
            self.sealed = sealed

    def raise_floor(self, floor: int, total_bytes: int) -> None:
        """Take note that the records up to `floor` are no more."""
        if floor > self.floor:
            self.floor, self.floor_total_bytes = floor, total_bytes

    def remember(self, after: int, place: int) -> None:
        """The record after `after` is in the first chunk at `place` in the stream or later."""
        self._cursors.pop(after, None)
        self._cursors[after] = place
        if len(self._cursors) > CURSORS_KEPT:
            self._cursors.popitem(last=False)

    def cursor(self, after: int) -> int | None:
        """Where to look for the record after `after`, when that is known."""
        return self._cursors.get(after)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way on it."""
        return not self.queue and self.writer is None


def stream_of(prefix: str, partition: int) -> str:
    """The name of a partition's stream."""
    return f"{prefix}_logs_{partition}"
