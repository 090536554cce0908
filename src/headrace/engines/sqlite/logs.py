"""Logs on SQLite: a row a chunk of records, in sequence order; a small state in memory a log.

Sequences of a log begin at 1 and have no gaps. An append adds rows at the log's end and touches nothing
else; what was trimmed or has expired is told from the rest by the log's `floor` alone, and removed later.
A read takes its first slice on the loop, which is all that a reader near the tip needs, and the rest in
slices on a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Final

from headrace.clock import Clock
from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.database import Database
from headrace.engines.sqlite.log_chunks import Chunk, Reading, Row, is_seal, pack
from headrace.engines.sqlite.log_state import LogState
from headrace.engines.sqlite.log_sweep import SWEEP_DELAY_MS, LogSweep
from headrace.engines.sqlite.log_times import first_since
from headrace.primitives.logs import Appending, LogMissing, LogSealed, LogSettings, Record, Tip

SLICE_BYTES: Final = 1024 * 1024
"""Read at one go, besides the chunk that passes it; with SLICE_RECORDS about 2 ms of work."""
SLICE_RECORDS: Final = 4_000
STATES_CACHED: Final = 20_000
"""Logs whose state is kept in memory; another is loaded when it is used."""

_OPEN: Final = "INSERT INTO logs (name, retention_ms) VALUES (?, ?)"
_DROP: Final = "UPDATE logs SET name = NULL WHERE name = ?"
_DROP_ALL: Final = "UPDATE logs SET name = NULL"
_APPEND: Final = """
INSERT INTO log_chunks (log, last_sequence, first_sequence, appended_at_ms, bytes, total_bytes, records)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
_SLICE: Final = """
SELECT first_sequence, last_sequence, appended_at_ms, bytes, records FROM log_chunks
WHERE log = ? AND last_sequence > ? ORDER BY last_sequence"""

_END: Final = 1 << 62
"""A sequence that no log comes to."""


