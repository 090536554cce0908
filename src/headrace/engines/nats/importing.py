"""Taking everything in that another engine held: queues as journals, logs as chunks, metadata as records."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import msgspec

from headrace.clock import Clock
from headrace.engines.nats.engine import NatsEngine
from headrace.engines.nats.jetstream import EXPECTED, Outbound
from headrace.engines.nats.log_chunks import Packed, pack, payload
from headrace.engines.nats.log_state import Definition as LogDefinition
from headrace.engines.nats.log_state import LogState
from headrace.engines.nats.options import Options
from headrace.engines.nats.queue_bodies import BEHIND_S
from headrace.engines.nats.queue_chunks import Attempted, Body, Effect, Known, Message, Put, decode, encode, note
from headrace.engines.nats.queue_places import ENCODER, PARTITIONS, Definition, definition_key
from headrace.engines.nats.transfer_mark import Mark
from headrace.primitives.logs import Appending, Record
from headrace.primitives.metadata import Entry, Write
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

CHUNK_BYTES: Final = 256 * 1024
"""Messages' texts in a chunk of a journal, besides the message that passes it."""
BATCH_BYTES: Final = 512 * 1024
"""Metadata written together, besides the record that passes it."""
_NOTHING: Final = Packed(0, 0, msgspec.msgpack.encode([]))


