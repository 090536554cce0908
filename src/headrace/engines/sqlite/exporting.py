"""Giving everything away that a data directory holds, for a move to another engine. Nothing of it is changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from headrace.clock import Clock
from headrace.engines.sqlite import receipts
from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.database import Database
from headrace.engines.sqlite.logs import SqliteLogs
from headrace.engines.sqlite.metadata import SqliteMetadata
from headrace.primitives.logs import Record
from headrace.primitives.metadata import Entry
from headrace.primitives.queues import QueueSettings
from headrace.primitives.transfer import (
    SLICE,
    SLICE_BYTES,
    Attempt,
    Deduplicated,
    NotReady,
    StoredLog,
    StoredMessage,
    StoredQueue,
)

T = TypeVar("T")

_QUEUES: Final = "SELECT name FROM queues WHERE name IS NOT NULL ORDER BY name"
_QUEUE: Final = "SELECT number, settings, next_sequence FROM queues WHERE name = ?"
_MESSAGES: Final = """
SELECT id, message_id, due_ms, sent_ms, coalesce(header, (SELECT header FROM bodies WHERE bodies.id = messages.id)),
    coalesce(body, (SELECT body FROM bodies WHERE bodies.id = messages.id)), coalesce(grp, tenant), dedup_id, source,
    receive_count, first_received_ms, arrived_count
FROM messages WHERE id > ? AND id <= ? ORDER BY id"""
_DEDUPS: Final = """
SELECT number, key, message_id, sequence, expires_ms FROM dedups
WHERE queue = ? AND number > ? ORDER BY number LIMIT ?"""
_ATTEMPTS: Final = "SELECT attempt_id, due_ms, expires_ms, receipts FROM attempts WHERE queue = ? ORDER BY number"
_LOGS: Final = "SELECT name, retention_ms FROM logs WHERE name IS NOT NULL ORDER BY name"


class _Found(NamedTuple):
    """A message's columns, as `_MESSAGES` has them."""

    id: int
    message_id: str
    due_ms: int
    sent_ms: int
    header: bytes
    body: str
    group: str | None
    dedup_id: str | None
    source: str | None
    receive_count: int
    first_received_ms: int
    arrived_count: int


class SqliteOrigin:
    """See `headrace.primitives.transfer.Origin`. `data` is a directory that a stopped server has left."""

    def __init__(self, data: str, clock: Clock) -> None:
        self._file = Path(data) / "headrace.db"
        self._database = Database(data)
        self._logs = SqliteLogs(self._database, clock)
        self._metadata = SqliteMetadata(self._database, clock)
        self._number = 0

    async def start(self) -> None:
        """See `Origin.start`. A running server holds the directory: StorageLocked."""
        if not self._file.is_file():
            raise NotReady(f"There is no data in {self._file.parent}.")
        self._database.open()

    async def close(self) -> None:
        """See `Origin.close`."""
        self._database.close()

    # --- queues ---

    async def queues(self) -> list[str]:
        """See `Origin.queues`."""
        return [name for (name,) in await self._all(_QUEUES)]

    async def queue(self, name: str) -> StoredQueue:
        """See `Origin.queue`."""
        self._number, settings, next_sequence = (await self._all(_QUEUE, name))[0]
        return StoredQueue(name, msgspec.json.decode(settings, type=QueueSettings), next_sequence)

    async def messages(self, _queue: StoredQueue) -> AsyncIterator[Sequence[StoredMessage]]:
        """See `Origin.messages`."""
        first = self._number << receipts.QUEUE_SHIFT
        after = first
        while found := await self._aside(partial(_messages, after, first | receipts.MAX_SEQUENCE)):
            after = first | found[-1].sequence
            yield found

    async def deduplicated(self, _queue: StoredQueue) -> AsyncIterator[Sequence[Deduplicated]]:
        """See `Origin.deduplicated`."""
        after = 0
        while found := await self._all(_DEDUPS, self._number, after, SLICE):
            after = found[-1][0]
            yield [Deduplicated(*columns[1:]) for columns in found]

    async def attempts(self, _queue: StoredQueue) -> list[Attempt]:
        """See `Origin.attempts`."""
        found = await self._all(_ATTEMPTS, self._number)
        return [
            Attempt(attempt_id, due_ms, expires_ms, self._given(handles))
            for attempt_id, due_ms, expires_ms, handles in found
        ]

    def _given(self, handles: str) -> list[tuple[int, int, int]]:
        claims = [receipts.decode(text, self._number) for text in json.loads(handles)]
        return [
            (claim.id & receipts.MAX_SEQUENCE, claim.receive_count, claim.received_ms)
            for claim in claims
            if claim is not None
        ]

    # --- logs ---

    async def logs(self) -> list[str]:
        """See `Origin.logs`."""
        return [name for name, _ in await self._all(_LOGS)]

    async def log(self, name: str) -> StoredLog:
        """See `Origin.log`."""
        (retention_ms,) = (await self._all("SELECT retention_ms FROM logs WHERE name = ?", name))[0]
        tip = await self._logs.tip(name)
        return StoredLog(name, retention_ms, tip.first - 1, tip.last, tip.last_appended_at_ms)

    async def records(self, log: StoredLog) -> AsyncIterator[Sequence[Record]]:
        """See `Origin.records`."""
        after = log.floor
        while found := await self._logs.read(log.name, after, max_records=SLICE, max_bytes=SLICE_BYTES):
            after = found[-1].sequence
            yield found

    # --- metadata ---

    async def entries(self) -> AsyncIterator[Sequence[Entry]]:
        """See `Origin.entries`."""
        after = ""
        while found := await self._metadata.list("", after=after, max_entries=SLICE):
            after = found[-1].key
            yield found

    async def _all(self, sql: str, *bindings: Any) -> list[Any]:
        return await self._aside(lambda reader: reader.execute(sql, bindings).fetchall())

    async def _aside(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read_aside(work)


def _messages(after: int, last: int, reader: Connection) -> list[StoredMessage]:
    """The next messages of a queue, up to the limits of a slice."""
    found: list[StoredMessage] = []
    size = 0
    with closing(reader.execute(_MESSAGES, (after, last))) as rows:
        for columns in rows:
            row = _Found(*columns)
            fields = row._asdict()
            message = StoredMessage(sequence=fields.pop("id") & receipts.MAX_SEQUENCE, **fields)
            found.append(message)
            size += message.size
            if len(found) == SLICE or size >= SLICE_BYTES:
                break
    return found
