"""Feeding: putting pointers to a stream's records where a queue's receives find them.

Nothing is fed while nobody receives, so a queue that is not used costs its stream's writers nothing. While someone
does, pointers are kept a few ahead of what is received, in slices: stored first, then counted in the cursor of their
shard. A crash in between feeds a slice again, never skips one. A shard that has no more is waited for, not polled.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog

from headrace.clock import Timer, sleep
from headrace.errors import ServiceError, StorageError
from headrace.primitives.logs import LogMissing
from headrace.primitives.metadata import Conflict, Lease, Write
from headrace.primitives.queues import Outgoing, QueueMissing
from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis import queue_records, queue_rules
from headrace.services.kinesis.queue_records import FRESH, Pointer, write_pointer

if TYPE_CHECKING:
    from headrace.services.kinesis.queue_state import StreamQueue
    from headrace.services.kinesis.state import Shard, State, Stream

_NEVER_FED: Final = (0, 0)

log = structlog.get_logger()


class Feeder:
    """Feeds one queue while it is received from. `state` has its stream, `holder` names this process."""

    def __init__(self, state: State, queue: StreamQueue, holder: str) -> None:
        self._state = state
        self._server = state.server
        self._queue = queue
        self._holder = holder
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._storing: asyncio.Task[int] | None = None
        self._active_until_ms = 0
        self._draining = False
        self._lease: Lease | None = None
        self._renew_at_ms = 0
        self._fed: dict[int, tuple[int, int]] | None = None
        """By shard, the last sequence that was fed and the revision that says so; None when not known."""
        self._ahead = 0
        """Pointers that wait to be received, as far as this process knows."""
        self._full = False
        self._turn = 0
        """Shards take turns; whose it is."""
        self._following: dict[int, asyncio.Task[None]] = {}
        """Shards that have no more for now, and what waits for it."""
        self._finished: set[int] = set()
        """Closed shards that were fed to their end."""

    @property
    def is_active(self) -> bool:
        """Whether it feeds now."""
        return self._task is not None and not self._task.done()

    def use(self, received: int) -> None:
        """Someone receives, and has just received so many: feed for a while, and go on when pointers run low."""
        self._active_until_ms = self._server.clock.now_ms() + limits.FEED_ACTIVE_MS
        self._ahead -= received
        if not self.is_active:
            self._task = asyncio.create_task(self._run())
        elif self._full and (not received or self._ahead < limits.FEED_LOW):
            self._wake.set()

    def nudge(self) -> None:
        """The queue or its stream changed: look again."""
        self._wake.set()

    async def close(self) -> None:
        """Stop feeding, once the slice that is being stored is."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._storing is not None:
            await asyncio.gather(self._storing, return_exceptions=True)

    async def _run(self) -> None:
        """Step while the queue is used."""
        clock = self._server.clock
        try:
            while True:
                self._wake.clear()
                try:
                    next_ms = await self._step(clock.now_ms())
                except QueueMissing:
                    return
                except Exception as error:  # noqa: BLE001 - whatever stops a step must not stop the feeding
                    log.warning("feeding a stream queue waits after an error", queue=self._queue.arn, error=repr(error))
                    self._forget()
                    next_ms = clock.now_ms() + limits.FEED_LOOK_AGAIN_MS
                if next_ms is None:
                    await self._let_go()
                    if self._is_over(clock.now_ms()):
                        return
                    continue  # somebody came while the lease was given back
                await self._pause(next_ms)
        finally:
            with contextlib.suppress(StorageError):
                await self._let_go()

    async def _pause(self, until_ms: int) -> None:
        """Return when it is time, or when woken."""
        clock = self._server.clock
        timer: Timer = clock.call_at(max(until_ms, clock.now_ms() + 1), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _is_over(self, now_ms: int) -> bool:
        """Whether there is no more need to feed."""
        queue = self._queue
        is_deleted = queue.gone or queue.record.phase == queue_rules.DELETING
        return is_deleted or self._draining or now_ms >= self._active_until_ms

    async def _step(self, now_ms: int) -> int | None:
        """Feed what there is room for; when to look again at the latest, or None when there is no more need to feed."""
        queue, record = self._queue, self._queue.record
        if self._is_over(now_ms):
            return None
        if queue_rules.status(record, now_ms) == queue_rules.CREATING:
            return record.phase_ends_ms
        stream = await self._state.get(queue.region, queue.account, record.stream_name)
        if stream is None or not await self._hold(now_ms):
            self._forget()
            return now_ms + limits.FEED_LOOK_AGAIN_MS
        fed = self._fed = await self._load(stream) if self._fed is None else self._fed
        self._ahead = (await self._server.engine.queues.depth(queue.arn)).visible
        room = limits.FEED_AHEAD - self._ahead
        left = await self._feed(stream, fed, room)
        self._full = left <= 0
        self._ahead += room - left
        again_ms = now_ms + limits.FEED_LOOK_AGAIN_MS if self._full else self._renew_at_ms
        return min(again_ms, self._active_until_ms)

    # --- the lease ---

    async def _hold(self, now_ms: int) -> bool:
        """Whether the feeding of this queue is this process's."""
        if self._lease is None or now_ms >= self._renew_at_ms:
            name = f"{queue_records.PREFIX}feed/{self._queue.record.id}"
            metadata = self._server.engine.metadata
            self._lease = await metadata.lease(name, ttl_ms=limits.FEED_LEASE_MS, holder=self._holder)
            self._renew_at_ms = now_ms + limits.FEED_LEASE_MS // 2
        return self._lease is not None

    async def _let_go(self) -> None:
        self._forget()
        if self._lease is not None:
            lease, self._lease = self._lease, None
            await lease.release()

    def _forget(self) -> None:
        """Wait for no shard, and read again from storage how far each was fed."""
        for task in self._following.values():
            task.cancel()
        self._following.clear()
        self._finished.clear()
        self._fed = None

    # --- shards ---

    async def _load(self, stream: Stream) -> dict[int, tuple[int, int]]:
        """How far each shard was fed. What is kept of shards that are gone is removed."""
        metadata = self._server.engine.metadata
        prefix = queue_records.fed_key(self._queue.record.id, None)
        fed: dict[int, tuple[int, int]] = {}
        there = set(stream.shards)
        after = ""
        while page := await metadata.list(prefix, after=after):
            after = page[-1].key
            for entry in page:
                number = int(entry.key.removeprefix(prefix))
                if number in there:
                    fed[number] = (int(entry.value), entry.revision)
            gone = [entry for entry in page if int(entry.key.removeprefix(prefix)) not in there]
            if gone:
                await metadata.apply([Write(entry.key, None) for entry in gone])
        return fed

    async def _feed(self, stream: Stream, fed: dict[int, tuple[int, int]], room: int) -> int:
        """Feed from all shards that may have something, a slice of each in turn; the room that is left."""
        waiting = [
            shard
            for number, shard in stream.shards.items()
            if number not in self._following and number not in self._finished
        ]
        while waiting and room > 0:
            shard = waiting[self._turn % len(waiting)]
            count, is_at_end = await self._feed_slice(stream, shard, fed, min(room, limits.FEED_SLICE))
            room -= count
            if is_at_end:
                waiting.remove(shard)
            else:
                self._turn += 1
        return room

    async def _feed_slice(
        self, stream: Stream, shard: Shard, fed: dict[int, tuple[int, int]], max_pointers: int
    ) -> tuple[int, bool]:
        """Feed a shard's next records; how many, and whether there are no more for now."""
        done, revision = fed.get(shard.number, _NEVER_FED)
        span = await self._span(stream, shard)
        if span is None:
            self._finished.add(shard.number)
            return 0, True
        oldest, newest = span
        first = max(done + 1, oldest)
        last = min(newest, first + max_pointers - 1)
        if first <= last:
            self._storing = asyncio.create_task(self._store(shard.number, first, last, revision))
            try:
                # Not to be cancelled between the two things it does: that would feed the slice again.
                fed[shard.number] = (last, await asyncio.shield(self._storing))
            except Conflict:
                self._forget()  # another process has fed meanwhile: some records will come twice
                self._wake.set()
                return last - first + 1, True
        if last >= newest:
            self._wait_for(shard, max(done, newest))
        return max(0, last - first + 1), last >= newest

    async def _store(self, shard: int, first: int, last: int, revision: int) -> int:
        """Store pointers, then how far the shard was fed; the revision that says so. Raises Conflict, QueueMissing."""
        engine = self._server.engine
        bodies = [write_pointer(Pointer(shard, sequence)) for sequence in range(first, last + 1)]
        await engine.queues.send(self._queue.arn, [Outgoing(body=body, header=FRESH) for body in bodies])
        key = queue_records.fed_key(self._queue.record.id, shard)
        return await engine.metadata.put(key, str(last).encode(), expected=revision)

    async def _span(self, stream: Stream, shard: Shard) -> tuple[int, int] | None:
        """The sequences of the first and the last record a shard has now; None when it is gone."""
        try:
            await self._state.open(stream, shard)
            # Looked at before the log is: what a closed shard has does not change any more.
            ending = shard.record.ending
            tip = await self._server.engine.logs.tip(shard.log)
        except (LogMissing, ServiceError):
            return None
        return tip.first, tip.last if ending < 0 else ending

    def _wait_for(self, shard: Shard, after: int) -> None:
        """Have this feeder woken by what comes after a sequence; nothing comes to a closed shard."""
        if shard.record.ending >= 0:
            self._finished.add(shard.number)
        elif len(self._following) < limits.FOLLOWED_SHARDS:
            self._following[shard.number] = asyncio.create_task(self._follow(shard, after))

    async def _follow(self, shard: Shard, after: int) -> None:
        """Wait for the shard's next record; when that fails the shard is looked at again."""
        clock = self._server.clock
        until_ms = clock.now_ms() + limits.FEED_ACTIVE_MS
        try:
            came = await self._server.engine.logs.wait(shard.log, after, wait_ms=limits.FEED_ACTIVE_MS)
            self._draining |= not came and clock.now_ms() < until_ms
        except LogMissing:
            self._finished.add(shard.number)
        except StorageError as error:
            log.warning("a shard cannot be waited for", queue=self._queue.arn, shard=shard.number, error=str(error))
            await sleep(clock, limits.FEED_LOOK_AGAIN_MS)
        self._following.pop(shard.number, None)
        self._wake.set()
