"""Replays: a subscription to a FIFO topic gets what the topic has archived once more, from some time on.

While it does, what is newly published reaches it by way of the archive, too, so that its order is that of publishing.
How far it has come stands in metadata, written together with what was sent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from headrace.clock import sleep
from headrace.context import Server
from headrace.errors import StorageError
from headrace.primitives.logs import LogMissing, Record
from headrace.services.sns import archive, fanout, filters, limits, records, replay_policy, rules
from headrace.services.sns.records import Publication, ReplayRecord

if TYPE_CHECKING:
    from headrace.services.sns.state import State, Subscription, Topic

RUNNING: Final = "In progress"
COMPLETED: Final = "Completed"
FAILED: Final = "Failed"

log = structlog.get_logger()


def check(topic: Topic) -> None:
    """Raise InvalidParameter unless there is an archive to replay from."""
    if not topic.archive_days:
        raise rules.invalid_parameter("ReplayPolicy Reason: The topic does not archive its messages")


async def status(server: Server, subscription: Subscription) -> str:
    """AWS's word for how far a subscription's replay has come."""
    entry = await server.engine.metadata.get(records.replay_key(subscription.arn))
    return records.decode_replay(entry.value).status if entry is not None else records.REPLAY_PENDING


class Replays:
    """The replays under way in this process."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._engine = state.server.engine
        self._running: dict[str, asyncio.Task[None]] = {}
        self._held: set[str] = set()
        """Subscriptions that get nothing but what is replayed to them: they are being replayed to, or had an end."""
        self._starting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on with the replays that a stopped process left."""
        after = ""
        while entries := await self._engine.metadata.list(records.REPLAY_PREFIX, after=after):
            after = entries[-1].key
            for entry in entries:
                arn = entry.key.removeprefix(records.REPLAY_PREFIX)
                known = records.decode_replay(entry.value)
                self._take_up(arn, known)

    async def close(self) -> None:
        """Stop; replays go on after the next start from where they were."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._running.clear()
        self._held.clear()

    def holds_back(self, subscription: Subscription) -> bool:
        """Whether a subscription is not to get what is newly published."""
        return subscription.arn in self._held

    def hold_back(self, subscription_arn: str) -> None:
        """From now on a subscription, which is about to be stored, gets nothing but what is replayed to it."""
        self._held.add(subscription_arn)

    async def changed(self, subscription: Subscription) -> None:
        """A subscription was stored with another ReplayPolicy, or with none any more: do as it says."""
        arn = subscription.arn
        task = self._running.pop(arn, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._held.discard(arn)
        entry = await self._engine.metadata.get(records.replay_key(arn))
        if entry is not None:
            self._take_up(arn, records.decode_replay(entry.value))

    def _take_up(self, arn: str, known: ReplayRecord) -> None:
        ends = replay_policy.parse(known.policy).to_ms is not None
        if known.status in (records.REPLAY_PENDING, RUNNING):
            self._held.add(arn)
            self._running[arn] = asyncio.get_running_loop().create_task(self._run(arn, known))
        elif known.status == COMPLETED and ends:
            # AWS: with an ending point, the subscription gets nothing of what is published later.
            self._held.add(arn)

    # --- one replay ---

    async def _run(self, arn: str, known: ReplayRecord) -> None:
        while True:
            try:
                following = await self._step(arn, known)
            except StorageError as error:
                log.warning("a replay waits after an error", subscription=arn, error=str(error))
                await sleep(self._state.server.clock, limits.STORAGE_RETRY_MS)
                continue
            except Exception:  # what one batch meets with must not end the replay
                log.exception("a replay waits after an unforeseen error", subscription=arn)
                await sleep(self._state.server.clock, limits.STORAGE_RETRY_MS)
                continue
            if following is None:
                self._running.pop(arn, None)
                return
            known = following

    async def _step(self, arn: str, known: ReplayRecord) -> ReplayRecord | None:
        """Replay a batch; how far that came, or None when the replay has ended."""
        subscription = await self._state.find_subscription(arn)
        if subscription is None:
            self._held.discard(arn)
            await self._engine.metadata.delete(records.replay_key(arn))
            return None
        topic = subscription.topic
        wanted = replay_policy.parse(known.policy)
        archived = archive.log_of(topic.arn)
        try:
            if not known.started:
                position = await self._engine.logs.seek(archived, wanted.from_ms)
                known = msgspec.structs.replace(known, position=position, started=True, status=RUNNING)
            found = await self._read(archived, known.position)
            if not found:
                return await self._at_tip(subscription, archived, known)
        except LogMissing:
            await self._end(subscription, msgspec.structs.replace(known, status=FAILED), live=True)
            return None
        if wanted.to_ms is not None and found[-1].appended_at_ms > wanted.to_ms:
            found = [each for each in found if each.appended_at_ms <= wanted.to_ms]
            await self._send(subscription, found, known)
            await self._end(subscription, msgspec.structs.replace(known, status=COMPLETED), live=False)
            return None
        known = msgspec.structs.replace(known, position=found[-1].sequence)
        await self._send(subscription, found, known)
        return known

    async def _read(self, archived: str, position: int) -> list[Record]:
        return await self._engine.logs.read(
            archived, position, max_records=limits.BATCH_ENTRIES, max_bytes=limits.REPLAY_BYTES
        )

    async def _send(self, subscription: Subscription, found: list[Record], known: ReplayRecord) -> None:
        """Send what was archived, and note how far that came, in one go."""
        publications = []
        for each in found:
            publication = records.decode_publication(each.data)
            if _passes(subscription, publication):
                publications.append(msgspec.structs.replace(publication, replayed=True))
        plan: fanout.Plan = {subscription: publications} if publications else {}
        note: Any = self._engine.metadata.put(records.replay_key(subscription.arn), records.encode(known))
        await self._state.fanout.run(plan, note)

    async def _at_tip(self, subscription: Subscription, archived: str, known: ReplayRecord) -> ReplayRecord | None:
        """Everything archived was replayed: from here on the subscription gets what is published, unless it ends."""
        ends_ms = replay_policy.parse(known.policy).to_ms
        left_ms = 0 if ends_ms is None else ends_ms - self._state.server.clock.now_ms()
        if left_ms > 0:
            await self._engine.logs.wait(archived, known.position, wait_ms=min(left_ms, limits.IDLE_WAIT_MS))
            return known
        async with self._state.workers.stored.lock(subscription.topic.arn):
            # Nothing is being brought to the subscribers now; what was archived a moment ago comes first.
            if await self._read(archived, known.position):
                return known
            completed = msgspec.structs.replace(known, status=COMPLETED)
            await self._end(subscription, completed, live=ends_ms is None)
            return None

    async def _end(self, subscription: Subscription, known: ReplayRecord, *, live: bool) -> None:
        await self._engine.metadata.put(records.replay_key(subscription.arn), records.encode(known))
        if live:
            self._held.discard(subscription.arn)


def _passes(subscription: Subscription, publication: Publication) -> bool:
    """Whether the subscription's filter policy lets a message through."""
    policy = subscription.record.attributes.get("FilterPolicy")
    if policy is None:
        return True
    scope = subscription.record.attributes.get("FilterPolicyScope", "MessageAttributes")
    return filters.compile_policy(policy, scope).matches(filters.prepare(publication))
