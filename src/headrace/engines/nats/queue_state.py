"""A queue in memory: its messages without their bodies, in the order in which they are handed out, and its counts.

It changes by effects alone: `do` makes one now and notes it for the journal, `apply` makes one that was read from the
journal. No I/O. Hidden messages wait in a heap by due time; `advance` shows those that came due, each counted once.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from headrace.engines.nats.queue_chunks import (
    BODY_BYTES,
    Attempted,
    Body,
    Chunk,
    Claimed,
    Due,
    Effect,
    Gone,
    Hidden,
    Known,
    Message,
    Moved,
    Purged,
    Put,
    Returned,
    Seen,
    note,
)
from headrace.engines.nats.queue_groups import Groups
from headrace.engines.nats.queue_lines import STALE_ALLOWED, Line
from headrace.primitives.queues import QueueSettings

NEVER: Final = 1 << 62
"""A time that does not come."""
FAIR_MIN_IN_FLIGHT: Final = 2
"""A tenant with fewer messages in flight is always quiet."""
FAIR_SHARE: Final = 10
"""A tenant with more than one in this many of the messages in flight is noisy."""


class Entry(msgspec.Struct, gc=False):
    """A message in memory: its fields, and where its body is."""

    message: Message
    chunk: Chunk
    index: int
    hidden: bool = False
    """Not yet due, as of the queue's time."""
    moving: bool = False
    """On its way to another queue: it is handed out to nobody."""


