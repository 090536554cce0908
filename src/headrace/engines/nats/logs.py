"""Logs on NATS: a subject a log in one of a few streams, a message a chunk of records.

A log's definition is a record that every process mirrors. Its records are chunks, each of which says where it stands:
so any process can go on where any other ended, and what was trimmed or has expired is told from the rest by the
definition's floor and the chunks' times, and removed later.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from headrace.clock import Clock
from headrace.engines.nats import frames, log_places
from headrace.engines.nats.jetstream import DUPLICATE_WINDOW_NS, JetStream, Stored
from headrace.engines.nats.log_chunks import Chunk, Reading, chunk, total_through
from headrace.engines.nats.log_state import PARTITIONS, Definition, LogState, stream_of
from headrace.engines.nats.log_sweep import SWEEP_DELAY_MS, LogSweep
from headrace.engines.nats.log_waiting import LogWaiting, sleep
from headrace.engines.nats.log_writing import LogWriter
from headrace.engines.nats.mirror import Space
from headrace.errors import StorageError
from headrace.primitives.logs import Appending, LogMissing, LogSealed, LogSettings, Record, Tip
from headrace.primitives.metadata import Change, Conflict, Entry

STATES_CACHED: Final = 20_000
"""Logs whose state is kept in memory; another's is made when it is used."""
SLICE_CHUNKS: Final = 128
SLICE_BYTES: Final = 2 * 1024 * 1024
"""Fetched at one go, besides the chunk that passes it."""
ATTEMPTS: Final = 50


