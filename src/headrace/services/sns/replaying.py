"""Replays: a subscription to a FIFO topic gets what the topic has archived once more, from some time on.

While it does, what is newly published reaches it by way of the archive, too, so that its order is that of publishing.
How far it has come stands in metadata, written together with what was sent, by whoever has its turn (`turns.py`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import structlog

from headrace.clock import sleep
from headrace.context import Server
from headrace.errors import StorageError
from headrace.primitives.logs import LogMissing, Record
from headrace.primitives.metadata import Change, Conflict
from headrace.services.sns import archive, fanout, filters, limits, records, replay_policy, rules
from headrace.services.sns.records import Publication, ReplayRecord

if TYPE_CHECKING:
    from headrace.services.sns.state import State, Subscription, Topic

RUNNING: Final = "In progress"
COMPLETED: Final = "Completed"
FAILED: Final = "Failed"
_UNDER_WAY: Final = (records.REPLAY_PENDING, RUNNING)

log = structlog.get_logger()


def check(topic: Topic) -> None:
    """Raise InvalidParameter unless there is an archive to replay from."""
    if not topic.archive_days:
        raise rules.invalid_parameter("ReplayPolicy Reason: The topic does not archive its messages")


async def status(server: Server, subscription: Subscription) -> str:
    """AWS's word for how far a subscription's replay has come."""
    entry = await server.engine.metadata.get(records.replay_key(subscription.arn))
    return records.decode_replay(entry.value).status if entry is not None else records.REPLAY_PENDING


class Progress(NamedTuple):
    """How far a replay has come, by the `revision` of its record: written behind it by whoever has read it."""

    subscription: Subscription
    known: ReplayRecord
    revision: int

    def come_to(self, **changes: Any) -> Progress:
        """The same a step further, not yet written."""
        return self._replace(known=msgspec.structs.replace(self.known, **changes))


class Replays:
    """The replays under way in this process, and those that wait until it has its turn."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._engine = state.server.engine
        self._running: dict[str, asyncio.Task[None]] = {}
        self._turns: Counter[str] = Counter()
        """By topic: replays here that have their turn."""
        self._end_watch: Callable[[], None] | None = None

    async def start(self) -> None:
        """Go on with the replays that a stopped process left; of several processes, with whatever others begin."""
        if self._state.workers.turns.shared:
            self._end_watch = self._engine.metadata.watch(records.REPLAY_PREFIX, self._seen)
        after = ""
        while entries := await self._engine.metadata.list(records.REPLAY_PREFIX, after=after):
            after = entries[-1].key
            for entry in entries:
                self._take_up(entry.key, entry.value)

    async def close(self) -> None:
        """Stop; replays go on after the next start from where they were."""
        if self._end_watch is not None:
            self._end_watch()
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._running.clear()

    async def holds_back(self, subscription: Subscription) -> bool:
        """Whether a subscription gets nothing but what is replayed to it: it is being replayed to, or had an end."""
        if "ReplayPolicy" not in subscription.record.attributes:
            return False
        entry = await self._engine.metadata.get(records.replay_key(subscription.arn))
        if entry is None:
            return False
        known = records.decode_replay(entry.value)
        # AWS: with an ending point, the subscription gets nothing of what is published later.
        return known.status in _UNDER_WAY or (known.status == COMPLETED and _ends_ms(known) is not None)

    def has_turn_with(self, topic_arn: str) -> bool:
        """Whether a replay of the topic is under way here, and what it has stored is to be brought here, too."""
        return self._state.workers.turns.shared and self._turns[topic_arn] > 0

    async def changed(self, subscription: Subscription) -> None:
        """A subscription was stored with another ReplayPolicy, or with none any more: do as it says."""
        arn = subscription.arn
        task = self._running.pop(arn, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        entry = await self._engine.metadata.get(records.replay_key(arn))
        if entry is not None:
            self._take_up(entry.key, entry.value)

    def _seen(self, change: Change) -> None:
        if change.entry is not None:
            self._take_up(change.key, change.entry.value)

    def _take_up(self, key: str, value: bytes) -> None:
        arn = key.removeprefix(records.REPLAY_PREFIX)
        if records.decode_replay(value).status in _UNDER_WAY and arn not in self._running:
            self._running[arn] = asyncio.get_running_loop().create_task(self._run(arn))

    # --- one replay ---

    async def _run(self, arn: str) -> None:
        topic_arn = arn.rpartition(":")[0]
        turns, has_turn = self._state.workers.turns, False
        try:
            while True:
                try:
                    had_turn, has_turn = has_turn, await turns.take(topic_arn)
                    self._turns[topic_arn] += has_turn - had_turn
                    if has_turn and not had_turn and turns.shared:
                        self._state.workers.stored.wake(topic_arn)
                    if has_turn and not await self._step(arn):
                        return
                    if not has_turn:
                        if not await self._is_under_way(arn):
                            return
                        await sleep(self._state.server.clock, limits.STORAGE_RETRY_MS)
                except Conflict:  # the subscription has another policy now, or another process its turn
                    continue
                except StorageError as error:
                    log.warning("a replay waits after an error", subscription=arn, error=str(error))
                    await sleep(self._state.server.clock, limits.STORAGE_RETRY_MS)
                except Exception:  # what one batch meets with must not end the replay
                    log.exception("a replay waits after an unforeseen error", subscription=arn)
                    await sleep(self._state.server.clock, limits.STORAGE_RETRY_MS)
        finally:
            self._turns[topic_arn] -= has_turn
            if self._running.get(arn) is asyncio.current_task():
                del self._running[arn]

    async def _is_under_way(self, arn: str) -> bool:
        entry = await self._engine.metadata.get(records.replay_key(arn))
        return entry is not None and records.decode_replay(entry.value).status in _UNDER_WAY

    async def _step(self, arn: str) -> bool:
        """Replay a batch; whether there is more to come. Raises Conflict when it turns out to be another's to do."""
        entry = await self._engine.metadata.get(records.replay_key(arn))
        known = records.decode_replay(entry.value) if entry is not None else None
        if entry is None or known is None or known.status not in _UNDER_WAY:
            return False
        subscription = await self._state.find_subscription(arn)
        if subscription is None:
            await self._engine.metadata.delete(entry.key, expected=entry.revision)
            return False
        progress = Progress(subscription, known, entry.revision)
        archived = archive.log_of(subscription.topic.arn)
        try:
            if not known.started:
                wanted = replay_policy.parse(known.policy)
                position = await self._engine.logs.seek(archived, wanted.from_ms)
                progress = progress.come_to(position=position, started=True, status=RUNNING)
            found = await self._read(archived, progress.known.position)
            if not found:
                return await self._at_tip(archived, progress)
        except LogMissing:
            await self._note(progress.come_to(status=FAILED))
            return False
        return await self._send_on(found, progress)

    async def _send_on(self, found: list[Record], progress: Progress) -> bool:
        """Send those that are wanted; whether there may be more of them."""
        ends_ms = _ends_ms(progress.known)
        if ends_ms is not None and found[-1].appended_at_ms > ends_ms:
            wanted = [each for each in found if each.appended_at_ms <= ends_ms]
            await self._send(wanted, progress.come_to(status=COMPLETED))
            return False
        await self._send(found, progress.come_to(position=found[-1].sequence))
        return True

    async def _read(self, archived: str, position: int) -> list[Record]:
        return await self._engine.logs.read(
            archived, position, max_records=limits.BATCH_ENTRIES, max_bytes=limits.REPLAY_BYTES
        )

    async def _send(self, found: list[Record], progress: Progress) -> None:
        """Send what was archived, and note how far that came, in one go."""
        publications = []
        for each in found:
            publication = records.decode_publication(each.data)
            if _passes(progress.subscription, publication):
                publications.append(msgspec.structs.replace(publication, replayed=True))
        plan: fanout.Plan = {progress.subscription: publications} if publications else {}
        await self._state.fanout.run(plan, self._note(progress))

    async def _at_tip(self, archived: str, progress: Progress) -> bool:
        """Everything archived was replayed: from here on the subscription gets what is published, unless it ends."""
        position, ends_ms = progress.known.position, _ends_ms(progress.known)
        left_ms = 0 if ends_ms is None else ends_ms - self._state.server.clock.now_ms()
        if left_ms > 0:
            if not self._state.workers.turns.shared:
                await self._engine.logs.wait(archived, position, wait_ms=min(left_ms, limits.IDLE_WAIT_MS))
            else:
                await self._engine.logs.wait(archived, position, wait_ms=min(left_ms, limits.TURN_MS // 2))
            return True
        async with self._state.workers.stored.lock(progress.subscription.topic.arn):
            # Nothing is being brought to the subscribers now; what was archived a moment ago comes first.
            if not await self._read(archived, position):
                await self._note(progress.come_to(status=COMPLETED))
                return False
        return True

    async def _note(self, progress: Progress) -> None:
        key = records.replay_key(progress.subscription.arn)
        await self._engine.metadata.put(key, records.encode(progress.known), expected=progress.revision)


def _ends_ms(known: ReplayRecord) -> int | None:
    return replay_policy.parse(known.policy).to_ms


def _passes(subscription: Subscription, publication: Publication) -> bool:
    """Whether the subscription's filter policy lets a message through."""
    policy = subscription.record.attributes.get("FilterPolicy")
    if policy is None:
        return True
    scope = subscription.record.attributes.get("FilterPolicyScope", "MessageAttributes")
    return filters.compile_policy(policy, scope).matches(filters.prepare(publication))
