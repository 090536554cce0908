"""The mark of a move to or from another engine: while it stands, no process serves the deployment.

Whoever moves renews it; one that died leaves a mark that runs out, or, at a destination that is not whole, one that
stays until another move begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec

from headrace.clock import Clock
from headrace.engines.nats.connection import Message
from headrace.engines.nats.jetstream import EXPECTED, Outbound
from headrace.engines.nats.mirror import Mirror
from headrace.engines.nats.queue_peers import BEAT_S, alive_subject
from headrace.errors import StorageError
from headrace.primitives.transfer import NotReady

HELD_MS: Final = 30_000
RENEWED_S: Final = 5.0
LISTENED_S: Final = 3 * BEAT_S
"""How long it is listened for processes that serve the deployment."""


class Record(msgspec.Struct, array_like=True):
    """The mark as it is kept; `unfinished` tells a destination that is not whole."""

    until_ms: int
    unfinished: bool


class Mark:
    """The mark of one deployment."""

    def __init__(self, mirror: Mirror, clock: Clock) -> None:
        self._jetstream = mirror.jetstream
        self._stream = mirror.stream
        self._subject = f"{mirror.jetstream.prefix}.r.migration"
        self._clock = clock
        self._place = 0
        self._unfinished = False
        self._renewing: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    async def check(self) -> None:
        """Raise StorageError when the deployment must not be served."""
        record = await self._read()
        if record is not None and record.unfinished:
            raise StorageError(
                "A move to these NATS servers was not completed: run `headrace migrate` again, which begins anew."
            )
        if record is not None and record.until_ms > self._clock.now_ms():
            raise StorageError("What these NATS servers hold is being moved: wait until that has ended.")

    async def hold(self) -> bool:
        """Set the mark and keep it; whether an unfinished move was found. Raises NotReady."""
        record = await self._read()
        if record is not None and record.until_ms > self._clock.now_ms():
            raise NotReady("Another move is under way there, or was until half a minute ago.")
        self._unfinished = record is not None and record.unfinished
        await self._write()
        await self._nobody_serves()
        self._renewing = asyncio.create_task(self._renew())
        return self._unfinished

    async def begin(self) -> None:
        """Mark the deployment as a destination that is not whole, which has nothing now."""
        async with self._writing:
            self._place = (await self._read_place())[0]
            self._unfinished = True
            await self._write()

    def require(self) -> None:
        """Raise NotReady when the mark could not be kept: another may have begun meanwhile."""
        if self._renewing is None or self._renewing.done():
            raise NotReady("The mark of this move was lost, because NATS could not be reached for too long.")

    async def release(self, *, finished: bool) -> None:
        """Take the mark away, or let it stand, for another to take over, where a move was not `finished`."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None
        if self._place:
            with contextlib.suppress(StorageError):
                if self._unfinished and not finished:
                    await self._write(until_ms=0)
                else:
                    await self._jetstream.call(f"STREAM.PURGE.{self._stream}", {"filter": self._subject})
        self._place = 0

    async def _nobody_serves(self) -> None:
        """Raise NotReady when a process is heard that serves the deployment."""
        heard: list[Message] = []
        connection = self._jetstream.connection
        end = connection.subscribe(alive_subject(self._jetstream.prefix), heard.append)
        await connection.flush()
        await asyncio.sleep(LISTENED_S)
        end()
        if heard:
            await self.release(finished=False)
            raise NotReady("Headrace processes serve what is on these NATS servers: stop them first.")

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWED_S)
            async with self._writing:
                await self._write()

    async def _read(self) -> Record | None:
        self._place, payload = await self._read_place()
        return msgspec.msgpack.decode(payload, type=Record) if payload else None

    async def _read_place(self) -> tuple[int, bytes]:
        found = await self._jetstream.newest(self._stream, self._subject)
        return (0, b"") if found is None else (found[0], found[2])

    async def _write(self, until_ms: int | None = None) -> None:
        record = Record(self._clock.now_ms() + HELD_MS if until_ms is None else until_ms, self._unfinished)
        message = Outbound(self._subject, msgspec.msgpack.encode(record), {EXPECTED: self._place})
        self._place = (await self._jetstream.publish_once(self._stream, [message])).sequence
