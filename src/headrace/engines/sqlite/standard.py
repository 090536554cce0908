"""Standard queues: the order in which messages are handed out, and fairness among tenants.

Messages come in order of their due time: sent ones by age, those whose visibility timeout ended after
them. When a tenant (the message group of a standard queue) holds a large share of what is in flight,
tenants that do not go before it: an index by tenant is stepped through, from where the last receive
stopped, so that finding them costs a few seeks however long the noisy tenant's backlog is.
AWS: "Amazon SQS fair queues" in the developer guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headrace.engines.sqlite import receipts, rows
from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.queue_state import QueueState
from headrace.engines.sqlite.rows import COLUMNS, Marks, Row
from headrace.primitives.ids import random_uuid
from headrace.primitives.queues import Outcome, Outgoing, Received, Sent

MAX_MOVES: Final = 100
"""Messages moved to the dead-letter queue in one go; a receive that finds more goes again."""
MAX_TENANT_SEEKS: Final = 64
"""Tenants looked at in one receive, when some tenant is noisy."""

_DUE: Final = f"""
SELECT {COLUMNS} FROM messages WHERE queue = ? AND grp IS NULL AND due_ms <= ? ORDER BY due_ms, id LIMIT ?"""
_NEXT_TENANT: Final = "SELECT tenant FROM messages WHERE queue = ? AND tenant > ? ORDER BY tenant LIMIT 1"
_DUE_OF_TENANT: Final = f"""
SELECT {COLUMNS} FROM messages WHERE queue = ? AND tenant = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?"""


def send(connection: Connection, state: QueueState, messages: Sequence[Outgoing], now_ms: int) -> list[Sent]:
    """Store the messages; visible once their delay has passed."""
    now_ms = state.advance(connection, now_ms)
    sequence = state.sequences(connection, len(messages))
    number, default_delay_ms = state.number, state.settings.delay_ms
    filled, sent = [], []
    for message in messages:
        identity = number << receipts.QUEUE_SHIFT | sequence
        delay_ms = default_delay_ms if message.delay_ms is None else message.delay_ms
        due_ms = now_ms + delay_ms
        message_id = random_uuid()
        header: bytes | None = message.header
        body: str | None = message.body
        if len(message.body) + len(message.header) > rows.INLINE_MAX:
            rows.insert_body(connection, identity, message.header, message.body)
            header = body = None
        filled.append(
            (identity, number, due_ms, 0, 0, 0, now_ms, message_id, None, message.group, None, None, header, body)
        )
        state.count_row(due_ms, 0, None, 1)
        sent.append(Sent(message_id, sequence))
        sequence += 1
    rows.insert(connection, filled)
    state.next_expiry_ms = min(state.next_expiry_ms, now_ms + state.settings.retention_ms)
    return sent


def take(
    connection: Connection,
    state: QueueState,
    dead: QueueState | None,
    max_messages: int,
    hide_ms: int,
    now_ms: int,
) -> tuple[list[Received], int]:
    """Hand out up to `max_messages`; and how many went to the `dead` letter queue on the way."""
    now_ms = state.advance(connection, now_ms)
    moved = 0
    if dead is None:
        chosen = _choose(connection, state, max_messages, now_ms)
    else:
        chosen, moved = _choose_alive(connection, state, dead, max_messages, now_ms)
    return (rows.hide(connection, state, chosen, hide_ms, now_ms) if chosen else []), moved


def _choose_alive(
    connection: Connection, state: QueueState, dead: QueueState, max_rows: int, now_ms: int
) -> tuple[list[Row], int]:
    """The next visible rows, and how many that were received too often moved to the `dead` letter queue on the way."""
    max_receives = state.settings.max_receive_count
    chosen: dict[int, Row] = {}
    moved = 0
    while len(chosen) < max_rows and moved < MAX_MOVES:
        found = [row for row in _choose(connection, state, max_rows, now_ms) if row.id not in chosen]
        spent = [row for row in found if row.receive_count - row.arrived_count >= max_receives]
        for row in spent:
            marks = Marks(row.id, row.due_ms, row.receive_count, row.tenant, None, row.body is None)
            rows.move(connection, state, dead, marks, now_ms, as_new=False)
        moved += len(spent)
        chosen.update((row.id, row) for row in found if row not in spent)
        if not spent:
            break
    return list(chosen.values())[:max_rows], moved


def _choose(connection: Connection, state: QueueState, max_rows: int, now_ms: int) -> list[Row]:
    """The next visible rows, quiet tenants' first when there is a noisy one."""
    noisy = state.noisy() if state.tenants_large and state.settings.fair else None
    if not noisy:
        return [*map(Row._make, connection.execute(_DUE, (state.number, now_ms, max_rows)))]
    chosen = {row.id: row for row in _of_quiet_tenants(connection, state, noisy, max_rows, now_ms)}
    if len(chosen) < max_rows:
        for found in connection.execute(_DUE, (state.number, now_ms, max_rows)):
            row = Row._make(found)
            chosen.setdefault(row.id, row)
    return list(chosen.values())[:max_rows]


