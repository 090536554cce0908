"""Message rows: the statements that every kind of queue shares.

Each function runs inside the turn's transaction and keeps the queue's counts in step with its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, NamedTuple

from headrace.engines.sqlite import receipts
from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.queue_state import QueueState
from headrace.primitives.ids import random_uuid
from headrace.primitives.queues import Received

INLINE_MAX: Final = 1_900
"""Characters and bytes of body and header together that are kept in the message's own row. Two such rows fill a page:
with larger ones each receive and delete would touch a page a message.
"""
MAX_IDS: Final = 10
"""Ids in one statement; there is a prepared statement for each number of them."""

MARK_COLUMNS: Final = "id, due_ms, receive_count, tenant, grp, body IS NULL"
"""What `Marks` are read from."""

_COLUMN_COUNT: Final = 14
_INSERT: Final = "INSERT INTO messages VALUES {}"
_INSERT_ONE: Final = _INSERT.format(f"({', '.join('?' * _COLUMN_COUNT)})")
_INSERT_BODY: Final = "INSERT INTO bodies VALUES (?, ?, ?)"
_SELECT_BODY: Final = "SELECT header, body FROM bodies WHERE id = ?"
_HIDE: Final = """
UPDATE messages SET due_ms = ?, receive_count = receive_count + 1,
    first_received_ms = CASE receive_count WHEN 0 THEN ? ELSE first_received_ms END
WHERE id IN """
_PUT_BACK: Final = """
UPDATE messages SET due_ms = ?, receive_count = receive_count - 1,
    first_received_ms = CASE receive_count WHEN 1 THEN 0 ELSE first_received_ms END
WHERE id = ? AND receive_count = ?"""
_DELETE: Final = "DELETE FROM messages WHERE id IN "
_RETURNING: Final = f" RETURNING {MARK_COLUMNS}"
_DELETE_BODY: Final = "DELETE FROM bodies WHERE id = ?"
_MOVE_BODY: Final = "UPDATE bodies SET id = ? WHERE id = ?"
_MOVE_DEAD: Final = """
INSERT INTO messages SELECT ?, ?, ?, receive_count, receive_count, first_received_ms, coalesce(?, sent_ms), message_id,
    grp, tenant, dedup_id, ?, header, body FROM messages WHERE id = ?"""
_MOVE_NEW: Final = """
INSERT INTO messages SELECT ?, ?, ?, 0, 0, 0, ?, ?, grp, tenant, dedup_id, NULL, header, body
FROM messages WHERE id = ?"""

COLUMNS: Final = """id, due_ms, receive_count, arrived_count, first_received_ms, sent_ms, message_id,
    coalesce(grp, tenant), tenant, dedup_id, source, header, body"""
"""What a `Row` is read from."""


class Row(NamedTuple):
    """A message as it lies in the table; `header` and `body` are None when they lie in `bodies`."""

    id: int
    due_ms: int
    receive_count: int
    arrived_count: int
    first_received_ms: int
    sent_ms: int
    message_id: str
    group: str | None
    tenant: str | None
    dedup_id: str | None
    source: str | None
    header: bytes | None
    body: str | None


class Marks(NamedTuple):
    """The part of a row that counting and removing it needs."""

    id: int
    due_ms: int
    receive_count: int
    tenant: str | None
    group: str | None
    external: int


_SELECT_MARKS: Final = f"SELECT {MARK_COLUMNS} FROM messages WHERE id IN "


@cache
def _some(statement: str, count: int) -> str:
    """The statement for `count` ids: one for several rows costs half of several for one."""
    return f"{statement}({', '.join('?' * count)})"


@cache
def _some_returning(statement: str, count: int) -> str:
    """The statement for `count` ids, giving the marks of the rows it changed: no need to find them first."""
    return _some(statement, count) + _RETURNING


@cache
def some_rows(statement: str, columns: int, count: int) -> str:
    """The INSERT for `count` rows, put in place of `{}`."""
    row = f"({', '.join('?' * columns)})"
    return statement.format(", ".join([row] * count))


def insert(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of all 14 columns, as `fill` lays them out."""
    if len(rows) == 1:  # most calls
        connection.execute(_INSERT_ONE, rows[0])
        return
    for start in range(0, len(rows), MAX_IDS):
        some = rows[start : start + MAX_IDS]
        connection.execute(some_rows(_INSERT, _COLUMN_COUNT, len(some)), [*chain.from_iterable(some)])


def insert_body(connection: Connection, message: int, header: bytes, body: str) -> None:
    """Keep a large message's header and body apart."""
    connection.execute(_INSERT_BODY, (message, header, body))


def hide(connection: Connection, state: QueueState, rows: Sequence[Row], hide_ms: int, now_ms: int) -> list[Received]:
    """Hand these visible rows out: hidden for `hide_ms` from `now_ms`, their receive counted."""
    due_ms = now_ms + hide_ms
    connection.execute(_some(_HIDE, len(rows)), (due_ms, now_ms, *[row.id for row in rows]))
    state.visible -= len(rows)
    handed_out = []
    for row in rows:
        state.count_row(due_ms, 1, row.tenant, 1)
        receipt = receipts.encode(row.id, row.receive_count + 1, now_ms)
        handed_out.append(received(connection, row, receipt, row.receive_count + 1, row.first_received_ms or now_ms))
    return handed_out


