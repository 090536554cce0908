"""Standard queues: the order in which messages are handed out, and fairness among tenants.

Messages come in order of their due time: sent ones by age, those whose visibility timeout ended after them. When a
tenant (the message group of a standard queue) holds a large share of what is in flight, tenants that do not go before
it: they are gone through in turn, a message of each that has one, however long the noisy tenant's backlog is.
AWS: "Amazon SQS fair queues" in the developer guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headrace.engines.nats import receipts
from headrace.engines.nats.queue_chunks import Body, Due, Hidden, Message
from headrace.engines.nats.queue_state import Entry, QueueState
from headrace.primitives.queues import Outcome, Outgoing, Sent

MAX_MOVES: Final = 100
"""Messages moved to the dead-letter queue in one go; a receive that finds more goes again."""
MAX_TENANT_LOOKS: Final = 64
"""Tenants looked at in one receive, when some tenant is noisy."""


class Handed:
    """What a receive found: messages to hand out, and those that were received too often."""

    __slots__ = ("chosen", "received_ms", "spent")

    def __init__(self) -> None:
        self.chosen: list[Entry] = []
        self.spent: list[Entry] = []
        self.received_ms = 0


def send(state: QueueState, messages: Sequence[Outgoing]) -> list[Sent]:
    """Store the messages; visible once their delay has passed."""
    now_ms, sequence = state.now_ms, state.next_sequence
    delay_ms = state.settings.delay_ms
    rows, bodies, sent = [], [], []
    for message in messages:
        due_ms = now_ms + (delay_ms if message.delay_ms is None else message.delay_ms)
        rows.append(Message(sequence, due_ms, now_ms, message.group, message.dedup_id))
        bodies.append(Body(message.header, message.body))
        sent.append(Sent(receipts.message_id(state.number, sequence), sequence))
        sequence += 1
    state.bring(rows, bodies)
    return sent


def take(state: QueueState, max_messages: int, hide_ms: int, max_receives: int) -> Handed:
    """Hand out up to `max_messages`; those received `max_receives` times (0: no limit) are to be moved instead."""
    handed = Handed()
    if state.tenants_large and state.settings.fair and (noisy := state.noisy()):
        _take_quiet(state, noisy, max_messages, max_receives, handed)
    while len(handed.chosen) < max_messages and len(handed.spent) < MAX_MOVES:
        entry = state.ready.take()
        if entry is None:
            break
        _choose(entry, max_receives, handed)
    hide(state, handed, hide_ms)
    return handed


def hide(state: QueueState, handed: Handed, hide_ms: int) -> None:
    """Hide what was chosen, and let nobody have what is to be moved."""
    handed.received_ms = state.now_ms
    for entry in handed.chosen:
        entry.moving = False
    if handed.chosen:
        sequences = [entry.message.sequence for entry in handed.chosen]
        state.do(Hidden(state.now_ms, state.now_ms + hide_ms, sequences))


def _choose(entry: Entry, max_receives: int, handed: Handed) -> None:
    entry.moving = True  # so that it is not chosen twice
    if is_spent(entry.message, max_receives):
        handed.spent.append(entry)
    else:
        handed.chosen.append(entry)


def is_spent(message: Message, max_receives: int) -> bool:
    """Whether the message was received too often to be handed out once more."""
    return bool(max_receives) and message.receive_count - message.arrived_count >= max_receives


def _take_quiet(state: QueueState, noisy: set[str], max_messages: int, max_receives: int, handed: Handed) -> None:
    """Choose visible messages of tenants that are not noisy, going on where the last receive stopped."""
    tenants = state.tenants_ready
    for _ in range(min(len(tenants), MAX_TENANT_LOOKS)):
        tenant = next(iter(tenants))
        if tenant in noisy:
            tenants.move_to_end(tenant)
            continue
        waiting = tenants[tenant]
        while waiting and len(handed.chosen) < max_messages:
            entry = state.entries.get(waiting.popleft())
            if entry is not None and not entry.hidden and not entry.moving and entry.message.group == tenant:
                _choose(entry, max_receives, handed)
        if not waiting:
            del tenants[tenant]
        else:
            tenants.move_to_end(tenant)
        if len(handed.chosen) >= max_messages:
            return


def delete(state: QueueState, claims: Sequence[receipts.Receipt | None]) -> list[Outcome]:
    """Delete by receipt. A receipt of an earlier receive deletes the message too, while it exists."""
    outcomes = []
    doomed: dict[int, None] = {}
    for claim in claims:
        if claim is None:
            outcomes.append(Outcome.MALFORMED)
        elif claim.sequence in state.entries and claim.sequence not in doomed:
            doomed[claim.sequence] = None
            outcomes.append(Outcome.DONE)
        else:
            outcomes.append(Outcome.GONE)
    state.remove(list(doomed))
    return outcomes


def change_visibility(state: QueueState, changes: Sequence[tuple[receipts.Receipt | None, int]]) -> list[Outcome]:
    """Hide messages in flight anew, or show them (timeout 0), by the receipts of their last receives.

    Once a message was received again, an older receipt does not change what holds for whoever has it now.
    """
    return [_change(state, claim, hide_ms) for claim, hide_ms in changes]


def _change(state: QueueState, claim: receipts.Receipt | None, hide_ms: int) -> Outcome:
    entry = state.entries.get(claim.sequence) if claim else None
    if claim is None:
        return Outcome.MALFORMED
    if entry is None:
        return Outcome.GONE
    if not entry.hidden or entry.message.receive_count != claim.receive_count:
        return Outcome.NOT_IN_FLIGHT
    if state.now_ms + hide_ms > claim.received_ms + state.settings.max_hidden_ms:
        return Outcome.BEYOND_LIMIT
    state.do(Due([(claim.sequence, state.now_ms + hide_ms)]))
    return Outcome.DONE