class QueueState:
    """A queue as the one process that keeps it knows it. Counts are right as of `now_ms`."""

    def __init__(self, name: str, number: int, settings: QueueSettings) -> None:
        self.name = name
        self.number = number
        self.settings = settings
        self.fifo = settings.fifo
        self.now_ms = 0
        self.next_sequence = 1
        self.entries: dict[int, Entry] = {}
        self.visible = self.in_flight = self.delayed = 0
        self.groups = Groups(self)
        self.ready = Line(self.entries, time_of=_due_ms, stands=_may_go, unmoved=_is_fresh)
        """Visible messages of a standard queue, by due time."""
        self.tenants: dict[str, int] = {}
        """Messages in flight by tenant (standard queues)."""
        self.tenants_large: set[str] = set()
        self.tenants_ready: OrderedDict[str, deque[int]] = OrderedDict()
        """Visible messages by tenant, the tenant that was served last at the end."""
        self.dedups: dict[str, int] = {}
        """By key: the sequence of the first message."""
        self.dedup_ids: dict[str, str] = {}
        """By key: the first message's id, where it does not follow from the sequence."""
        self.attempts: dict[str, Attempted] = {}
        self.moves: set[str] = set()
        self.memories: list[tuple[int, str, tuple[str, ...]]] = []
        """What is forgotten when, as a heap: (time, kind, keys)."""
        self._hidden: list[tuple[int, int]] = []
        self._ages = Line(self.entries, time_of=_sent_ms, stands=_always, unmoved=_always)
        self.chunk = Chunk(bodies=[])
        """The chunk that effects are noted for."""
        self.effects: list[msgspec.Raw] = []
        self._makers: dict[type, Callable[[Any], None]] = {
            Put: self._put,
            Hidden: self._hide,
            Due: self._set_dues,
            Returned: self._return,
            Gone: self._remove_all,
            Purged: self._purge,
            Seen: self._see,
            Known: self._know,
            Attempted: self._attempt,
            Moved: self._move,
            Claimed: lambda _: None,
        }

    # --- changing ---

    def do(self, effect: Effect) -> None:
        """Make the effect, and note it for the journal."""
        noted = note(effect)
        self._makers[type(effect)](effect)
        self.effects.append(noted)
        self.chunk.size += len(memoryview(noted))

    def apply(self, chunk: Chunk, now_ms: int, next_sequence: int, effects: Sequence[Effect]) -> None:
        """Make the effects of a chunk of the journal."""
        self.chunk = chunk
        self.advance(now_ms)
        for effect in effects:
            self._makers[type(effect)](effect)
        self.next_sequence = max(self.next_sequence, next_sequence)

    def bring(self, messages: list[Message], bodies: Sequence[Body]) -> None:
        """Put these messages, new or written again, into the queue."""
        mine = self.chunk.bodies
        assert mine is not None
        first = len(mine)
        mine.extend(bodies)
        self.chunk.size += sum(len(body.body) + len(body.header) + BODY_BYTES for body in bodies)
        self.do(Put(first, messages))

    def remove(self, sequences: list[int]) -> None:
        """Delete messages that exist."""
        if sequences:
            self.do(Gone(sequences))

    def advance(self, now_ms: int) -> int:
        """Bring the counts to `now_ms`; the time to go by, which never runs backwards."""
        if now_ms <= self.now_ms:
            return self.now_ms
        hidden = self._hidden
        while hidden and hidden[0][0] <= now_ms:
            due_ms, sequence = heapq.heappop(hidden)
            entry = self.entries.get(sequence)
            if entry is not None and entry.hidden and entry.message.due_ms == due_ms:
                self._count(entry, -1)
                entry.hidden = False
                self._count(entry, 1)
                self.make_ready(entry)
        self.now_ms = now_ms
        while self.memories and self.memories[0][0] <= now_ms:
            self._forget(*heapq.heappop(self.memories))
        return now_ms

    def expire(self) -> None:
        """Remove messages older than the retention. AWS: in flight or not."""
        if self.next_expiry_ms() > self.now_ms:
            return
        cutoff_ms = self.now_ms - self.settings.retention_ms
        expired = []
        while (oldest := self._ages.first()) is not None and oldest.message.sent_ms <= cutoff_ms:
            self._ages.take()
            expired.append(oldest.message.sequence)
        self.remove(expired)

    # --- asking ---

    @property
    def total(self) -> int:
        """All messages, whatever their state."""
        return len(self.entries)

    def oldest_sent_ms(self) -> int | None:
        """When the oldest message was sent, or None when the queue is empty."""
        oldest = self._ages.first()
        return oldest.message.sent_ms if oldest is not None else None

    def next_expiry_ms(self) -> int:
        """No message expires before this."""
        sent_ms = self.oldest_sent_ms()
        return NEVER if sent_ms is None else sent_ms + self.settings.retention_ms

    def room(self) -> int:
        """How many more messages may be in flight."""
        limit = self.settings.max_in_flight
        return max(0, limit - self.in_flight) if limit else NEVER

    def noisy(self) -> set[str]:
        """Tenants that hold so large a share of what is in flight that others go first."""
        return {tenant for tenant in self.tenants_large if self.tenants[tenant] * FAIR_SHARE > self.in_flight}

    def available_ms(self) -> int:
        """When there may next be something to hand out, as far as is known."""
        next_due_ms = self._hidden[0][0] if self._hidden else NEVER
        if not self.room():
            return next_due_ms
        if self.fifo:
            return self.groups.available_ms()
        return self.now_ms if self.visible else next_due_ms

    # --- effects ---

    def _put(self, put: Put) -> None:
        for index, message in enumerate(put.messages, put.first):
            known = self.entries.get(message.sequence)
            if known is not None:
                self._leave_chunk(known)
                known.chunk, known.index = self.chunk, index
                self.chunk.live += 1
                continue
            entry = self.entries[message.sequence] = Entry(message, self.chunk, index)
            self.chunk.live += 1
            if message.due_ms == message.sent_ms:
                message.due_ms = message.sent_ms  # one number in memory, not two
            self._ages.add(entry)
            self._place(entry)
            if self.fifo:
                self.groups.add(entry)
            if message.sequence >= self.next_sequence:
                self.next_sequence = message.sequence + 1
        self.chunk.count += len(put.messages)

    def _hide(self, hidden: Hidden) -> None:
        for sequence in hidden.sequences:
            entry = self.entries.get(sequence)
            if entry is None:
                continue
            self._count(entry, -1)
            message = entry.message
            if not message.receive_count:
                message.first_received_ms = hidden.now_ms
            message.receive_count += 1
            message.due_ms = hidden.due_ms
            self._place(entry)
            if self.fifo:
                self.groups.hold(entry)

    def _set_dues(self, due: Due) -> None:
        touched = []
        for sequence, due_ms in due.dues:
            entry = self.entries.get(sequence)
            if entry is not None:
                self._count(entry, -1)
                entry.message.due_ms = due_ms
                self._place(entry)
                touched.append(entry)
        self.groups.settle(touched)

    def _return(self, returned: Returned) -> None:
        touched = []
        for sequence in returned.sequences:
            entry = self.entries.get(sequence)
            if entry is None:
                continue
            self._count(entry, -1)
            message = entry.message
            message.receive_count -= 1
            if not message.receive_count:
                message.first_received_ms = 0
            message.due_ms = returned.due_ms
            self._place(entry)
            touched.append(entry)
        self.groups.settle(touched)

    def _remove_all(self, gone: Gone) -> None:
        removed = []
        for sequence in gone.sequences:
            entry = self.entries.pop(sequence, None)
            if entry is not None:
                self._count(entry, -1)
                self._leave_chunk(entry)
                removed.append(entry)
        self.groups.remove(removed)

    def _purge(self, purged: Purged) -> None:
        self._remove_all(Gone([sequence for sequence in self.entries if sequence <= purged.through]))

    def _see(self, seen: Seen) -> None:
        if seen.expires_ms > self.now_ms:
            self.dedups |= seen.keys
            self._remember(seen.expires_ms, "dedup", tuple([key for key, _ in seen.keys]))

    def _know(self, known: Known) -> None:
        if known.expires_ms > self.now_ms:
            self.dedups |= [(key, sequence) for key, sequence, _ in known.keys]
            self.dedup_ids |= [(key, message_id) for key, _, message_id in known.keys]
            self._remember(known.expires_ms, "dedup", tuple([key for key, _, _ in known.keys]))

    def _attempt(self, attempted: Attempted) -> None:
        if attempted.expires_ms > self.now_ms:
            self.attempts[attempted.attempt_id] = attempted
            self._remember(attempted.expires_ms, "attempt", (attempted.attempt_id,))

    def _move(self, moved: Moved) -> None:
        if moved.expires_ms > self.now_ms:
            self.moves |= set(moved.moves)
            self._remember(moved.expires_ms, "move", tuple(moved.moves))

    def _remember(self, expires_ms: int, kind: str, keys: tuple[str, ...]) -> None:
        self.chunk.keep_until_ms = max(self.chunk.keep_until_ms, expires_ms)
        heapq.heappush(self.memories, (expires_ms, kind, keys))

    def _forget(self, expires_ms: int, kind: str, keys: tuple[str, ...]) -> None:
        for key in keys:
            if kind == "dedup":  # its key cannot have been seen again: until now it was a duplicate
                self.dedups.pop(key, None)
                self.dedup_ids.pop(key, None)
            elif kind == "move":
                self.moves.discard(key)
            elif (attempt := self.attempts.get(key)) is not None and attempt.expires_ms == expires_ms:
                del self.attempts[key]  # one made again within a millisecond is remembered twice

    # --- keeping in step ---

    def _count(self, entry: Entry, by: int) -> None:
        """Count a message in (`by` 1) or out (-1), as what it is now."""
        message = entry.message
        if not entry.hidden:
            self.visible += by
        elif message.receive_count:
            self.in_flight += by
            if message.group is not None and not self.fifo:
                self._count_tenant(message.group, by)
        else:
            self.delayed += by

    def _count_tenant(self, tenant: str, by: int) -> None:
        count = self.tenants.get(tenant, 0) + by
        if count > 0:
            self.tenants[tenant] = count
        else:
            self.tenants.pop(tenant, None)
        if count >= FAIR_MIN_IN_FLIGHT:
            self.tenants_large.add(tenant)
        else:
            self.tenants_large.discard(tenant)

    def _place(self, entry: Entry) -> None:
        """Count a message in, and put it where its due time says."""
        message = entry.message
        entry.hidden = message.due_ms > self.now_ms
        self._count(entry, 1)
        if entry.hidden:
            self._hide_until(message)
        else:
            self.make_ready(entry)

    def make_ready(self, entry: Entry) -> None:
        """Have a visible message handed out in its turn (standard queues)."""
        if self.fifo:
            return
        message = entry.message
        self.ready.add(entry)
        if message.group is not None:
            self.tenants_ready.setdefault(message.group, deque()).append(message.sequence)

    def _hide_until(self, message: Message) -> None:
        heapq.heappush(self._hidden, (message.due_ms, message.sequence))
        if len(self._hidden) > 2 * len(self.entries) + STALE_ALLOWED:
            self._hidden = [
                (due_ms, sequence)
                for due_ms, sequence in set(self._hidden)
                if (entry := self.entries.get(sequence)) is not None and entry.message.due_ms == due_ms
            ]
            heapq.heapify(self._hidden)

    def _leave_chunk(self, entry: Entry) -> None:
        chunk = entry.chunk
        chunk.live -= 1
        if not chunk.live and chunk.place:
            chunk.bodies = None


def _due_ms(entry: Entry) -> int:
    return entry.message.due_ms


def _sent_ms(entry: Entry) -> int:
    return entry.message.sent_ms


def _may_go(entry: Entry) -> bool:
    """Whether a message may be handed out."""
    return not entry.hidden and not entry.moving


def _is_fresh(entry: Entry) -> bool:
    """Whether a message was never handed out of this queue."""
    return entry.message.receive_count == entry.message.arrived_count


def _always(_: Entry) -> bool:
    return True
