"""Receives that wait, and what wakes them.

A receive that finds nothing joins its queue's waiters. A send wakes as many as it brought messages. A
visibility timeout or a delay that ends wakes one, by an alarm that is set only while someone waits; and
whoever gets messages and leaves some wakes the next. So a waiter costs a future and its place among the
deadlines, and nothing while nothing happens.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from headrace.clock import Clock, Deadlines, wake_one
from headrace.engines.nats.queue_state import NEVER

if TYPE_CHECKING:
    from headrace.engines.nats.queue_keeping import KeptQueue


class Waiting:
    """Puts receives to sleep on a queue's kept, and wakes them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deadlines = Deadlines(clock)

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
            count -= wake_one(woken)

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
