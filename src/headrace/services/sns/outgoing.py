"""The worker that empties one outgoing queue: attempts, retries, and what becomes of what cannot be delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
import structlog

from headrace.clock import sleep
from headrace.context import Server
from headrace.errors import ServiceError, StorageError
from headrace.primitives.queues import QueueMissing, Received
from headrace.services.sns import dead_letters, delivery_policy, limits, records, status_log
from headrace.services.sns.records import Delivery
from headrace.services.sns.rules import FIFO_SUFFIX
from headrace.services.sns.transports import Outcome, Transport, Verdict, failed, retry

if TYPE_CHECKING:
    from headrace.services.sns.state import Subscription

log = structlog.get_logger()


class OutgoingWorker:
    """Delivers what is in a queue, several messages at once as long as that goes well. Ends when there is no more."""

    def __init__(
        self,
        server: Server,
        queue: str,
        transports: Mapping[str, Transport],
        find: Callable[[str], Awaitable[Subscription | None]],
    ) -> None:
        self._server = server
        self._queue = queue
        self._transports = transports
        self._find = find
        # In a FIFO queue what comes later waits for what comes first.
        self._widest = 1 if f"{FIFO_SUFFIX}:" in queue else limits.ATTEMPTS_AT_ONCE
        self._window = min(self._widest, limits.ATTEMPTS_AT_FIRST)
        self._attempts: dict[str, asyncio.Task[None]] = {}
        self._settled: set[str] = set()
        """Messages done with since the last receive was begun."""
        self._done: list[str] = []
        """Receipts of messages that are about to be deleted."""
        self._deletes: set[asyncio.Task[None]] = set()
        self._nudged = False
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._next_at_ms = 0

    def start(self, ended: Callable[[str], None]) -> None:
        """Run until the queue is empty, then call `ended` with its name."""
        self._task = asyncio.get_running_loop().create_task(self._run(ended))

    def nudge(self) -> None:
        """Something was sent: do not end yet."""
        self._nudged = True

    def attempts(self) -> list[asyncio.Task[None]]:
        """The attempts under way, and what is still to be told of those that have ended."""
        return [*self._attempts.values(), *self._deletes]

    async def close(self) -> None:
        """Stop, and give up attempts under way: their messages are seen again."""
        tasks = [task for task in (self._task, *self._attempts.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._deletes, return_exceptions=True)

    async def _run(self, ended: Callable[[str], None]) -> None:
        while True:
            try:
                if await self._step():
                    ended(self._queue)
                    return
            except QueueMissing:
                ended(self._queue)
                return
            except StorageError as error:
                log.warning("deliveries wait after an error", queue=self._queue, error=str(error))
                await sleep(self._server.clock, limits.STORAGE_RETRY_MS)
            except Exception:  # what one batch meets with must not stop the queue for good
                log.exception("deliveries wait after an unforeseen error", queue=self._queue)
                await sleep(self._server.clock, limits.STORAGE_RETRY_MS)

    async def _step(self) -> bool:
        """Begin attempts at what there is; whether there is nothing more."""
        room = self._window - len(self._attempts)
        # A receive is a commit: one for many messages, not one for each attempt that has ended.
        if self._attempts and room < max(1, self._window // limits.ROOMS):
            self._room.clear()
            await self._room.wait()
            return False
        self._nudged = False
        self._settled.clear()
        received = await self._server.engine.queues.receive(
            self._queue, max_messages=room, visibility_timeout_ms=limits.ATTEMPT_MS, wait_ms=limits.IDLE_WAIT_MS
        )
        if not received:
            # An engine that is to stop waits for nothing any more: without this the loop would never come to stop us.
            await asyncio.sleep(0)
        for each in received:
            # What was done with while this was on its way here must not be delivered once more.
            if each.message_id not in self._attempts and each.message_id not in self._settled:
                task = asyncio.get_running_loop().create_task(self._attempt(each))
                self._attempts[each.message_id] = task
        if received or self._attempts:
            return False
        depth = await self._server.engine.queues.depth(self._queue)
        return not self._nudged and depth.visible + depth.in_flight + depth.delayed == 0

    # --- one attempt ---

    async def _attempt(self, received: Received) -> None:
        try:
            await self._deliver(received)
        except (QueueMissing, StorageError) as error:
            # The message is seen again when its time comes.
            log.warning("a delivery waits after an error", queue=self._queue, error=str(error))
        except Exception:  # one message must not stop the others
            log.exception("a delivery failed unforeseen", queue=self._queue)
        finally:
            self._attempts.pop(received.message_id, None)
            self._room.set()

    async def _deliver(self, received: Received) -> None:
        delivery = records.decode_delivery(received.header)
        subscription: Subscription | None = None
        if delivery.subscription_arn and delivery.kind != "UnsubscribeConfirmation":
            subscription = await self._find(delivery.subscription_arn)
            if subscription is None:  # it has ended: nobody wants this any more
                self._settle(received)
                return
        manner = delivery_policy.manner(
            delivery.protocol,
            subscription.topic.record.attributes.get("DeliveryPolicy") if subscription is not None else None,
            subscription.record.attributes.get("DeliveryPolicy") if subscription is not None else None,
        )
        await self._pace(manner.max_receives_per_second)
        began_ms = self._server.clock.now_ms()
        outcome = await self._try(msgspec.structs.replace(delivery, content_type=manner.content_type))
        dwell_ms = self._server.clock.now_ms() - began_ms
        self._adapt(outcome)
        if outcome.verdict is Verdict.RETRY:
            delay_ms = manner.retries.delay_ms(received.receive_count)
            if delay_ms is not None:
                delay_ms = max(delay_ms, outcome.retry_after_ms or 0)
                await self._server.engine.queues.change_visibility(self._queue, [(received.receipt, delay_ms)])
                return
        status_log.write(subscription, delivery, outcome, attempts=received.receive_count, dwell_ms=dwell_ms)
        if outcome.verdict is not Verdict.DELIVERED and not await self._bury(subscription, delivery, received):
            return
        self._settle(received)

    async def _pace(self, per_s: int) -> None:
        """Keep to so many attempts a second."""
        if not per_s:
            return
        clock = self._server.clock
        now_ms = clock.now_ms()
        at_ms = max(now_ms, self._next_at_ms)
        self._next_at_ms = at_ms + -(-1000 // per_s)
        if at_ms > now_ms:
            await sleep(clock, at_ms - now_ms)

    async def _try(self, delivery: Delivery) -> Outcome:
        transport = self._transports.get(delivery.protocol)
        if transport is None:
            return failed(f"There is no transport for {delivery.protocol}")
        try:
            return await transport.deliver(delivery)
        except Exception as error:
            log.exception("a transport failed unforeseen", protocol=delivery.protocol)
            return retry(f"The transport failed: {error!r}")

    def _adapt(self, outcome: Outcome) -> None:
        """Widen the window as long as deliveries succeed; an endpoint that fails gets fewer at once, one at least."""
        if outcome.verdict is Verdict.RETRY:
            self._window = max(1, self._window // 2)
        else:
            self._window = min(self._widest, self._window + 1)
        self._room.set()

    async def _bury(self, subscription: Subscription | None, delivery: Delivery, received: Received) -> bool:
        """Send what could not be delivered to the dead-letter queue; whether the message is done with."""
        try:
            await dead_letters.send(self._server, subscription, delivery)
        except ServiceError as error:
            log.warning("a dead letter waits for its queue", queue=self._queue, error=error.message)
            retry_ms = limits.DEAD_LETTER_RETRY_MS
            await self._server.engine.queues.change_visibility(self._queue, [(received.receipt, retry_ms)])
            return False
        return True

    def _settle(self, received: Received) -> None:
        """Have a message deleted, with all others that are done with by the loop's next turn."""
        self._settled.add(received.message_id)
        self._done.append(received.receipt)
        if len(self._done) == 1:
            task = asyncio.get_running_loop().create_task(self._delete())
            self._deletes.add(task)
            task.add_done_callback(self._deletes.discard)

    async def _delete(self) -> None:
        receipts, self._done = self._done, []
        try:
            await self._server.engine.queues.delete(self._queue, receipts)
        except QueueMissing:
            return
        except StorageError as error:
            # They are delivered once more.
            log.warning("deliveries were made and could not be told", queue=self._queue, error=str(error))
