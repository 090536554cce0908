"""On-demand mode: capacity follows twice the highest write rate of the last 30 days.

Writes are counted in memory for each shard and, at the end of a window, for the stream in metadata. A stream that
needs more shards splits its hottest ones then. That it needs fewer comes about by time, when a day's rate is 30 days
old: the record says when (`cool_at_ms`), and then its coldest neighbours are merged. Nothing runs for streams that
nobody writes to.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
import structlog

from headrace.clock import Timer
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict
from headrace.services.kinesis import limits, records, topology
from headrace.services.kinesis.records import Plan, Status, StreamRecord, UsageRecord

if TYPE_CHECKING:
    from headrace.services.kinesis.state import State, Stream

log = structlog.get_logger()


# What is needed. Pure.


def wanted_shards(usage: UsageRecord, warm_mib: int, now_ms: int) -> int:
    """How many shards a stream in on-demand mode is to have."""
    today = now_ms // limits.DAY_MS
    needed = max(limits.ON_DEMAND_SHARDS, warm_mib)
    for day, (bytes_per_s, records_per_s) in usage.days.items():
        if day > today - limits.PEAK_DAYS:
            needed = max(
                needed,
                -(-2 * bytes_per_s // limits.SHARD_BYTES_IN_PER_S),
                -(-2 * records_per_s // limits.SHARD_RECORDS_IN_PER_S),
            )
    return needed


def cool_at_ms(usage: UsageRecord, warm_mib: int, shards: int, now_ms: int) -> int:
    """When a stream of that many shards first has more than it is to have; 0 for never."""
    if wanted_shards(usage, warm_mib, now_ms) < shards:
        return now_ms
    for day in sorted(usage.days):
        at_ms = (day + limits.PEAK_DAYS) * limits.DAY_MS
        if wanted_shards(usage, warm_mib, at_ms) < shards:
            return at_ms
    return 0


def counted(usage: UsageRecord, now_ms: int, size_bytes: int, count: int) -> UsageRecord:
    """The usage with what was written in the window that `now_ms` lies in; days that are too old are left out."""
    window, today = now_ms // limits.WINDOW_MS, now_ms // limits.DAY_MS
    if window == usage.window:
        size_bytes, count = size_bytes + usage.window_bytes, count + usage.window_records
    before = usage.days.get(today, (0, 0))
    rate = (size_bytes * 1000 // limits.WINDOW_MS, count * 1000 // limits.WINDOW_MS)
    days = {day: peak for day, peak in usage.days.items() if day > today - limits.PEAK_DAYS}
    days[today] = (max(before[0], rate[0]), max(before[1], rate[1]))
    return UsageRecord(days=days, window=window, window_bytes=size_bytes, window_records=count)


def split_plan(record: StreamRecord, loads: Mapping[int, float], wanted: int) -> Plan:
    """Splits that bring a stream towards `wanted` shards, the most loaded first; each shard once, so at most twice."""
    shards = topology.open_shards(record)
    hottest = sorted(shards, key=lambda shard: loads.get(shard.number, 0.0), reverse=True)
    chosen = [shard for shard in hottest if topology.can_split(shard)][: max(0, wanted - len(shards))]
    return Plan([(shard.number, topology.halves(shard)) for shard in chosen])


def merge_plan(record: StreamRecord, loads: Mapping[int, float], wanted: int) -> Plan:
    """Merges that bring a stream towards `wanted` shards, the least loaded neighbours first; each shard once."""
    shards = topology.open_shards(record)
    pairs = sorted(
        itertools.pairwise(shards),
        key=lambda pair: loads.get(pair[0].number, 0.0) + loads.get(pair[1].number, 0.0),
    )
    taken: set[int] = set()
    steps: list[tuple[int, bytes | int]] = []
    for one, other in pairs:
        if len(shards) - len(steps) > wanted and not taken & {one.number, other.number}:
            taken |= {one.number, other.number}
            steps.append((one.number, other.number))
    return Plan(steps)


def load(size_bytes: int, count: int) -> float:
    """How much of a shard's capacity that much in a window takes."""
    window_s = limits.WINDOW_MS / 1000
    return max(
        size_bytes / window_s / limits.SHARD_BYTES_IN_PER_S,
        count / window_s / limits.SHARD_RECORDS_IN_PER_S,
    )


# Counting and acting


