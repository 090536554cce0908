"""Messages on their way out: to whatever is not a queue that takes them at once.

They wait in queues of the engine, one for each subscription, so that an endpoint that is slow or dead holds up nobody
else, a hundred thousand waiting retries are rows and not memory, and a restart goes on from storage alone. A marker
in metadata tells which of these queues were ever used; a worker for each runs only while there is something in it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import structlog

from headrace.clock import go_on_without, sleep, stand_still_for
from headrace.context import Server
from headrace.errors import StorageError
from headrace.primitives.queues import Outgoing, QueueMissing, QueueSettings, Sent
from headrace.services.sns import limits, records
from headrace.services.sns.outgoing import OutgoingWorker
from headrace.services.sns.presence import Presence
from headrace.services.sns.records import Delivery, Publication
from headrace.services.sns.rules import FIFO_SUFFIX
from headrace.services.sns.transports import Transport

if TYPE_CHECKING:
    from headrace.services.sns.state import Subscription

QUEUE_PREFIX: Final = "sns:out:"
ENDED_SUFFIX: Final = "/ended"
"""Ends the name of the queue for what is still told to an endpoint whose subscription has ended."""

log = structlog.get_logger()

FindSubscription = Callable[[str], Awaitable["Subscription | None"]]


def queue_of(subscription_arn: str) -> str:
    """The outgoing queue of a subscription."""
    return f"{QUEUE_PREFIX}{subscription_arn}"


def direct_queue(delivery: Delivery) -> str:
    """The outgoing queue of what is published to a phone number or an endpoint: one for an account, or application."""
    if delivery.protocol == "sms":
        return f"{QUEUE_PREFIX}sms/{delivery.publication.region}/{delivery.publication.account}"
    return f"{QUEUE_PREFIX}{delivery.endpoint.rpartition('/')[0]}"


def delivery_of(subscription: Subscription, publication: Publication) -> Delivery:
    """A publication on its way to a subscription."""
    record = subscription.record
    return Delivery(
        kind="Notification",
        publication=publication,
        protocol=record.protocol,
        endpoint=record.endpoint,
        subscription_arn=record.arn,
        raw=subscription.raw,
    )


class Deliveries:
    """All outgoing queues of a process, and the workers that empty them."""

    def __init__(
        self, server: Server, transports: Mapping[str, Transport], find: FindSubscription, presence: Presence
    ) -> None:
        self._server = server
        self._presence = presence
        presence.renamed.append(self._mark_again)
        self._transports = transports
        self._find = find
        self._opened: set[str] = set()
        self._adopted: set[str] = set()
        """Queues that were taken over from processes that ended, and not yet looked at."""
        self._workers: dict[str, OutgoingWorker] = {}
        self._looking: asyncio.Task[None] | None = None
        self._drops: set[asyncio.Task[None]] = set()
        self._hanging: WeakSet[asyncio.Task[Any]] = WeakSet()
        """Attempts that did not end while a virtual clock stood still for them."""

    async def start(self) -> None:
        """Go on with what a stopped process left, first with what is to stay in order, lest it be overtaken."""
        stand_still_for(self._server.clock, self._rest)
        await self._presence.adopt(QUEUE_PREFIX, self._adopted)
        await self._take_up(ordered=True)
        self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Stop; messages under way are delivered again after the next start."""
        go_on_without(self._server.clock, self._rest)
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        for worker in list(self._workers.values()):
            await worker.close()
        self._workers.clear()
        await asyncio.gather(*self._drops)
        self._opened.clear()
        for transport in set(self._transports.values()):
            await transport.close()

    # --- sending ---

    def is_busy(self, queue: str) -> bool:
        """Whether there may be something in the queue: what is to stay in order has to go behind it."""
        return queue in self._workers

    async def open(self, queue: str, *, fifo: bool = False) -> None:
        """Have the engine know the queue, and metadata that it is in use. Costs nothing when it was opened before."""
        if queue in self._opened:
            return
        settings = QueueSettings(
            fifo=fifo,
            visibility_timeout_ms=limits.ATTEMPT_MS,
            retention_ms=limits.OUTGOING_RETENTION_MS,
            max_in_flight=0,
            max_hidden_ms=limits.OUTGOING_RETENTION_MS,
            fair=False,
        )
        await self._server.engine.queues.open(queue, settings)
        await self._presence.mark(queue)
        if len(self._opened) >= limits.OUTGOING_OPENED:
            self._opened.clear()
        self._opened.add(queue)

    async def send(self, queue: str, deliveries: Sequence[Delivery], *, fifo: bool = False) -> list[Sent]:
        """Store deliveries, all or none, and see that they are made. The queue need not be open."""
        messages = [
            Outgoing(
                body="",
                header=records.encode(each),
                group=each.publication.group if fifo else None,
                dedup_id=each.publication.message_id if fifo else None,
            )
            for each in deliveries
        ]
        if queue not in self._opened:
            await self.open(queue, fifo=fifo)
        try:
            sent = await self._server.engine.queues.send(queue, messages)
        except QueueMissing:  # it was dropped a moment ago
            self._opened.discard(queue)
            await self.open(queue, fifo=fifo)
            sent = await self._server.engine.queues.send(queue, messages)
        self._wake(queue)
        await self._presence.assure()
        return sent

    async def store(self, subscription: Subscription, publications: Sequence[Publication]) -> None:
        """Have publications wait for a worker, in their order; all or none."""
        waiting = [delivery_of(subscription, publication) for publication in publications]
        await self.send(queue_of(subscription.arn), waiting, fifo=subscription.topic.fifo)

    async def send_notice(self, delivery: Delivery) -> None:
        """Send a message that is about the subscription itself."""
        queue = queue_of(delivery.subscription_arn)
        if delivery.kind == "UnsubscribeConfirmation":
            queue += ENDED_SUFFIX
        await self.send(queue, [delivery])

    async def forget(self, subscription_arn: str) -> None:
        """Let go of what waits for a subscription that has ended."""
        await self._drop(queue_of(subscription_arn))

    async def _rest(self) -> None:
        """Have a virtual clock stand still for attempts that are about to end, lest their time run out meanwhile.

        One that does not end is meant to hang, and is waited for once.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + limits.REST_S
        while loop.time() < until_s:
            under_way = [task for worker in self._workers.values() for task in worker.attempts()]
            fresh = [task for task in under_way if task not in self._hanging]
            if not fresh:
                return
            _, hanging = await asyncio.wait(fresh, timeout=limits.ATTEMPT_REST_S)
            self._hanging.update(hanging)

    # --- workers ---

    def _wake(self, queue: str) -> None:
        worker = self._workers.get(queue)
        if worker is not None:
            worker.nudge()
            return
        worker = OutgoingWorker(self._server, queue, self._transports, self._find)
        self._workers[queue] = worker
        worker.start(self._ended)

    def _ended(self, queue: str) -> None:
        """A worker has found its queue empty."""
        self._workers.pop(queue, None)
        if queue.endswith(ENDED_SUFFIX):
            task = asyncio.get_running_loop().create_task(self._drop_ended(queue))
            self._drops.add(task)
            task.add_done_callback(self._drops.discard)

    async def _drop_ended(self, queue: str) -> None:
        try:
            await self._drop(queue)
        except StorageError as error:
            # It is empty, and the next start finds its marker.
            log.warning("a queue of an ended subscription is left", queue=queue, error=str(error))

    async def _drop(self, queue: str) -> None:
        worker = self._workers.pop(queue, None)
        if worker is not None:
            await worker.close()
        self._opened.discard(queue)
        await self._server.engine.queues.drop(queue)
        await self._presence.unmark(queue)

    async def _mark_again(self) -> None:
        """Mark with the name that this process has now what it delivers, and may deliver."""
        self._opened.clear()
        for queue in tuple(self._workers):
            await self._presence.mark(queue)

    async def _look(self) -> None:
        """Take up the queues that a stopped process left; where processes share the engine, again and again."""
        while True:
            try:
                await self._take_up(ordered=False)
                if self._presence.shared:
                    await sleep(self._server.clock, limits.ACTIVE_LOOKED_MS)
                    await self._presence.adopt(QUEUE_PREFIX, self._adopted)
                    await self._take_up(ordered=True)
                    continue
            except StorageError as error:
                log.warning("deliveries wait to be taken up", error=str(error))
                await sleep(self._server.clock, limits.STORAGE_RETRY_MS)
                continue
            return

    async def _take_up(self, *, ordered: bool) -> None:
        """Start workers for the queues that hold something; only those of FIFO topics, or all others.

        Looked at are those that this process has marked and not begun to use, and those that it has adopted.
        """
        for entry in await self._presence.marked(QUEUE_PREFIX):
            queue, _ = records.active_queue(entry.key)
            if (f"{FIFO_SUFFIX}:" in queue) != ordered or (queue in self._opened and queue not in self._adopted):
                continue
            if queue in self._workers or await self._holds_something(queue):
                self._wake(queue)
            elif queue not in self._opened:
                # A send that opens the queue meanwhile has written the marker anew, and keeps it.
                await self._presence.unmark_unchanged(entry)
            self._adopted.discard(queue)

    async def _holds_something(self, queue: str) -> bool:
        try:
            depth = await self._server.engine.queues.depth(queue)
        except QueueMissing:
            return False
        return depth.visible + depth.in_flight + depth.delayed > 0
