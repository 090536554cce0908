"""Moving everything that one engine holds to another: what an origin gives, and a destination takes.

All of it goes as values that no engine has for its own: a message with its whole state, a log's records with their
sequences and times. Nobody else uses either engine meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from headrace.primitives.logs import Record
from headrace.primitives.metadata import Entry
from headrace.primitives.queues import QueueSettings

SLICE: int = 1_000
"""Messages, records or whatever else go at one go, at most."""
SLICE_BYTES: int = 2 * 1024 * 1024
"""Bytes of them, besides the one that passes it."""


class StoredQueue(msgspec.Struct, frozen=True):
    """A queue. No sequence from `next_sequence` on was ever given in it."""

    name: str
    settings: QueueSettings
    next_sequence: int


class StoredMessage(msgspec.Struct, kw_only=True):
    """A message with all that is known of it; `arrived_count` is its receive count when it was dead-lettered."""

    sequence: int
    message_id: str
    due_ms: int
    sent_ms: int
    header: bytes
    body: str
    group: str | None = None
    dedup_id: str | None = None
    source: str | None = None
    receive_count: int = 0
    first_received_ms: int = 0
    arrived_count: int = 0

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.body) + len(self.header)


class Deduplicated(msgspec.Struct):
    """A deduplication key that was seen, and the message that was sent with it first."""

    key: str
    message_id: str
    sequence: int
    expires_ms: int


class Attempt(msgspec.Struct):
    """What a receive attempt was given: (sequence, receive count, when) of each message, hidden until `due_ms`."""

    attempt_id: str
    due_ms: int
    expires_ms: int
    given: list[tuple[int, int, int]]


class StoredLog(msgspec.Struct, frozen=True):
    """A log. Its records are those after `floor`, up to `last`."""

    name: str
    retention_ms: int | None
    floor: int
    last: int
    last_appended_at_ms: int | None


class NotReady(Exception):
    """The engine cannot be moved from, or to, as it is; the message says why and what to do."""


class Origin(Protocol):
    """An engine that is emptied by nobody: everything stays where it is."""

    async def start(self) -> None:
        """Open the store, for this alone. Raises NotReady, StorageError."""

    async def close(self) -> None:
        """Let go of it."""

    async def queues(self) -> list[str]:
        """The names of all queues."""

    async def queue(self, name: str) -> StoredQueue:
        """A queue; what is asked of it then, until the next is asked for, is of the same moment."""

    def messages(self, queue: StoredQueue) -> AsyncIterator[Sequence[StoredMessage]]:
        """All its messages in order of their sequences, in slices."""

    def deduplicated(self, queue: StoredQueue) -> AsyncIterator[Sequence[Deduplicated]]:
        """The deduplication keys that it remembers, in the order in which they are forgotten, in slices."""

    async def attempts(self, queue: StoredQueue) -> list[Attempt]:
        """The receive attempts that it remembers."""

    async def logs(self) -> list[str]:
        """The names of all logs."""

    async def log(self, name: str) -> StoredLog:
        """A log as it is now."""

    def records(self, log: StoredLog) -> AsyncIterator[Sequence[Record]]:
        """All its records in order, in slices."""

    def entries(self) -> AsyncIterator[Sequence[Entry]]:
        """All metadata, in slices."""


class Destination(Protocol):
    """An engine that has nothing yet. Until `finish` nobody can use what was put there."""

    async def start(self) -> None:
        """Open the store, for this alone, and remove what an unfinished move left. Raises NotReady, StorageError."""

    async def close(self) -> None:
        """Let go of it."""

    async def put_queue(self, queue: StoredQueue) -> None:
        """Make a queue; what is put into a queue until the next is made is this one's."""

    async def put_messages(self, messages: Sequence[StoredMessage]) -> None:
        """Store messages, in order of their sequences."""

    async def put_deduplicated(self, keys: Sequence[Deduplicated]) -> None:
        """Remember deduplication keys, in the order in which they are forgotten."""

    async def put_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Remember receive attempts."""

    async def end_queue(self) -> int:
        """The queue is whole; how many messages are found in it."""

    async def put_log(self, log: StoredLog) -> None:
        """Make a log; what is put into a log until the next is made is this one's."""

    async def put_records(self, records: Sequence[Record]) -> None:
        """Store records, in order."""

    async def end_log(self) -> StoredLog:
        """The log is whole; the log as it is found."""

    async def put_entries(self, entries: Sequence[Entry]) -> None:
        """Store metadata."""

    async def end_entries(self) -> int:
        """All metadata is there; how many entries are found."""

    async def finish(self) -> None:
        """Everything is there: from now on it may be used."""
