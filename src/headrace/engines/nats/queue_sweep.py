"""Keeping journals short: what is dead is removed, what keeps much that is dead from being removed is written again.

A journal is removed from its beginning only. Its first chunk that still has a live message, or a memory that has not
run out, holds all that is behind it; so once more than half of a journal is dead, the live messages of its older chunks
are written again at its end, as they are then. Its last chunk is always kept: it says where the journal ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog

from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.queue_chunks import Chunk
from headrace.engines.nats.queue_keeping import KeptQueue, Overtaken
from headrace.engines.nats.queue_places import PARTITIONS, stream_of
from headrace.engines.nats.queue_room import messages_allowed
from headrace.engines.nats.queue_state import Entry
from headrace.errors import StorageError
from headrace.primitives.queues import QueueMissing

if TYPE_CHECKING:
    from headrace.engines.nats.queues import NatsQueues

log = structlog.get_logger()

PERIOD_S: Final = 2.0
"""How often the queues kept here are looked at."""
ADOPT_PERIODS: Final = 5
"""Every so many periods a queue is taken up that nobody keeps, so that what expires in it is removed too."""
REMOVE_BYTES: Final = 1024 * 1024
REMOVE_CHUNKS: Final = 500
"""Dead chunks are removed once there are so many, or none came since the last look."""
SLACK_BYTES: Final = 8 * 1024 * 1024
"""Dead chunks between live ones that are left where they are, and as many more as there is live."""
CARRIED: Final = 200
CARRIED_BYTES: Final = 256 * 1024
"""Messages, and bytes of chunks they are read from, written again in one go, besides the chunk that passes it."""
WALKED: Final = 5_000
"""Messages looked at before the event loop turns."""


class QueueSweep:
    """The background work on the queues that this process keeps."""

    def __init__(self, queues: NatsQueues, jetstream: JetStream) -> None:
        self._queues = queues
        self._jetstream = jetstream
        self._task: asyncio.Task[None] | None = None
        self._adopted = ""
        self._allowed = messages_allowed()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop, wherever it is: all of it can be taken up again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        # On the machine's time: under a virtual clock that leaps, nothing need happen for each period leapt over.
        period = 0
        while True:
            await asyncio.sleep(PERIOD_S)
            period += 1
            self.count()
            for kept in self._queues.kept():
                await self._tend(kept)
            if period % ADOPT_PERIODS == 0:
                await self._adopt()
            if period == ADOPT_PERIODS:
                await self._remove_orphans()

    def count(self) -> None:
        """See whether this process may take more messages in."""
        known = sum(kept.state.total for kept in self._queues.kept())
        crowded = known >= self._allowed
        if crowded and not self._queues.crowded:
            log.warning("nats_queues_crowded", messages=known, allowed=self._allowed)
        self._queues.crowded = crowded

    async def _tend(self, kept: KeptQueue) -> None:
        try:
            await self.expire(kept)
            await self.trim(kept, patient=True)
            await self.carry(kept)
        except Overtaken:
            return
        except StorageError as cause:
            log.warning("nats_sweep_failed", queue=kept.name, cause=str(cause))
        except Exception:
            log.exception("nats_sweep_failed", queue=kept.name)

    async def expire(self, kept: KeptQueue) -> None:
        """Remove messages older than the retention, also of a queue that nobody asks for anything."""
        if kept.state.next_expiry_ms() <= self._queues.clock.now_ms():
            kept.begin()
            await kept.settled()

    async def trim(self, kept: KeptQueue, *, patient: bool = False) -> None:
        """Remove the dead chunks at the journal's beginning; `patient`: unless more are about to die."""
        dead, size = _dead_prefix(kept)
        busy = kept.bytes_kept != kept.bytes_looked_at
        kept.bytes_looked_at = kept.bytes_kept
        if not dead or (patient and busy and size < REMOVE_BYTES and dead < REMOVE_CHUNKS):
            return
        first = kept.chunks[dead].place
        await kept.settled()  # else it may be dead for this process alone, which may have been overtaken
        await self._jetstream.call(f"STREAM.PURGE.{kept.stream}", {"filter": kept.subject, "seq": first})
        for _ in range(dead):
            kept.bytes_kept -= kept.chunks.popleft().size

    async def carry(self, kept: KeptQueue) -> None:
        """Write the live messages of older chunks again, when too much of the journal is dead behind them."""
        if kept.bytes_kept < kept.bytes_carried_at:
            return
        live = sum(_live_bytes(kept, chunk) for chunk in kept.chunks)
        dead = kept.bytes_kept - live
        kept.bytes_carried_at = kept.bytes_kept + SLACK_BYTES
        if dead < live + SLACK_BYTES:
            return
        through = _place_behind(kept, dead * 3 // 4)
        for start in range(0, len(sequences := list(kept.state.entries)), WALKED):
            old = [
                entry
                for sequence in sequences[start : start + WALKED]
                if (entry := kept.state.entries.get(sequence)) is not None and 0 < entry.chunk.place <= through
            ]
            for first in range(0, len(old), CARRIED):
                await _carry(kept, old[first : first + CARRIED])
            await asyncio.sleep(0)
        await self.trim(kept)
        kept.bytes_carried_at = 2 * kept.bytes_kept + SLACK_BYTES

    async def _adopt(self) -> None:
        """Take up the next queue that nobody keeps, if there is one."""
        with contextlib.suppress(Overtaken, StorageError, QueueMissing):
            name = self._queues.unkept(self._adopted)
            self._adopted = name or ""
            if name is not None:
                await self._queues.depth(name)

    async def _remove_orphans(self) -> None:
        """Remove what is left of queues that were dropped by a process that died over it."""
        with contextlib.suppress(StorageError):
            for partition in range(PARTITIONS):
                stream = stream_of(self._jetstream.prefix, partition)
                if await self._jetstream.stream_info(stream) is None:
                    continue
                subjects = await self._jetstream.subjects(stream)
                numbers = await self._queues.numbers()  # asked after: a queue is defined before it is written
                for subject in subjects:
                    if int(subject.rsplit(".", 1)[1], 16) not in numbers:
                        await self._jetstream.call(f"STREAM.PURGE.{stream}", {"filter": subject})


def _dead_prefix(kept: KeptQueue) -> tuple[int, int]:
    """How many chunks at the journal's beginning hold nothing that is needed, and their size."""
    size, now_ms = 0, kept.state.now_ms
    for number, chunk in enumerate(kept.chunks):
        if chunk.live or chunk.keep_until_ms > now_ms or number == len(kept.chunks) - 1:
            return number, size
        size += chunk.size
    return 0, 0


def _live_bytes(kept: KeptQueue, chunk: Chunk) -> int:
    if chunk.keep_until_ms > kept.state.now_ms:
        return chunk.size
    return chunk.size * chunk.live // chunk.count if chunk.live else 0


def _place_behind(kept: KeptQueue, dead: int) -> int:
    """The place of the chunk up to which so many bytes are dead, or the last before one that is needed itself."""
    place = 0
    for chunk in kept.chunks:
        if chunk.keep_until_ms > kept.state.now_ms or dead <= 0:
            break
        place = chunk.place
        dead -= chunk.size - _live_bytes(kept, chunk)
    return place


async def _carry(kept: KeptQueue, entries: list[Entry]) -> None:
    """Write the entries' messages again, those that still exist by then."""
    while entries:
        size = 0
        some: list[Entry] = []
        for entry in entries:
            if some and size + entry.chunk.size > CARRIED_BYTES and entry.chunk is not some[-1].chunk:
                break
            size += 0 if some and entry.chunk is some[-1].chunk else entry.chunk.size
            some.append(entry)
        entries = entries[len(some) :]
        places = [(entry, entry.chunk, entry.index) for entry in some]
        await kept.bodies_of([entry.chunk for entry in some])
        state = kept.begin()
        messages, bodies = [], []
        for entry, chunk, index in places:
            body = kept.body(chunk, index)
            if entry.message.sequence in state.entries and entry.chunk is chunk and body is not None:
                messages.append(entry.message)
                bodies.append(body)
        if messages:
            state.bring(messages, bodies)
        await kept.settled()
