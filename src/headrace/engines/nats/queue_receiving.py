"""Receiving: what is handed out, to whom, and what is taken back when nobody is there to take it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from headrace.engines.nats import fifo, queue_moving, receipts, standard
from headrace.engines.nats.queue_chunks import Chunk, Returned
from headrace.engines.nats.queue_keeping import KeptQueue, Overtaken
from headrace.engines.nats.queue_requests import Request
from headrace.engines.nats.queue_state import Entry, QueueState
from headrace.errors import StorageError
from headrace.primitives.queues import OverInFlight, QueueMissing, Received

if TYPE_CHECKING:
    from headrace.engines.nats.queue_host import QueueHost


class Handing:
    """Messages on their way to whoever asked: as they are handed out, and where their bodies are."""

    def __init__(self, state: QueueState, given: list[tuple[Entry, int]]) -> None:
        self.messages = [_received(state, entry, received_ms) for entry, received_ms in given]
        self.places = [(entry.chunk, entry.index) for entry, _ in given]
        self.bodies = [
            entry.chunk.bodies[entry.index] if entry.chunk.bodies is not None else None for entry, _ in given
        ]
        self.counts = [(entry.message.sequence, entry.message.receive_count) for entry, _ in given]

    async def fill(self, kept: KeptQueue) -> list[Received]:
        """The messages with their bodies; those that were deleted meanwhile are left out. Raises StorageError."""
        missing = [chunk for (chunk, _), body in zip(self.places, self.bodies, strict=True) if body is None]
        if missing:
            await kept.bodies_of(missing)
        filled = []
        for message, (chunk, index), body in zip(self.messages, self.places, self.bodies, strict=True):
            found = body or await _body(kept, chunk, index)
            if found is not None:
                message.header, message.body = found.header, found.body
                filled.append(message)
        return filled


async def _body(kept: KeptQueue, chunk: Chunk, index: int) -> Any:
    """A body that was in memory a moment ago, if it is there at all."""
    if chunk.bodies is None:
        await kept.bodies_of([chunk])
    return kept.body(chunk, index)


def _received(state: QueueState, entry: Entry, received_ms: int) -> Received:
    message = entry.message
    return Received(
        message.message_id or receipts.message_id(state.number, message.sequence),
        receipts.encode(state.number, message.sequence, message.receive_count, received_ms),
        "",
        b"",
        message.sent_ms,
        message.first_received_ms,
        message.receive_count,
        message.sequence,
        message.group,
        message.dedup_id,
        message.source,
    )


class ReceiveRequest(Request):
    """See `Queues.receive`."""

    max_messages: int
    visibility_timeout_ms: int | None
    deadline_ms: int
    patient: bool
    attempt_id: str | None
    answers: ClassVar[Any] = list[Received]

    def wait_ms(self, now_ms: int, /) -> int:
        """How long it may wait for messages."""
        return max(0, self.deadline_ms - now_ms)

    def leaving(self, now_ms: int, /) -> Self:
        """With the wait in place of its end."""
        return msgspec.structs.replace(self, deadline_ms=self.deadline_ms - now_ms)

    def arrived(self, now_ms: int, /) -> Self:
        """With the wait's end by the clock here."""
        return msgspec.structs.replace(self, deadline_ms=self.deadline_ms + now_ms)

    async def run(self, kept: KeptQueue, host: QueueHost, /) -> list[Received]:
        """Hand out what there is, or wait for it until the deadline."""
        while True:
            state = kept.begin()
            hide_ms = self.visibility_timeout_ms
            if hide_ms is None:
                hide_ms = state.settings.visibility_timeout_ms
            if self.attempt_id and state.fifo and (again := fifo.retry(state, self.attempt_id, hide_ms)):
                return await self._give(kept, host, Handing(state, again), undo=False)
            received, moved = await self._take(kept, host, hide_ms)
            if received or host.clock.now_ms() >= self.deadline_ms or host.draining:
                if received and kept.waiters:
                    host.waiting.wake_available(kept)
                if received or not moved:
                    return received
            elif not moved:
                await host.waiting.wait(kept, self.deadline_ms)

    async def _take(self, kept: KeptQueue, host: QueueHost, hide_ms: int) -> tuple[list[Received], int]:
        """Hand out what there is now; and how many messages were dead-lettered on the way."""
        state = kept.state
        dead = await _dead_letter_queue(state, host)
        state = kept.begin()
        max_messages = min(self.max_messages, self._room(state))
        if not max_messages or state.now_ms < state.available_ms():
            await kept.settled()
            return [], 0
        take = fifo.take if state.fifo else standard.take
        handed = take(state, max_messages, hide_ms, state.settings.max_receive_count if dead else 0)
        if self.attempt_id and state.fifo and handed.chosen:
            fifo.keep_attempt(state, self.attempt_id, handed.chosen, handed.received_ms, state.now_ms + hide_ms)
        handing = Handing(state, [(entry, handed.received_ms) for entry in handed.chosen])
        if handed.spent and dead is not None:
            burial = asyncio.ensure_future(queue_moving.bury(kept, host, handed.spent, dead))
            host.mind(burial)
            if handing.messages:
                await asyncio.wait([burial])
            else:
                await asyncio.shield(burial)
        return await self._give(kept, host, handing, undo=True), len(handed.spent)

    def _room(self, state: QueueState) -> int:
        """How many more messages may be in flight. Raises OverInFlight.

        AWS: about 120,000 messages may be in flight. Then ReceiveMessage fails with OverLimit on a standard queue,
        unless it is a long poll; a long poll, and any receive of a FIFO queue, finds nothing.
        """
        room = state.room()
        if not room and not state.fifo and not self.patient:
            raise OverInFlight
        return room

    async def _give(self, kept: KeptQueue, host: QueueHost, handing: Handing, *, undo: bool) -> list[Received]:
        """The messages, once it is durable that they were handed out."""
        try:
            await kept.settled()
            return await handing.fill(kept)
        except (asyncio.CancelledError, StorageError):
            if undo and handing.messages:
                host.mind(asyncio.ensure_future(put_back(kept, host, handing.counts)))
            raise


async def _dead_letter_queue(state: QueueState, host: QueueHost) -> str | None:
    settings = state.settings
    if not settings.max_receive_count or settings.dead_letter_queue is None:
        return None
    try:
        await host.require(settings.dead_letter_queue)
    except QueueMissing:
        return None  # AWS: without its dead-letter queue a queue hands such messages out on and on
    return settings.dead_letter_queue


async def put_back(kept: KeptQueue, host: QueueHost, counts: list[tuple[int, int]]) -> None:
    """Make visible again what was handed out to someone who is gone, unless it was received again since."""
    with contextlib.suppress(Overtaken, StorageError):
        state = kept.begin()
        undone = []
        for sequence, receive_count in counts:
            entry = state.entries.get(sequence)
            if entry is not None and entry.hidden and entry.message.receive_count == receive_count:
                undone.append(sequence)
        if undone:
            state.do(Returned(state.now_ms, undone))
            await kept.settled()
        host.waiting.wake_available(kept)


class ReturnRequest(Request):
    """Messages that were handed out, by receipt, to someone in another process who is gone."""

    receipts: list[str]

    async def run(self, kept: KeptQueue, host: QueueHost, /) -> None:
        """Put them back."""
        claims = [receipts.decode(text, kept.state.number) for text in self.receipts]
        await put_back(kept, host, [(claim.sequence, claim.receive_count) for claim in claims if claim is not None])
