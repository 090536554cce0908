"""`headrace migrate`: everything that one engine holds, moved to another that has nothing.

Either all of it is there at the end, counted again, or the destination cannot be used and the next attempt begins
anew. The origin is only read. Memory is bounded: everything goes in slices.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from headrace.clock import SystemClock
from headrace.engines.nats.exporting import NatsOrigin
from headrace.engines.nats.importing import NatsDestination
from headrace.engines.nats.options import Options, OptionsWrong
from headrace.engines.sqlite.exporting import SqliteOrigin
from headrace.engines.sqlite.importing import SqliteDestination
from headrace.primitives.transfer import Destination, Origin, StoredLog
from headrace.settings import SettingsError

NATS_SCHEMES: Final = ("nats://", "tls://")
TOLD_EVERY_S: Final = 0.5
"""How often it is told how far it has come."""


class Mismatch(Exception):
    """What was found at the destination is not what was put there; the message says where."""


class Moved(msgspec.Struct):
    """How much was moved."""

    queues: int = 0
    messages: int = 0
    logs: int = 0
    records: int = 0
    entries: int = 0

    def __str__(self) -> str:
        return (
            f"{self.queues:,} queues with {self.messages:,} messages, "
            f"{self.logs:,} logs with {self.records:,} records, {self.entries:,} records of metadata"
        )


class Migration:
    """One move. `tell` is called with how far it is, now and then."""

    def __init__(self, origin: Origin, destination: Destination, tell: Callable[[Moved], None]) -> None:
        self.moved = Moved()
        self._origin = origin
        self._destination = destination
        self._tell = tell
        self._told_s = 0.0

    async def run(self) -> Moved:
        """Move everything. Raises NotReady, Mismatch, StorageError."""
        async with contextlib.AsyncExitStack() as stack:
            for end in (self._origin, self._destination):
                stack.push_async_callback(end.close)
                await end.start()
            for name in await self._origin.queues():
                await self._queue(name)
            for name in await self._origin.logs():
                await self._log(name)
            await self._entries()
            await self._destination.finish()
        self._tell(self.moved)
        return self.moved

    async def _queue(self, name: str) -> None:
        origin, destination = self._origin, self._destination
        queue = await origin.queue(name)
        await destination.put_queue(queue)
        count = 0
        async for messages in origin.messages(queue):
            await destination.put_messages(messages)
            count += len(messages)
            self.moved.messages += len(messages)
            await self._progress()
        async for keys in origin.deduplicated(queue):
            await destination.put_deduplicated(keys)
        await destination.put_attempts(await origin.attempts(queue))
        found = await destination.end_queue()
        if found != count:
            raise Mismatch(f"{count} messages of the queue {name} were moved, but {found} are there.")
        self.moved.queues += 1
        await self._progress()

    async def _log(self, name: str) -> None:
        log = await self._origin.log(name)
        await self._destination.put_log(log)
        first, last, count = log.last + 1, log.last, 0
        async for records in self._origin.records(log):
            await self._destination.put_records(records)
            first, last = min(first, records[0].sequence), records[-1].sequence
            count += len(records)
            self.moved.records += len(records)
            await self._progress()
        found = await self._destination.end_log()
        # Records may expire meanwhile, at either end: those from some sequence on are there.
        if last != log.last or count != log.last - first + 1 or found.last != log.last or found.floor < log.floor:
            raise Mismatch(f"The log {name} has the records {_span(log)}, but {_span(found)} are there.")
        self.moved.logs += 1
        await self._progress()

    async def _entries(self) -> None:
        async for entries in self._origin.entries():
            await self._destination.put_entries(entries)
            self.moved.entries += len(entries)
            await self._progress()
        found = await self._destination.end_entries()
        if found != self.moved.entries:
            raise Mismatch(f"{self.moved.entries} records of metadata were moved, but {found} are there.")

    async def _progress(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = now_s
            self._tell(self.moved)
        await asyncio.sleep(0)


def _span(log: StoredLog) -> str:
    return f"{log.floor + 1} to {log.last}"


def is_nats(place: str) -> bool:
    """Whether a place to move from or to is NATS servers, rather than a directory."""
    return place.startswith(NATS_SCHEMES)


def ends(origin: str, destination: str, options: dict[str, object]) -> tuple[Origin, Destination]:
    """The two ends: one a directory, the other NATS servers with these options. Raises SettingsError."""
    if is_nats(origin) == is_nats(destination):
        raise SettingsError("one of --from and --to is a data directory, the other the URLs of NATS servers (nats://…)")
    try:
        nats = msgspec.convert({"urls": origin if is_nats(origin) else destination, **options}, Options)
        nats.check()
    except (OptionsWrong, msgspec.ValidationError) as error:
        raise SettingsError(str(error)) from error
    if is_nats(origin):
        return NatsOrigin(nats, SystemClock()), SqliteDestination(destination, SystemClock())
    return SqliteOrigin(origin, SystemClock()), NatsDestination(nats, SystemClock())
