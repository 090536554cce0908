"""Which messages each FIFO group holds, in order: the newest in memory, all others in the table `grouped`.

What is kept by group is written all over: the messages of one batch are of many groups, and each page that
gets one of them goes to the log whole. So the newest messages of a queue are told by group in memory alone.
Only when there are FRESH_MAX of them are they written to the table, at once and in its own order, so that a
page gets many; those that were deleted by then never are. `queues.grouped_through` says up to which message
that was done, and whoever opens the queue finds the newer ones by a walk over its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

from headrace.engines.sqlite import receipts
from headrace.engines.sqlite.connection import Connection

FRESH_MAX: Final = 8_192
"""Messages of a queue that are told by group in memory alone; writing them down takes less than ten milliseconds."""
_ROWS_AT_ONCE: Final = 64
"""Rows to a statement when they are written down."""
_IDS_AT_ONCE: Final = 10
"""Ids in one statement; there is a prepared statement for each number of them."""

_THROUGH: Final = "SELECT grouped_through FROM queues WHERE number = ?"
_SET_THROUGH: Final = "UPDATE queues SET grouped_through = ? WHERE number = ?"
_COUNT: Final = "SELECT count(*) FROM grouped WHERE in_queue = ?"
_NEWER: Final = "SELECT id, grp FROM messages WHERE id > ? AND id <= ? AND grp IS NOT NULL ORDER BY id"
_FORGET: Final = "DELETE FROM grouped WHERE in_queue = ? AND (in_group, id) IN (VALUES {})"


class GroupOrder:
    """The messages of one FIFO queue, by group. All its methods run inside the turn's transaction."""

    __slots__ = ("_fresh", "_fresh_count", "_kept_count", "_number", "_through")

    def __init__(self, number: int) -> None:
        self._number = number
        self._through = 0
        """The newest message that was written down; all newer ones are fresh."""
        self._kept_count = 0
        self._fresh: dict[str, list[int]] = {}
        self._fresh_count = 0

    def load(self, connection: Connection) -> int:
        """Find out how things stand in the tables; how many messages there are."""
        first = self._number << receipts.QUEUE_SHIFT
        self._through = max(first, connection.execute(_THROUGH, (self._number,)).get or 0)
        self._kept_count = connection.execute(_COUNT, (self._number,)).get
        for message, group in connection.execute(_NEWER, (self._through, first | receipts.MAX_SEQUENCE)):
            self._fresh.setdefault(group, []).append(message)
            self._fresh_count += 1
        return self._kept_count + self._fresh_count

    def holds_fresh(self, group: str) -> bool:
        """Whether the group has fresh messages; it may have others when not."""
        return group in self._fresh

    def add(self, connection: Connection, messages: Iterable[tuple[str, int]]) -> None:
        """Take in new messages, by group and id; each newer than all before it."""
        for group, message in messages:
            self._fresh.setdefault(group, []).append(message)
            self._fresh_count += 1
        if self._fresh_count >= FRESH_MAX:
            self._write_down(connection)

    def remove(self, connection: Connection, messages: Iterable[tuple[str, int]]) -> None:
        """Let go of messages, by group and id."""
        kept: list[tuple[str, int]] = []
        for group, message in messages:
            if message <= self._through:
                kept.append((group, message))
                continue
            ids = self._fresh[group]
            ids.remove(message)
            self._fresh_count -= 1
            if not ids:
                del self._fresh[group]
        for start in range(0, len(kept), _IDS_AT_ONCE):
            some = kept[start : start + _IDS_AT_ONCE]
            connection.execute(_forget(len(some)), (self._number, *chain.from_iterable(some)))
        self._kept_count -= len(kept)

    def first(self, connection: Connection, columns: str, group: str, count: int) -> list[tuple[Any, ...]]:
        """These columns of the group's first `count` messages, in order."""
        found: list[tuple[Any, ...]] = []
        if self._kept_count:
            found = connection.execute(_first_kept(columns), (self._number, group, count)).fetchall()
        ids: Sequence[int] = self._fresh.get(group, ())[: count - len(found)]
        for start in range(0, len(ids), _IDS_AT_ONCE):
            some = ids[start : start + _IDS_AT_ONCE]
            found += connection.execute(_rows(columns, len(some)), some)
        return found

    def _write_down(self, connection: Connection) -> None:
        entries = [(self._number, group, message) for group in sorted(self._fresh) for message in self._fresh[group]]
        for start in range(0, len(entries), _ROWS_AT_ONCE):
            some = entries[start : start + _ROWS_AT_ONCE]
            connection.execute(_keep(len(some)), [*chain.from_iterable(some)])
        self._through = max(message for _, _, message in entries)
        connection.execute(_SET_THROUGH, (self._through, self._number))
        self._kept_count += len(entries)
        self._fresh.clear()
        self._fresh_count = 0


@cache
def _first_kept(columns: str) -> str:
    return (
        f"SELECT {columns} FROM grouped CROSS JOIN messages USING (id) "
        "WHERE in_queue = ? AND in_group = ? ORDER BY id LIMIT ?"
    )


@cache
def _rows(columns: str, count: int) -> str:
    return f"SELECT {columns} FROM messages WHERE id IN ({', '.join('?' * count)}) ORDER BY id"


@cache
def _keep(count: int) -> str:
    return f"INSERT INTO grouped VALUES {', '.join(['(?, ?, ?)'] * count)}"


@cache
def _forget(count: int) -> str:
    return _FORGET.format(", ".join(["(?, ?)"] * count))
