"""Removing many messages, a slice at a time, so that nothing else waits long.

Each function does one slice inside the turn's transaction and says whether there may be more; whoever
calls it lets the event loop turn in between. All of them pick up where a killed process left off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.engines.sqlite import fifo, receipts, rows
from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.queue_state import NEVER, QueueState
from headrace.engines.sqlite.rows import MARK_COLUMNS, Marks

SLICE: Final = 500
"""Rows removed or moved in one go: about two milliseconds."""

_OLDEST: Final = f"SELECT {MARK_COLUMNS}, sent_ms FROM messages WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
_OLDEST_MOVED: Final = f"""
SELECT {MARK_COLUMNS}, sent_ms FROM messages WHERE queue = ? AND source IS NOT NULL ORDER BY sent_ms LIMIT ?"""
_THROUGH: Final = f"SELECT {MARK_COLUMNS} FROM messages WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
_VISIBLE: Final = f"""
SELECT {MARK_COLUMNS}, source FROM messages WHERE queue = ? AND grp IS NULL AND due_ms <= ?
ORDER BY due_ms, id LIMIT ?"""
_VISIBLE_IN_ORDER: Final = f"""
SELECT {MARK_COLUMNS}, source FROM messages WHERE id BETWEEN ? AND ? AND due_ms <= ? ORDER BY id LIMIT ?"""
_VISIBLE_MOVED: Final = f"""
SELECT {MARK_COLUMNS}, source FROM messages INDEXED BY messages_moved
WHERE queue = ? AND source IS NOT NULL AND due_ms <= ? ORDER BY sent_ms, id LIMIT ?"""
_NEWEST: Final = f"SELECT {MARK_COLUMNS}, sent_ms FROM messages WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?"
_OF_QUEUE: Final = "SELECT id FROM messages WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"

_KEPT_BESIDE: Final = (
    ("groups", "queue", "name"),
    ("grouped", "in_queue", "in_group, id"),
    ("dedups", "queue", "number"),
    ("attempts", "queue", "number"),
)
"""What a queue has besides its messages: table, and its columns for the queue and for what tells its rows apart."""

EVERYTHING: Final = "; ".join(
    f"DELETE FROM {table}" for table in ("messages", "bodies", "groups", "grouped", "dedups", "attempts", "queues")
)
"""Removes all queues at once."""


def span(number: int) -> tuple[int, int]:
    """The first and last id a queue's messages can have."""
    first = number << receipts.QUEUE_SHIFT
    return first, first | receipts.MAX_SEQUENCE


def oldest_sent_ms(connection: Connection, state: QueueState) -> int | None:
    """When the oldest message was sent, or None when the queue is empty."""
    found = [
        *connection.execute(_OLDEST, (*span(state.number), 1)),
        *connection.execute(_OLDEST_MOVED, (state.number, 1)),
    ]
    return min((row[-1] for row in found), default=None)


def expire(connection: Connection, state: QueueState, now_ms: int) -> bool:
    """Remove messages older than the retention. AWS: in flight or not."""
    now_ms = state.advance(connection, now_ms)
    cutoff_ms = now_ms - state.settings.retention_ms
    found = [
        *connection.execute(_OLDEST, (*span(state.number), SLICE)),
        *connection.execute(_OLDEST_MOVED, (state.number, SLICE)),
    ]
    expired = {row[0]: Marks._make(row[:-1]) for row in found if row[-1] <= cutoff_ms}
    _remove(connection, state, list(expired.values()), now_ms)
    oldest_ms = oldest_sent_ms(connection, state)
    state.next_expiry_ms = NEVER if oldest_ms is None else oldest_ms + state.settings.retention_ms
    return state.next_expiry_ms <= now_ms


def purge(connection: Connection, state: QueueState, through: int, now_ms: int) -> bool:
    """Remove messages up to the id `through`, whatever their state."""
    now_ms = state.advance(connection, now_ms)
    first, _ = span(state.number)
    doomed = [Marks._make(row) for row in connection.execute(_THROUGH, (first, through, SLICE))]
    _remove(connection, state, doomed, now_ms)
    return len(doomed) == SLICE


