"""Waiting for a log's next record: woken by the process that writes it, whichever that is.

Whoever appends publishes where the log then ends; a process that waits for a log listens to that. Such news can be
lost, with a connection or a writer that died at the wrong moment: so a wait also looks for itself now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from headrace.clock import Clock
from headrace.engines.nats.connection import Message
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.log_state import LogState
from headrace.engines.nats.log_writing import NEWS

RECHECK_S: Final = 5.0
"""How long a wait goes without looking for itself."""
MAX_LISTENED: Final = 2_000
"""Logs listened to at once, besides those that someone waits for."""


class LogWaiting:
    """The waits of a process."""

    def __init__(self, jetstream: JetStream, clock: Clock) -> None:
        self.draining = False
        self._jetstream = jetstream
        self._clock = clock
        self._woken: dict[str, set[asyncio.Event]] = {}
        self._listening: dict[str, Callable[[], None]] = {}

    async def listen(self, state: LogState) -> None:
        """Hear of this log's appends from now on."""
        if state.news in self._listening:
            return
        while len(self._listening) >= MAX_LISTENED:
            unused = next((subject for subject in self._listening if subject not in self._woken), None)
            if unused is None:
                break
            self._listening.pop(unused)()

        def hear(message: Message) -> None:
            if len(message.payload) == NEWS.size:  # else it is of another version: looked for instead
                state.advance(*NEWS.unpack(message.payload))
            self.wake(state.news)

        self._listening[state.news] = self._jetstream.connection.subscribe(state.news, hear)
        await self._jetstream.connection.flush()

    def forget(self, state: LogState) -> None:
        """The log is no more: let those who wait for it see that."""
        if (end := self._listening.pop(state.news, None)) is not None:
            end()
        self.wake(state.news)

    def wake(self, news: str) -> None:
        """Have those look again who wait for this log."""
        for woken in self._woken.get(news, ()):
            woken.set()

    def drain(self) -> None:
        """Let nobody wait any more."""
        self.draining = True
        for news in self._woken:
            self.wake(news)

    @contextlib.contextmanager
    def waiter(self, state: LogState, deadline_ms: int) -> Iterator[asyncio.Event]:
        """Something to wait with, until the deadline."""
        woken = asyncio.Event()
        self._woken.setdefault(state.news, set()).add(woken)
        timer = self._clock.call_at(deadline_ms, woken.set)
        try:
            yield woken
        finally:
            timer.cancel()
            waiting = self._woken[state.news]
            waiting.discard(woken)
            if not waiting:
                del self._woken[state.news]


async def sleep(woken: asyncio.Event) -> bool:
    """Return when woken, or when it is time to look; whether woken."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RECHECK_S):
            await woken.wait()
    was = woken.is_set()
    woken.clear()
    return was
