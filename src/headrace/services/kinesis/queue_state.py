"""The stream queues a process knows: their records, kept coherent by watching metadata, and their engine queues.

A queue's engine queue is named by its ARN; the one of its dead letters has `/dead-letters` after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from headrace.primitives.metadata import Change, Conflict, Write
from headrace.primitives.queues import QueueSettings
from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis import queue_records, queue_rules, records, rules
from headrace.services.kinesis.queue_feeding import Feeder
from headrace.services.kinesis.queue_records import Due, QueueRecord
from headrace.services.kinesis.queue_worker import DueWorker

if TYPE_CHECKING:
    from headrace.services.kinesis.state import State, Stream


class StreamQueue:
    """A queue as this process knows it.

    `arn` and `dead` are the names of its engine queues, `opened` whether the engine has them.
    `restoring` is held while dead letters are restored, so that none is twice.
    """

    __slots__ = (
        "account",
        "arn",
        "dead",
        "feeder",
        "gone",
        "key",
        "opened",
        "record",
        "region",
        "restoring",
        "revision",
    )

    def __init__(self, region: str, account: str, record: QueueRecord, revision: int) -> None:
        self.region = region
        self.account = account
        self.key = records.queue_key(region, account, record.name)
        self.arn = queue_rules.queue_arn(region, account, record.id)
        self.dead = f"{self.arn}/dead-letters"
        self.record = record
        self.revision = revision
        self.gone = False
        self.opened = False
        self.feeder: Feeder | None = None
        self.restoring = asyncio.Lock()


class StreamQueues:
    """All stream queues of a process. `state` has the streams they are on."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.server = state.server
        self.holder = str(uuid.uuid4())
        """What this process is called as a holder of leases."""
        self._names: dict[tuple[str, str, str], StreamQueue] = {}
        """By region, account and id."""
        self._queues: dict[str, StreamQueue] = {}
        """By the key of their record."""
        self._changes = 0
        """How often the watch has told of a queue."""
        self._worker = DueWorker(self)
        self._task: asyncio.Task[None] | None = None
        self._unwatch: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Follow what changes in metadata, and take up what a stopped process left to do."""
        watch = self.server.engine.metadata.watch
        self._unwatch = [
            watch("kinesis/", self._changed),
            watch(queue_records.DUE_PREFIX, lambda _: self._worker.nudge()),
        ]
        self._task = asyncio.create_task(self._worker.run())

    async def close(self) -> None:
        """Stop the background work and forget everything."""
        for unwatch in self._unwatch:
            unwatch()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for queue in self._queues.values():
            if queue.feeder is not None:
                await queue.feeder.close()
        self._names.clear()
        self._queues.clear()

    # --- finding queues ---

    async def find(self, arn: str) -> StreamQueue:
        """The queue with this ARN. Raises ResourceNotFoundException and InvalidArgumentException."""
        region, account, queue_id = queue_rules.parse_queue_arn(arn)
        queue = await self.by_id(region, account, queue_id)
        if queue is None or queue_rules.is_gone(queue.record, self.server.clock.now_ms()):
            raise queue_rules.no_such_queue(arn)
        return queue

    async def find_open(self, arn: str) -> StreamQueue:
        """The queue with this ARN, its engine queues open, for calls that handle records.

        AWS: a queue that is being deleted delivers nothing, and its receipt handles are not valid any more. Raises
        ResourceNotFoundException and InvalidArgumentException.
        """
        queue = await self.find(arn)
        if queue.record.phase == queue_rules.DELETING:
            raise queue_rules.no_such_queue(arn)
        await self.open(queue)
        return queue

    async def by_id(self, region: str, account: str, queue_id: str) -> StreamQueue | None:
        """The queue with this id, or None."""
        queue = self._names.get((region, account, queue_id))
        if queue is None:
            entry = await self.server.engine.metadata.get(queue_records.id_key(region, account, queue_id))
            queue = None if entry is None else await self.by_name(region, account, entry.value.decode())
        return queue if queue is not None and queue.record.id == queue_id else None

    async def by_name(self, region: str, account: str, name: str) -> StreamQueue | None:
        """The queue of this name, or None."""
        key = records.queue_key(region, account, name)
        while (queue := self._queues.get(key)) is None:
            changes = self._changes
            entry = await self.server.engine.metadata.get(key)
            if entry is None:
                return None
            if changes != self._changes or key in self._queues:
                continue  # what was read may be older than what the watch has told meanwhile
            self._make_room()
            queue = StreamQueue(region, account, queue_records.decode_queue(entry.value), entry.revision)
            self._queues[key] = self._names[region, account, queue.record.id] = queue
        return queue

    async def count(self, region: str, account: str, stream_name: str) -> int:
        """How many queues a stream has; one that is being deleted counts until it is gone."""
        prefix = records.stream_queue_key(region, account, stream_name, "")
        return len(await self.server.engine.metadata.list(prefix))

    # --- their engine queues ---

    async def open(self, queue: StreamQueue) -> Stream:
        """Open a queue's engine queues, unless they are; its stream. Raises ResourceNotFoundException."""
        stream = await self.state.get(queue.region, queue.account, queue.record.stream_name)
        if stream is None or queue.gone:
            raise queue_rules.no_such_queue(queue.arn)
        if not queue.opened:
            for name in (queue.arn, queue.dead):
                await self.server.engine.queues.open(name, _settings())
            if queue.gone or queue.record.phase == queue_rules.DELETING:
                await self.drop(queue)
                raise queue_rules.no_such_queue(queue.arn)
            queue.opened = True
        return stream

    async def drop(self, queue: StreamQueue) -> None:
        """Remove a queue's engine queues. Harmless when there are none."""
        queue.opened = False
        if queue.feeder is not None:
            await queue.feeder.close()
        for name in (queue.arn, queue.dead):
            await self.server.engine.queues.drop(name)

    async def remove(self, queue: StreamQueue) -> None:
        """Remove a deleted queue with all it has. Its record goes last: until then this can be done again."""
        metadata = self.server.engine.metadata
        await self.drop(queue)
        region, account, record = queue.region, queue.account, queue.record
        await self.clear(queue_records.fed_key(record.id, None))
        await self.clear(queue_records.last_key(record.id, None))
        resource = queue_rules.resource_of(record.id)
        keys = (
            queue.key,
            queue_records.id_key(region, account, record.id),
            records.stream_queue_key(region, account, record.stream_name, record.name),
            records.tags_key(region, account, resource),
            records.policy_key(region, account, resource),
            queue_records.due_key(Due(record.phase_ends_ms, region, account, record.id)),
        )
        await metadata.apply([Write(key, None) for key in keys])

    async def clear(self, prefix: str) -> None:
        """Remove all records under a prefix, a slice at a time."""
        metadata = self.server.engine.metadata
        while entries := await metadata.list(prefix, max_entries=limits.CLEAR_SLICE):
            await metadata.apply([Write(entry.key, None) for entry in entries])

    def feeder(self, queue: StreamQueue) -> Feeder:
        """What puts pointers into a queue's engine queue."""
        if queue.feeder is None:
            queue.feeder = Feeder(self.state, queue, self.holder)
        return queue.feeder

    # --- changing queues ---

    async def revise(
        self,
        queue: StreamQueue,
        change: Callable[[QueueRecord], QueueRecord],
        also: Callable[[QueueRecord], list[Write]] = lambda _: [],
    ) -> None:
        """Store what `change` makes of the queue's record, with what `also` (of the new one) adds, all or nothing.

        Raises what `change` raises, ResourceNotFoundException, and LimitExceededException when others keep changing it.
        """
        for _ in range(limits.CONFLICT_RETRIES):
            new = change(queue.record)
            if new == queue.record:
                return
            writes = [Write(queue.key, queue_records.encode(new), queue.revision), *also(new)]
            try:
                await self.server.engine.metadata.apply(writes)
            except Conflict:
                entry = await self.server.engine.metadata.get(queue.key)
                if entry is None or queue.gone:
                    raise queue_rules.no_such_queue(queue.arn) from None
                self._take(queue, queue_records.decode_queue(entry.value), entry.revision)
                continue
            return
        raise rules.limit_exceeded("Too many changes to this queue at once; try again.")

    def _changed(self, change: Change) -> None:
        """A record changed, here or in another process."""
        parts = change.key.split("/")
        if len(parts) != 5:  # noqa: PLR2004 - kinesis/region/account/kind/name
            return
        if parts[3] == "queue":
            self._queue_changed(change)
        elif parts[3] == "stream":
            self._stream_changed(parts[1], parts[2], parts[4])

    def _queue_changed(self, change: Change) -> None:
        self._changes += 1
        queue = self._queues.get(change.key)
        if queue is None:
            return
        if change.entry is None:
            queue.gone = True
            del self._queues[change.key]
            self._names.pop((queue.region, queue.account, queue.record.id), None)
        else:
            self._take(queue, queue_records.decode_queue(change.entry.value), change.entry.revision)
        if queue.feeder is not None:
            queue.feeder.nudge()

    def _take(self, queue: StreamQueue, record: QueueRecord, revision: int) -> None:
        if revision > queue.revision:
            queue.record, queue.revision = record, revision

    def _stream_changed(self, region: str, account: str, name: str) -> None:
        """There may be new shards to feed from."""
        for queue in self._queues.values():
            if queue.feeder is not None and (queue.region, queue.account, queue.record.stream_name) == (
                region,
                account,
                name,
            ):
                queue.feeder.nudge()

    def _make_room(self) -> None:
        """Forget the queues that nobody uses now, should there be too many."""
        if len(self._queues) < limits.QUEUES_CACHED:
            return
        self._queues = {key: queue for key, queue in self._queues.items() if queue.feeder and queue.feeder.is_active}
        self._names = {(queue.region, queue.account, queue.record.id): queue for queue in self._queues.values()}


def _settings() -> QueueSettings:
    return QueueSettings(
        retention_ms=limits.KEPT_MS,
        max_in_flight=limits.IN_FLIGHT_RECORDS,
        max_hidden_ms=limits.KEPT_MS,
        fair=False,
    )