class NatsDestination:
    """See `headrace.primitives.transfer.Destination`. The deployment (its prefix, in its account) has nothing yet."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._engine = NatsEngine(options, clock)
        self._mark = Mark(self._engine.mirror, clock)
        self._clock = clock
        self._finished = False
        self._queue = StoredQueue("", msgspec.UNSET, 0)  # type: ignore[arg-type] # none yet
        self._definition = Definition(0, self._queue.settings)
        self._end = 0
        self._log = StoredLog("", None, 0, 0, None)
        self._state: LogState | None = None

    async def start(self) -> None:
        """See `Destination.start`."""
        await self._engine.connect()
        if await self._mark.hold():
            await self._engine.reset()
        else:
            await self._check_empty()
        await self._mark.begin()

    async def close(self) -> None:
        """See `Destination.close`."""
        if self._engine.connection.connected:
            await self._mark.release(finished=self._finished)
        await self._engine.disconnect()

    async def finish(self) -> None:
        """See `Destination.finish`."""
        self._mark.require()
        self._finished = True

    async def _check_empty(self) -> None:
        for space, what in (("q", "queues"), ("g", "logs"), ("k", "records of metadata")):
            if await self._engine.mirror.space(space).list("", max_entries=1):
                raise NotReady(
                    f"There are {what} already at the destination: choose another --nats-prefix, or remove the streams."
                )

    # --- queues ---

    async def put_queue(self, queue: StoredQueue) -> None:
        """See `Destination.put_queue`."""
        self._queue, self._end = queue, 0
        self._definition = Definition(secrets.randbits(48) or 1, queue.settings)
        await self._engine.queues.ensure_stream(self._definition.number % PARTITIONS)

    async def put_messages(self, messages: Sequence[StoredMessage]) -> None:
        """See `Destination.put_messages`."""
        for some in _chunks(messages):
            bodies = [Body(each.header, each.body) for each in some]
            await self._write([Put(0, [self._message(each) for each in some])], bodies)

    def _message(self, stored: StoredMessage) -> Message:
        return Message(
            stored.sequence,
            stored.due_ms,
            stored.sent_ms,
            stored.group or "" if self._queue.settings.fifo else stored.group,
            stored.dedup_id,
            stored.receive_count,
            stored.first_received_ms,
            stored.arrived_count,
            stored.message_id,
            stored.source,
        )

    async def put_deduplicated(self, keys: Sequence[Deduplicated]) -> None:
        """See `Destination.put_deduplicated`."""
        known = [
            Known(expires_ms, [(each.key, each.sequence, each.message_id) for each in together])
            for expires_ms, together in groupby(keys, lambda each: each.expires_ms)
        ]
        await self._write(known, [])

    async def put_attempts(self, attempts: Sequence[Attempt]) -> None:
        """See `Destination.put_attempts`."""
        noted = [Attempted(each.attempt_id, each.expires_ms, each.due_ms, each.given) for each in attempts]
        for start in range(0, len(noted), SLICE):
            await self._write(noted[start : start + SLICE], [])

    async def end_queue(self) -> int:
        """See `Destination.end_queue`."""
        if not self._end:
            await self._write([], [])  # the journal's last chunk says which sequences were given
        definitions = self._engine.mirror.space("q")
        await definitions.put(definition_key(self._queue.name), ENCODER.encode(self._definition), expected=0)
        return await self._count()

    async def _count(self) -> int:
        """How many messages the queue's journal brings."""
        jetstream, count, place = self._engine.jetstream, 0, 0
        stream, subject = (of(jetstream.prefix) for of in (self._definition.stream, self._definition.subject))
        while place < self._end:
            found = await jetstream.get_many(
                stream, subject, sequence=place + 1, max_messages=SLICE, max_bytes=SLICE_BYTES
            )
            for chunk in found:
                effects = decode(chunk.payload)[2]
                count += sum(len(effect.messages) for effect in effects if isinstance(effect, Put))
            if not found:
                await asyncio.sleep(BEHIND_S)  # a replica that is behind was asked
            else:
                place = found[-1].sequence
        return count

    async def _write(self, effects: Sequence[Effect], bodies: list[Body]) -> None:
        """Add a chunk to the queue's journal."""
        jetstream = self._engine.jetstream
        noted = [note(effect) for effect in effects]
        chunk = encode(self._clock.now_ms(), self._queue.next_sequence, noted, bodies)
        message = Outbound(self._definition.subject(jetstream.prefix), chunk, {EXPECTED: self._end})
        ack = await jetstream.publish_once(self._definition.stream(jetstream.prefix), [message])
        self._end = ack.sequence

    # --- logs ---

    async def put_log(self, log: StoredLog) -> None:
        """See `Destination.put_log`."""
        self._log = log
        definition = LogDefinition(secrets.token_hex(6), log.retention_ms, log.floor)
        entry = Entry(key=log.name, value=msgspec.msgpack.encode(definition), revision=0)
        self._state = LogState(self._engine.jetstream, log.name, entry)
        await self._engine.logs.ensure_stream(self._state)

    async def put_records(self, records: Sequence[Record]) -> None:
        """See `Destination.put_records`."""
        for at_ms, together in groupby(records, lambda record: record.appended_at_ms):
            some = list(together)
            first = some[0].sequence
            for packed in pack([Appending(record.key, record.data) for record in some]):
                await self._append(packed, first, at_ms)
                first += packed.records

    async def _append(self, packed: Packed, first: int, at_ms: int) -> None:
        state = self._state
        assert state is not None
        chunk = payload(packed, first=first, at_ms=at_ms, total_before=state.total_bytes)
        message = Outbound(state.subject, chunk, {EXPECTED: state.place})
        ack = await self._engine.jetstream.publish_once(state.stream, [message])
        state.advance(ack.sequence, first + packed.records - 1, state.total_bytes + packed.size, at_ms, sealed=False)

    async def end_log(self) -> StoredLog:
        """See `Destination.end_log`."""
        log, state = self._log, self._state
        assert state is not None
        definition = state.definition
        if not state.place and log.last:  # a chunk of nothing says where the log ends
            definition = msgspec.structs.replace(definition, floor=log.last)
            await self._append(_NOTHING, log.last + 1, log.last_appended_at_ms or 0)
        definitions = self._engine.mirror.space("g")
        await definitions.put(log.name, msgspec.msgpack.encode(definition), expected=0)
        tip = await self._engine.logs.tip(log.name)
        return StoredLog(log.name, log.retention_ms, tip.first - 1, tip.last, tip.last_appended_at_ms)

    # --- metadata ---

    async def put_entries(self, entries: Sequence[Entry]) -> None:
        """See `Destination.put_entries`."""
        writes: list[Write] = []
        size = 0
        for entry in entries:
            writes.append(Write(key=entry.key, value=entry.value))
            size += len(entry.value)
            if size >= BATCH_BYTES:
                await self._engine.metadata.apply(writes)
                writes, size = [], 0
        if writes:
            await self._engine.metadata.apply(writes)

    async def end_entries(self) -> int:
        """See `Destination.end_entries`."""
        count, after = 0, ""
        while page := await self._engine.metadata.list("", after=after, max_entries=SLICE):
            count, after = count + len(page), page[-1].key
        return count


def _chunks(messages: Sequence[StoredMessage]) -> Iterator[list[StoredMessage]]:
    """Messages as they go into a chunk together."""
    some: list[StoredMessage] = []
    size = 0
    for message in messages:
        some.append(message)
        size += message.size
        if size >= CHUNK_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some
