"""Which process delivers what, where several share an engine: the one that published, as long as it lives.

A process marks each outgoing queue that it uses with a record of its own in metadata, and holds a lease for as long as
it runs. Markers whose process has let its lease run out are taken over by whoever takes that lease, all of a marker or
nothing. A process that was paused for that long finds its lease gone, and goes on under another name: before it
acknowledges anything more it has marked anew what it uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from headrace.clock import VirtualClock, sleep
from headrace.context import Server
from headrace.errors import StorageError
from headrace.primitives.metadata import Conflict, Entry, Lease, LeaseLost, Write
from headrace.services.sns import limits, records

log = structlog.get_logger()

_LAST: Final = "\U0010ffff"
"""Comes after everything else that a key may begin with."""


class Presence:
    """One of the processes that share an engine; where there is but one, it has no name and no lease."""

    def __init__(self, server: Server) -> None:
        self._clock = server.clock
        self._metadata = server.engine.metadata
        one_process = server.engine.name in limits.ENGINES_OF_ONE_PROCESS
        self.shared = not one_process and not isinstance(server.clock, VirtualClock)
        """Whether others may share the engine. A virtual clock is one process's own."""
        self.renamed: list[Callable[[], Awaitable[None]]] = []
        """Called when the process goes on under another name: to mark again what is in use."""
        self._name = ""
        self._lease: Lease | None = None
        self._until_ms = 0
        self._has_marked = True
        """Whether everything in use is marked with the name that the process has now."""
        self._renewing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Be present from now on. Raises StorageError."""
        if self.shared:
            now_ms = self._clock.now_ms()
            await self._begin()
            self._until_ms = now_ms + limits.PROCESS_MS
            self._renewing = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Leave: what this process has marked is the others' from now on."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        if self._lease is not None:
            with contextlib.suppress(StorageError):
                await self._lease.release()
            self._lease = None

    # --- this process's markers ---

    async def mark(self, queue: str) -> None:
        """Have it known that this process uses the queue."""
        await self._metadata.put(records.active_key(queue, self._name), b"")

    async def unmark(self, queue: str) -> None:
        """Have it known that this process does not use the queue any more."""
        await self._metadata.delete(records.active_key(queue, self._name))

    async def marked(self, prefix: str) -> list[Entry]:
        """The markers of this process, for queues whose names begin like that."""
        found: list[Entry] = []
        begin, after = records.active_key(prefix, self._name), ""
        while entries := await self._metadata.list(begin, after=after):
            after = entries[-1].key
            found += entries
        return found

    async def unmark_unchanged(self, entry: Entry) -> None:
        """Remove a marker, unless it was written anew meanwhile."""
        with contextlib.suppress(Conflict):
            await self._metadata.delete(entry.key, expected=entry.revision)

    async def assure(self) -> None:
        """Return when nobody can have taken this process for ended: before something is acknowledged.

        Costs nothing unless the process was paused, or cut off. Raises StorageError.
        """
        if self.shared and self._clock.now_ms() >= self._until_ms:
            await self._renew()

    # --- others' markers ---

    async def adopt(self, prefix: str, adopted: set[str]) -> None:
        """Take over the markers of processes that have ended, and add the queues, whose names begin like this."""
        for name in await self._names():
            if name != self._name and await self._has_ended(name):
                await self._take_over(name, prefix, adopted)

    async def _names(self) -> list[str]:
        """The processes that have markers."""
        names: list[str] = []
        after = ""
        while entries := await self._metadata.list(records.ACTIVE_PREFIX, after=after, max_entries=1):
            _, name = records.active_queue(entries[0].key)
            names.append(name)
            after = records.active_key(_LAST if name else records.QUEUE_NAMES + _LAST, name)
        return names

    async def _has_ended(self, name: str) -> bool:
        if not (self.shared and name):
            return True
        lease = records.process_lease(name)
        return await self._metadata.lease(lease, ttl_ms=limits.PROCESS_MS, holder=self._name) is not None

    async def _take_over(self, name: str, prefix: str, adopted: set[str]) -> None:
        begin = records.active_key(prefix, name)
        while entries := await self._metadata.list(begin, max_entries=limits.ADOPTED_AT_ONCE):
            found = {records.active_queue(entry.key)[0]: entry for entry in entries}
            writes = [Write(records.active_key(queue, self._name), b"") for queue in found]
            writes += [Write(entry.key, None, expected=entry.revision) for entry in entries]
            try:
                await self._metadata.apply(writes)
            except Conflict:  # somebody else takes them over
                return
            adopted |= found.keys()

    # --- the lease ---

    async def _begin(self) -> None:
        name = secrets.token_hex(8)
        lease = records.process_lease(name)
        self._lease = await self._metadata.lease(lease, ttl_ms=limits.PROCESS_MS, holder=name)
        self._name = name

    async def _keep(self) -> None:
        while True:
            await sleep(self._clock, limits.PROCESS_MS // 4)
            try:
                await self._renew()
            except StorageError as error:
                log.warning("a process cannot say that it lives", error=str(error))

    async def _renew(self) -> None:
        async with self._lock:
            now_ms = self._clock.now_ms()
            try:
                assert self._lease is not None
                await self._lease.renew()
            except LeaseLost:
                await self._begin()
                self._has_marked = False
            if not self._has_marked:
                for mark in self.renamed:
                    await mark()
                self._has_marked = True
            self._until_ms = now_ms + limits.PROCESS_MS
