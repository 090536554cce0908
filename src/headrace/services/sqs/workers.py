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
from headrace.primitives.metadata import Conflict, Entry, Lease, Write
from headrace.primitives.queues import QueueMissing
from headrace.services.sqs import limits, records, rules
from headrace.services.sqs.records import MoveTask

LEASE: Final = "sqs/move-tasks"
_NO_QUEUE: Final = "AWS.SimpleQueueService.NonExistentQueue"

log = structlog.get_logger()


class _Pace:
    """How a task has gone since this process took it up: from when its rate counts, and how far it came."""

    __slots__ = ("exhausted", "moved", "since_ms")

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.moved = 0
        self.exhausted = False

    def due(self, per_second: int, now_ms: int, remaining: int) -> tuple[int, int]:
        """How many messages may move now, and if none, when some may: a tenth of a second's worth at a time."""
        step = min(remaining, max(1, per_second // 10))
        allowed = (now_ms - self.since_ms) * per_second // 1000 - self.moved
        if allowed >= step:
            return min(allowed, remaining), now_ms
        return 0, self.since_ms - (-(self.moved + step) * 1000 // per_second)


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
                except Exception as error:  # noqa: BLE001 - whatever stops a step must not stop the worker
                    log.warning("message move tasks wait after an error", error=repr(error))
                    next_ms = clock.now_ms() + limits.MOVE_LEASE_MS
                await self._pause(next_ms)
        finally:
            with contextlib.suppress(StorageError):
                await self._let_go()

    async def _pause(self, until_ms: int | None) -> None:
        """Return when it is time, or when nudged; None waits for a nudge."""
        clock = self._server.clock
        if until_ms is not None and until_ms <= clock.now_ms():
            await asyncio.sleep(0)
            return
        timer: Timer | None = None if until_ms is None else clock.call_at(until_ms, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def step(self, now_ms: int) -> int | None:
        """Move a slice of every running task; when to look again in milliseconds, or None when there is no task."""
        metadata = self._server.engine.metadata
        pointers = await metadata.list(records.MOVING_PREFIX, max_entries=limits.MOVE_TASKS_AT_ONCE)
        if not pointers:
            self._paces.clear()
            await self._let_go()
            return None
        if not await self._hold(now_ms):
            self._paces.clear()
            return now_ms + limits.MOVE_LEASE_MS
        running = {pointer.value.decode() for pointer in pointers}
        self._paces = {key: pace for key, pace in self._paces.items() if key in running}
        times = [await self._advance(pointer, now_ms) for pointer in pointers]
        return min(times)

    # --- the lease ---

    async def _hold(self, now_ms: int) -> bool:
        """Whether the tasks are this process's to carry out. One slice may still move after another took over."""
        if self._lease is None or now_ms >= self._renew_at_ms:
            metadata = self._server.engine.metadata
            self._lease = await metadata.lease(LEASE, ttl_ms=limits.MOVE_LEASE_MS, holder=self._holder)
            self._renew_at_ms = now_ms + limits.MOVE_LEASE_MS // 2
        return self._lease is not None

    async def _let_go(self) -> None:
        if self._lease is not None:
            lease, self._lease = self._lease, None
            await lease.release()

    # --- one task ---

    async def _advance(self, pointer: Entry, now_ms: int) -> int:
        """Move a task on by a slice, or end it; when to go on with it."""
        metadata = self._server.engine.metadata
        key = pointer.value.decode()
        entry = await metadata.get(key)
        if entry is None:
            await metadata.delete(pointer.key)
            return now_ms
        task = records.decode_move(entry.value)
        pace = self._paces.setdefault(key, _Pace(now_ms))
        remaining = task.to_move - task.moved
        if task.status == "CANCELLING":
            return await self._end(pointer, entry, task, now_ms, status="CANCELLED")
        if pace.exhausted or remaining <= 0:
            return await self._end(pointer, entry, task, now_ms, status="COMPLETED")
        room = remaining
        if task.per_second is not None:
            room, again_ms = pace.due(task.per_second, now_ms, remaining)
            if not room:
                return again_ms
        try:
            moved = await self._move(task, min(room, limits.MOVE_SLICE_MESSAGES))
        except QueueMissing:
            return await self._end(pointer, entry, task, now_ms, status="FAILED", failure=_NO_QUEUE)
        pace.moved += moved
        pace.exhausted = not moved
        await self._count(entry, task, moved)
        return now_ms

    async def _count(self, entry: Entry, task: MoveTask, moved: int) -> None:
        """Add what moved to the task's record, though it be cancelled meanwhile."""
        metadata = self._server.engine.metadata
        current: Entry | None = entry
        while current is not None and moved:
            counted = msgspec.structs.replace(task, moved=task.moved + moved)
            try:
                await metadata.put(current.key, records.encode(counted), expected=current.revision)
            except Conflict:
                current = await metadata.get(entry.key)
                task = records.decode_move(current.value) if current is not None else task
            else:
                return

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
