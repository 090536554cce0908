"""Message move tasks, carried out a slice at a time.

Everything a task is stands in metadata: after a restart, whoever holds the lease finds the tasks that were
running and goes on. Messages move within the engine, each once; the count of those moved is written after
them, so a crash in between leaves the count, not the messages, behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from headrace.clock import Timer
from headrace.context import Server
from headrace.errors import StorageError
from headrace.primitives.metadata import Conflict, Entry, Lease, LeaseLost, Write
from headrace.primitives.queues import QueueMissing
from headrace.services.sqs import limits, records, rules
from headrace.services.sqs.records import MoveTask

LEASE: Final = "sqs/move-tasks"
_NO_QUEUE: Final = "AWS.SimpleQueueService.NonExistentQueue"

log = structlog.get_logger()


class _Pace:
    """How far a task may be: at its rate, counted from when this process took it up."""

    __slots__ = ("moved", "since_ms")

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.moved = 0


class MoveWorker:
    """Runs all move tasks there are, unless another process does.

    `open_queue` opens a queue, by region, account and name, and gives None when there is none.
    """

    def __init__(self, server: Server, open_queue: Callable[[str, str, str], Awaitable[object | None]]) -> None:
        self._server = server
        self._open_queue = open_queue
        self._holder = str(uuid.uuid4())
        self._lease: Lease | None = None
        self._renew_at_ms = 0
        self._paces: dict[str, _Pace] = {}
        self._wake = asyncio.Event()

    def nudge(self) -> None:
        """A task came or changed: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Step whenever there is something to do, until cancelled."""
        clock = self._server.clock
        try:
            while True:
                self._wake.clear()
                try:
                    next_ms = await self.step(clock.now_ms())
                except StorageError as error:
                    log.warning("message move tasks wait: the storage failed", error=str(error))
                    next_ms = clock.now_ms() + limits.MOVE_LEASE_MS
                timer: Timer | None = None if next_ms is None else clock.call_at(next_ms, self._wake.set)
                await self._wake.wait()
                if timer is not None:
                    timer.cancel()
        finally:
            if self._lease is not None:
                with contextlib.suppress(StorageError):
                    await self._lease.release()

    async def step(self, now_ms: int) -> int | None:
        """Move a slice of every running task; when to look again in milliseconds, or None when there is no task."""
        metadata = self._server.engine.metadata
        pointers = await metadata.list(records.MOVING_PREFIX)
        if not pointers:
            self._paces.clear()
            await self._let_go()
            return None
        if not await self._hold(now_ms):
            return now_ms + limits.MOVE_LEASE_MS
        running = {pointer.value.decode() for pointer in pointers}
        self._paces = {key: pace for key, pace in self._paces.items() if key in running}
        times = [await self._advance(pointer, now_ms) for pointer in pointers]
        return min(times)

    # --- the lease ---

    async def _hold(self, now_ms: int) -> bool:
        if self._lease is not None and now_ms < self._renew_at_ms:
            return True
        try:
            if self._lease is None:
                self._lease = await self._server.engine.metadata.lease(
                    LEASE, ttl_ms=limits.MOVE_LEASE_MS, holder=self._holder
                )
            else:
                await self._lease.renew()
        except LeaseLost:
            self._lease = None
        self._renew_at_ms = now_ms + limits.MOVE_LEASE_MS // 2
        return self._lease is not None

    async def _let_go(self) -> None:
        if self._lease is not None:
            lease, self._lease = self._lease, None
            await lease.release()

    # --- one task ---

    async def _advance(self, pointer: Entry, now_ms: int) -> int:
        """Move a task on by a slice; when to go on with it."""
        metadata = self._server.engine.metadata
        key = pointer.value.decode()
        entry = await metadata.get(key)
        if entry is None:
            await metadata.delete(pointer.key)
            return now_ms
        task = records.decode_move(entry.value)
        if task.status == "CANCELLING":
            return await self._end(pointer, entry, task, now_ms, status="CANCELLED")
        pace = self._paces.setdefault(key, _Pace(now_ms))
        room = limits.MOVE_SLICE_MESSAGES
        if task.per_second is not None:
            due = (now_ms - pace.since_ms) * task.per_second // 1000 - pace.moved
            room = min(room, due)
            if room <= 0:
                return pace.since_ms + -(-(pace.moved + 1) * 1000 // task.per_second)
        room = min(room, task.to_move - task.moved)
        try:
            moved = await self._move(task, room) if room > 0 else 0
        except QueueMissing:
            return await self._end(pointer, entry, task, now_ms, status="FAILED", failure=_NO_QUEUE)
        pace.moved += moved
        task = msgspec.structs.replace(task, moved=task.moved + moved)
        if moved == 0 or task.moved >= task.to_move:
            return await self._end(pointer, entry, task, now_ms, status="COMPLETED")
        with contextlib.suppress(Conflict):  # it is being cancelled: the next step sees
            await metadata.put(entry.key, records.encode(task), expected=entry.revision)
        return now_ms

    async def _move(self, task: MoveTask, max_messages: int) -> int:
        """Move messages, having opened the queues concerned. Raises QueueMissing."""
        source = await self._require(task.source_arn)
        if task.destination_arn is not None:
            await self._require(task.destination_arn)
        return await self._server.engine.queues.redrive(source, task.destination_arn, max_messages)

    async def _require(self, arn: str) -> str:
        location = rules.parse_arn(arn)
        if location is None or await self._open_queue(*location) is None:
            raise QueueMissing(arn)
        return arn

    async def _end(
        self, pointer: Entry, entry: Entry, task: MoveTask, now_ms: int, *, status: str, failure: str | None = None
    ) -> int:
        """Store how a task ended; its source is free for another."""
        ended = msgspec.structs.replace(task, status=status, failure=failure)
        with contextlib.suppress(Conflict):  # it was cancelled, or its queue deleted, meanwhile: the next step sees
            await self._server.engine.metadata.apply(
                [
                    Write(entry.key, records.encode(ended), entry.revision),
                    Write(pointer.key, None, pointer.revision),
                ]
            )
        return now_ms
