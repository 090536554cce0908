"""Removing what no reader gets any more: chunks below a log's floor, and chunks of logs that were dropped.

Every process does it for the logs that it knows, when something of theirs is due; a removal that another process made
already costs one look. The last chunk of a log is kept: it says where the log ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec
import structlog

from headrace.clock import Clock, Timer
from headrace.engines.nats import log_places
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.log_chunks import Chunk, chunk
from headrace.engines.nats.log_state import PARTITIONS, Definition, LogState, stream_of
from headrace.engines.nats.mirror import Space
from headrace.engines.nats.naming import key_of
from headrace.errors import StorageError
from headrace.primitives.logs import LogMissing
from headrace.primitives.metadata import Change

log = structlog.get_logger()

SWEEP_DELAY_MS: Final = 60_000
"""How long dead chunks are left, so that what dies together is removed together."""
SPREAD_MS: Final = 20
"""Logs that are looked at for the first time follow each other at this distance."""


class LogSweep:
    """Removes dead chunks. `current` gives a log's state with its floor as it is now, or raises LogMissing."""

    def __init__(
        self, jetstream: JetStream, definitions: Space, clock: Clock, current: Callable[[str], Awaitable[LogState]]
    ) -> None:
        self._jetstream = jetstream
        self._definitions = definitions
        self._clock = clock
        self._current = current
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None
        self._running = False

    def start(self) -> None:
        """Look at every log once, one after another, and at each again when something of it is due."""
        self._running = True
        self._run(self._first())

    async def close(self) -> None:
        """Stop."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def expect(self, state: LogState, when_ms: int) -> None:
        """Look at the log at that time, unless that is to happen sooner anyway."""
        self._expect(state.name, when_ms)

    def redefined(self, change: Change) -> None:
        """A log was made, changed or dropped, here or in another process."""
        if change.entry is None:
            self._due.pop(change.key, None)
            return
        retention_ms = msgspec.msgpack.decode(change.entry.value, type=Definition).retention_ms
        if retention_ms is not None:
            self._expect(change.key, self._clock.now_ms() + retention_ms)

    def _expect(self, name: str, when_ms: int) -> None:
        if not self._running:
            return
        known_ms = self._due.get(name)
        if known_ms is None or when_ms < known_ms:
            self._due[name] = when_ms
            heapq.heappush(self._heap, (when_ms, name))
            self._set_timer()

    def _set_timer(self) -> None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running and self._heap and self._task is None:
            self._timer = self._clock.call_at(self._heap[0][0] + SWEEP_DELAY_MS, self._begin)

    def _begin(self) -> None:
        if self._running and self._task is None:
            self._run(self._sweep())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (cause := task.exception()) is not None:
            log.error("nats_sweep_failed", cause=str(cause))
        self._set_timer()

    async def _first(self) -> None:
        now_ms = self._clock.now_ms()
        after, number = "", 0
        while page := await self._definitions.list("", after=after):
            after = page[-1].key
            for entry in page:
                self._expect(entry.key, now_ms + number * SPREAD_MS)
                number += 1
        with contextlib.suppress(StorageError):
            await self._remove_orphans()

    async def _sweep(self) -> None:
        """Look at every log that is due."""
        now_ms = self._clock.now_ms()
        while self._heap and self._heap[0][0] <= now_ms:
            when_ms, name = heapq.heappop(self._heap)
            if self._due.get(name) != when_ms:
                continue
            del self._due[name]
            try:
                state = await self._current(name)
                await self._remove(state)
            except LogMissing:
                continue
            except StorageError as cause:
                log.warning("nats_sweep_failed", log=name, cause=str(cause))
                self._expect(name, now_ms + SWEEP_DELAY_MS)
                continue
            self._expect_next(state, now_ms)

    def _expect_next(self, state: LogState, now_ms: int) -> None:
        retention_ms = state.definition.retention_ms
        if retention_ms is not None:
            begin_ms = state.oldest_ms if state.floor < state.last else now_ms
            self._expect(state.name, max(now_ms + 1, begin_ms + retention_ms))

    async def _remove(self, state: LogState) -> None:
        """Remove the chunks that end at or below the floor, but for the last."""
        first = await self._jetstream.next(state.stream, state.subject, 1)
        if first is None or chunk(first).last > state.floor:
            return
        kept = await log_places.first_with(self._jetstream, state, _last, state.floor + 1)
        place = state.place if kept is None else kept.place
        if first.sequence < place:
            await self._jetstream.call(f"STREAM.PURGE.{state.stream}", {"filter": state.subject, "seq": place})

    async def _remove_orphans(self) -> None:
        """Remove what is left of logs that were dropped by a process that died over it."""
        for partition in range(PARTITIONS):
            stream = stream_of(self._jetstream.prefix, partition)
            if await self._jetstream.stream_info(stream) is None:
                continue
            subjects = await self._jetstream.subjects(stream)
            await self._definitions.sync()  # after the look at the stream: a log is defined before it is written
            for subject in subjects:
                name, incarnation = subject.rsplit(".", 2)[1:]
                entry = await self._definitions.get(key_of(name.encode()))
                if entry is None or msgspec.msgpack.decode(entry.value, type=Definition).incarnation != incarnation:
                    await self._jetstream.call(f"STREAM.PURGE.{stream}", {"filter": subject})


def _last(chunk: Chunk) -> int:
    return chunk.last