class NatsLogs:
    """The logs of a cluster engine; see `headrace.primitives.logs.Logs`."""

    def __init__(self, jetstream: JetStream, definitions: Space, clock: Clock) -> None:
        self._jetstream = jetstream
        self._definitions = definitions
        self._clock = clock
        self._states: dict[str, LogState] = {}
        self._streams: set[str] = set()
        self._waiting = LogWaiting(jetstream, clock)
        self._writer = LogWriter(jetstream, clock, still=self._still, written=self._written)
        self._sweep = LogSweep(jetstream, definitions, clock, self._current)
        self._end_watch = definitions.watch("", self._redefined)

    async def start(self) -> None:
        """Begin to remove what is dead."""
        self._sweep.start()

    async def drain(self) -> None:
        """Answer every `wait` with False, and from now on wait for nothing: the process is stopping."""
        self._waiting.drain()

    async def close(self) -> None:
        """Write what was accepted, and stop."""
        await self.drain()
        self._end_watch()
        writers = [state.writer for state in self._states.values() if state.writer is not None]
        await asyncio.gather(*writers, return_exceptions=True)
        await self._sweep.close()

    async def reset(self) -> None:
        """Remove the chunks of all logs; their definitions go with all other records."""
        for partition in range(PARTITIONS):
            name = stream_of(self._jetstream.prefix, partition)
            if await self._jetstream.stream_info(name) is not None:
                await self._jetstream.call(f"STREAM.PURGE.{name}")

    # --- the primitive ---

    async def open(self, log: str, settings: LogSettings) -> None:
        """Make the log, or give an existing one these settings. Idempotent."""
        for _ in range(ATTEMPTS):
            entry = await self._definitions.get(log)
            try:
                if entry is None:
                    return await self._make(log, settings)
                state = self._of(log, entry)
                if state.definition.retention_ms != settings.retention_ms:
                    await self._expired(state)  # what has expired does not come back by a longer retention
                    await self._define(state, retention_ms=settings.retention_ms)
                    self._sweep.expect(state, self._clock.now_ms() + SWEEP_DELAY_MS)
            except Conflict:
                continue
            return None
        raise StorageError(f"The log {log} is changed by others all the time: try again.")

    async def drop(self, log: str) -> None:
        """Remove the log with all it holds; a log opened under the name again starts empty."""
        entry = await self._definitions.get(log)
        if entry is None:
            return
        state = self._of(log, entry)
        await self._definitions.delete(log)
        await self._jetstream.call(f"STREAM.PURGE.{state.stream}", {"filter": state.subject})

    async def append(self, log: str, records: Sequence[Appending]) -> list[int]:
        """Append the records, all or none, next to each other; their sequences. Raises LogMissing, LogSealed."""
        state = await self._state(log)
        if not records:
            return []
        first = await self._writer.append(state, list(records))
        return list(range(first, first + len(records)))

    async def append_each(self, batches: Sequence[tuple[str, Sequence[Appending]]]) -> list[list[int] | Exception]:
        """Append to several logs at once, to each as `append` does; what that gave or raised for each, in order."""
        appending = [self.append(log, records) for log, records in batches]
        outcomes: list[list[int] | Exception] = []
        for outcome in await asyncio.gather(*appending, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, LogMissing | LogSealed | StorageError):
                raise outcome
            outcomes.append(outcome)
        return outcomes

    async def read(self, log: str, after: int, *, max_records: int, max_bytes: int) -> list[Record]:
        """The records after sequence `after`, oldest first, up to both limits.

        `max_bytes` counts data and keys; the first record is returned even when it is larger alone.
        Expired records are never returned. Raises LogMissing.
        """
        state = await self._state(log)
        reading = Reading(max(state.floor, after), max_records, max_bytes)
        place = None if reading.full else await self._place_after(state, reading.after)
        while place is not None and not reading.full:
            place = await self._read_slice(state, reading, place)
        return reading.records

    async def seek(self, log: str, at_ms: int) -> int:
        """The sequence after which to read to get the first record appended at or after `at_ms`. Raises LogMissing."""
        state = await self._current(log)
        found = await log_places.first_with(self._jetstream, state, _appended_at_ms, at_ms)
        if found is None:
            return state.last
        state.remember(found.first - 1, found.place)
        return max(found.first - 1, state.floor)

    async def tip(self, log: str) -> Tip:
        """Where the log begins and ends now. Raises LogMissing."""
        state = await self._current(log)
        return Tip(
            first=state.floor + 1,
            last=state.last,
            last_appended_at_ms=state.appended_at_ms,
            bytes_kept=state.total_bytes - state.floor_total_bytes,
        )

    async def trim(self, log: str, through: int) -> None:
        """Remove all records up to and including sequence `through`. Raises LogMissing."""
        for _ in range(ATTEMPTS):
            state = await self._current(log)
            through = min(through, state.last)
            if through <= state.floor:
                return
            found = await log_places.first_with(self._jetstream, state, _last, through)
            if found is not None:
                state.raise_floor(through, total_through(found, through))
            try:
                await self._define(state, retention_ms=state.definition.retention_ms)
            except Conflict:
                continue
            self._sweep.expect(state, self._clock.now_ms() + SWEEP_DELAY_MS)
            return
        raise StorageError(f"The log {log} is changed by others all the time: try again.")

    async def wait(self, log: str, after: int, *, wait_ms: int) -> bool:
        """True as soon as there is a record after `after`, False when `wait_ms` have passed. Raises LogMissing."""
        deadline_ms = self._clock.now_ms() + wait_ms
        state = await self._state(log)
        if wait_ms > 0 and not self._waiting.draining:
            await self._waiting.listen(state)
        with self._waiting.waiter(state, deadline_ms) as woken:
            await log_places.newest(self._jetstream, state)
            while True:
                if state.gone:
                    raise LogMissing(log)
                await self._expired(state)
                if state.last > max(after, state.floor):
                    return True
                if self._waiting.draining or self._clock.now_ms() >= deadline_ms:
                    return False
                if not await sleep(woken):
                    await log_places.newest(self._jetstream, state)

    # --- states ---

    async def _state(self, log: str) -> LogState:
        entry = self._definitions.known(log) or await self._definitions.get(log)
        if entry is None:
            raise LogMissing(log)
        return self._of(log, entry)

    async def _current(self, log: str) -> LogState:
        """The state, brought up to the log's end and with its floor as it is now. Raises LogMissing."""
        state = await self._state(log)
        await log_places.newest(self._jetstream, state)
        await self._expired(state)
        return state

    def _of(self, log: str, entry: Entry) -> LogState:
        state = self._states.get(log)
        if state is not None and (state.entry is entry or state.redefine(entry)):
            return state
        if state is not None:
            self._leave(state)
        if len(self._states) >= STATES_CACHED:
            self._states = {name: other for name, other in self._states.items() if not other.idle}
        state = self._states[log] = LogState(self._jetstream, log, entry)
        return state

    def _redefined(self, change: Change) -> None:
        """Whenever a definition changes, here or in another process."""
        state = self._states.get(change.key)
        if state is not None:
            if change.entry is None or not state.redefine(change.entry):
                self._states.pop(change.key)
                self._leave(state)
            else:
                self._waiting.wake(state.news)
        self._sweep.redefined(change)

    def _leave(self, state: LogState) -> None:
        state.gone = True
        self._waiting.forget(state)

    async def _still(self, state: LogState) -> bool:
        """Whether the log is the one it was."""
        entry = await self._definitions.get(state.name)
        return entry is not None and not state.gone and self._of(state.name, entry) is state

    def _written(self, state: LogState) -> None:
        self._waiting.wake(state.news)
        if state.definition.retention_ms is not None:
            self._sweep.expect(state, (state.appended_at_ms or 0) + state.definition.retention_ms)

    async def _make(self, log: str, settings: LogSettings) -> None:
        definition = Definition(secrets.token_hex(6), settings.retention_ms)
        encoded = msgspec.msgpack.encode(definition)
        state = LogState(self._jetstream, log, Entry(key=log, value=encoded, revision=0))
        await self.ensure_stream(state)
        await self._definitions.put(log, encoded, expected=0)

    async def ensure_stream(self, state: LogState) -> None:
        """Make the stream that a log is in, when it is not there."""
        if state.stream not in self._streams:
            await self._jetstream.ensure_stream(
                state.stream,
                {
                    "subjects": [f"{state.subject.rpartition('.')[0].rpartition('.')[0]}.>"],
                    "allow_atomic": True,
                    "duplicate_window": DUPLICATE_WINDOW_NS,
                },
            )
            self._streams.add(state.stream)

    async def _define(self, state: LogState, *, retention_ms: int | None) -> None:
        """Store the definition, with the floor as it is known now. Raises Conflict."""
        definition = Definition(state.definition.incarnation, retention_ms, state.floor, state.floor_total_bytes)
        await self._definitions.put(state.name, msgspec.msgpack.encode(definition), expected=state.entry.revision)

    # --- reading ---

    async def _expired(self, state: LogState) -> None:
        """Raise the floor over what the retention has ended for. Costs nothing while nothing can have expired."""
        retention_ms = state.definition.retention_ms
        if retention_ms is None:
            return
        if not state.seen:
            await log_places.newest(self._jetstream, state)
        now_ms = self._clock.now_ms()
        if state.floor == state.last or state.oldest_ms + retention_ms > now_ms:
            return
        last, total_bytes = state.last, state.total_bytes
        least_ms = now_ms - retention_ms + 1
        found = await log_places.first_with(self._jetstream, state, _appended_at_ms, least_ms)
        if found is None:
            state.raise_floor(last, total_bytes)
            state.oldest_ms = least_ms
        else:
            state.raise_floor(found.first - 1, found.total_before)
            state.oldest_ms = found.appended_at_ms

    async def _place_after(self, state: LogState, after: int) -> int | None:
        """Where in the stream to begin to read; None when there is nothing."""
        place = state.cursor(after)
        if place is None:
            await log_places.newest(self._jetstream, state)
            if after >= state.last:
                return None
            found = await log_places.first_with(self._jetstream, state, _last, after + 1)
            place = None if found is None else found.place
        return place

    async def _read_slice(self, state: LogState, reading: Reading, place: int) -> int | None:
        """Take the next chunks into the reading; where to go on, None when there is no more."""
        chunks, more = await self._fetch(state, place, min(SLICE_BYTES, reading.bytes_left))
        retention_ms = state.definition.retention_ms
        expired_ms = -1 if retention_ms is None else self._clock.now_ms() - retention_ms
        for one in chunks:
            if reading.full:
                break
            if one.appended_at_ms <= expired_ms:
                reading.after = max(reading.after, one.last)
            elif one.last > reading.after:
                reading.add(one)
            place = one.place + (one.last <= reading.after)
        state.remember(reading.after, place)
        if more or reading.full:
            return place
        if chunks:
            state.saw(chunks[-1])
        return None

    async def _fetch(self, state: LogState, place: int, max_bytes: int) -> tuple[list[Chunk], bool]:
        """The chunks from a place on, and whether there are more behind them."""
        for _ in range(log_places.BEHIND_ATTEMPTS):
            found = await self._jetstream.get_many(
                state.stream, state.subject, sequence=place, max_messages=SLICE_CHUNKS, max_bytes=max(1, max_bytes)
            )
            if (found and found[-1].sequence >= state.place) or _pending(found) or place > state.place or state.gone:
                break
            await asyncio.sleep(log_places.BEHIND_S)
        return [chunk(one) for one in found], _pending(found)


def _pending(found: Sequence[Stored]) -> bool:
    """Whether there is more of the subject than was fetched."""
    return bool(found) and frames.header(found[-1].headers, b"Nats-Num-Pending") not in (None, b"0")


def _appended_at_ms(chunk: Chunk) -> int:
    return chunk.appended_at_ms


def _last(chunk: Chunk) -> int:
    return chunk.last
