"""The removal of what logs no longer hold: trimmed and expired chunks, and all of dropped logs.

Reads never see any of it, so the removal may take its time: it goes in slices, each a small write of
its own, and begins anew from the rows alone after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from headrace.clock import Clock, Timer
from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.database import Database
from headrace.engines.sqlite.log_state import LogState
from headrace.errors import StorageError

SWEEP_EVERY_MS: Final = 60_000
"""Expired chunks are removed this often at most."""
SWEEP_DELAY_MS: Final = 1_000
"""Trimmed chunks and dropped logs are removed this long after: many trims make one sweep."""
SWEEP_RETRY_MS: Final = 10_000
"""After a failure (a full disk) the sweep begins again this much later."""
SLICE_BYTES: Final = 1024 * 1024
SLICE_CHUNKS: Final = 500

_END: Final = (1 << 63) - 1
_REMOVABLE: Final = """
SELECT number, name FROM logs WHERE number > ?1 AND (
    name IS NULL
    OR EXISTS (SELECT 1 FROM log_chunks WHERE log = logs.number AND last_sequence <= logs.floor)
    OR ?2 - logs.retention_ms >= (
        SELECT appended_at_ms FROM log_chunks WHERE log = logs.number ORDER BY last_sequence LIMIT 1)
) ORDER BY number LIMIT 1"""
_OLDEST: Final = """
SELECT last_sequence, bytes FROM log_chunks WHERE log = ? AND last_sequence <= ? ORDER BY last_sequence LIMIT ?"""
_REMOVE: Final = "DELETE FROM log_chunks WHERE log = ? AND last_sequence <= ?"
_FORGET: Final = "DELETE FROM logs WHERE number = ?"
_NEXT_EXPIRY: Final = """
SELECT min(retention_ms + (
    SELECT appended_at_ms FROM log_chunks WHERE log = logs.number ORDER BY last_sequence LIMIT 1))
FROM logs WHERE name IS NOT NULL AND retention_ms IS NOT NULL"""


class LogSweep:
    """Sweeps when something is due; `find` gives an open log's state by name, as in `SqliteLogs`."""

    def __init__(self, database: Database, clock: Clock, find: Callable[[str], LogState | None]) -> None:
        self._database = database
        self._clock = clock
        self._find = find
        self._task: asyncio.Task[None] | None = None
        self._due = asyncio.Event()
        self._timer: Timer | None = None
        self._timer_ms = _END

    def start(self) -> None:
        """Begin with what an earlier process left."""
        self._due.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop; what is left is removed after the next start."""
        self._disarm()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def expect(self, when_ms: int) -> None:
        """Sweep at `when_ms`, unless a sweep comes before that anyway."""
        if when_ms < self._timer_ms:
            self._disarm()
            self._timer_ms = when_ms
            self._timer = self._clock.call_at(when_ms, self._due.set)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_ms = None, _END

    async def _run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            self._disarm()
            try:
                next_ms = await self.sweep()
            except StorageError:
                next_ms = self._clock.now_ms() + SWEEP_RETRY_MS
            if next_ms is not None:
                self.expect(next_ms)

    async def sweep(self) -> int | None:
        """Remove all there is to remove now; when to look again, None while nothing can expire."""
        after = 0
        while found := await self._database.read_aside(partial(self._removable, after)):
            number, name = found
            while await self._database.write(self._remove_slice, number, name):
                pass  # the loop turned: the slice was committed
            after = number
        next_ms = await self._database.read_aside(_next_expiry)
        return None if next_ms is None else max(next_ms, self._clock.now_ms() + SWEEP_EVERY_MS)

    def _removable(self, after: int, reader: Connection) -> tuple[int, str | None] | None:
        log: tuple[int, str | None] | None = reader.execute(_REMOVABLE, (after, self._clock.now_ms())).fetchone()
        return log

    def _remove_slice(self, number: int, name: str | None) -> bool:
        """Remove some of the log's dead chunks; False when none is left."""
        connection: Connection = self._database.connection
        end = self._dead_end(number, name)
        with contextlib.closing(connection.execute(_OLDEST, (number, end, SLICE_CHUNKS))) as chunks:
            through = _slice_end(chunks)
        if through is not None:
            connection.execute(_REMOVE, (number, through))
        elif end == _END:
            connection.execute(_FORGET, (number,))
        return through is not None

    def _dead_end(self, number: int, name: str | None) -> int:
        """The sequence up to which the log's chunks are dead; all of them when it was dropped."""
        state = None if name is None else self._find(name)
        if state is None or state.number != number:
            return _END
        state.expire(self._database.connection, self._clock.now_ms())
        state.save(self._database.connection)  # no chunk is removed that the stored floor does not cover
        return state.floor


def _slice_end(chunks: Iterable[tuple[int, int]]) -> int | None:
    """The last sequence of the chunk with which SLICE_BYTES are reached, or of the last; None when there are none."""
    through, size = None, 0
    for last, chunk_bytes in chunks:
        through, size = last, size + chunk_bytes
        if size >= SLICE_BYTES:
            break
    return through


def _next_expiry(reader: Connection) -> int | None:
    next_ms: int | None = reader.execute(_NEXT_EXPIRY).get
    return next_ms
