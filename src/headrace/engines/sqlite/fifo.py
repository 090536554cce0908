"""FIFO queues: order within a message group, group locks and deduplication.

A group that has messages has a row in `groups`: `due_ms` says when the next of them may be handed out.
Handing out the first n messages of a group sets it to the end of their visibility timeout (*locked* is
then n), so nothing more of the group goes out while some of them are in flight. Deleting one of them or
changing its visibility *settles* the group: its first `locked` messages are looked at, and the latest due
time among them is when the group is free. A group whose first message is delayed is due when that is.
Groups are taken in order of their due time, so one that was just served goes behind those that wait.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from headrace.engines.sqlite import receipts, rows
from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.queue_state import NEVER, QueueState
from headrace.engines.sqlite.rows import COLUMNS, Marks, Row
from headrace.engines.sqlite.standard import MAX_MOVES
from headrace.primitives.ids import random_uuid
from headrace.primitives.queues import Outcome, Outgoing, Received, Sent

ATTEMPT_LIFE_MS: Final = 300_000
"""AWS: a receive request attempt id is good for five minutes."""

_SEEN: Final = "SELECT message_id, sequence, expires_ms FROM dedups WHERE queue = ? AND key = ?"
_REMEMBER: Final = "INSERT INTO dedups (queue, key, message_id, sequence, expires_ms) VALUES {} ON CONFLICT DO NOTHING"
_FORGET: Final = "DELETE FROM dedups WHERE queue = ? AND key = ?"
_ADD_GROUPS: Final = "INSERT INTO groups VALUES {} ON CONFLICT DO NOTHING"
_FREE_GROUPS: Final = "SELECT name FROM groups WHERE queue = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?"
_NEXT_GROUP_DUE: Final = "SELECT due_ms FROM groups WHERE queue = ? ORDER BY due_ms LIMIT 1"
_LOCK: Final = "UPDATE groups SET due_ms = ?, locked = ? WHERE queue = ? AND name = ?"
_LOCKED: Final = "SELECT locked FROM groups WHERE queue = ? AND name = ?"
_DROP_GROUP: Final = "DELETE FROM groups WHERE queue = ? AND name = ?"
_DUES: Final = "due_ms, receive_count"
_ATTEMPT: Final = "SELECT due_ms, receipts FROM attempts WHERE queue = ? AND attempt_id = ? AND expires_ms > ?"
_KEEP_ATTEMPT: Final = """
INSERT INTO attempts (queue, attempt_id, due_ms, receipts, expires_ms) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (queue, attempt_id) DO UPDATE
SET due_ms = excluded.due_ms, receipts = excluded.receipts, expires_ms = excluded.expires_ms"""
_ROW: Final = f"SELECT {COLUMNS} FROM messages WHERE id = ?"


class _Draft(NamedTuple):
    """A message to be stored, unless its key was seen."""

    message: Outgoing
    sequence: int
    message_id: str
    key: str | None


def send(connection: Connection, state: QueueState, messages: Sequence[Outgoing], now_ms: int) -> list[Sent]:
    """Store the messages in order; one whose deduplication id was seen in the window is not stored again."""
    now_ms = state.advance(connection, now_ms)
    first_sequence = state.sequences(connection, len(messages))
    drafts = [
        _Draft(message, sequence, random_uuid(), _dedup_key(state, message))
        for sequence, message in enumerate(messages, first_sequence)
    ]
    firsts = _deduplicate(connection, state, [draft for draft in drafts if draft.key is not None], now_ms)
    if not firsts:
        _store(connection, state, drafts, now_ms)
        return [Sent(message_id, sequence) for _, sequence, message_id, _ in drafts]
    fresh = [draft for draft in drafts if draft.sequence not in firsts]
    if fresh:
        _store(connection, state, fresh, now_ms)
    return [firsts.get(draft.sequence) or Sent(draft.message_id, draft.sequence) for draft in drafts]


def _dedup_key(state: QueueState, message: Outgoing) -> str | None:
    if message.dedup_id is None or not state.settings.dedup_per_group:
        return message.dedup_id
    group = message.group or ""
    return f"{len(group)}:{group}{message.dedup_id}"


def _store(connection: Connection, state: QueueState, drafts: Sequence[_Draft], now_ms: int) -> None:
    """Insert the messages, and see that their groups have their rows."""
    filled = []
    placed: list[tuple[str, int]] = []
    group_dues: dict[str, int] = {}
    for message, sequence, message_id, _ in drafts:
        identity = state.number << receipts.QUEUE_SHIFT | sequence
        group = message.group or ""
        due_ms = now_ms + (state.settings.delay_ms if message.delay_ms is None else message.delay_ms)
        header: bytes | None = message.header
        body: str | None = message.body
        if len(message.body) + len(message.header) > rows.INLINE_MAX:
            rows.insert_body(connection, identity, message.header, message.body)
            header = body = None
        origin = (message_id, group, None, message.dedup_id, None)
        filled.append((identity, state.number, due_ms, 0, 0, 0, now_ms, *origin, header, body))
        state.count_row(due_ms, 0, None, 1)
        placed.append((group, identity))
        if group not in group_dues and not state.order.holds_some(group):
            group_dues[group] = due_ms  # a group that has messages has its row
    rows.insert(connection, filled)
    state.order.add(connection, placed)
    add_groups(connection, state, group_dues)
    state.next_expiry_ms = min(state.next_expiry_ms, now_ms + state.settings.retention_ms)


def _deduplicate(connection: Connection, state: QueueState, drafts: Sequence[_Draft], now_ms: int) -> dict[int, Sent]:
    """Remember the deduplication ids; for drafts whose id was seen before, what became of the first, by sequence."""
    expires_ms = now_ms + state.settings.dedup_window_ms
    firsts: dict[int, Sent] = {}
    for start in range(0, len(drafts), rows.MAX_IDS):
        some = drafts[start : start + rows.MAX_IDS]
        memories = [(state.number, key, message_id, sequence, expires_ms) for _, sequence, message_id, key in some]
        connection.execute(rows.some_rows(_REMEMBER, 5, len(some)), [*chain.from_iterable(memories)])
        if connection.changes() == len(some):
            continue
        for draft, memory in zip(some, memories, strict=True):
            first_id, sequence, until_ms = connection.execute(_SEEN, (state.number, draft.key)).fetchone()
            if first_id != draft.message_id and until_ms > now_ms:
                firsts[draft.sequence] = Sent(first_id, sequence, duplicate=True)
            elif first_id != draft.message_id:
                connection.execute(_FORGET, (state.number, draft.key))
                connection.execute(rows.some_rows(_REMEMBER, 5, 1), memory)
    return firsts


def add_groups(connection: Connection, state: QueueState, dues: Mapping[str, int]) -> None:
    """See that groups with new messages have their rows; `dues` says when those messages are due."""
    names = list(dues)
    for start in range(0, len(names), rows.MAX_IDS):
        some = names[start : start + rows.MAX_IDS]
        bindings = [each for name in some for each in (state.number, name, dues[name], 0)]
        connection.execute(rows.some_rows(_ADD_GROUPS, 4, len(some)), bindings)
        if connection.changes():
            state.groups_due_ms = min(state.groups_due_ms, *(dues[name] for name in some))


def take(
    connection: Connection,
    state: QueueState,
    dead: QueueState | None,
    max_messages: int,
    hide_ms: int,
    now_ms: int,
) -> tuple[list[Received], int]:
    """Hand out up to `max_messages`, from as few groups as hold them; and how many went to the `dead` letter queue."""
    now_ms = state.advance(connection, now_ms)
    handed_out: list[Received] = []
    moved = 0
    seen: set[str] = set()
    while True:
        moved_before = moved
        found = connection.execute(_FREE_GROUPS, (state.number, now_ms, max_messages + len(seen))).fetchall()
        for group in [name for (name,) in found if name not in seen]:
            seen.add(group)
            room = max_messages - len(handed_out)
            due, moves = _due_rows(connection, state, dead, group, room, now_ms)
            moved += moves
            if due:
                handed_out += rows.hide(connection, state, due, hide_ms, now_ms)
                connection.execute(_LOCK, (now_ms + hide_ms, len(due), state.number, group))
            else:
                _settle(connection, state, group, now_ms, removed=0)
            if len(handed_out) == max_messages:
                break
        if moved == moved_before or moved >= MAX_MOVES or len(handed_out) == max_messages:
            break  # else a group may have had nothing but dead letters, and there may be others
    state.groups_due_ms = connection.execute(_NEXT_GROUP_DUE, (state.number,)).get or NEVER
    return handed_out, moved


def _due_rows(
    connection: Connection, state: QueueState, dead: QueueState | None, group: str, room: int, now_ms: int
) -> tuple[list[Row], int]:
    """The group's first due rows; those received too often move to the `dead` letter queue on the way."""
    max_receives = state.settings.max_receive_count if dead is not None else 0
    moved = 0
    while True:
        first = [Row._make(row) for row in state.order.first(connection, COLUMNS, group, room)]
        spent = [row for row in first if max_receives and row.receive_count - row.arrived_count >= max_receives]
        if not spent or moved >= MAX_MOVES:
            break
        assert dead is not None
        for row in spent:
            move(connection, state, dead, _marks(row), now_ms, as_new=False)
        moved += len(spent)
    due: list[Row] = []
    for row in first:
        if row.due_ms > now_ms or row in spent:
            break  # what comes after it in its group must wait for it
        due.append(row)
    return due, moved


