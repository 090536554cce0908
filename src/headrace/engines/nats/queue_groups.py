"""The message groups of a FIFO queue: which is free when.

A group is held until the last of the messages that were handed out of it is deleted or visible again. A group whose
first message is delayed is due when that is. Groups are taken in order of the time at which they were free, so one
that was just served goes behind those that wait.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from headrace.engines.nats.queue_state import Entry, QueueState

_NEVER: Final = 1 << 62
STALE_ALLOWED: Final = 1_000
"""Outdated entries left in the heap beside as many as there are groups, before it is made anew."""


class Group:
    """A group that has messages: their sequences in order, and those that were handed out together last."""

    __slots__ = ("due_ms", "held", "moving", "name", "sequences", "turn")

    def __init__(self, name: str) -> None:
        self.name = name
        self.sequences: deque[int] = deque()
        """Some may be gone."""
        self.held: dict[int, Entry] = {}
        self.due_ms = 0
        self.turn = 0
        """Tells its entry in the heap from those of earlier times."""
        self.moving = False
        """Some of it is on its way to another queue: nothing of it is handed out."""


class Groups:
    """All groups of a queue that have messages."""

    def __init__(self, state: QueueState) -> None:
        self._state = state
        self._groups: dict[str, Group] = {}
        self._heap: list[tuple[int, int, str]] = []
        self._turns = itertools.count(1)

    # --- asking ---

    def available_ms(self) -> int:
        """When the next group is free."""
        self._clear_top()
        return self._heap[0][0] if self._heap else _NEVER

    def free(self, count: int) -> list[Group]:
        """Up to `count` groups that are free now, the longest free first."""
        found: list[Group] = []
        popped = []
        while len(found) < count and self.available_ms() <= self._state.now_ms:
            top = heapq.heappop(self._heap)
            popped.append(top)
            found.append(self._groups[top[2]])
        for top in popped:
            heapq.heappush(self._heap, top)
        return found

    def first(self, group: Group) -> Iterator[Entry]:
        """The group's messages in order."""
        entries = self._state.entries
        while group.sequences and group.sequences[0] not in entries:
            group.sequences.popleft()
        for sequence in group.sequences:
            entry = entries.get(sequence)
            if entry is not None:
                yield entry

    def get(self, name: str | None) -> Group | None:
        """The group of that name, if it has messages."""
        return self._groups.get(name or "")

    # --- changing ---

    def add(self, entry: Entry) -> None:
        """Take a message in; in its place, when it was written again behind later ones."""
        message = entry.message
        name = message.group or ""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name)
            group.sequences.append(message.sequence)
            self._set_due(group, message.due_ms)
        elif message.sequence > group.sequences[-1]:
            group.sequences.append(message.sequence)
        else:
            ordered = list(group.sequences)
            bisect.insort(ordered, message.sequence)
            group.sequences = deque(ordered)
        message.group = group.name  # one text in memory for all of a group
        if entry.hidden and message.receive_count:
            group.held[message.sequence] = entry
        if group.held or group.sequences[0] == message.sequence:
            self._settle(group)

    def hold(self, entry: Entry) -> None:
        """A message was handed out: the group is held as long as it is hidden."""
        group = self._groups[entry.message.group or ""]
        group.held = {sequence: other for sequence, other in group.held.items() if other.hidden}
        group.held[entry.message.sequence] = entry
        self._set_due(group, max(entry.message.due_ms, *(other.message.due_ms for other in group.held.values())))

    def settle(self, touched: Iterable[Entry]) -> None:
        """Work out anew when the groups of these messages are free."""
        for name in dict.fromkeys(entry.message.group or "" for entry in touched):
            group = self._groups.get(name)
            if group is not None:
                self._settle(group)

    def remove(self, removed: Sequence[Entry]) -> None:
        """Messages went."""
        for entry in removed:
            group = self._groups.get(entry.message.group or "")
            if group is not None:
                group.held.pop(entry.message.sequence, None)
        self.settle(removed)

    def _settle(self, group: Group) -> None:
        first = next(self.first(group), None)
        if first is None:
            del self._groups[group.name]
            return
        now_ms = self._state.now_ms
        held = [entry.message.due_ms for entry in group.held.values() if entry.hidden]
        self._set_due(group, max(held) if held else max(now_ms, first.message.due_ms))

    def _set_due(self, group: Group, due_ms: int) -> None:
        if group.turn and group.due_ms == due_ms:
            return
        group.due_ms = due_ms
        group.turn = next(self._turns)
        heapq.heappush(self._heap, (due_ms, group.turn, group.name))
        if len(self._heap) > 2 * len(self._groups) + STALE_ALLOWED:
            self._heap = [(each.due_ms, each.turn, each.name) for each in self._groups.values()]
            heapq.heapify(self._heap)

    def _clear_top(self) -> None:
        while self._heap:
            _, turn, name = self._heap[0]
            group = self._groups.get(name)
            if group is not None and group.turn == turn:
                return
            heapq.heappop(self._heap)
