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
    Message,
    Moved,
    Purged,
    Put,
    Returned,
    Seen,
    note,
)
from headrace.engines.nats.queue_groups import Groups
from headrace.primitives.queues import QueueSettings

NEVER: Final = 1 << 62
"""A time that does not come."""
FAIR_MIN_IN_FLIGHT: Final = 2
"""A tenant with fewer messages in flight is always quiet."""
FAIR_SHARE: Final = 10
"""A tenant with more than one in this many of the messages in flight is noisy."""
STALE_ALLOWED: Final = 1_000
"""Entries of messages that are gone, left in a heap beside as many as there are messages, before it is made anew."""


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
        self.ready: list[tuple[int, int]] = []
        """Visible messages of a standard queue: (due time, sequence)."""
        self.tenants: dict[str, int] = {}
        """Messages in flight by tenant (standard queues)."""
        self.tenants_large: set[str] = set()
        self.tenants_ready: OrderedDict[str, deque[int]] = OrderedDict()
        """Visible messages by tenant, the tenant that was served last at the end."""
        self.dedups: dict[str, tuple[int, int]] = {}
        """By key: the sequence of the first message, and when it is forgotten."""
        self.attempts: dict[str, Attempted] = {}
        self.moves: set[str] = set()
        self._memories: list[tuple[int, str, str]] = []
        """What is forgotten when: (time, kind, key)."""
        self._hidden: list[tuple[int, int]] = []
        self._ages: list[tuple[int, int]] = []
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
        while self._memories and self._memories[0][0] <= now_ms:
            self._forget(*heapq.heappop(self._memories))
        return now_ms

    def expire(self) -> None:
        """Remove messages older than the retention. AWS: in flight or not."""
        if self.next_expiry_ms() > self.now_ms:
            return
        cutoff_ms = self.now_ms - self.settings.retention_ms
        expired = []
        while self._ages and self._ages[0][0] <= cutoff_ms:
            _, sequence = heapq.heappop(self._ages)
            if sequence in self.entries:
                expired.append(sequence)
        self.remove(expired)

    # --- asking ---

    @property
    def total(self) -> int:
        """All messages, whatever their state."""
        return len(self.entries)

    def oldest_sent_ms(self) -> int | None:
        """When the oldest message was sent, or None when the queue is empty."""
        ages = self._ages
        while ages and ages[0][1] not in self.entries:
            heapq.heappop(ages)
        return ages[0][0] if ages else None

    def next_expiry_ms(self) -> int:
        """No message expires before this."""
        return self._ages[0][0] + self.settings.retention_ms if self._ages else NEVER

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
            self._push(self._ages, (message.sent_ms, message.sequence))
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
            for key, sequence in seen.keys:
                self.dedups[key] = (sequence, seen.expires_ms)
                self._remember(seen.expires_ms, "dedup", key)

    def _attempt(self, attempted: Attempted) -> None:
        if attempted.expires_ms > self.now_ms:
            self.attempts[attempted.attempt_id] = attempted
            self._remember(attempted.expires_ms, "attempt", attempted.attempt_id)

    def _move(self, moved: Moved) -> None:
        if moved.expires_ms > self.now_ms:
            for move in moved.moves:
                self.moves.add(move)
                self._remember(moved.expires_ms, "move", move)

    def _remember(self, expires_ms: int, kind: str, key: str) -> None:
        self.chunk.keep_until_ms = max(self.chunk.keep_until_ms, expires_ms)
        heapq.heappush(self._memories, (expires_ms, kind, key))

    def _forget(self, expires_ms: int, kind: str, key: str) -> None:
        if kind == "dedup":
            if self.dedups.get(key, (0, 0))[1] == expires_ms:
                del self.dedups[key]
        elif kind == "attempt":
            kept = self.attempts.get(key)
            if kept is not None and kept.expires_ms == expires_ms:
                del self.attempts[key]
        else:
            self.moves.discard(key)

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
            self._push(self._hidden, (message.due_ms, message.sequence))
        else:
            self.make_ready(entry)

    def make_ready(self, entry: Entry) -> None:
        """Have a visible message handed out in its turn (standard queues)."""
        if self.fifo:
            return
        message = entry.message
        self._push(self.ready, (message.due_ms, message.sequence))
        if message.group is not None:
            self.tenants_ready.setdefault(message.group, deque()).append(message.sequence)

    def _push(self, heap: list[tuple[int, int]], item: tuple[int, int]) -> None:
        heapq.heappush(heap, item)
        if len(heap) > 2 * len(self.entries) + STALE_ALLOWED:
            heap[:] = [each for each in set(heap) if each[1] in self.entries]
            heapq.heapify(heap)

    def _leave_chunk(self, entry: Entry) -> None:
        chunk = entry.chunk
        chunk.live -= 1
        if not chunk.live and chunk.place:
            chunk.bodies = None