class SqliteLogs:
    """The logs of a SQLite engine; see `headrace.primitives.logs.Logs`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._states: dict[str, LogState] = {}
        self._waiting: dict[str, dict[asyncio.Event, int]] = {}
        self._draining = False
        self._sweep = LogSweep(database, clock, self._find)
        database.on_rollback.append(self._states.clear)

    async def start(self) -> None:
        """Begin to remove what is dead. Call it on the event loop once the database is open."""
        self._sweep.start()

    async def close(self) -> None:
        """Stop removing; the database may be closed then."""
        await self.drain()
        await self._sweep.close()

    async def open(self, log: str, settings: LogSettings) -> None:
        """Make the log, or give an existing one these settings. Idempotent."""
        await self._database.write(self._open, log, settings.retention_ms)

    async def drop(self, log: str) -> None:
        """Remove the log with all it holds; a log opened under the name again starts empty."""
        await self._database.write(self._drop, log)

    async def append(self, log: str, records: Sequence[Appending]) -> list[int]:
        """Append the records, all or none, next to each other; their sequences. Raises LogMissing, LogSealed."""
        first = await self._database.write(self._append, log, pack(records))
        outcome = _outcome(log, first, len(records))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def append_each(self, batches: Sequence[tuple[str, Sequence[Appending]]]) -> list[list[int] | Exception]:
        """Append to several logs at once, all in one turn; for each, in order, its sequences, LogMissing or LogSealed.

        Raises StorageError, when nothing was stored.
        """
        packed = [(log, pack(records)) for log, records in batches]
        firsts = await self._database.write(self._append_each, packed)
        return [_outcome(log, first, len(records)) for first, (log, records) in zip(firsts, batches, strict=True)]

    async def read(self, log: str, after: int, *, max_records: int, max_bytes: int) -> list[Record]:
        """The records after sequence `after`, oldest first, up to both limits.

        `max_bytes` counts data and keys; the first record is returned even when it is larger alone.
        Expired records are never returned. Raises LogMissing.
        """
        reading = Reading(after, max_records, max_bytes)
        number, last, rows = await self._database.read(self._first_slice, log, reading)
        reading.add(rows)
        while reading.after < last and not reading.full:
            await asyncio.sleep(0)
            rows = await self._database.read_aside(partial(_slice, number, reading))
            if not rows:
                break  # trimmed or dropped meanwhile
            reading.add(rows)
        return reading.records

    async def seek(self, log: str, at_ms: int) -> int:
        """The sequence after which to read to get the first record appended at or after `at_ms`. Raises LogMissing."""
        return await self._database.read(self._seek, log, at_ms)

    async def tip(self, log: str) -> Tip:
        """Where the log begins and ends now. Raises LogMissing."""
        return await self._database.read(self._tip, log)

    async def trim(self, log: str, through: int) -> None:
        """Remove all records up to and including sequence `through`. Raises LogMissing."""
        if not await self._database.write(self._trim, log, through):
            raise LogMissing(log)

    async def wait(self, log: str, after: int, *, wait_ms: int) -> bool:
        """True as soon as there is a record after `after`, False when `wait_ms` have passed. Raises LogMissing."""
        deadline_ms = self._clock.now_ms() + wait_ms
        woken = asyncio.Event()
        self._waiting.setdefault(log, {})[woken] = after
        timer = self._clock.call_at(deadline_ms, woken.set)
        try:
            while not await self._database.read(self._has_beyond, log, after):
                if self._draining or self._clock.now_ms() >= deadline_ms:
                    return False
                await woken.wait()
                woken.clear()
            return True
        finally:
            timer.cancel()
            self._forget_waiting(log, woken)

    async def drain(self) -> None:
        """Answer every `wait` with False, and from now on wait for nothing: the process is stopping."""
        self._draining = True
        for log in self._waiting:
            self._wake(log)

    async def reset(self) -> None:
        """Drop all logs."""
        await self._database.write(self._drop_all)

    # --- inside the turn ---

    def _find(self, log: str) -> LogState | None:
        state = self._states.get(log)
        if state is None:
            state = LogState.load(self._database.connection, log)
            if state is not None:
                if len(self._states) >= STATES_CACHED:
                    self._states.clear()
                self._states[log] = state
        return state

    def _current(self, log: str) -> LogState:
        """The state with what has expired by now taken off; for reads, since it raises LogMissing."""
        state = self._find(log)
        if state is None:
            raise LogMissing(log)
        state.expire(self._database.connection, self._clock.now_ms())
        return state

    def _open(self, log: str, retention_ms: int | None) -> None:
        connection = self._database.connection
        state = self._find(log)
        if state is None:
            connection.execute(_OPEN, (log, retention_ms))
            return
        if state.retention_ms != retention_ms:
            state.expire(connection, self._clock.now_ms())  # what has expired does not come back by a longer retention
            state.retention_ms = retention_ms
            state.save(connection)
            self._sweep_later()

    def _drop(self, log: str) -> None:
        self._database.connection.execute(_DROP, (log,))
        self._states.pop(log, None)
        self._database.when_durable(partial(self._wake, log))
        self._sweep_later()

    def _drop_all(self) -> None:
        self._database.connection.execute(_DROP_ALL)
        self._states.clear()
        for log in self._waiting:
            self._database.when_durable(partial(self._wake, log))
        self._sweep_later()

    def _append_each(self, packed: Sequence[tuple[str, Sequence[Chunk]]]) -> list[int | None]:
        return [self._append(log, chunks) for log, chunks in packed]

    def _append(self, log: str, chunks: Sequence[Chunk]) -> int | None:
        """The first sequence given: raising here would fail the whole turn.

        None when the log is missing, the negative sequence of its seal when it is sealed.
        """
        state = self._find(log)
        if state is None:
            return None
        if state.sealed:
            return -state.last
        first = following = state.last + 1
        at_ms = max(self._clock.now_ms(), state.appended_at_ms or 0)
        for count, size, encoded in chunks:
            last = following + count - 1
            values = (state.number, last, following, at_ms, size, state.total_bytes + size, encoded)
            self._database.connection.execute(_APPEND, values)
            state.appended(last, size, at_ms)
            following = last + 1
            self._database.weigh(size)
        state.sealed = bool(chunks) and is_seal(chunks[-1])
        if state.retention_ms is not None:
            self._sweep.expect(at_ms + state.retention_ms)
        if log in self._waiting:
            self._database.when_durable(partial(self._wake, log, state.last))
        return first

    def _first_slice(self, log: str, reading: Reading) -> tuple[int, int, list[Row]]:
        """The log's number, its last sequence, and the first chunks to read."""
        state = self._current(log)
        reading.after = max(state.floor, min(reading.after, state.last))
        rows = [] if reading.full else _slice(state.number, reading, self._database.connection)
        return state.number, state.last, rows

    def _seek(self, log: str, at_ms: int) -> int:
        state = self._current(log)
        first = first_since(self._database.connection, state.number, state.floor, state.last, at_ms)
        return state.last if first is None else max(first - 1, state.floor)

    def _tip(self, log: str) -> Tip:
        state = self._current(log)
        return Tip(
            first=state.floor + 1,
            last=state.last,
            last_appended_at_ms=state.appended_at_ms,
            bytes_kept=state.total_bytes - state.floor_total_bytes,
        )

    def _trim(self, log: str, through: int) -> bool:
        connection = self._database.connection
        state = self._find(log)
        if state is None:
            return False
        state.expire(connection, self._clock.now_ms())
        through = min(through, state.last)
        if through > state.floor:
            state.trim(connection, through)
            state.save(connection)
            self._sweep_later()
        return True

    def _has_beyond(self, log: str, after: int) -> bool:
        state = self._current(log)
        return state.last > max(after, state.floor)

    def _sweep_later(self) -> None:
        """Have what this turn made dead removed, some time after it is durable."""
        self._database.when_durable(lambda: self._sweep.expect(self._clock.now_ms() + SWEEP_DELAY_MS))

    # --- waiters ---

    def _wake(self, log: str, last: int = _END) -> None:
        """Have those look again who wait for a record that `last` may be."""
        for woken, after in self._waiting.get(log, {}).items():
            if after < last:
                woken.set()

    def _forget_waiting(self, log: str, woken: asyncio.Event) -> None:
        waiting = self._waiting[log]
        del waiting[woken]
        if not waiting:
            del self._waiting[log]


def _slice(number: int, reading: Reading, connection: Connection) -> list[Row]:
    """The next chunks, up to the slice's limits or what the read still takes."""
    rows: list[Row] = []
    records_left = min(SLICE_RECORDS, reading.records_left)
    bytes_left = min(SLICE_BYTES, reading.bytes_left)
    with closing(connection.execute(_SLICE, (number, reading.after))) as cursor:
        for columns in cursor:
            row = Row(*columns)
            rows.append(row)
            records_left -= row.last - max(row.first - 1, reading.after)
            bytes_left -= row.size
            if records_left <= 0 or bytes_left <= 0:
                break
    return rows


def _outcome(log: str, first: int | None, count: int) -> list[int] | Exception:
    """The sequences of `count` records from what `_append` says, or the reason why they were not appended."""
    if first is None:
        return LogMissing(log)
    return LogSealed(-first) if first < 0 else list(range(first, first + count))
