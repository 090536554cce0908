"""Receives that wait, and what wakes them.

A receive that finds nothing joins its queue's waiters. A send wakes as many as it brought messages. A
visibility timeout or a delay that ends wakes one, by an alarm that is set only while someone waits; and
whoever gets messages and leaves some wakes the next. So a waiter costs a future and its place among the
deadlines, and nothing while nothing happens.
"""

from __future__ import annotations

import asyncio
from functools import partial

from headrace.clock import Clock, Deadlines, wake_one
from headrace.engines.sqlite.queue_state import NEVER, QueueState


class Waiting:
    """Puts receives to sleep on a queue's state, and wakes them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deadlines = Deadlines(clock)

    async def wait(self, state: QueueState, deadline_ms: int) -> None:
        """Return when there may be something to receive, or the deadline has come."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        state.waiters[woken] = None
        self._deadlines.add(deadline_ms, woken)
        self._set_alarm(state)
        try:
            await woken
        except asyncio.CancelledError:
            if not woken.cancelled():
                self.wake_available(state)  # it was woken for a message that is another's now
            raise
        finally:
            self._deadlines.ended += 1
            state.waiters.pop(woken, None)

    def wake(self, state: QueueState, count: int) -> None:
        """Wake up to `count` of those who wait, the longest first."""
        while count > 0 and state.waiters:
            woken, _ = state.waiters.popitem(last=False)
            count -= wake_one(woken)

    def wake_sent(self, state: QueueState, count: int) -> None:
        """Wake those for whom there are `count` new messages, or set the alarm when these are delayed."""
        if self._clock.now_ms() >= state.available_ms():
            self.wake(state, count)
        else:
            self._set_alarm(state)

    def wake_available(self, state: QueueState) -> None:
        """Wake one who waits if there may be something for it, else see that the alarm will."""
        self.wake_sent(state, 1)

    def dismiss(self, state: QueueState) -> None:
        """Wake everyone, for good."""
        if state.alarm is not None:
            state.alarm.cancel()
        self.wake(state, len(state.waiters))

    def _set_alarm(self, state: QueueState) -> None:
        due_ms = max(state.available_ms(), self._clock.now_ms() + 1)
        if not state.waiters or due_ms >= min(state.alarm_ms, NEVER):
            return
        if state.alarm is not None:
            state.alarm.cancel()
        state.alarm_ms = due_ms
        state.alarm = self._clock.call_at(due_ms, partial(self._ring, state))

    def _ring(self, state: QueueState) -> None:
        state.alarm, state.alarm_ms = None, NEVER
        self.wake_available(state)
