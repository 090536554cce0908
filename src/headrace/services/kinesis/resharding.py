"""SplitShard, MergeShards and UpdateShardCount.

Each notes what is to be done and has the stream UPDATING; it is carried out when that ends (see `transitions`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from headrace.context import Context
from headrace.services.kinesis import accounts, limits, rules, topology
from headrace.services.kinesis.records import Plan, ShardRecord, Status, StreamRecord
from headrace.services.kinesis.state import State, Stream


async def split_shard(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Split `ShardToSplit` in two: the second begins at `NewStartingHashKey`. For streams in provisioned mode.

    Raises ResourceNotFoundException, ResourceInUseException unless the stream is ACTIVE, InvalidArgumentException for
    a hash key or a shard that cannot be, ValidationException in on-demand mode, LimitExceededException.
    """
    state: State = ctx.state
    stream = await state.find(ctx, params)
    at: int = int(params["NewStartingHashKey"])
    await accounts.check_account(ctx, shards=1)
    await state.learn(stream, params["ShardToSplit"])

    def plan(old: StreamRecord) -> Plan:
        shard = _open_shard(stream, old, params["ShardToSplit"])
        first, last = int.from_bytes(shard.first_hash), int.from_bytes(shard.last_hash)
        if not first + 1 < at < last:
            raise rules.invalid_argument(
                f"NewStartingHashKey {at} used in SplitShard() on shard {params['ShardToSplit']} in stream "
                f"{stream.name} under account {stream.account} is not both greater than one plus the shard's "
                f"StartingHashKey {first} and less than the shard's EndingHashKey {last}."
            )
        return Plan([(shard.number, rules.hash_bytes(at))])

    await _reshard(ctx, stream, plan)
    return {}


async def merge_shards(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Merge `ShardToMerge` and `AdjacentShardToMerge` into one. For streams in provisioned mode.

    Raises ResourceNotFoundException, ResourceInUseException unless the stream is ACTIVE, InvalidArgumentException for
    shards that are not adjacent, ValidationException in on-demand mode.
    """
    state: State = ctx.state
    stream = await state.find(ctx, params)
    await state.learn(stream, params["ShardToMerge"], params["AdjacentShardToMerge"])

    def plan(old: StreamRecord) -> Plan:
        shard = _open_shard(stream, old, params["ShardToMerge"])
        other = _open_shard(stream, old, params["AdjacentShardToMerge"])
        if not topology.adjacent(shard, other):
            raise rules.invalid_argument(
                f"Shards {params['ShardToMerge']} and {params['AdjacentShardToMerge']} in stream {stream.name} under "
                f"account {stream.account} are not an adjacent pair of shards eligible for merging"
            )
        return Plan([(shard.number, other.number)])

    await _reshard(ctx, stream, plan)
    return {}


async def update_shard_count(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Have `TargetShardCount` open shards of equal size: at most twice, at least half of those there are.

    AWS: ten times in 24 hours. Raises ResourceNotFoundException, ResourceInUseException unless the stream is ACTIVE,
    InvalidArgumentException, ValidationException in on-demand mode, LimitExceededException.
    """
    state: State = ctx.state
    stream = await state.find(ctx, params)
    target: int = params["TargetShardCount"]
    current = len(stream.open_shards)
    await accounts.check_account(ctx, shards=max(0, target - current))
    now_ms = ctx.server.clock.now_ms()

    def plan(old: StreamRecord) -> Plan:
        _check_target(len(topology.open_shards(old)), target)
        if len(recent(old.scalings_ms, now_ms)) >= limits.SCALINGS_PER_DAY:
            raise rules.limit_exceeded(
                f"Stream {stream.name} under account {stream.account} was scaled {limits.SCALINGS_PER_DAY} times in "
                "the last 24 hours, which is the limit."
            )
        return topology.uniform_plan(old, target)

    def scaled(old: StreamRecord) -> StreamRecord:
        return msgspec.structs.replace(old, scalings_ms=[*recent(old.scalings_ms, now_ms), now_ms])

    await _reshard(ctx, stream, plan, scaled)
    return {
        "StreamName": stream.name,
        "CurrentShardCount": current,
        "TargetShardCount": target,
        "StreamARN": stream.arn,
    }


def recent(moments_ms: list[int], now_ms: int) -> list[int]:
    """Those of the moments that lie within the last 24 hours."""
    return [moment for moment in moments_ms if moment > now_ms - limits.DAY_MS]


def _check_target(current: int, target: int) -> None:
    if target > limits.SHARDS_PER_STREAM_SCALED:
        raise rules.invalid_argument(
            f"UpdateShardCount scales to {limits.SHARDS_PER_STREAM_SCALED} shards at most, not {target}."
        )
    if target > 2 * current or 2 * target < current:
        wrong = "up over double" if target > current else "down below half"
        raise rules.invalid_argument(
            f"UpdateShardCount cannot scale {wrong} your current open shard count. "
            f"Current open shard count: {current} Target shard count: {target}"
        )


def _open_shard(stream: Stream, record: StreamRecord, shard_id: str) -> ShardRecord:
    """An open shard. Raises ResourceNotFoundException, and InvalidArgumentException for a closed one."""
    number = rules.parse_shard_id(shard_id)
    shard = next((shard for shard in record.shards if shard.number == number), None)
    if shard is None:
        raise rules.not_found(
            f"Could not find shard {shard_id} in stream {stream.name} under account {stream.account}."
        )
    if shard.closed_at_ms:
        raise rules.invalid_argument(
            f"Shard {shard_id} in stream {stream.name} under account {stream.account} is closed; only open shards can "
            "be split or merged."
        )
    return shard


async def _reshard(
    ctx: Context,
    stream: Stream,
    plan: Callable[[StreamRecord], Plan],
    also: Callable[[StreamRecord], StreamRecord] = lambda old: old,
) -> None:
    """Note a plan, and have the stream UPDATING. AWS: a stream in on-demand mode sees to its shards itself."""
    state: State = ctx.state
    now_ms = ctx.server.clock.now_ms()

    def change(old: StreamRecord) -> StreamRecord:
        check_active(stream, old, now_ms)
        if old.on_demand:
            raise rules.validation(
                f"Stream {stream.name} under account {stream.account} is in ON_DEMAND mode; its shards are not to be "
                "split, merged or counted by callers."
            )
        made = plan(old)
        return updating(msgspec.structs.replace(also(old), plan=made if made.steps else None), now_ms)

    await state.revise(stream, change)


def check_active(stream: Stream, record: StreamRecord, now_ms: int) -> None:
    """Raise ResourceInUseException unless the stream is ACTIVE, with nothing that is still to be done."""
    if record.plan is not None or now_ms < record.until_ms:
        status = record.status.value if now_ms < record.until_ms else Status.UPDATING.value
        raise rules.in_use(f"Stream {stream.name} under account {stream.account} not ACTIVE, instead in state {status}")


def updating(record: StreamRecord, now_ms: int) -> StreamRecord:
    """The stream as UPDATING from now on."""
    return msgspec.structs.replace(record, status=Status.UPDATING, until_ms=now_ms + limits.TRANSITION_MS)
