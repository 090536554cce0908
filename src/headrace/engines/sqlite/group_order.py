"""Which messages each FIFO group holds, in order: the newest in memory, all others in the table `grouped`.

What is kept by group is written all over: the messages of one batch are of many groups, and each page that
gets one of them goes to the log whole. So the newest messages of a queue are told by group in memory alone.
Only when there are FRESH_MAX of them are some written to the table: those of the groups that come next in its
order, the oldest of each first, so that a page gets many. Round by round every group has its turn; what was
deleted by then is never written. All messages up to `queues.grouped_through` are in the table, and whoever opens
the queue walks over the newer ones to find those that are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

from headrace.engines.sqlite import receipts
from headrace.engines.sqlite.connection import Connection

FRESH_MAX: Final = 65_536
"""Messages of a queue that are told by group in memory alone; they take about sixteen megabytes."""
WRITTEN_AT_ONCE: Final = 4_096
"""Messages that are written down when there are that many; it takes a few milliseconds."""
HOLDING_MAX: Final = 131_072
"""Groups that are known to hold messages in the table; they take about twelve megabytes."""
_ROWS_AT_ONCE: Final = 64
"""Rows to a statement when they are written down."""
_IDS_AT_ONCE: Final = 10
"""Ids in one statement; there is a prepared statement for each number of them."""

_THROUGH: Final = "SELECT grouped_through FROM queues WHERE number = ?"
_SET_THROUGH: Final = "UPDATE queues SET grouped_through = ? WHERE number = ?"
_COUNT: Final = "SELECT count(*) FROM grouped WHERE in_queue = ?"
_FRESH: Final = (
    "SELECT id, grp FROM messages WHERE id > ? AND id <= ? AND grp IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM grouped WHERE in_queue = ? AND in_group = grp AND id = messages.id) ORDER BY id"
)
_FORGET: Final = "DELETE FROM grouped WHERE in_queue = ? AND (in_group, id) IN (VALUES {})"


class GroupOrder:
    """The messages of one FIFO queue, by group. All its methods run inside the turn's transaction."""

    __slots__ = ("_fresh", "_fresh_count", "_holding", "_kept_count", "_newest", "_number", "_round_newest", "_turns")

    def __init__(self, number: int) -> None:
        self._number = number
        self._kept_count = 0
        self._fresh: dict[str, list[int]] = {}
        """The messages of each group that are newer than all of it in the table."""
        self._fresh_count = 0
        self._holding: set[str] = set()
        """Groups none of whose messages were removed since some were written down."""
        self._turns: list[str] = []
        """The groups still to be written down in this round, in the table's order from the end."""
        self._newest = self._round_newest = 0
        """The newest message, and the one that was the newest when the round began."""

    def load(self, connection: Connection) -> int:
        """Find out how things stand in the tables; how many messages there are."""
        first = self._number << receipts.QUEUE_SHIFT
        through = max(first, connection.execute(_THROUGH, (self._number,)).get or 0)
        self._kept_count = connection.execute(_COUNT, (self._number,)).get
        for message, group in connection.execute(_FRESH, (through, first | receipts.MAX_SEQUENCE, self._number)):
            self._fresh.setdefault(group, []).append(message)
            self._fresh_count += 1
            self._newest = message
        self._round_newest = through
        return self._kept_count + self._fresh_count

    def holds_some(self, group: str) -> bool:
        """Whether the group is known to have messages; it may have some when not."""
        return group in self._fresh or group in self._holding

    def add(self, connection: Connection, messages: Iterable[tuple[str, int]]) -> None:
        """Take in new messages, by group and id; each newer than all before it."""
        for group, message in messages:
            self._fresh.setdefault(group, []).append(message)
            self._fresh_count += 1
            self._newest = message
        if self._fresh_count >= FRESH_MAX:
            self._write_down(connection)

    def remove(self, connection: Connection, messages: Iterable[tuple[str, int]]) -> None:
        """Let go of messages, by group and id."""
        kept: list[tuple[str, int]] = []
        for group, message in messages:
            ids = self._fresh.get(group)
            if ids is None or message < ids[0]:
                kept.append((group, message))
                self._holding.discard(group)
                continue
            ids.remove(message)
            self._fresh_count -= 1
            if not ids:
                del self._fresh[group]
        for start in range(0, len(kept), _IDS_AT_ONCE):
            some = kept[start : start + _IDS_AT_ONCE]
            connection.execute(_forget(len(some)), (self._number, *chain.from_iterable(some)))
            if connection.changes() != len(some):
                raise KeyError(some)
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
        entries: list[tuple[int, str, int]] = []
        while len(entries) < WRITTEN_AT_ONCE and self._fresh:
            if not self._turns:
                self._begin_round(connection)
            group = self._turns.pop()
            ids = self._fresh.pop(group, [])
            some = WRITTEN_AT_ONCE - len(entries)
            if len(ids) > some:
                self._fresh[group] = ids[some:]
                self._turns.append(group)
            elif ids and len(self._holding) < HOLDING_MAX:
                self._holding.add(group)
            entries += [(self._number, group, message) for message in ids[:some]]
        for start in range(0, len(entries), _ROWS_AT_ONCE):
            rows = entries[start : start + _ROWS_AT_ONCE]
            connection.execute(_keep(len(rows)), [*chain.from_iterable(rows)])
        self._kept_count += len(entries)
        self._fresh_count -= len(entries)

    def _begin_round(self, connection: Connection) -> None:
        """Give all groups with fresh messages a turn; those that were there when the last round began have had it."""
        connection.execute(_SET_THROUGH, (self._round_newest, self._number))
        self._round_newest = self._newest
        self._turns = sorted(self._fresh, reverse=True)


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