def _marks(row: Row) -> Marks:
    return Marks(row.id, row.due_ms, row.receive_count, row.tenant, row.group, row.body is None)


def move(
    connection: Connection, origin: QueueState, destination: QueueState, row: Marks, now_ms: int, *, as_new: bool
) -> None:
    """Move a message to another FIFO queue, behind what its group has there."""
    rows.move(connection, origin, destination, row, now_ms, as_new=as_new)
    if row.group is not None and destination.fifo:
        add_groups(connection, destination, {row.group: destination.cursor_ms})


def retry(connection: Connection, state: QueueState, attempt_id: str, hide_ms: int, now_ms: int) -> list[Received]:
    """What the attempt was given before, hidden anew; nothing when any of it was deleted, changed or is visible."""
    now_ms = state.advance(connection, now_ms)
    kept = connection.execute(_ATTEMPT, (state.number, attempt_id, now_ms)).fetchone()
    if kept is None:
        return []
    due_ms, texts = kept
    again: list[tuple[Row, str, receipts.Receipt]] = []
    for text in json.loads(texts):
        claim = receipts.decode(text, state.number)
        found = connection.execute(_ROW, (claim.id,)).fetchone() if claim else None
        if claim is None or found is None:
            return []
        row = Row._make(found)
        if row.receive_count != claim.receive_count or row.due_ms != due_ms or due_ms <= now_ms:
            return []
        again.append((row, text, claim))
    new_due_ms = now_ms + hide_ms
    handed_out = [_again(connection, state, row, text, new_due_ms) for row, text, _ in again]
    for group in {row.group for row, _, _ in again if row.group is not None}:
        _settle(connection, state, group, now_ms, removed=0)
    keep_attempt(connection, state, attempt_id, [text for _, text, _ in again], new_due_ms, now_ms)
    return handed_out


