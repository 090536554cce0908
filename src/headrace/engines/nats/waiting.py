"""Receives that wait, and what wakes them.

A receive that finds nothing joins its queue's waiters. A send wakes as many as it brought messages. A
visibility timeout or a delay that ends wakes one, by an alarm that is set only while someone waits; and
whoever gets messages and leaves some wakes the next. So a waiter costs a future and its place among the
deadlines, and nothing while nothing happens.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from functools import partial
from typing import TYPE_CHECKING, Final

from headrace.clock import Clock, Timer
from headrace.engines.nats.queue_state import NEVER

if TYPE_CHECKING:
    from headrace.engines.nats.queue_keeping import KeptQueue

MAX_STALE_DEADLINES: Final = 1_000
"""Deadlines of waits that ended earlier, kept beside those that still stand, before they are cleared out."""


class Waiting:
    """Puts receives to sleep on a queue's kept, and wakes them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deadlines = _Deadlines(clock)

    async def wait(self, kept: KeptQueue, deadline_ms: int) -> None:
        """Return when there may be something to receive, or the deadline has come."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        kept.waiters[woken] = None
        self._deadlines.add(deadline_ms, woken)
        self._set_alarm(kept)
        try:
            await woken
        except asyncio.CancelledError:
            if not woken.cancelled():
                self.wake_available(kept)  # it was woken for a message that is another's now
            raise
        finally:
            self._deadlines.ended += 1
            kept.waiters.pop(woken, None)

    def wake(self, kept: KeptQueue, count: int) -> None:
        """Wake up to `count` of those who wait, the longest first."""
        while count > 0 and kept.waiters:
            woken, _ = kept.waiters.popitem(last=False)
            count -= _wake_one(woken)

    def wake_sent(self, kept: KeptQueue, count: int) -> None:
        """Wake those for whom there are `count` new messages, or set the alarm when these are delayed."""
        if self._clock.now_ms() >= kept.state.available_ms():
            self.wake(kept, count)
        else:
            self._set_alarm(kept)

    def wake_available(self, kept: KeptQueue) -> None:
        """Wake one who waits if there may be something for it, else see that the alarm will."""
        self.wake_sent(kept, 1)

    def dismiss(self, kept: KeptQueue) -> None:
        """Wake everyone, for good."""
        if kept.alarm is not None:
            kept.alarm.cancel()
        self.wake(kept, len(kept.waiters))

    def _set_alarm(self, kept: KeptQueue) -> None:
        due_ms = max(kept.state.available_ms(), self._clock.now_ms() + 1)
        if not kept.waiters or due_ms >= min(kept.alarm_ms, NEVER):
            return
        if kept.alarm is not None:
            kept.alarm.cancel()
        kept.alarm_ms = due_ms
        kept.alarm = self._clock.call_at(due_ms, partial(self._ring, kept))

    def _ring(self, kept: KeptQueue) -> None:
        kept.alarm, kept.alarm_ms = None, NEVER
        self.wake_available(kept)


class _Deadlines:
    """When waits end at the latest: one timer, for the earliest, serves all of them."""

    def __init__(self, clock: Clock) -> None:
        self.ended = 0
        """Waits that ended, their deadlines perhaps not yet cleared out."""
        self._clock = clock
        self._heap: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self._timer: Timer | None = None
        self._timer_ms = NEVER

    def add(self, deadline_ms: int, woken: asyncio.Future[None]) -> None:
        """Wake `woken` at the deadline, unless it is done by then."""
        if self.ended > len(self._heap) // 2 + MAX_STALE_DEADLINES:
            self._heap = [entry for entry in self._heap if not entry[2].done()]
            heapq.heapify(self._heap)
            self.ended = 0
        heapq.heappush(self._heap, (deadline_ms, next(self._count), woken))
        self._arm()

    def _arm(self) -> None:
        if not self._heap or self._heap[0][0] >= self._timer_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = self._heap[0][0]
        self._timer = self._clock.call_at(self._timer_ms, self._ring)

    def _ring(self) -> None:
        self._timer, self._timer_ms = None, NEVER
        now_ms = self._clock.now_ms()
        while self._heap and (self._heap[0][0] <= now_ms or self._heap[0][2].done()):
            _wake_one(heapq.heappop(self._heap)[2])
        self._arm()


def _wake_one(woken: asyncio.Future[None]) -> bool:
    """Wake it, unless it was woken or cancelled before."""
    if woken.done():
        return False
    woken.set_result(None)
    return True
