"""The queues a process knows: their records, kept coherent by watching metadata, and their engine queues, opened once.

The way to a queue is one lookup by what the caller wrote (`State.urls`); what is not found there is parsed,
read from metadata if need be, and opened in the engine before it is handed out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from headrace.context import Context, ResourcePolicy, Server
from headrace.errors import ServiceError
from headrace.primitives.metadata import Change, Conflict, Write
from headrace.primitives.queues import QueueSettings
from headrace.services.sqs import attributes, limits, records, redrive, rules
from headrace.services.sqs.records import QueueRecord
from headrace.services.sqs.throughput import Action, Throughput
from headrace.services.sqs.workers import MoveWorker


class Queue:
    """A queue as this process knows it. `opened` tells that the engine has it with the settings of this record."""

    __slots__ = (
        "account",
        "arn",
        "content_dedup",
        "fifo",
        "gone",
        "key",
        "max_bytes",
        "name",
        "opened",
        "path",
        "per_group",
        "policy",
        "record",
        "region",
        "revision",
        "throughput",
        "wait_s",
    )

    def __init__(self, region: str, account: str, record: QueueRecord, revision: int) -> None:
        self.region = region
        self.account = account
        self.name = record.name
        self.key = records.queue_key(region, account, record.name)
        self.arn = rules.arn_of(region, account, record.name)
        self.path = f"/{account}/{record.name}"
        self.fifo = record.name.endswith(rules.FIFO_SUFFIX)
        self.gone = False
        self.throughput = Throughput() if self.fifo else None
        self.take(record, revision)

    def take(self, record: QueueRecord, revision: int) -> None:
        """Take up a record that was stored."""
        values = attributes.effective(record.attributes, fifo=self.fifo)
        self.record = record
        self.revision = revision
        self.opened = False
        self.max_bytes = int(values["MaximumMessageSize"])
        self.wait_s = int(values["ReceiveMessageWaitTimeSeconds"])
        self.content_dedup = values.get("ContentBasedDeduplication") == "true"
        self.policy = ResourcePolicy(self.arn, record.attributes.get("Policy", ""))
        self.per_group = values.get("FifoThroughputLimit") == "perMessageGroupId"

    def dead_letter_name(self) -> str | None:
        """The name of the queue that takes this one's dead letters."""
        return redrive.target_name(self.record.attributes.get("RedrivePolicy"), self.region, self.account)

    def settings(self) -> QueueSettings:
        """How the engine is to treat it."""
        return attributes.settings(self.record.attributes, fifo=self.fifo)

    def throttle(self, server: Server, action: Action, groups: tuple[str, ...] = ()) -> None:
        """Count a call if it is a FIFO queue. Raises RequestThrottled when there are too many this second."""
        if self.throughput is None or not server.quotas.throughput:
            return
        if not self.throughput.take(action, server.clock.now_ms(), per_group=self.per_group, groups=groups):
            raise ServiceError("RequestThrottled", "Request is throttled.")


