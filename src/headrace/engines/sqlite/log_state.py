"""What the engine keeps in memory of a log: where it begins and ends. No records.

The state is a cache of what the rows say and is loaded again whenever a turn was taken back.
"""

from __future__ import annotations

from typing import Final

from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.log_chunks import Chunk, Row, is_seal, size_through
from headrace.engines.sqlite.log_times import first_since

_LOG: Final = """
SELECT number, retention_ms, floor, floor_total_bytes, last_appended_at_ms FROM logs WHERE name = ?"""
_NEWEST: Final = """
SELECT last_sequence, total_bytes, appended_at_ms, last_sequence - first_sequence + 1, bytes, records FROM log_chunks
WHERE log = ? ORDER BY last_sequence DESC LIMIT 1"""
_OLDEST: Final = """
SELECT appended_at_ms FROM log_chunks WHERE log = ? AND last_sequence > ? ORDER BY last_sequence LIMIT 1"""
_TOTAL_BYTES: Final = "SELECT total_bytes FROM log_chunks WHERE log = ? AND last_sequence = ?"
_AT: Final = """
SELECT total_bytes, first_sequence, last_sequence, appended_at_ms, bytes, records FROM log_chunks
WHERE log = ? AND last_sequence >= ? ORDER BY last_sequence LIMIT 1"""
_SAVE: Final = """
UPDATE logs SET retention_ms = ?, floor = ?, floor_total_bytes = ?, last_appended_at_ms = ? WHERE number = ?"""


class LogState:
    """A log that is open. Its records are those after `floor`, up to `last`."""

    __slots__ = (
        "appended_at_ms",
        "floor",
        "floor_total_bytes",
        "last",
        "number",
        "oldest_ms",
        "retention_ms",
        "sealed",
        "total_bytes",
    )

    def __init__(self, number: int, retention_ms: int | None) -> None:
        self.number = number
        self.retention_ms = retention_ms
        self.floor = 0
        self.floor_total_bytes = 0
        self.last = 0
        self.total_bytes = 0
        """Keys and data ever appended."""
        self.sealed = False
        """Whether the last record is a seal."""
        self.appended_at_ms: int | None = None
        self.oldest_ms = 0
        """No record after `floor` was appended before this."""

    def appended(self, last: int, size: int, at_ms: int) -> None:
        """Take note of a chunk that was stored."""
        self.last = last
        self.total_bytes += size
        self.appended_at_ms = at_ms

    def expire(self, connection: Connection, now_ms: int) -> None:
        """Raise `floor` over what the retention has ended for. Costs nothing while nothing has expired."""
        if self.retention_ms is None or self.floor == self.last or self.oldest_ms + self.retention_ms > now_ms:
            return
        kept = first_since(connection, self.number, self.floor, self.last, now_ms - self.retention_ms + 1)
        through = self.last if kept is None else kept - 1
        if through > self.floor:
            self.floor = through
            self.floor_total_bytes = connection.execute(_TOTAL_BYTES, (self.number, through)).get
        self._find_oldest(connection)

    def trim(self, connection: Connection, through: int) -> None:
        """Raise `floor` to `through`, which lies between `floor` and `last`."""
        total_bytes, *columns = connection.execute(_AT, (self.number, through)).get
        row = Row(*columns)
        self.floor = through
        self.floor_total_bytes = total_bytes - row.size + size_through(row, through)

    def save(self, connection: Connection) -> None:
        """Store what does not follow from the chunks."""
        values = (self.retention_ms, self.floor, self.floor_total_bytes, self.appended_at_ms, self.number)
        connection.execute(_SAVE, values)

    def _find_oldest(self, connection: Connection) -> None:
        oldest = connection.execute(_OLDEST, (self.number, self.floor)).get
        self.oldest_ms = oldest if oldest is not None else self.appended_at_ms or 0

    @classmethod
    def load(cls, connection: Connection, name: str) -> LogState | None:
        """The state of the log of that name; None when there is none."""
        log = connection.execute(_LOG, (name,)).fetchone()
        if log is None:
            return None
        state = cls(log[0], log[1])
        state.floor, state.floor_total_bytes, state.appended_at_ms = log[2:]
        newest = connection.execute(_NEWEST, (state.number,)).fetchone()
        if newest is None:
            state.last, state.total_bytes = state.floor, state.floor_total_bytes
        else:
            state.last, state.total_bytes, state.appended_at_ms = newest[:3]
            state.sealed = is_seal(Chunk(*newest[3:]))
        state._find_oldest(connection)
        return state
