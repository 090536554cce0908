"""What stream queues have to do at a time: end last receives, and remove queues that were deleted.

All of it stands in metadata under its time, so that after a restart it is found again; one process does it at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog

from headrace.clock import Timer
from headrace.errors import ServiceError, StorageError
from headrace.primitives.metadata import Conflict, Lease, Write
from headrace.primitives.queues import Outgoing
from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis import queue_records, queue_rules
from headrace.services.kinesis.queue_records import Due, Header, LastReceive, Pointer

if TYPE_CHECKING:
    from headrace.services.kinesis.queue_state import StreamQueue, StreamQueues

LEASE: Final = f"{queue_records.PREFIX}due"

log = structlog.get_logger()


class DueWorker:
    """Does what is due, for all queues there are, unless another process does."""

    def __init__(self, queues: StreamQueues) -> None:
        self._queues = queues
        self._server = queues.server
        self._lease: Lease | None = None
        self._renew_at_ms = 0
        self._wake = asyncio.Event()

    def nudge(self) -> None:
        """Something was added or taken away: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Step whenever something is due, until cancelled."""
        clock = self._server.clock
        try:
            while True:
                self._wake.clear()
                try:
                    next_ms = await self.step(clock.now_ms())
                except Exception as error:  # noqa: BLE001 - whatever stops a step must not stop the worker
                    log.warning("what is due for stream queues waits after an error", error=repr(error))
                    next_ms = clock.now_ms() + limits.DUE_LEASE_MS
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
        """Do what is due by `now_ms`, up to a slice; when to look again, or None when nothing is to come."""
        metadata = self._server.engine.metadata
        entries = await metadata.list(queue_records.DUE_PREFIX, max_entries=limits.DUE_SLICE)
        coming = [queue_records.read_due(entry.key) for entry in entries]
        if not coming:
            await self._let_go()
            return None
        if coming[0].due_ms > now_ms:
            return coming[0].due_ms
        if not await self._hold(now_ms):
            return now_ms + limits.DUE_LEASE_MS
        for due in coming:
            if due.due_ms > now_ms:
                return due.due_ms
            await self._do(due)
        return now_ms

    # --- the lease ---

    async def _hold(self, now_ms: int) -> bool:
        """Whether this work is this process's."""
        if self._lease is None or now_ms >= self._renew_at_ms:
            metadata = self._server.engine.metadata
            self._lease = await metadata.lease(LEASE, ttl_ms=limits.DUE_LEASE_MS, holder=self._queues.holder)
            self._renew_at_ms = now_ms + limits.DUE_LEASE_MS // 2
        return self._lease is not None

    async def _let_go(self) -> None:
        if self._lease is not None:
            lease, self._lease = self._lease, None
            await lease.release()

    # --- one thing to do ---

    async def _do(self, due: Due) -> None:
        """Do it, and take it from what is due."""
        queue = await self._queues.by_id(due.region, due.account, due.queue_id)
        if queue is not None and due.pointer is None:
            await self._queues.remove(queue)
        elif queue is not None and due.pointer is not None and queue.record.phase != queue_rules.DELETING:
            await self._end_last_receive(queue, due, due.pointer)
        else:
            await self._server.engine.metadata.delete(queue_records.due_key(due))

    async def _end_last_receive(self, queue: StreamQueue, due: Due, pointer: Pointer) -> None:
        """A record's last receive has ended without its being acknowledged: now it is a dead letter.

        It goes back to the queue when the queue allows more receives meanwhile. Stored at its new place before it is
        removed from where it was: a crash in between delivers it twice.
        """
        metadata = self._server.engine.metadata
        key = queue_records.last_key(queue.record.id, pointer)
        entry = await metadata.get(key)
        last = None if entry is None else queue_records.decode_last(entry.value)
        writes = [Write(queue_records.due_key(due), None)]
        if entry is not None and last is not None and last.due_ms == due.due_ms:
            try:
                await self._queues.open(queue)
            except ServiceError:  # its stream is gone, which is not for a queue that is there
                log.warning("a stream queue has no stream", queue=queue.arn)
            else:
                await self._send_on(queue, pointer, last)
            writes.append(Write(key, None, entry.revision))
        with contextlib.suppress(Conflict):  # acknowledged or hidden anew meanwhile
            await metadata.apply(writes)

    async def _send_on(self, queue: StreamQueue, pointer: Pointer, last: LastReceive) -> None:
        max_receives = queue_rules.attributes_now(queue.record, self._server.clock.now_ms()).max_receives
        destination = queue.dead if 0 < max_receives <= last.receives else queue.arn
        header = queue_records.encode(Header(last.receives, last.first_received_ms))
        message = Outgoing(body=queue_records.write_pointer(pointer), header=header)
        await self._server.engine.queues.send(destination, [message])