class Scaler:
    """Counts what is written to on-demand streams, and has those that need more shards split."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._written: dict[str, Stream] = {}
        """Streams that were written to in the window that is running, by the key of their record."""
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None

    def note(self, stream: Stream) -> None:
        """Something was written to a stream in on-demand mode."""
        if stream.key not in self._written:
            self._written[stream.key] = stream
            if self._timer is None:
                clock = self._state.server.clock
                end_ms = (clock.now_ms() // limits.WINDOW_MS + 1) * limits.WINDOW_MS
                self._timer = clock.call_at(end_ms, self._ring)

    async def close(self) -> None:
        """Stop counting; what was counted in the window that is running is forgotten."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._written.clear()

    def _ring(self) -> None:
        self._timer = None
        written, self._written = self._written, {}
        before = self._task
        self._task = asyncio.create_task(self._run(list(written.values()), before))

    async def _run(self, written: list[Stream], before: asyncio.Task[None] | None) -> None:
        """The window has ended: count it for each stream, and scale those that need it."""
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        # The window that has just ended is the one before now's.
        at_ms = self._state.server.clock.now_ms() - limits.WINDOW_MS
        for stream in written:
            try:
                await self._count(stream, at_ms)
            except Exception as error:  # noqa: BLE001 - one stream's trouble must not keep the others from scaling
                log.warning("stream is not scaled after an error", stream=stream.name, error=repr(error))

    async def _count(self, stream: Stream, at_ms: int) -> None:
        size_bytes = count = 0
        loads: dict[int, float] = {}
        for shard in stream.open_shards:
            size_bytes += shard.window_bytes
            count += shard.window_records
            loads[shard.number] = load(shard.window_bytes, shard.window_records)
            shard.window_bytes = shard.window_records = 0
        if stream.gone or not stream.record.on_demand:
            return
        usage = await _add_usage(self._state, stream, at_ms, size_bytes, count)
        await scale(self._state, stream, usage, loads)


async def _add_usage(state: State, stream: Stream, at_ms: int, size_bytes: int, count: int) -> UsageRecord:
    """Count a window for the stream; what all processes together have counted."""
    metadata = state.server.engine.metadata
    key = records.usage_key(stream.region, stream.account, stream.name)
    for _ in range(limits.CONFLICT_RETRIES):
        entry = await metadata.get(key)
        usage = records.decode_usage(entry.value) if entry else UsageRecord()
        added = counted(usage, at_ms, size_bytes, count)
        try:
            await metadata.put(key, records.encode(added), expected=entry.revision if entry else 0)
        except Conflict:
            continue
        return added
    raise ServiceError("ServiceUnavailable", "Too many processes count this stream's writes at once.", status=503)


async def scale(state: State, stream: Stream, usage: UsageRecord, loads: Mapping[int, float]) -> None:
    """Give an on-demand stream the shards it is to have, or a step towards them, unless it is being changed."""
    now_ms = state.server.clock.now_ms()

    def change(old: StreamRecord) -> StreamRecord:
        if not old.on_demand or old.status is Status.DELETING or old.plan is not None or now_ms < old.until_ms:
            return old
        shards = len(topology.open_shards(old))
        wanted = wanted_shards(usage, old.warm_mib, now_ms)
        plan = split_plan(old, loads, wanted) if wanted > shards else merge_plan(old, loads, wanted)
        if not plan.steps:
            return msgspec.structs.replace(old, cool_at_ms=cool_at_ms(usage, old.warm_mib, shards, now_ms))
        until_ms = now_ms + limits.TRANSITION_MS
        # Once that is done it is looked at again: one step at most doubles or halves what there is.
        return msgspec.structs.replace(
            old, plan=plan, status=Status.UPDATING, until_ms=until_ms, cool_at_ms=until_ms + 1
        )

    await state.revise(stream, change)


async def cool(state: State, stream: Stream) -> None:
    """The time has come to look whether an on-demand stream has more shards than it is to have."""
    entry = await state.server.engine.metadata.get(records.usage_key(stream.region, stream.account, stream.name))
    usage = records.decode_usage(entry.value) if entry else UsageRecord()
    loads = {shard.number: load(shard.window_bytes, shard.window_records) for shard in stream.open_shards}
    await scale(state, stream, usage, loads)


def half_used(shards: int, now_ms: int) -> UsageRecord:
    """The usage of a stream that comes into on-demand mode with so many shards: as if half of them had been needed.

    AWS: it keeps the shards it has, so that it takes what it took before.
    """
    half = (shards * limits.SHARD_BYTES_IN_PER_S // 2, shards * limits.SHARD_RECORDS_IN_PER_S // 2)
    return UsageRecord(days={now_ms // limits.DAY_MS: half})