class State:
    """What the process keeps for SQS."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.urls: dict[tuple[str, str, str], Queue] = {}
        """Opened queues by (QueueUrl, region, account of the caller)."""
        self._queues: dict[str, Queue] = {}
        """Queues by the key of their record."""
        self._changes = 0
        """How often the watch has told of a queue."""
        self._worker = MoveWorker(server, self.get)
        self._task: asyncio.Task[None] | None = None
        self._unwatch: Callable[[], None] | None = None

    async def start(self) -> None:
        """Follow what changes in metadata, and take up message move tasks."""
        self._unwatch = self.server.engine.metadata.watch("sqs/", self._changed)
        self._task = asyncio.create_task(self._worker.run())

    async def close(self) -> None:
        """Stop the background work and forget everything."""
        if self._unwatch is not None:
            self._unwatch()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.urls.clear()
        self._queues.clear()

    # --- finding queues ---

    async def find(self, ctx: Context, url: str) -> Queue:
        """The queue of a QueueUrl, opened. Raises QueueDoesNotExist and InvalidAddress."""
        account = ctx.principal.account
        queue = await self.get(*rules.locate(url, ctx.region, account))
        if queue is None:
            raise rules.no_such_queue()
        if len(self.urls) >= limits.QUEUE_URLS_CACHED:
            self.urls.clear()
        if queue.opened:
            self.urls[url, ctx.region, account] = queue
        return queue

    async def get(self, region: str, account: str, name: str) -> Queue | None:
        """The queue, opened in the engine, or None."""
        queue = await self.load(region, account, name)
        if queue is not None and not queue.opened:
            await self._open(queue)
        return queue

    async def load(self, region: str, account: str, name: str) -> Queue | None:
        """The queue's record, whether or not its engine queue is open; None when there is no such queue."""
        key = records.queue_key(region, account, name)
        while (queue := self._queues.get(key)) is None:
            changes = self._changes
            entry = await self.server.engine.metadata.get(key)
            if entry is None:
                return None
            if changes != self._changes or key in self._queues:
                continue  # what was read may be older than what the watch has told meanwhile
            if len(self._queues) >= limits.QUEUES_CACHED:
                self.urls.clear()
                self._queues.clear()
            self._queues[key] = Queue(region, account, records.decode_queue(entry.value), entry.revision)
        return queue

    async def _open(self, queue: Queue) -> None:
        """Give the engine the queue, and first the one that takes its dead letters. Raises QueueDoesNotExist.

        AWS: a dead-letter queue may be deleted while others name it. Until it is made again there is nowhere to
        move their messages to, and they stay.
        """
        name = queue.dead_letter_name()
        target = await self.load(queue.region, queue.account, name) if name else None
        # A target's own target need not be open for this: queues may be each other's.
        for each in (target, queue):
            if each is None or each.opened:
                continue
            revision = each.revision
            await self.server.engine.queues.open(each.arn, each.settings())
            if each.gone:
                # It was deleted meanwhile. What was opened must not wait for the next queue of this name.
                await self.server.engine.queues.drop(each.arn)
            each.opened = each.revision == revision and not each.gone
        if queue.gone:
            raise rules.no_such_queue()

    # --- changing queues ---

    async def revise(
        self,
        queue: Queue,
        change: Callable[[QueueRecord], QueueRecord],
        also: Callable[[QueueRecord, QueueRecord], list[Write]] | None = None,
    ) -> None:
        """Store what `change` makes of the queue's record, with what `also` (of old and new) adds, all or nothing.

        Raises what `change` raises, QueueDoesNotExist, and ServiceUnavailable when others keep changing it too.
        """
        for _ in range(limits.CONFLICT_RETRIES):
            old = queue.record
            new = change(old)
            if new == old:
                return
            writes = [Write(queue.key, records.encode(new), queue.revision), *(also(old, new) if also else ())]
            try:
                await self.server.engine.metadata.apply(writes)
            except Conflict:
                entry = await self.server.engine.metadata.get(queue.key)
                if entry is None:
                    raise rules.no_such_queue() from None
                if entry.revision > queue.revision:
                    queue.take(records.decode_queue(entry.value), entry.revision)
                continue
            await self.get(queue.region, queue.account, queue.name)
            return
        raise ServiceError("ServiceUnavailable", "Too many changes to this queue at once; try again.", status=503)

    def _changed(self, change: Change) -> None:
        """A record changed, here or in another process."""
        parts = change.key.split("/")
        if change.key.startswith(records.MOVING_PREFIX):
            self._worker.nudge()
        elif len(parts) == 5 and parts[3] == "queue":  # noqa: PLR2004 - sqs/region/account/kind/name
            self._queue_changed(change)

    def _queue_changed(self, change: Change) -> None:
        self._changes += 1
        self.urls.clear()
        if change.entry is None:
            gone = self._queues.pop(change.key, None)
            if gone is not None:
                gone.opened, gone.gone = False, True
        elif (queue := self._queues.get(change.key)) is not None:
            queue.take(records.decode_queue(change.entry.value), change.entry.revision)
