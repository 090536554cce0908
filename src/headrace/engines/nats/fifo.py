"""FIFO queues: order within a message group, group locks, deduplication and receive attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headrace.engines.nats import receipts
from headrace.engines.nats.queue_chunks import Attempted, Body, Due, Message, Seen
from headrace.engines.nats.queue_groups import Group
from headrace.engines.nats.queue_state import Entry, QueueState
from headrace.engines.nats.standard import MAX_MOVES, Handed, hide, is_spent
from headrace.primitives.queues import Outcome, Outgoing, Sent

ATTEMPT_LIFE_MS: Final = 300_000
"""AWS: a receive request attempt id is good for five minutes."""


def send(state: QueueState, messages: Sequence[Outgoing]) -> list[Sent]:
    """Store the messages in order; one whose deduplication id was seen in the window is not stored again."""
    rows: list[Message] = []
    bodies: list[Body] = []
    seen: dict[str, int] = {}
    sent = []
    sequence = state.next_sequence
    for message in messages:
        key = _dedup_key(state, message)
        first = _first_of(state, key, seen)
        if first is not None:
            sent.append(Sent(_first_id(state, key, first), first, duplicate=True))
            continue
        if key is not None:
            seen[key] = sequence
        due_ms = state.now_ms + (state.settings.delay_ms if message.delay_ms is None else message.delay_ms)
        rows.append(Message(sequence, due_ms, state.now_ms, message.group or "", message.dedup_id))
        bodies.append(Body(message.header, message.body))
        sent.append(Sent(receipts.message_id(state.number, sequence), sequence))
        sequence += 1
    if rows:
        state.bring(rows, bodies)
    if seen:
        state.do(Seen(state.now_ms + state.settings.dedup_window_ms, list(seen.items())))
    return sent


def _dedup_key(state: QueueState, message: Outgoing) -> str | None:
    if message.dedup_id is None or not state.settings.dedup_per_group:
        return message.dedup_id
    group = message.group or ""
    return f"{len(group)}:{group}{message.dedup_id}"


def _first_of(state: QueueState, key: str | None, seen: dict[str, int]) -> int | None:
    """The sequence of the message that was sent with the key before, in the window."""
    if key is None:
        return None
    return seen.get(key) or state.dedups.get(key)


def _first_id(state: QueueState, key: str | None, sequence: int) -> str:
    """The id of the message that was sent with the key first."""
    return state.dedup_ids.get(key or "") or receipts.message_id(state.number, sequence)


def take(state: QueueState, max_messages: int, hide_ms: int, max_receives: int) -> Handed:
    """Hand out up to `max_messages`, from as few groups as hold them.

    When there are messages among them that were received `max_receives` times (0: no limit), nothing is handed out:
    these are to be moved first.
    """
    handed = Handed()
    tried: set[str] = set()
    while len(handed.chosen) < max_messages and len(handed.spent) < MAX_MOVES:
        fresh = [group for group in state.groups.free(max_messages + len(tried)) if group.name not in tried]
        for group in fresh:
            tried.add(group.name)
            if len(handed.chosen) < max_messages and not group.moving:
                _take_of(state, group, max_messages - len(handed.chosen), max_receives, handed)
        if not fresh:
            break
    if handed.spent:
        handed.chosen.clear()  # what comes after them in their groups may go first, once they are moved
    hide(state, handed, hide_ms)
    return handed


def _take_of(state: QueueState, group: Group, room: int, max_receives: int, handed: Handed) -> None:
    first: list[Entry] = []
    for entry in state.groups.first(group):
        if len(first) == room:
            break
        first.append(entry)
    spent = [entry for entry in first if is_spent(entry.message, max_receives)]
    if spent:
        group.moving = True
        handed.spent += spent
        return
    for entry in first:
        if entry.hidden:
            break  # what comes after it in its group must wait for it
        handed.chosen.append(entry)
    if first and first[0].hidden:
        state.groups.settle(first[:1])


def keep_attempt(state: QueueState, attempt_id: str, chosen: Sequence[Entry], received_ms: int, due_ms: int) -> None:
    """Remember what was handed out for the attempt."""
    given = [(entry.message.sequence, entry.message.receive_count, received_ms) for entry in chosen]
    _keep(state, attempt_id, given, due_ms)


def _keep(state: QueueState, attempt_id: str, given: list[tuple[int, int, int]], due_ms: int) -> None:
    state.do(Attempted(attempt_id, state.now_ms + ATTEMPT_LIFE_MS, due_ms, given))


def retry(state: QueueState, attempt_id: str, hide_ms: int) -> list[tuple[Entry, int]]:
    """What the attempt was given before, and when, hidden anew.

    Nothing when any of it was deleted, changed or is visible.
    """
    kept = state.attempts.get(attempt_id)
    if kept is None or kept.expires_ms <= state.now_ms or kept.due_ms <= state.now_ms:
        return []
    again = []
    for sequence, receive_count, received_ms in kept.given:
        entry = state.entries.get(sequence)
        if entry is None or entry.message.receive_count != receive_count or entry.message.due_ms != kept.due_ms:
            return []
        again.append((entry, received_ms))
    due_ms = state.now_ms + hide_ms
    state.do(Due([(sequence, due_ms) for sequence, _, _ in kept.given]))
    _keep(state, attempt_id, kept.given, due_ms)
    return again


def delete(state: QueueState, claims: Sequence[receipts.Receipt | None]) -> list[Outcome]:
    """Delete by receipt, as long as its visibility timeout runs.

    AWS: on a FIFO queue a receipt whose visibility timeout has passed deletes nothing and is an error.
    """
    outcomes = []
    doomed: dict[int, None] = {}
    for claim in claims:
        outcome = _standing(state, claim)
        if claim is not None and outcome is Outcome.DONE:
            if claim.sequence in doomed:
                outcome = Outcome.GONE
            doomed[claim.sequence] = None
        outcomes.append(outcome)
    state.remove(list(doomed))
    return outcomes


def _standing(state: QueueState, claim: receipts.Receipt | None) -> Outcome:
    """DONE when the receipt is good, else what is wrong with it."""
    if claim is None:
        return Outcome.MALFORMED
    entry = state.entries.get(claim.sequence)
    if entry is None:
        return Outcome.GONE
    if entry.message.receive_count != claim.receive_count or not entry.hidden:
        return Outcome.EXPIRED
    return Outcome.DONE


def change_visibility(state: QueueState, changes: Sequence[tuple[receipts.Receipt | None, int]]) -> list[Outcome]:
    """Hide messages in flight anew, or show them (timeout 0); a group is free when its last one is visible."""
    outcomes = []
    for claim, hide_ms in changes:
        outcome = _standing(state, claim)
        if claim is not None and outcome is Outcome.DONE:
            if state.now_ms + hide_ms > claim.received_ms + state.settings.max_hidden_ms:
                outcome = Outcome.BEYOND_LIMIT
            else:
                state.do(Due([(claim.sequence, state.now_ms + hide_ms)]))
        outcomes.append(outcome)
    return outcomes


def delay_sent(state: QueueState, old_delay_ms: int) -> None:
    """Have a changed delay hold for messages sent before that were never received.

    AWS: on FIFO queues the delay is retroactive, on standard queues it is not.
    """
    delay_ms = state.settings.delay_ms
    oldest_ms = state.now_ms - max(old_delay_ms, delay_ms)
    dues = []
    for sequence in reversed(state.entries):
        message = state.entries[sequence].message
        if message.sent_ms <= oldest_ms:
            break
        if not message.receive_count:
            dues.append((sequence, message.sent_ms + delay_ms))
    if dues:
        state.do(Due(dues))
