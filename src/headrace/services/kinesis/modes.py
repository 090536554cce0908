"""Capacity modes: UpdateStreamMode, and what is set of streams in on-demand mode."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.context import Context
from headrace.services.kinesis import accounts, limits, records, rules, scaling, streams, topology
from headrace.services.kinesis.records import StreamRecord
from headrace.services.kinesis.resharding import check_active, recent
from headrace.services.kinesis.state import State, Stream
from headrace.services.kinesis.stream_settings import update


async def update_stream_mode(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change a stream's capacity mode to `StreamModeDetails`; its shards stay as they are.

    AWS: twice in 24 hours; not to provisioned mode while the stream has queues. Raises InvalidArgumentException,
    LimitExceededException, ResourceInUseException, ResourceNotFoundException, ValidationException.
    """
    state: State = ctx.state
    stream = await state.find(ctx, params)
    on_demand = params["StreamModeDetails"]["StreamMode"] == "ON_DEMAND"
    warm_mib: int = params.get("WarmThroughputMiBps", 0)
    if "WarmThroughputMiBps" in params:
        await streams.check_warm(ctx, warm_mib, on_demand=on_demand)
    if on_demand and not stream.record.on_demand:
        shards = max(0, warm_mib - len(stream.open_shards))
        await accounts.check_account(ctx, shards=shards, on_demand_streams=1)
    queues = records.stream_queue_key(stream.region, stream.account, stream.name, "")
    if not on_demand and await ctx.server.engine.metadata.list(queues, max_entries=1):
        raise rules.in_use(f"Stream {stream.name} under account {stream.account} has queues. Delete them first.")
    now_ms = ctx.server.clock.now_ms()

    def change(old: StreamRecord) -> StreamRecord:
        if old.on_demand == on_demand:
            _check_no_warm(params)
            return old
        changes = recent(old.mode_changes_ms, now_ms)
        if len(changes) >= limits.MODE_CHANGES_PER_DAY:
            raise rules.limit_exceeded(
                f"The mode of stream {stream.name} was changed {limits.MODE_CHANGES_PER_DAY} times in the last 24 "
                "hours, which is the limit."
            )
        shards = len(topology.open_shards(old))
        return msgspec.structs.replace(
            old,
            on_demand=on_demand,
            warm_mib=warm_mib,
            strategy="",
            mode_changes_ms=[*changes, now_ms],
            cool_at_ms=scaling.cool_at_ms(scaling.half_used(shards, now_ms), warm_mib, shards, now_ms),
            plan=_warm_plan(old, warm_mib),
        )

    if on_demand and not stream.record.on_demand:
        key = records.usage_key(stream.region, stream.account, stream.name)
        await ctx.server.engine.metadata.put(key, records.encode(scaling.half_used(len(stream.open_shards), now_ms)))
    await update(ctx, stream, change)
    return {}


def _check_no_warm(params: dict[str, Any]) -> None:
    """AWS: warm throughput is set here only as the mode changes; UpdateStreamWarmThroughput sets it otherwise."""
    if "WarmThroughputMiBps" in params:
        raise rules.validation(
            "WarmThroughputMiBps is for a stream whose mode is being changed to ON_DEMAND; "
            "use UpdateStreamWarmThroughput for one that is in that mode already."
        )


def _warm_plan(record: StreamRecord, warm_mib: int) -> records.Plan | None:
    """The resharding that gives a stream the shards for its warm throughput, if it has too few."""
    if warm_mib <= len(topology.open_shards(record)):
        return None
    return topology.uniform_plan(record, warm_mib)


async def update_stream_warm_throughput(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Have an on-demand stream ready for `WarmThroughputMiBps` at once; less lets excess capacity go with time.

    Raises InvalidArgumentException, LimitExceededException, ResourceInUseException, ResourceNotFoundException,
    ValidationException.
    """
    state: State = ctx.state
    stream = await state.find(ctx, params)
    warm_mib: int = params["WarmThroughputMiBps"]
    now_ms = ctx.server.clock.now_ms()
    await streams.check_warm(ctx, warm_mib, on_demand=stream.record.on_demand)
    await accounts.check_account(ctx, shards=max(0, warm_mib - len(stream.open_shards)))

    def change(old: StreamRecord) -> StreamRecord:
        if not old.on_demand:
            raise rules.validation("Warm throughput is for streams in ON_DEMAND mode only.")
        return msgspec.structs.replace(old, warm_mib=warm_mib, plan=_warm_plan(old, warm_mib), cool_at_ms=now_ms)

    await update(ctx, stream, change)
    return {
        "StreamARN": stream.arn,
        "StreamName": stream.name,
        "WarmThroughput": streams.warm_throughput(ctx, stream),
    }


async def update_stream_record_distribution_strategy(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Set whether an on-demand stream's records go where their partition keys say, or are spread evenly; at once.

    Raises InvalidArgumentException for AUTO in provisioned mode, ResourceInUseException, ResourceNotFoundException.
    """
    state: State = ctx.state
    stream: Stream = await state.find(ctx, params)
    strategy: str = params["RecordDistributionStrategy"]
    now_ms = ctx.server.clock.now_ms()

    def change(old: StreamRecord) -> StreamRecord:
        check_active(stream, old, now_ms)
        if not old.on_demand:
            raise rules.invalid_argument("RecordDistributionStrategy is for streams in ON_DEMAND mode only.")
        return msgspec.structs.replace(old, strategy=strategy)

    await state.revise(stream, change)
    return {}
