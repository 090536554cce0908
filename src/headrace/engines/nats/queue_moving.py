"""Messages that go from one queue to another: dead letters, and dead letters that are sent back.

The destination stores them first, then they leave where they were. A process that dies in between leaves them in both;
whoever keeps the origin then moves them again under the same name, and the destination, which remembers the moves of
the last while, does not store them twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from headrace.engines.nats import receipts
from headrace.engines.nats.queue_chunks import Body, Message, Moved
from headrace.engines.nats.queue_keeping import KeptQueue
from headrace.engines.nats.queue_state import Entry, QueueState

if TYPE_CHECKING:
    from headrace.engines.nats.queue_host import QueueHost

MOVES_KEPT_MS: Final = 3_600_000
"""How long a destination remembers that a move was made."""
SLICE: Final = 500
"""Messages moved in one go."""
SLICE_BYTES: Final = 512 * 1024
"""Chunks read and moved from in one go, besides the one that passes it."""


class Arrival(msgspec.Struct, array_like=True):
    """A message that is moved, and the `move` that tells this from any other; the fields a new message lacks unset."""

    move: str
    header: bytes
    body: str
    group: str | None
    dedup_id: str | None
    message_id: str | None = None
    sent_ms: int = 0
    receive_count: int = 0
    first_received_ms: int = 0
    source: str | None = None


def arrive(kept: KeptQueue, arrivals: Sequence[Arrival]) -> int:
    """Store moved messages at the end of the queue, visible at once; how many were not here already.

    Dead-lettered they keep id, counts and, on standard queues, their sent time. AWS: on a FIFO queue the sent time
    starts anew.
    """
    state = kept.begin()
    rows: list[Message] = []
    bodies: list[Body] = []
    fresh = [arrival for arrival in arrivals if arrival.move not in state.moves]
    for sequence, arrival in enumerate(fresh, state.next_sequence):
        sent_ms = arrival.sent_ms if arrival.sent_ms and not state.fifo else state.now_ms
        group = arrival.group or "" if state.fifo else arrival.group
        rows.append(
            Message(
                sequence,
                state.now_ms,
                sent_ms,
                group,
                arrival.dedup_id,
                arrival.receive_count,
                arrival.first_received_ms,
                arrival.receive_count,
                arrival.message_id,
                arrival.source,
            )
        )
        bodies.append(Body(arrival.header, arrival.body))
    if rows:
        state.bring(rows, bodies)
        state.do(Moved(state.now_ms + MOVES_KEPT_MS, [arrival.move for arrival in fresh]))
    return len(rows)


async def bury(kept: KeptQueue, host: QueueHost, spent: list[Entry], dead_letter_queue: str) -> None:
    """Move messages that were received too often to the dead-letter queue. Raises Overtaken, StorageError."""
    await _move_all(kept, host, {dead_letter_queue: spent}, as_new=False)


async def redrive(kept: KeptQueue, host: QueueHost, destination: str | None, max_messages: int) -> int:
    """Move visible messages to `destination`, or each to its source; how many moved. Raises QueueMissing too."""
    if destination is not None:
        await host.require(destination)
    state = kept.begin()
    by_target: dict[str, list[Entry]] = {}
    for entry in _visible(state, min(max_messages, SLICE), all_of=destination is not None):
        by_target.setdefault(destination or entry.message.source or "", []).append(entry)
        entry.moving = True
        if state.fifo and (group := state.groups.get(entry.message.group)) is not None:
            group.moving = True
    if not by_target:
        await kept.settled(sure=True)
    return await _move_all(kept, host, by_target, as_new=True)


def _visible(state: QueueState, max_messages: int, *, all_of: bool) -> list[Entry]:
    """The first visible messages: `all_of` them, or those that were dead-lettered."""
    found: list[Entry] = []
    for entry in state.entries.values():
        if len(found) == max_messages:
            break
        if not entry.hidden and not entry.moving and (all_of or entry.message.source is not None):
            found.append(entry)
    return found


async def _move_all(kept: KeptQueue, host: QueueHost, by_target: dict[str, list[Entry]], *, as_new: bool) -> int:
    """Move messages that are marked as moving; how many moved. Those that do not are handed out again."""
    moved = 0
    try:
        for target in by_target:
            await host.require(target)
        for target, entries in by_target.items():
            left = entries
            while left:
                some, left = _slice(left)
                moved += await _move(kept, host, some, target, as_new=as_new)
    finally:
        for entries in by_target.values():
            _release(kept.state, entries)
        host.waiting.wake_available(kept)
    return moved


def _slice(entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The first entries, as many as can be moved in one go, and the others."""
    chunks: dict[int, int] = {}
    for number, entry in enumerate(entries):
        chunks[id(entry.chunk)] = entry.chunk.size
        if number and sum(chunks.values()) > SLICE_BYTES:
            return entries[:number], entries[number:]
    return entries, []


async def _move(kept: KeptQueue, host: QueueHost, entries: list[Entry], target: str, *, as_new: bool) -> int:
    """Move those of the entries that still exist; how many."""
    await kept.bodies_of([entry.chunk for entry in entries])
    state = kept.begin()
    arrivals: dict[int, Arrival] = {}
    for entry in entries:
        message, body = entry.message, kept.body(entry.chunk, entry.index)
        if message.sequence in state.entries and body is not None:
            arrivals[message.sequence] = _arrival(state, message, body, as_new=as_new)
    if arrivals:
        await host.arrive(target, list(arrivals.values()))
        kept.begin()
        state.remove([sequence for sequence in arrivals if sequence in state.entries])
        await kept.settled()
    return len(arrivals)


def _arrival(state: QueueState, message: Message, body: Body, *, as_new: bool) -> Arrival:
    move = f"{state.number:x}-{message.sequence:x}-{message.receive_count:x}"
    if as_new:
        return Arrival(move, body.header, body.body, message.group, message.dedup_id)
    return Arrival(
        move,
        body.header,
        body.body,
        message.group,
        message.dedup_id,
        message.message_id or receipts.message_id(state.number, message.sequence),
        message.sent_ms,
        message.receive_count,
        message.first_received_ms,
        state.name,
    )


def _release(state: QueueState, entries: list[Entry]) -> None:
    """Of messages that were to be moved, those that are still here are handed out again."""
    for entry in entries:
        entry.moving = False
        if entry.message.sequence in state.entries and not entry.hidden:
            state.make_ready(entry)
        if state.fifo and (group := state.groups.get(entry.message.group)) is not None:
            group.moving = False