def _of_quiet_tenants(
    connection: Connection, state: QueueState, noisy: set[str], max_rows: int, now_ms: int
) -> list[Row]:
    """Up to `max_rows` visible rows of tenants that are not noisy, a tenant at a time from the cursor on."""
    chosen: list[Row] = []
    began_at, wrapped = state.fair_cursor, False
    for _ in range(MAX_TENANT_SEEKS):
        tenant = connection.execute(_NEXT_TENANT, (state.number, state.fair_cursor)).get
        if tenant is None:
            if wrapped:
                break
            wrapped, state.fair_cursor = True, ""
            continue
        if wrapped and tenant > began_at:
            break
        state.fair_cursor = tenant
        if tenant not in noisy:
            room = max_rows - len(chosen)
            due = connection.execute(_DUE_OF_TENANT, (state.number, tenant, now_ms, room))
            chosen.extend(Row._make(row) for row in due)
            if len(chosen) >= max_rows:
                break
    return chosen


def delete(
    connection: Connection, state: QueueState, claims: Sequence[receipts.Receipt | None], now_ms: int
) -> list[Outcome]:
    """Delete by receipt. A receipt of an earlier receive deletes the message too, while it exists."""
    state.advance(connection, now_ms)
    removed = rows.remove(connection, state, [claim.id for claim in claims if claim is not None])
    outcomes = []
    for claim in claims:
        row = removed.pop(claim.id, None) if claim else None
        outcomes.append(Outcome.DONE if row else Outcome.GONE if claim else Outcome.MALFORMED)
    return outcomes


def change_visibility(
    connection: Connection,
    state: QueueState,
    changes: Sequence[tuple[receipts.Receipt | None, int]],
    now_ms: int,
) -> list[Outcome]:
    """Hide messages in flight anew, or show them (timeout 0), by the receipts of their last receives.

    Once a message was received again, an older receipt does not change what holds for whoever has it now.
    """
    now_ms = state.advance(connection, now_ms)
    found = rows.find(connection, [claim for claim, _ in changes])
    outcomes = []
    for claim, hide_ms in changes:
        row = found.get(claim.id) if claim else None
        if claim is None:
            outcomes.append(Outcome.MALFORMED)
        elif row is None:
            outcomes.append(Outcome.GONE)
        elif row.due_ms <= now_ms or row.receive_count != claim.receive_count:
            outcomes.append(Outcome.NOT_IN_FLIGHT)
        elif now_ms + hide_ms > claim.received_ms + state.settings.max_hidden_ms:
            outcomes.append(Outcome.BEYOND_LIMIT)
        else:
            found[row.id] = rows.set_due(connection, state, row, now_ms + hide_ms)
            outcomes.append(Outcome.DONE)
    return outcomes
