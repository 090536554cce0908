"""A bound on how long something takes, on the server's clock, so that a test can move time past it."""

from __future__ import annotations

import asyncio
from types import TracebackType

from headrace.clock import Clock, Timer


class Within:
    """`async with Within(clock, 15_000):` cancels the block once so many milliseconds have passed on the clock.

    Raises TimeoutError then. A class, as a generator would take twice as long, and every delivery has one.
    """

    __slots__ = ("_clock", "_duration_ms", "_scope", "_timer")

    def __init__(self, clock: Clock, duration_ms: int) -> None:
        self._clock = clock
        self._duration_ms = duration_ms
        self._scope = asyncio.timeout(None)
        self._timer: Timer

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()
        self._timer = self._clock.call_at(self._clock.now_ms() + self._duration_ms, self._expire)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._scope.__aexit__(kind, error, trace)

    def _expire(self) -> None:
        self._scope.reschedule(asyncio.get_running_loop().time())
