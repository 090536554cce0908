"""Giving everything away that a deployment on NATS holds, for a move to another engine. Nothing of it is changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec

from headrace.clock import Clock
from headrace.engines.nats import receipts
from headrace.engines.nats.engine import NatsEngine
from headrace.engines.nats.log_state import Definition as LogDefinition
from headrace.engines.nats.mirror import SPACES
from headrace.engines.nats.options import Options
from headrace.engines.nats.queue_bodies import Bodies
from headrace.engines.nats.queue_keeping import KeptQueue
from headrace.engines.nats.queue_places import DECODER, definition_key
from headrace.engines.nats.queue_state import Entry as QueueEntry
from headrace.engines.nats.queue_state import QueueState
from headrace.engines.nats.transfer_mark import Mark
from headrace.errors import StorageCorrupt
from headrace.primitives.logs import Record
from headrace.primitives.metadata import Entry
from headrace.primitives.queues import QueueMissing
from headrace.primitives.transfer import (
    SLICE,
    SLICE_BYTES,
    Attempt,
    Deduplicated,
    NotReady,
    StoredLog,
    StoredMessage,
    StoredQueue,
)


class NatsOrigin:
    """See `headrace.primitives.transfer.Origin`. No process may serve the deployment meanwhile."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._engine = NatsEngine(options, clock)
        self._mark = Mark(self._engine.mirror, clock)
        self._clock = clock
        self._bodies = Bodies(self._engine.jetstream)
        self._kept: KeptQueue | None = None

    async def start(self) -> None:
        """See `Origin.start`."""
        await self._engine.connect()
        if await self._mark.hold():
            await self._mark.check()
        if not any([await self._engine.mirror.space(name).list("", max_entries=1) for name in SPACES]):
            prefix = self._engine.connection.options.prefix
            raise NotReady(f"There is no data on these NATS servers, with the prefix {prefix} and for this account.")

    async def close(self) -> None:
        """See `Origin.close`."""
        if self._engine.connection.connected:
            await self._mark.release(finished=False)
        await self._engine.disconnect()

    # --- queues ---

    async def queues(self) -> list[str]:
        """See `Origin.queues`."""
        return [key.removeprefix("d/") async for key in _keys(self._engine, "q", "d/")]

    async def queue(self, name: str) -> StoredQueue:
        """See `Origin.queue`. Its messages are known here without their bodies, as whoever keeps a queue knows them."""
        entry = await self._engine.mirror.space("q").get(definition_key(name))
        if entry is None:
            raise QueueMissing(name)
        definition = DECODER.decode(entry.value)
        self._kept = KeptQueue(name, definition, self._engine.jetstream, self._bodies, self._clock)
        await self._kept.read()
        self._state.advance(self._clock.now_ms())
        return StoredQueue(name, definition.settings, self._state.next_sequence)

    async def messages(self, _queue: StoredQueue) -> AsyncIterator[Sequence[StoredMessage]]:
        """See `Origin.messages`."""
        kept = self._kept
        assert kept is not None
        for entries in _slices(kept.state):
            await kept.bodies_of([entry.chunk for entry in entries])
            yield [_stored(kept, entry) for entry in entries]

    async def deduplicated(self, _queue: StoredQueue) -> AsyncIterator[Sequence[Deduplicated]]:
        """See `Origin.deduplicated`."""
        state = self._state
        for expires_ms, kind, keys in sorted(state.memories):
            if kind == "dedup":
                yield [
                    Deduplicated(key, _first_id(state, key), state.dedups[key], expires_ms)
                    for key in keys
                    if key in state.dedups
                ]

    async def attempts(self, _queue: StoredQueue) -> list[Attempt]:
        """See `Origin.attempts`."""
        return [
            Attempt(each.attempt_id, each.due_ms, each.expires_ms, each.given) for each in self._state.attempts.values()
        ]

    @property
    def _state(self) -> QueueState:
        assert self._kept is not None
        return self._kept.state

    # --- logs ---

    async def logs(self) -> list[str]:
        """See `Origin.logs`."""
        return [key async for key in _keys(self._engine, "g", "")]

    async def log(self, name: str) -> StoredLog:
        """See `Origin.log`."""
        tip = await self._engine.logs.tip(name)
        entry = await self._engine.mirror.space("g").get(name)
        retention_ms = None
        if entry is not None:
            retention_ms = msgspec.msgpack.decode(entry.value, type=LogDefinition).retention_ms
        return StoredLog(name, retention_ms, tip.first - 1, tip.last, tip.last_appended_at_ms)

    async def records(self, log: StoredLog) -> AsyncIterator[Sequence[Record]]:
        """See `Origin.records`."""
        after = log.floor
        while found := await self._engine.logs.read(log.name, after, max_records=SLICE, max_bytes=SLICE_BYTES):
            after = found[-1].sequence
            yield found

    # --- metadata ---

    async def entries(self) -> AsyncIterator[Sequence[Entry]]:
        """See `Origin.entries`."""
        after = ""
        while found := await self._engine.metadata.list("", after=after, max_entries=SLICE):
            after = found[-1].key
            yield found


async def _keys(engine: NatsEngine, space: str, prefix: str) -> AsyncIterator[str]:
    """The keys of the records of a kind."""
    records, after = engine.mirror.space(space), ""
    while page := await records.list(prefix, after=after):
        after = page[-1].key
        for entry in page:
            yield entry.key


def _slices(state: QueueState) -> Iterator[list[QueueEntry]]:
    """A queue's messages in order of their sequences, as many at a time as a slice may have."""
    entries: list[QueueEntry] = []
    size = 0
    for sequence in sorted(state.entries):
        entry = state.entries[sequence]
        known = bool(entries) and entry.chunk is entries[-1].chunk
        if entries and (len(entries) == SLICE or (not known and size + entry.chunk.size > SLICE_BYTES)):
            yield entries
            entries, size, known = [], 0, False
        size += 0 if known else entry.chunk.size
        entries.append(entry)
    if entries:
        yield entries


def _stored(kept: KeptQueue, entry: QueueEntry) -> StoredMessage:
    body, message = kept.body(entry.chunk, entry.index), entry.message
    if body is None:
        raise StorageCorrupt(f"The journal of the queue {kept.name} lacks a message's body. Restore it from a backup.")
    return StoredMessage(
        sequence=message.sequence,
        message_id=message.message_id or receipts.message_id(kept.state.number, message.sequence),
        due_ms=message.due_ms,
        sent_ms=message.sent_ms,
        header=body.header,
        body=body.body,
        group=message.group,
        dedup_id=message.dedup_id,
        source=message.source,
        receive_count=message.receive_count,
        first_received_ms=message.first_received_ms,
        arrived_count=message.arrived_count,
    )


def _first_id(state: QueueState, key: str) -> str:
    return state.dedup_ids.get(key) or receipts.message_id(state.number, state.dedups[key])