def _again(connection: Connection, state: QueueState, row: Row, receipt: str, due_ms: int) -> Received:
    rows.set_due(connection, state, _marks(row), due_ms)
    return rows.received(connection, row, receipt, row.receive_count, row.first_received_ms)


def keep_attempt(
    connection: Connection, state: QueueState, attempt_id: str, texts: Sequence[str], due_ms: int, now_ms: int
) -> None:
    """Remember what was handed out for the attempt."""
    kept = (state.number, attempt_id, due_ms, json.dumps(texts), now_ms + ATTEMPT_LIFE_MS)
    connection.execute(_KEEP_ATTEMPT, kept)


def delete(
    connection: Connection, state: QueueState, claims: Sequence[receipts.Receipt | None], now_ms: int
) -> list[Outcome]:
    """Delete by receipt, as long as its visibility timeout runs.

    AWS: on a FIFO queue a receipt whose visibility timeout has passed deletes nothing and is an error.
    """
    now_ms = state.advance(connection, now_ms)
    found = rows.find(connection, claims)
    outcomes = []
    doomed: list[Marks] = []
    for claim in claims:
        row = found.get(claim.id) if claim else None
        if claim is None:
            outcomes.append(Outcome.MALFORMED)
        elif row is None:
            outcomes.append(Outcome.GONE)
        elif row.receive_count != claim.receive_count or row.due_ms <= now_ms:
            outcomes.append(Outcome.EXPIRED)
        else:
            doomed.append(found.pop(row.id))
            outcomes.append(Outcome.DONE)
    remove(connection, state, doomed, now_ms, of_lock=True)
    return outcomes


