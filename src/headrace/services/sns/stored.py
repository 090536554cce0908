"""Publications that are stored first and brought to the subscribers by a worker.

So it is on FIFO topics: the topic's own FIFO queue in the engine deduplicates, numbers and orders what is published,
and a publisher is answered as soon as it is in there. And so it is on every topic where the engine cannot make the
messages of many queues one commit: the publication is durable at once, and reaches everybody even if this process does
not live to see it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

import msgspec
import structlog

from headrace.clock import sleep
from headrace.errors import StorageError
from headrace.primitives.queues import Outgoing, QueueMissing, QueueSettings, Received, Sent
from headrace.services.sns import archive, fanout, limits, records, rules
from headrace.services.sns.records import Publication

if TYPE_CHECKING:
    from headrace.services.sns.state import State, Topic

QUEUE_PREFIX: Final = "sns:published:"
_SEQUENCE_BASE: Final = 10_000_000_000_000_000_000
"""AWS: sequence numbers have 20 digits and grow."""

log = structlog.get_logger()


def queue_of(topic_arn: str) -> str:
    """The queue of a topic's stored publications."""
    return f"{QUEUE_PREFIX}{topic_arn}"


def sequence_number(sequence: int) -> str:
    """AWS's form of a message's place in its topic."""
    return str(_SEQUENCE_BASE + sequence)