def put_back(connection: Connection, state: QueueState, message: int, receive_count: int) -> Marks | None:
    """Undo the receive that brought the message to `receive_count`, unless it was received again since."""
    row = marks(connection, (message,)).get(message)
    if row is None or row.receive_count != receive_count or row.due_ms <= state.cursor_ms:
        return None
    connection.execute(_PUT_BACK, (state.cursor_ms, message, receive_count))
    state.count_row(row.due_ms, row.receive_count, row.tenant, -1)
    state.count_row(state.cursor_ms, receive_count - 1, row.tenant, 1)
    return row


def received(connection: Connection, row: Row, receipt: str, receive_count: int, first_received_ms: int) -> Received:
    """The row as its receiver gets it."""
    header, body = row.header, row.body
    if header is None or body is None:
        header, body = connection.execute(_SELECT_BODY, (row.id,)).fetchone()
    return Received(
        row.message_id,
        receipt,
        body,
        header,
        row.sent_ms,
        first_received_ms,
        receive_count,
        row.id & receipts.MAX_SEQUENCE,
        row.group,
        row.dedup_id,
        row.source,
    )


def marks(connection: Connection, ids: Sequence[int]) -> dict[int, Marks]:
    """The marks of those messages that exist, by id. At most MAX_IDS ids."""
    found = connection.execute(_some(_SELECT_MARKS, len(ids)), ids)
    return {row[0]: Marks._make(row) for row in found}


def find(connection: Connection, claims: Sequence[receipts.Receipt | None]) -> dict[int, Marks]:
    """The marks of those messages that the receipts name and that exist, by id."""
    ids = [claim.id for claim in claims if claim is not None]
    found: dict[int, Marks] = {}
    for start in range(0, len(ids), MAX_IDS):
        found |= marks(connection, ids[start : start + MAX_IDS])
    return found


def remove(connection: Connection, state: QueueState, ids: Sequence[int]) -> dict[int, Marks]:
    """Delete those of the messages that exist, bodies and all; their marks, by id."""
    removed: dict[int, Marks] = {}
    for start in range(0, len(ids), MAX_IDS):
        some = ids[start : start + MAX_IDS]
        for row in connection.execute(_some_returning(_DELETE, len(some)), some):
            removed[row[0]] = Marks._make(row)
    for row in removed.values():
        if row.external:
            connection.execute(_DELETE_BODY, (row.id,))
        state.count_row(row.due_ms, row.receive_count, row.tenant, -1)
    return removed


def set_due(connection: Connection, state: QueueState, row: Marks, due_ms: int) -> Marks:
    """Hide the message until `due_ms`, or show it when that has come; its marks from now on."""
    connection.execute("UPDATE messages SET due_ms = ? WHERE id = ?", (due_ms, row.id))
    state.count_row(row.due_ms, row.receive_count, row.tenant, -1)
    state.count_row(due_ms, row.receive_count, row.tenant, 1)
    return row._replace(due_ms=due_ms)


def move(
    connection: Connection, origin: QueueState, destination: QueueState, row: Marks, now_ms: int, *, as_new: bool
) -> None:
    """Move a message to the end of another queue, visible there at once.

    Dead-lettered (not `as_new`) it keeps id, counts and, on standard queues, its sent time. AWS: on a FIFO
    queue the sent time starts anew. Redriven (`as_new`) it is a new message.
    """
    due_ms = destination.advance(connection, now_ms)
    moved = destination.number << receipts.QUEUE_SHIFT | destination.sequences(connection, 1)
    if as_new:
        connection.execute(_MOVE_NEW, (moved, destination.number, due_ms, now_ms, random_uuid(), row.id))
        receive_count, sent_ms = 0, now_ms
    else:
        sent = now_ms if destination.fifo else None
        connection.execute(_MOVE_DEAD, (moved, destination.number, due_ms, sent, origin.name, row.id))
        receive_count = row.receive_count
        sent_ms = connection.execute("SELECT sent_ms FROM messages WHERE id = ?", (moved,)).get
    if row.external:
        connection.execute(_MOVE_BODY, (moved, row.id))
    connection.execute(_some(_DELETE, 1), (row.id,))
    if row.group is not None and origin.fifo:
        origin.order.remove(connection, [(row.group, row.id)])
    if row.group is not None and destination.fifo:
        destination.order.add(connection, [(row.group, moved)])
    origin.count_row(row.due_ms, row.receive_count, row.tenant, -1)
    destination.count_row(due_ms, receive_count, row.tenant, 1)
    destination.next_expiry_ms = min(destination.next_expiry_ms, sent_ms + destination.settings.retention_ms)