def remove(connection: Connection, state: QueueState, doomed: Sequence[Marks], now_ms: int, *, of_lock: bool) -> None:
    """Delete the messages and settle their groups; `of_lock`: they are among those that lock their group."""
    rows.remove(connection, state, [row.id for row in doomed])
    state.order.remove(connection, [(row.group, row.id) for row in doomed if row.group is not None])
    settle(connection, state, doomed, now_ms, of_lock=of_lock)


def settle(
    connection: Connection, state: QueueState, gone: Sequence[Marks], now_ms: int, *, of_lock: bool = False
) -> None:
    """Settle the groups of messages that went.

    `of_lock` says that all of them were among those that lock their group. Counting too few of them is
    harmless: some messages more are looked at, and those never handed out bar nothing.
    """
    removed: dict[str, int] = {}
    for row in gone:
        if row.group is not None:
            removed[row.group] = removed.get(row.group, 0) + of_lock
    for group, count in removed.items():
        _settle(connection, state, group, now_ms, removed=count)


def change_visibility(
    connection: Connection,
    state: QueueState,
    changes: Sequence[tuple[receipts.Receipt | None, int]],
    now_ms: int,
) -> list[Outcome]:
    """Hide messages in flight anew, or show them (timeout 0); a group is free when its last one is visible."""
    now_ms = state.advance(connection, now_ms)
    found = rows.find(connection, [claim for claim, _ in changes])
    outcomes = []
    groups: set[str] = set()
    for claim, hide_ms in changes:
        row = found.get(claim.id) if claim else None
        if claim is None:
            outcomes.append(Outcome.MALFORMED)
        elif row is None:
            outcomes.append(Outcome.GONE)
        elif row.receive_count != claim.receive_count or row.due_ms <= now_ms:
            outcomes.append(Outcome.EXPIRED)
        elif now_ms + hide_ms > claim.received_ms + state.settings.max_hidden_ms:
            outcomes.append(Outcome.BEYOND_LIMIT)
        else:
            found[row.id] = rows.set_due(connection, state, row, now_ms + hide_ms)
            groups.add(row.group or "")
            outcomes.append(Outcome.DONE)
    for group in groups:
        _settle(connection, state, group, now_ms, removed=0)
    return outcomes


def _settle(connection: Connection, state: QueueState, group: str, now_ms: int, *, removed: int) -> None:
    """Work out when the group is free, after `removed` of the messages that lock it went."""
    locked = connection.execute(_LOCKED, (state.number, group)).get
    if locked is None:
        return
    locked = max(0, locked - removed)
    first = state.order.first(connection, _DUES, group, max(1, locked))
    if not first:
        connection.execute(_DROP_GROUP, (state.number, group))
        return
    held = [due_ms for due_ms, receive_count in first[:locked] if receive_count and due_ms > now_ms]
    due_ms = max(held) if held else max(now_ms, first[0][0])
    connection.execute(_LOCK, (due_ms, locked if held else 0, state.number, group))
    state.groups_due_ms = min(state.groups_due_ms, due_ms)