class StoredPublications:
    """The queues of stored publications, and the tasks that empty them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._engine = state.server.engine
        self._opened: dict[str, bool] = {}
        """Opened queues by topic, each with the scope of deduplication it was opened with."""
        self._adopted: set[str] = set()
        """Queues that were taken over from processes that ended, and not yet looked at."""
        self._draining: dict[str, asyncio.Task[None]] = {}
        self._nudged: set[str] = set()
        self._looking: asyncio.Task[None] | None = None
        self._presence = state.presence
        state.presence.renamed.append(self._mark_again)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def start(self) -> None:
        """Go on with what a stopped process left."""
        self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Stop; what was under way is taken up again after the next start."""
        tasks = [task for task in (self._looking, *self._draining.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def send(self, topic: Topic, publications: Sequence[Publication]) -> list[Sent]:
        """Store publications, all or none. A duplicate gives what the first one gave."""
        queue = queue_of(topic.arn)
        if self._opened.get(topic.arn) != topic.per_group:
            await self._open(topic)
        messages = [
            Outgoing(body="", header=records.encode(each), group=each.group, dedup_id=each.dedup_id)
            for each in publications
        ]
        try:
            sent = await self._engine.queues.send(queue, messages)
        except QueueMissing:
            await self._open(topic)
            sent = await self._engine.queues.send(queue, messages)
        self.wake(topic.arn)
        await self._presence.assure()
        return sent

    async def forget(self, topic: Topic) -> None:
        """Remove what a deleted topic has left."""
        self._opened.pop(topic.arn, None)
        task = self._draining.pop(topic.arn, None)
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._engine.queues.drop(queue_of(topic.arn))
        await self._presence.unmark(queue_of(topic.arn))

    async def _open(self, topic: Topic) -> None:
        queue = queue_of(topic.arn)
        settings = QueueSettings(
            fifo=topic.fifo,
            visibility_timeout_ms=limits.BRING_MS,
            retention_ms=limits.OUTGOING_RETENTION_MS,
            dedup_per_group=topic.per_group,
            dedup_window_ms=limits.DEDUPLICATION_WINDOW_MS,
            max_in_flight=0,
            fair=False,
        )
        await self._engine.queues.open(queue, settings)
        await self._presence.mark(queue)
        if len(self._opened) >= limits.TOPICS_CACHED:
            self._opened.clear()
        self._opened[topic.arn] = topic.per_group

    def lock(self, topic_arn: str) -> asyncio.Lock:
        """What is held while a batch of a topic's publications is brought to the subscribers."""
        return self._locks.setdefault(topic_arn, asyncio.Lock())

    # --- the workers ---

    def wake(self, topic_arn: str) -> None:
        """See that what a topic has stored is brought to its subscribers."""
        self._nudged.add(topic_arn)
        if topic_arn not in self._draining:
            self._draining[topic_arn] = asyncio.get_running_loop().create_task(self._drain(topic_arn))

    async def _drain(self, topic_arn: str) -> None:
        """Bring what is stored to the subscribers, until there is nothing more."""
        queue = queue_of(topic_arn)
        while True:
            try:
                self._nudged.discard(topic_arn)
                if not await self._bring_some(topic_arn, queue):
                    break
            except QueueMissing as missing:
                # A subscriber's may have been dropped meanwhile: then what was to be brought is seen again.
                if missing.queue == queue:
                    await self._unmark(topic_arn)
                    if topic_arn not in self._nudged:
                        break
            except StorageError as error:
                log.warning("publications wait after an error", topic=topic_arn, error=str(error))
                await sleep(self._state.server.clock, limits.STORAGE_RETRY_MS)
            except (Exception, asyncio.CancelledError):  # what one batch meets with must not stop the topic for good
                if _is_to_end():
                    raise
                log.exception("publications wait after an unforeseen error", topic=topic_arn)
                await sleep(self._state.server.clock, limits.STORAGE_RETRY_MS)
            if topic_arn not in self._draining:
                return
        self._draining.pop(topic_arn, None)

    async def _bring_some(self, topic_arn: str, queue: str) -> bool:
        """Bring a batch, or wait for one; False when there is nothing more to bring."""
        if not await self._has_turn(topic_arn):
            if not await self._holds_something(queue):
                return topic_arn in self._nudged
            await sleep(self._state.server.clock, limits.STORAGE_RETRY_MS)
            return True
        received = await self._engine.queues.receive(
            queue, max_messages=limits.BATCH_ENTRIES, visibility_timeout_ms=limits.BRING_MS
        )
        if received:
            async with self.lock(topic_arn):
                await self._bring(topic_arn, queue, received)
            return True
        if not await self._holds_something(queue) and topic_arn not in self._nudged:
            return await self._keeps_turn(topic_arn)
        if topic_arn not in self._nudged:  # what is left is being brought by somebody else, or was put off
            await self._engine.queues.receive(
                queue, max_messages=1, visibility_timeout_ms=0, wait_ms=limits.STORAGE_RETRY_MS
            )
            await asyncio.sleep(0)  # an engine that is to stop waits for nothing
        return True

    async def _keeps_turn(self, topic_arn: str) -> bool:
        """Nothing is stored: whether to go on looking, since others leave it to this process to bring what comes."""
        if self._state.workers.replays.has_turn_with(topic_arn):
            await sleep(self._state.server.clock, limits.REPLAY_LOOKED_MS)
            return True
        await self._state.workers.turns.end(topic_arn)
        return topic_arn in self._nudged

    async def _has_turn(self, topic_arn: str) -> bool:
        """Whether it is for this process to bring the topic's publications: who replays a topic does both."""
        turns = self._state.workers.turns
        if not turns.shared:
            return True
        topic = await self._state.load(*rules.parse_topic_arn(topic_arn))
        return topic is None or not topic.archive_days or await turns.take(topic_arn)

    async def _holds_something(self, queue: str) -> bool:
        depth = await self._engine.queues.depth(queue)
        return depth.visible + depth.in_flight + depth.delayed > 0

    async def _bring(self, topic_arn: str, queue: str, received: Sequence[Received]) -> None:
        """Bring a batch to the subscribers, archive it if the topic does, and remove it: all in one go."""
        topic = await self._state.load(*rules.parse_topic_arn(topic_arn))
        receipts = [each.receipt for each in received]
        if topic is None:  # it was deleted, and everything with it
            await self._engine.queues.delete(queue, receipts)
            return
        publications = [_publication(each, fifo=topic.fifo) for each in received]
        plan = fanout.plan(topic, publications)
        also: list[Coroutine[Any, Any, Any]] = []
        if topic.archive_days:
            # A subscription that is being replayed to gets these from the archive, when it has come so far.
            held = [each for each in plan if await self._state.workers.replays.holds_back(each)]
            for each in held:
                del plan[each]
            also.append(archive.append(self._state.server, topic, publications))
        also.append(self._engine.queues.delete(queue, receipts))
        await self._state.fanout.run(plan, *also)

    async def _unmark(self, topic_arn: str) -> None:
        """The topic's queue is gone: it is opened and marked again when it is next used."""
        self._opened.pop(topic_arn, None)
        with contextlib.suppress(StorageError):
            await self._presence.unmark(queue_of(topic_arn))
            if topic_arn in self._opened:  # meanwhile
                await self._presence.mark(queue_of(topic_arn))

    async def _mark_again(self) -> None:
        """Mark with the name that this process has now what it brings to subscribers, and may bring."""
        self._opened.clear()
        for topic_arn in tuple(self._draining):
            await self._presence.mark(queue_of(topic_arn))

    async def _look(self) -> None:
        """Take up the queues that a stopped process left; where processes share the engine, again and again."""
        while True:
            try:
                await self._presence.adopt(QUEUE_PREFIX, self._adopted)
                for entry in await self._presence.marked(QUEUE_PREFIX):
                    queue, _ = records.active_queue(entry.key)
                    topic_arn = queue.removeprefix(QUEUE_PREFIX)
                    if topic_arn not in self._opened or queue in self._adopted:
                        self.wake(topic_arn)
                        self._adopted.discard(queue)
            except StorageError as error:
                log.warning("publications wait to be taken up", error=str(error))
                await sleep(self._state.server.clock, limits.STORAGE_RETRY_MS)
                continue
            if not self._presence.shared:
                return
            await sleep(self._state.server.clock, limits.ACTIVE_LOOKED_MS)


def _is_to_end() -> bool:
    """Whether this task itself was cancelled, and not something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _publication(received: Received, *, fifo: bool) -> Publication:
    """A stored publication, with the id and the number that storing it has given it."""
    stored = records.decode_publication(received.header)
    if not fifo:
        return stored
    return msgspec.structs.replace(
        stored, message_id=received.message_id, sequence_number=sequence_number(received.sequence)
    )
