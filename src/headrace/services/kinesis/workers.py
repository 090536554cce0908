"""What runs in the background: alarms that see to it that what is due with a stream is done, asked for or not.

What is due stands in metadata, one note a stream, so that it is known after a restart. Doing it is idempotent and
fenced by the stream's revision: several processes may try.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from headrace.clock import Timer
from headrace.context import Server
from headrace.primitives.metadata import Change
from headrace.services.kinesis import limits, records

log = structlog.get_logger()


class Alarms:
    """Calls `settle` (with region, account and name) when something is due with a stream.

    The notes stand under `prefix`; what follows in their keys, between slashes, is what `settle` is called with.
    """

    def __init__(
        self, server: Server, settle: Callable[..., Awaitable[None]], prefix: str = records.DUE_PREFIX
    ) -> None:
        self._server = server
        self._settle = settle
        self._prefix = prefix
        self._due: dict[str, int] = {}
        """When something is due, by the key of the note: one for each stream that has something to come."""
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what was due, or is to come, when the process before ended."""
        after = ""
        while entries := await self._server.engine.metadata.list(
            self._prefix, after=after, max_entries=limits.LIST_PAGE
        ):
            after = entries[-1].key
            self._due.update((entry.key, int(entry.value)) for entry in entries)
        self._arm()

    async def close(self) -> None:
        """Stop; what is due stays noted."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._due.clear()

    def changed(self, change: Change) -> None:
        """A note was made, changed or taken away."""
        if change.entry is None:
            self._due.pop(change.key, None)
        else:
            self._due[change.key] = int(change.entry.value)
        self._arm()

    def _arm(self) -> None:
        """Have the alarm ring when the first thing is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and (self._task is None or self._task.done()):
            self._timer = self._server.clock.call_at(min(self._due.values()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._arm())

    async def _run(self) -> None:
        """Do all that is due by now."""
        now_ms = self._server.clock.now_ms()
        for key in [key for key, due_ms in self._due.items() if due_ms <= now_ms]:
            named = key.removeprefix(self._prefix).split("/")
            try:
                await self._settle(*named)
            except Exception as error:  # noqa: BLE001 - one stream's trouble must not keep the others waiting
                log.warning("stream waits after an error", stream=named[2], error=repr(error))
            if self._due.get(key, now_ms + 1) <= now_ms:
                self._due[key] = now_ms + limits.RETRY_MS
