"""A queue that this process keeps: its state in memory, and the journal that makes every change of it durable.

Effects of one turn of the event loop, and of what is asked while a chunk is being written, are written together as the
next chunk; whoever asked is answered once that is stored. Every chunk expects the journal to end where this process
last saw it end. The server refuses it when another process has written meanwhile: then that one keeps the queue, and
what this one holds of it in memory is worth nothing. So a process that was paused, or cut off, can do no harm.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from headrace.clock import Clock, Timer
from headrace.engines.nats.faults import ApiError, TooLarge, Unavailable
from headrace.engines.nats.jetstream import EXPECTED, WRONG_LAST_SEQUENCE, JetStream, Outbound
from headrace.engines.nats.queue_bodies import Bodies
from headrace.engines.nats.queue_chunks import Body, Chunk, Claimed, decode, encode, note
from headrace.engines.nats.queue_places import Definition
from headrace.engines.nats.queue_state import NEVER, QueueState
from headrace.errors import StorageError

CHUNK_BYTES: Final = 256 * 1024
"""A chunk with more is written without waiting for more to be added."""
MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
"""Effects of one queue that wait to be written; what is asked beyond that is refused, to be asked again."""
SLICE_CHUNKS: Final = 1_000
SLICE_BYTES: Final = 4 * 1024 * 1024
"""Read at one go when a queue is taken up, besides the chunk that passes it."""
GATHER_TURNS: Final = 4
"""Turns of the event loop that a chunk is kept open for, as long as each brings more."""
BEHIND_S: Final = 0.01
CLAIMS: Final = 20
"""Attempts to write behind a process that still writes, before the queue is given up."""

log = structlog.get_logger()


class Overtaken(Exception):
    """Another process keeps the queue now; nothing that was asked here was done."""


Waiting = list[asyncio.Future[None]]
"""Who waits for a chunk to be written: a future each, so that one who leaves disturbs nobody."""


class Pending:
    """A chunk that is not yet written, and who waits for it."""

    __slots__ = ("chunk", "effects", "now_ms", "waiting")

    def __init__(self, chunk: Chunk, effects: list[msgspec.Raw], now_ms: int, waiting: Waiting) -> None:
        self.chunk = chunk
        self.effects = effects
        self.now_ms = now_ms
        self.waiting = waiting


class KeptQueue:
    """A queue in the hands of this process, until `stale`."""

    def __init__(self, name: str, definition: Definition, jetstream: JetStream, bodies: Bodies, clock: Clock) -> None:
        self.name = name
        self.definition = definition
        self.state = QueueState(name, definition.number, definition.settings)
        self.stream = definition.stream(jetstream.prefix)
        self.subject = definition.subject(jetstream.prefix)
        self.chunks: deque[Chunk] = deque()
        """The journal's chunks that are not known to be removed, oldest first."""
        self.bytes_kept = 0
        """What the chunks take on NATS."""
        self.bytes_looked_at = 0
        """What they took when they were last looked at."""
        self.bytes_carried_at = 0
        """While they take less, no messages are written again to shorten the journal."""
        self.stale = False
        self.waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        """Receives that wait, the longest first."""
        self.alarm: Timer | None = None
        self.alarm_ms = NEVER
        self.given_up: Callable[[KeptQueue], None] = lambda _: None
        """Called when the queue has become stale."""
        self._jetstream = jetstream
        self._bodies = bodies
        self._clock = clock
        self._end = 0
        self._process = ""
        self._closed: deque[Pending] = deque()
        self._pending_bytes = 0
        self._waiting: Waiting = []
        """For the chunk that effects are noted for."""
        self._writing: Pending | None = None
        self._writer: asyncio.Task[None] | None = None
        self._cause: Exception = Overtaken()

    # --- taking up ---

    async def load(self, process: str) -> None:
        """Read the journal, and claim it for this process. Raises Overtaken, StorageError."""
        self._process = process
        for _ in range(CLAIMS):
            await self.read()
            self.state.advance(self._clock.now_ms())
            claim = Pending(Chunk(bodies=[]), [note(Claimed(process))], self.state.now_ms, [])
            try:
                await self._publish(claim)
            except ApiError as refused:
                if refused.error not in WRONG_LAST_SEQUENCE:
                    raise
                continue  # its keeper was still writing
            self.state.chunk = Chunk(bodies=[])
            return
        raise Overtaken

    async def read(self) -> None:
        """Bring the state up to the journal's end."""
        while self._end < await self._last_place():
            found = await self._jetstream.get_many(
                self.stream, self.subject, sequence=self._end + 1, max_messages=SLICE_CHUNKS, max_bytes=SLICE_BYTES
            )
            for stored in found:
                chunk = Chunk(stored.sequence, len(stored.payload))
                self.state.apply(chunk, *decode(stored.payload))
                self._note(chunk)
            if not found:
                await asyncio.sleep(BEHIND_S)  # a replica that is behind was asked, or the queue is being dropped

    async def _last_place(self) -> int:
        newest = await self._jetstream.newest(self.stream, self.subject)
        return newest[0] if newest else 0

    # --- changing ---

    def begin(self) -> QueueState:
        """The state as of now, to ask and change in one go, without awaiting. Raises Overtaken, StorageError."""
        if self.stale:
            raise self._cause
        if self._pending_bytes > MAX_PENDING_BYTES:
            raise StorageError("Too much waits to be written for this queue: try again.")
        self.state.advance(self._clock.now_ms())
        self.state.expire()
        return self.state

    def check_size(self, at_most: int, exactly: Callable[[], int]) -> None:
        """Raise TooLarge when a change cannot be written; its size is told `exactly` only where that may matter."""
        most = self._jetstream.connection.max_payload
        if at_most > most and (size := exactly()) > most:
            raise TooLarge(f"{size} bytes are more than NATS takes: raise max_payload of its servers, which is {most}.")

    def commit(self) -> Waiting | None:
        """Have all that was done so far written: who waits for that, to join them; None when it is durable."""
        if self.state.effects:
            if self._writer is None:
                self._writer = asyncio.create_task(self._write_all())
            waiting = self._waiting
            if self.state.chunk.size >= min(CHUNK_BYTES, self._jetstream.connection.max_payload // 4):
                self._close_chunk()
            return waiting
        last = self._closed[-1] if self._closed else self._writing
        return last.waiting if last is not None else None

    async def settled(self, *, sure: bool = False) -> None:
        """Return when all that was done so far is durable. Raises Overtaken, StorageError.

        `sure`: also when nothing was done, have it told by the journal that no other process keeps the queue by now.
        For answers that say that something is not there: it may have come while this process was paused.
        """
        if self.stale:
            raise self._cause  # what was done since is written by nobody
        if sure and not self.state.effects:
            self.state.effects.append(note(Claimed(self._process)))
        waiting = self.commit()
        if waiting is not None:
            written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting.append(written)
            await written

    def _close_chunk(self) -> None:
        state = self.state
        self._closed.append(Pending(state.chunk, state.effects, state.now_ms, self._waiting))
        self._pending_bytes += state.chunk.size
        state.chunk, state.effects, self._waiting = Chunk(bodies=[]), [], []

    async def _write_all(self) -> None:
        try:
            while True:
                await self._gather()
                if self.stale:
                    break  # whoever waited for what is not yet being written has been told to look again
                if not self._closed:
                    if not self.state.effects:
                        break
                    self._close_chunk()
                self._writing = self._closed.popleft()
                self._pending_bytes -= self._writing.chunk.size
                await self._publish(self._writing)
                for written in self._writing.waiting:
                    if not written.done():
                        written.set_result(None)
                self._writing = None
        except ApiError as refused:
            self._not_written(Overtaken() if refused.error in WRONG_LAST_SEQUENCE else refused)
        except StorageError as cause:
            self._not_written(cause)
        except BaseException:
            self._not_written(Unavailable("The process is stopping."))
            raise
        finally:
            self._writer = None

    async def _gather(self) -> None:
        """Return when what is asked at about the same time is together: a busy loop takes requests in turn by turn."""
        effects, seen = self.state.effects, -1
        for _ in range(GATHER_TURNS):
            if self._closed or len(effects) == seen:
                return
            seen = len(effects)
            await asyncio.sleep(0)

    async def _publish(self, pending: Pending) -> None:
        """Write a chunk behind the last. Raises ApiError when that is not the journal's end."""
        chunk = pending.chunk
        payload = encode(pending.now_ms, self.state.next_sequence, pending.effects, chunk.bodies or [])
        ack = await self._jetstream.publish_once(self.stream, [Outbound(self.subject, payload, {EXPECTED: self._end})])
        chunk.place, chunk.size = ack.sequence, len(payload)
        self._note(chunk)
        self._bodies.keep(chunk)

    def _note(self, chunk: Chunk) -> None:
        self._end = chunk.place
        self.chunks.append(chunk)
        self.bytes_kept += chunk.size

    # --- ending ---

    def _not_written(self, cause: Exception) -> None:
        """The chunk that was being written was not, or perhaps was not."""
        writing, self._writing = self._writing, None
        for written in writing.waiting if writing is not None else ():
            _refuse(written, cause)
        self.fail(cause)

    def fail(self, cause: Exception) -> None:
        """Give the queue up: whoever waits for it gets the cause, or looks again.

        But what is being written just now is answered as its writing ends: when it is stored whoever keeps the queue
        next knows of it, and to ask for it once more would be to do it twice.
        """
        if self.stale:
            return
        self.stale = True
        self.given_up(self)
        self._cause = cause if isinstance(cause, Overtaken) else Overtaken()
        for written in itertools.chain(self._waiting, *(pending.waiting for pending in self._closed)):
            _refuse(written, cause)
        if self.alarm is not None:
            self.alarm.cancel()
        while self.waiters:
            woken, _ = self.waiters.popitem(last=False)
            if not woken.done():
                woken.set_result(None)

    async def close(self) -> None:
        """Write what was accepted, and give the queue up."""
        if self.state.effects and not self.stale:
            self.commit()
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)
        self.fail(Overtaken())

    # --- bodies ---

    def body(self, chunk: Chunk, index: int) -> Body | None:
        """A message's texts when they are in memory."""
        return chunk.bodies[index] if chunk.bodies is not None else None

    async def bodies_of(self, chunks: list[Chunk]) -> None:
        """Have the bodies of these chunks in memory. Raises StorageError."""
        await self._bodies.fetch(self.stream, chunks)


def _refuse(written: asyncio.Future[None], cause: Exception) -> None:
    if not written.done():
        written.set_exception(cause)
