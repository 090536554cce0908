"""Messages in order of a time. Those that come in the order of their sequences cost nothing each."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from headrace.engines.nats.queue_state import Entry

STALE_ALLOWED: Final = 1_000
"""Entries of messages that are gone, left in the heap beside as many as there are messages, before it is made anew."""


class Line:
    """Messages by `time_of` each, as long as each `stands`.

    A message that comes behind all others by sequence and by time only makes a run of sequences longer; any other is
    put into a heap. One that changed is added again: in the heap its time tells, in a run `unmoved`, which entry of it
    counts.
    """

    __slots__ = ("_entries", "_heap", "_last_ms", "_runs", "_stands", "_time_of", "_unmoved")

    def __init__(
        self,
        entries: Mapping[int, Entry],
        *,
        time_of: Callable[[Entry], int],
        stands: Callable[[Entry], bool],
        unmoved: Callable[[Entry], bool],
    ) -> None:
        self._entries = entries
        self._time_of = time_of
        self._stands = stands
        self._unmoved = unmoved
        self._runs: deque[list[int]] = deque()
        """First sequence, and the one after the last."""
        self._last_ms = 0
        self._heap: list[tuple[int, int]] = []

    def add(self, entry: Entry) -> None:
        """Take a message in."""
        at_ms, sequence, runs = self._time_of(entry), entry.message.sequence, self._runs
        if not self._unmoved(entry) or (runs and (at_ms < self._last_ms or sequence < runs[-1][1])):
            heapq.heappush(self._heap, (at_ms, sequence))
            if len(self._heap) > 2 * len(self._entries) + STALE_ALLOWED:
                self._heap = [each for each in set(self._heap) if self._counts(*each)]
                heapq.heapify(self._heap)
            return
        self._last_ms = at_ms
        if runs and sequence == runs[-1][1]:
            runs[-1][1] = sequence + 1
        else:
            runs.append([sequence, sequence + 1])

    def first(self) -> Entry | None:
        """The message whose time is first."""
        found = self._first()
        return found[0] if found else None

    def take(self) -> Entry | None:
        """The message whose time is first; it is in the line no more."""
        found = self._first()
        if found is None:
            return None
        if found[1]:
            heapq.heappop(self._heap)
        else:
            self._runs[0][0] += 1
        return found[0]

    def _first(self) -> tuple[Entry, bool] | None:
        """The first message, and whether it is the heap's."""
        running, waiting = self._first_running(), self._first_waiting()
        if running is None or waiting is None:
            only = running or waiting
            return None if only is None else (only, running is None)
        behind = self._heap[0] < (self._time_of(running), running.message.sequence)
        return (waiting, True) if behind else (running, False)

    def _first_running(self) -> Entry | None:
        runs = self._runs
        while runs:
            run = runs[0]
            while run[0] < run[1]:
                entry = self._entries.get(run[0])
                if entry is not None and self._stands(entry) and self._unmoved(entry):
                    return entry
                run[0] += 1
            runs.popleft()
        return None

    def _first_waiting(self) -> Entry | None:
        heap = self._heap
        while heap:
            if self._counts(*heap[0]):
                return self._entries[heap[0][1]]
            heapq.heappop(heap)
        return None

    def _counts(self, at_ms: int, sequence: int) -> bool:
        """Whether an entry of the heap is a message's latest."""
        entry = self._entries.get(sequence)
        return entry is not None and self._stands(entry) and self._time_of(entry) == at_ms
