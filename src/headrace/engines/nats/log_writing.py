"""Appending: what comes in one turn of the event loop, or while a write is under way, is written together.

One write a log is under way in a process. Every write expects the log to end where it was last seen to; the server
refuses it when another process was quicker, and it is made again behind what that wrote. So sequences have no gaps,
whoever writes.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable
from typing import Final

from headrace.clock import Clock
from headrace.engines.nats.faults import ApiError, Unavailable
from headrace.engines.nats.jetstream import EXPECTED, WRONG_LAST_SEQUENCE, Ack, JetStream, Outbound
from headrace.engines.nats.log_chunks import Packed, pack, payload
from headrace.engines.nats.log_places import newest_for_sure
from headrace.engines.nats.log_state import Appended, LogState
from headrace.errors import StorageError
from headrace.primitives.logs import SEAL, Appending, LogMissing, LogSealed

MAX_TAKEN_BYTES: Final = 8 * 1024 * 1024
"""Keys and data written together at most, besides the append that passes it."""
MAX_TAKEN: Final = 5_000
"""Appends written together at most."""
MAX_QUEUED: Final = 20_000
"""Appends that wait for a log at once; more are refused, to be made again later."""
CONTEST_S: Final = 0.002
MAX_CONTEST_S: Final = 0.05
"""A writer that others overtook pauses for up to this, a little longer each time."""
MAX_CHUNKS: Final = 1_000
"""Chunks that can be written together."""

NEWS: Final = struct.Struct(">QQQQ?")
"""Place, last sequence, total bytes and time of a log's new end, and whether it is a seal: what others are told."""


class LogWriter:
    """Writes to logs. `still` tells a log that is open from one that was dropped; `written` is called after a write."""

    def __init__(
        self,
        jetstream: JetStream,
        clock: Clock,
        *,
        still: Callable[[LogState], Awaitable[bool]],
        written: Callable[[LogState], None],
    ) -> None:
        self._jetstream = jetstream
        self._clock = clock
        self._still = still
        self._written = written

    async def append(self, state: LogState, records: list[Appending]) -> int:
        """Write the records; the first one's sequence. Raises LogMissing, LogSealed, StorageError."""
        if len(state.queue) >= MAX_QUEUED:
            raise StorageError("Too many appends wait for this log: try again.")
        appended = Appended(records, asyncio.get_running_loop().create_future())
        state.queue.append(appended)
        if state.writer is None:
            state.writer = asyncio.create_task(self._write_all(state))
        return await appended.first  # who leaves takes nothing along: the records are written all the same

    async def _write_all(self, state: LogState) -> None:
        await asyncio.sleep(0)  # so that all of this turn's appends are taken together
        try:
            while state.queue:
                taken = _take(state)
                try:
                    await self._write(state, taken)
                except (StorageError, LogMissing, LogSealed) as cause:
                    _fail(taken, cause)
                except BaseException:
                    _fail(taken, Unavailable("The process is stopping."))
                    raise
        finally:
            state.writer = None

    async def _write(self, state: LogState, taken: list[Appended]) -> None:
        packed = pack([record for appended in taken for record in appended.records])
        if len(packed) > MAX_CHUNKS:
            raise StorageError(f"An append of {len(packed)} chunks is too large for NATS.")
        attempt = 0
        while True:
            if state.gone or (attempt and not await self._still(state)):
                raise LogMissing(state.name)
            if not state.seen:
                await newest_for_sure(self._jetstream, state)
            if state.sealed:
                raise LogSealed(state.last)
            first = state.last + 1
            try:
                await self._publish(state, packed, sealed=_seals(taken[-1]))
                break
            except ApiError as refused:
                if refused.error not in WRONG_LAST_SEQUENCE:
                    raise
            attempt += 1
            await asyncio.sleep(random.uniform(0, min(MAX_CONTEST_S, attempt * CONTEST_S)))  # noqa: S311 - no secret
            await newest_for_sure(self._jetstream, state)
        for appended in taken:
            if not appended.first.done():
                appended.first.set_result(first)
            first += len(appended.records)
        self._tell(state)

    async def _publish(self, state: LogState, packed: list[Packed], *, sealed: bool) -> Ack:
        """Write the chunks behind the end that was seen. Raises ApiError when that is not the end."""
        at_ms = max(self._clock.now_ms(), state.appended_at_ms or 0)
        first, total = state.last + 1, state.total_bytes
        messages: list[Outbound] = []
        for one in packed:
            body = payload(one, first=first, at_ms=at_ms, total_before=total)
            messages.append(Outbound(state.subject, body, {} if messages else {EXPECTED: state.place}))
            first += one.records
            total += one.size
        try:
            ack = await self._jetstream.publish_once(state.stream, messages)
        except Unavailable:
            state.seen = False  # it may have been written all the same
            raise
        state.advance(ack.sequence, first - 1, total, at_ms, sealed)
        return ack

    def _tell(self, state: LogState) -> None:
        news = NEWS.pack(state.place, state.last, state.total_bytes, state.appended_at_ms or 0, state.sealed)
        self._jetstream.connection.publish_soon(state.news, news)
        self._written(state)


def _take(state: LogState) -> list[Appended]:
    """What is written together next: the longest waiting first, nothing behind a seal."""
    taken: list[Appended] = []
    size = 0
    for appended in state.queue[:MAX_TAKEN]:
        taken.append(appended)
        size += sum(len(record.data) + len(record.key) for record in appended.records)
        if size >= MAX_TAKEN_BYTES or _seals(appended):
            break
    del state.queue[: len(taken)]
    return taken


def _seals(appended: Appended) -> bool:
    return appended.records[-1].key == SEAL and not appended.records[-1].data


def _fail(taken: list[Appended], cause: Exception) -> None:
    for appended in taken:
        if not appended.first.done():
            appended.first.set_exception(cause)
            appended.first.exception()  # whoever asked may have left
