"""Time, as everything in Headrace asks for it: milliseconds since the epoch, and timers.

`SystemClock` is the machine's. `VirtualClock` can be moved: a server started with it lets its users
test retention, visibility and retries in milliseconds, and simulations run on it frozen. After trio's
MockClock: time that is moved runs every timer on the way, in order, each at its own moment.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

SETTLING_TURNS: Final = 50
"""Turns of the event loop between two moments of a virtual clock that is moved: enough for what a timer sets going,
and what that sets going, to come to rest, as long as it waits for nothing outside the loop."""

REST_ROUNDS: Final = 20
"""Steps that follow one another outside the loop and are waited for, at most, between two moments of that clock."""

MAX_STALE_DEADLINES: Final = 1_000
"""Deadlines of waits that ended earlier, kept beside those that still stand, before they are cleared out."""


class Timer(Protocol):
    """What `call_at` hands out."""

    def cancel(self) -> None:
        """Forget the call; harmless when it has run already."""


class Clock(Protocol):
    """The time, and calls at a time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""

    def call_at(self, when_ms: int, callback: Callable[[], object]) -> Timer:
        """Run `callback` on the event loop once `now_ms()` has reached `when_ms`."""


async def sleep(clock: Clock, duration_ms: int) -> None:
    """Return when `duration_ms` have passed on `clock`."""
    woken = asyncio.Event()
    timer = clock.call_at(clock.now_ms() + duration_ms, woken.set)
    try:
        await woken.wait()
    finally:
        timer.cancel()


class SystemClock:
    """The machine's own time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def call_at(self, when_ms: int, callback: Callable[[], object]) -> Timer:
        """Run `callback` at `when_ms`; at once (in the loop's next turn) when that has passed."""
        loop = asyncio.get_running_loop()
        delay_ms = max(0, when_ms - self.now_ms())
        return loop.call_later(delay_ms / 1000, callback)


class _VirtualTimer:
    __slots__ = ("callback", "when_ms")

    def __init__(self, when_ms: int, callback: Callable[[], object]) -> None:
        self.when_ms = when_ms
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualClock:
    """A clock that `advance` moves.

    With `flowing` it also runs with the machine's time between moves, so that a client which waits for
    a second gets its answer after a second; without, it stands still until it is moved.
    """

    def __init__(self, start_ms: int | None = None, *, flowing: bool = False) -> None:
        self._base_ms = time.time_ns() // 1_000_000 if start_ms is None else start_ms
        self._flowing = flowing
        self._anchor_ns = time.monotonic_ns()
        self._timers: list[tuple[int, int, _VirtualTimer]] = []
        self._count = 0
        self._alarm: asyncio.TimerHandle | None = None
        self.outside: list[Callable[[], Awaitable[None]]] = []
        """Called whenever what was set going is to come to rest: what waits for things outside the loop adds itself."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC, as far as this clock is concerned."""
        if not self._flowing:
            return self._base_ms
        return self._base_ms + (time.monotonic_ns() - self._anchor_ns) // 1_000_000

    def call_at(self, when_ms: int, callback: Callable[[], object]) -> Timer:
        """Run `callback` once the clock has been moved (or has flowed) to `when_ms`."""
        timer = _VirtualTimer(when_ms, callback)
        self._count += 1
        heapq.heappush(self._timers, (when_ms, self._count, timer))
        self._rearm()
        return timer

    async def advance(self, duration_ms: int) -> None:
        """Move the clock on, running each timer on the way at its own time.

        Before the first and between timers the event loop turns, so that what was set going sees the time it was
        set going at, and has its own timers set.
        """
        await self._rest()
        target_ms = self.now_ms() + duration_ms
        while self._timers and self._timers[0][0] <= target_ms:
            self._set(max(self.now_ms(), self._timers[0][0]))
            self._run_due()
            await self._rest()
        self._set(target_ms)
        self._rearm()
        await self._rest()

    async def _rest(self) -> None:
        await _settle()
        for at_rest in self.outside:
            await at_rest()

    def _set(self, now_ms: int) -> None:
        self._base_ms = now_ms
        self._anchor_ns = time.monotonic_ns()

    def _run_due(self) -> None:
        now_ms = self.now_ms()
        while self._timers and self._timers[0][0] <= now_ms:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()

    def _rearm(self) -> None:
        """When flowing, have the event loop call when the earliest timer is due."""
        if not self._flowing:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._timers:
            delay_ms = max(0, self._timers[0][0] - self.now_ms())
            self._alarm = asyncio.get_running_loop().call_later(delay_ms / 1000, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._run_due()
        self._rearm()


class Deadlines:
    """When waits end at the latest: one timer, for the earliest, serves all of them."""

    def __init__(self, clock: Clock) -> None:
        self.ended = 0
        """Waits that ended, their deadlines perhaps not yet cleared out."""
        self._clock = clock
        self._heap: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self._timer: Timer | None = None
        self._timer_ms = 0

    def add(self, deadline_ms: int, woken: asyncio.Future[None]) -> None:
        """Wake `woken` at the deadline, unless it is done by then."""
        if self.ended > len(self._heap) // 2 + MAX_STALE_DEADLINES:
            self._heap = [entry for entry in self._heap if not entry[2].done()]
            heapq.heapify(self._heap)
            self.ended = 0
        heapq.heappush(self._heap, (deadline_ms, next(self._count), woken))
        self._arm()

    def _arm(self) -> None:
        if not self._heap:
            return
        due_ms = self._heap[0][0]
        if self._timer is not None:
            if due_ms >= self._timer_ms:
                return
            self._timer.cancel()
        self._timer_ms = due_ms
        self._timer = self._clock.call_at(due_ms, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now_ms = self._clock.now_ms()
        while self._heap and (self._heap[0][0] <= now_ms or self._heap[0][2].done()):
            wake_one(heapq.heappop(self._heap)[2])
        self._arm()


def wake_one(woken: asyncio.Future[None]) -> bool:
    """Wake who waits, unless that was done, or it was cancelled, before; whether it was woken."""
    if woken.done():
        return False
    woken.set_result(None)
    return True


def stand_still_for(clock: Clock, at_rest: Callable[[], Awaitable[None]]) -> None:
    """Have a clock that is moved wait for `at_rest` between its moments; the machine's own waits for nobody."""
    if isinstance(clock, VirtualClock):
        clock.outside.append(at_rest)


def go_on_without(clock: Clock, at_rest: Callable[[], Awaitable[None]]) -> None:
    """Undo `stand_still_for`; harmless when it was not called."""
    if isinstance(clock, VirtualClock) and at_rest in clock.outside:
        clock.outside.remove(at_rest)


async def rest(begun: Callable[[], int], answered: Callable[[], Awaitable[None]]) -> None:
    """Return when what is `begun` (a count that grows) is `answered`, and nothing more was begun because of it.

    For engines, to add to a virtual clock's `outside`: one write follows another some turns of the loop after its
    answer, and the time of neither is to run out meanwhile.
    """
    for _ in range(REST_ROUNDS):
        before = begun()
        await answered()
        await _settle()
        if begun() == before:
            return


async def _settle(turns: int = SETTLING_TURNS) -> None:
    """Let the event loop turn until what was just set going has had its chance to run."""
    for _ in range(turns):
        await asyncio.sleep(0)