def delay(connection: Connection, state: QueueState, through: int, old_delay_ms: int, now_ms: int) -> int | None:
    """Have a FIFO queue's changed delay hold for messages sent before, from the id `through` down.

    Gives the id to go on from, or None when all that either delay can still hold back are done.
    AWS: on FIFO queues the delay is retroactive, on standard queues it is not.
    """
    now_ms = state.advance(connection, now_ms)
    delay_ms = state.settings.delay_ms
    oldest_ms = now_ms - max(old_delay_ms, delay_ms)
    found = connection.execute(_NEWEST, (span(state.number)[0], through, SLICE)).fetchall()
    recent = [(Marks._make(columns), sent_ms) for *columns, sent_ms in found if sent_ms > oldest_ms]
    fresh = [(row, sent_ms + delay_ms) for row, sent_ms in recent if not row.receive_count]
    for row, due_ms in fresh:
        rows.set_due(connection, state, row, due_ms)
    fifo.settle(connection, state, [row for row, _ in fresh], now_ms)
    return found[-1][0] - 1 if len(recent) == SLICE else None


def _remove(connection: Connection, state: QueueState, doomed: Sequence[Marks], now_ms: int) -> None:
    if state.fifo:
        fifo.remove(connection, state, doomed, now_ms, of_lock=False)
    else:
        rows.remove(connection, state, [row.id for row in doomed])


def drop(connection: Connection, number: int) -> bool:
    """Remove what is left of a dropped queue, and its row at the end."""
    ids = [message for (message,) in connection.execute(_OF_QUEUE, (*span(number), SLICE))]
    if ids:
        connection.execute("DELETE FROM messages WHERE id BETWEEN ? AND ?", (ids[0], ids[-1]))
        connection.execute("DELETE FROM bodies WHERE id BETWEEN ? AND ?", (ids[0], ids[-1]))
        return True
    for table, queue, key in _KEPT_BESIDE:
        connection.execute(
            f"DELETE FROM {table} WHERE {queue} = ? "
            f"AND ({key}) IN (SELECT {key} FROM {table} WHERE {queue} = ? LIMIT ?)",
            (number, number, SLICE),
        )
        if connection.changes():
            return True
    connection.execute("DELETE FROM queues WHERE number = ?", (number,))
    return False


def forget(connection: Connection, now_ms: int) -> bool:
    """Forget deduplication ids and receive attempts whose time has passed."""
    forgotten = 0
    for table in ("dedups", "attempts"):
        connection.execute(
            f"DELETE FROM {table} WHERE expires_ms <= ? AND number IN "
            f"(SELECT number FROM {table} ORDER BY number LIMIT ?)",
            (now_ms, SLICE),
        )
        forgotten = max(forgotten, connection.changes())
    return forgotten == SLICE


def sources(connection: Connection, state: QueueState, max_messages: int, now_ms: int) -> set[str]:
    """Where the messages were dead-lettered from that a redrive to their sources would move now."""
    return {row[-1] for row in connection.execute(_VISIBLE_MOVED, (state.number, now_ms, min(max_messages, SLICE)))}


def redrive(
    connection: Connection,
    state: QueueState,
    destination: QueueState | None,
    by_source: Mapping[str, QueueState],
    max_messages: int,
    now_ms: int,
) -> int:
    """Move visible messages to `destination`, or each to its source; how many moved."""
    now_ms = state.advance(connection, now_ms)
    moved = 0
    emptied: list[Marks] = []
    for *columns, source in _visible(
        connection, state, min(max_messages, SLICE), now_ms, all_of=destination is not None
    ):
        row = Marks._make(columns)
        target = destination or by_source.get(source)
        if target is not None:
            fifo.move(connection, state, target, row, now_ms, as_new=True)
            emptied.append(row)
            moved += 1
    if state.fifo:
        fifo.settle(connection, state, emptied, now_ms)
    return moved


def _visible(
    connection: Connection, state: QueueState, max_rows: int, now_ms: int, *, all_of: bool
) -> list[tuple[Any, ...]]:
    """Marks and source of the first visible messages: `all_of` them, or those that were dead-lettered."""
    select = _VISIBLE_MOVED
    parameters: tuple[int, ...] = (state.number, now_ms, max_rows)
    if all_of and state.fifo:
        # A group's messages come due in another order than they were sent in once some were received.
        select, parameters = _VISIBLE_IN_ORDER, (*span(state.number), now_ms, max_rows)
    elif all_of:
        select = _VISIBLE
    return list(connection.execute(select, parameters))
