"""Taking everything in that another engine held. It is built in a folder of its own and put in its place whole."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from headrace.clock import Clock
from headrace.engines.sqlite import receipts, rows
from headrace.engines.sqlite.database import Database
from headrace.engines.sqlite.log_chunks import pack
from headrace.engines.sqlite.logs import SqliteLogs
from headrace.engines.sqlite.metadata import SqliteMetadata
from headrace.errors import StorageLocked
from headrace.primitives.logs import Appending, Record
from headrace.primitives.metadata import Entry, Write
from headrace.primitives.transfer import Attempt, Deduplicated, NotReady, StoredLog, StoredMessage, StoredQueue

UNFINISHED: Final = "migrating"
"""The folder in which the data is built, in the data directory."""

_ADD_QUEUE: Final = "INSERT INTO queues (name, settings, next_sequence) VALUES (?, ?, ?) RETURNING number"
_ADD_GROUPED: Final = "INSERT INTO grouped VALUES (?, ?, ?)"
_GROUPED_THROUGH: Final = "UPDATE queues SET grouped_through = ? WHERE number = ?"
_ADD_GROUP: Final = "INSERT INTO groups VALUES (?, ?, ?, ?)"
_ADD_DEDUP: Final = "INSERT INTO dedups (queue, key, message_id, sequence, expires_ms) VALUES (?, ?, ?, ?, ?)"
_ADD_ATTEMPT: Final = "INSERT INTO attempts (queue, attempt_id, due_ms, receipts, expires_ms) VALUES (?, ?, ?, ?, ?)"
_COUNT: Final = "SELECT count(*) FROM messages WHERE id BETWEEN ? AND ?"
_ADD_LOG: Final = (
    "INSERT INTO logs (name, retention_ms, floor, last_appended_at_ms) VALUES (?, ?, ?, ?) RETURNING number"
)
_FLOOR: Final = "UPDATE logs SET floor = ? WHERE number = ?"
_ADD_CHUNK: Final = """
INSERT INTO log_chunks (log, last_sequence, first_sequence, appended_at_ms, bytes, total_bytes, records)
VALUES (?, ?, ?, ?, ?, ?, ?)"""


class _Group(msgspec.Struct):
    """A group as far as it is known: see `fifo` for what its row says."""

    due_ms: int
    longest_ms: int = 0
    count: int = 0
    locked: int = 0


class SqliteDestination:
    """See `headrace.primitives.transfer.Destination`. `data` is a directory without data."""

    def __init__(self, data: str, clock: Clock) -> None:
        self._directory = Path(data)
        self._file = self._directory / "headrace.db"
        self._database = Database(str(self._directory / UNFINISHED))
        self._logs = SqliteLogs(self._database, clock)
        self._metadata = SqliteMetadata(self._database, clock)
        self._clock = clock
        self._lock: IO[bytes] | None = None
        self._queue = StoredQueue("", msgspec.UNSET, 0)  # type: ignore[arg-type] # none yet
        self._number = 0
        self._groups: dict[str, _Group] = {}
        self._through = 0
        self._log = StoredLog("", None, 0, 0, None)
        self._log_number = 0
        self._log_bytes = 0
        self._log_records = 0

    async def start(self) -> None:
        """See `Destination.start`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = (self._directory / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise StorageLocked(f"{self._directory}: another Headrace process uses this directory.") from cause
        if self._file.exists():
            raise NotReady(f"{self._directory} has data already: choose another directory, or remove {self._file}.")
        shutil.rmtree(self._directory / UNFINISHED, ignore_errors=True)
        self._database.open()

    async def close(self) -> None:
        """See `Destination.close`."""
        self._database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def finish(self) -> None:
        """See `Destination.finish`."""
        self._database.close()
        built = self._directory / UNFINISHED
        os.link(built / "headrace.db", self._file)  # fails where there is one
        _sync(self._directory)
        shutil.rmtree(built)

    # --- queues ---

    async def put_queue(self, queue: StoredQueue) -> None:
        """See `Destination.put_queue`."""
        self._queue = queue
        self._groups.clear()
        self._through = 0
        values = (queue.name, msgspec.json.encode(queue.settings), queue.next_sequence)
        self._number = await self._database.write(lambda: self._execute(_ADD_QUEUE, values).get)

    async def put_messages(self, messages: Sequence[StoredMessage]) -> None:
        """See `Destination.put_messages`."""
        await self._database.write(self._put_messages, messages)

    def _put_messages(self, messages: Sequence[StoredMessage]) -> None:
        filled = []
        fifo = self._queue.settings.fifo
        for message in messages:
            identity = self._id(message.sequence)
            header: bytes | None = message.header
            body: str | None = message.body
            if message.size > rows.INLINE_MAX:
                rows.insert_body(self._database.connection, identity, message.header, message.body)
                header = body = None
            group, tenant = (message.group or "", None) if fifo else (None, message.group)
            counts = (message.receive_count, message.arrived_count, message.first_received_ms)
            origin = (message.message_id, group, tenant, message.dedup_id, message.source)
            filled.append((identity, self._number, message.due_ms, *counts, message.sent_ms, *origin, header, body))
            if group is not None:
                self._place(group, message)
        rows.insert(self._database.connection, filled)

    def _place(self, group: str, message: StoredMessage) -> None:
        """Have a message of a FIFO queue stand in its group."""
        identity = self._id(message.sequence)
        self._execute(_ADD_GROUPED, (self._number, group, identity))
        self._through = max(self._through, identity)
        known = self._groups.setdefault(group, _Group(message.due_ms))
        known.count += 1
        known.longest_ms = max(known.longest_ms, message.due_ms)
        if message.receive_count > message.arrived_count and message.due_ms > self._clock.now_ms():
            known.locked, known.due_ms = known.count, known.longest_ms

    async def put_deduplicated(self, keys: Sequence[Deduplicated]) -> None:
        """See `Destination.put_deduplicated`."""
        values = [(self._number, each.key, each.message_id, each.sequence, each.expires_ms) for each in keys]
        await self._many(_ADD_DEDUP, values)

    async def put_attempts(self, attempts: Sequence[Attempt]) -> None:
        """See `Destination.put_attempts`."""
        values = [
            (self._number, each.attempt_id, each.due_ms, json.dumps(self._handles(each)), each.expires_ms)
            for each in attempts
        ]
        await self._many(_ADD_ATTEMPT, values)

    def _handles(self, attempt: Attempt) -> list[str]:
        return [receipts.encode(self._id(sequence), count, when_ms) for sequence, count, when_ms in attempt.given]

    async def end_queue(self) -> int:
        """See `Destination.end_queue`."""
        groups = [(self._number, name, group.due_ms, group.locked) for name, group in self._groups.items()]
        await self._many(_ADD_GROUP, groups)
        await self._many(_GROUPED_THROUGH, [(self._through, self._number)])
        span = (self._id(0), self._id(receipts.MAX_SEQUENCE))
        found: int = await self._database.read_aside(lambda reader: reader.execute(_COUNT, span).get)
        return found

    def _id(self, sequence: int) -> int:
        return self._number << receipts.QUEUE_SHIFT | sequence

    # --- logs ---

    async def put_log(self, log: StoredLog) -> None:
        """See `Destination.put_log`."""
        values = (log.name, log.retention_ms, log.floor, log.last_appended_at_ms)
        self._log, self._log_bytes, self._log_records = log, 0, 0
        self._log_number = await self._database.write(lambda: self._execute(_ADD_LOG, values).get)

    async def put_records(self, records: Sequence[Record]) -> None:
        """See `Destination.put_records`."""
        values = []
        for at_ms, together in groupby(records, lambda record: record.appended_at_ms):
            some = list(together)
            following = some[0].sequence
            for count, size, encoded in pack([Appending(record.key, record.data) for record in some]):
                self._log_bytes += size
                last = following + count - 1
                values.append((self._log_number, last, following, at_ms, size, self._log_bytes, encoded))
                following = last + 1
        self._log_records += len(records)
        await self._many(_ADD_CHUNK, values)

    async def end_log(self) -> StoredLog:
        """See `Destination.end_log`."""
        if not self._log_records and self._log.last > self._log.floor:  # they have expired on the way
            await self._many(_FLOOR, [(self._log.last, self._log_number)])
        tip = await self._logs.tip(self._log.name)
        return StoredLog(self._log.name, self._log.retention_ms, tip.first - 1, tip.last, tip.last_appended_at_ms)

    # --- metadata ---

    async def put_entries(self, entries: Sequence[Entry]) -> None:
        """See `Destination.put_entries`."""
        await self._metadata.apply([Write(key=entry.key, value=entry.value) for entry in entries])

    async def end_entries(self) -> int:
        """See `Destination.end_entries`."""
        found: int = await self._database.read_aside(lambda reader: reader.execute("SELECT count(*) FROM metadata").get)
        return found

    async def _many(self, sql: str, values: Iterable[tuple[Any, ...]]) -> None:
        await self._database.write(partial(self._database.connection.executemany, sql, values))

    def _execute(self, sql: str, values: tuple[Any, ...]) -> Any:
        return self._database.connection.execute(sql, values)


def _sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
