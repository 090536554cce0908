"""A bound on how long something takes, on the server's clock, so that a test can move time past it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from headrace.clock import Clock


@contextlib.asynccontextmanager
async def within(clock: Clock, duration_ms: int) -> AsyncIterator[None]:
    """Cancel the block once `duration_ms` have passed on the clock. Raises TimeoutError then."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:
        timer = clock.call_at(clock.now_ms() + duration_ms, lambda: scope.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()
