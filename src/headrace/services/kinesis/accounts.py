"""An account's settings and limits."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict
from headrace.services.kinesis import limits, records, rules, topology
from headrace.services.kinesis.records import SettingsRecord, Status


async def describe_account_settings(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - takes none
    """The account's minimum throughput billing commitment in this region."""
    return {"MinimumThroughputBillingCommitment": await commitment(ctx)}


async def update_account_settings(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Enter into, or end, the minimum throughput billing commitment: `MinimumThroughputBillingCommitment` in and out.

    AWS: it lasts for 24 hours at least. One that is ended before ends then, unless it is enabled again until then.
    """
    enable = params["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED"
    metadata = ctx.server.engine.metadata
    key = records.settings_key(ctx.region, ctx.account)
    now_ms = ctx.server.clock.now_ms()
    for _ in range(limits.CONFLICT_RETRIES):
        entry = await metadata.get(key)
        old = records.decode_settings(entry.value) if entry else SettingsRecord()
        new = _changed(old, now_ms, enable=enable)
        try:
            await metadata.put(key, records.encode(new), expected=entry.revision if entry else 0)
        except Conflict:
            continue
        return {"MinimumThroughputBillingCommitment": _described(new, now_ms)}
    raise ServiceError("ServiceUnavailable", "Too many changes to these settings at once; try again.", status=503)


def _changed(old: SettingsRecord, now_ms: int, *, enable: bool) -> SettingsRecord:
    runs = _runs(old, now_ms)
    if enable:
        return (
            msgspec.structs.replace(old, ended_at_ms=0)
            if runs
            else SettingsRecord(committed=True, started_at_ms=now_ms)
        )
    if not runs or old.ended_at_ms:
        return old
    return msgspec.structs.replace(old, ended_at_ms=max(now_ms, old.started_at_ms + limits.COMMITMENT_MS))


def _runs(record: SettingsRecord, now_ms: int) -> bool:
    return record.committed and (not record.ended_at_ms or now_ms < record.ended_at_ms)


def _described(record: SettingsRecord, now_ms: int) -> dict[str, Any]:
    """AWS's MinimumThroughputBillingCommitmentOutput."""
    if not record.committed:
        return {"Status": "DISABLED"}
    described: dict[str, Any] = {"Status": "DISABLED", "StartedAt": record.started_at_ms / 1000}
    if not _runs(record, now_ms):
        return described | {"EndedAt": record.ended_at_ms / 1000}
    described["Status"] = "ENABLED_UNTIL_EARLIEST_ALLOWED_END" if record.ended_at_ms else "ENABLED"
    described["EarliestAllowedEndAt"] = (record.started_at_ms + limits.COMMITMENT_MS) / 1000
    return described


async def commitment(ctx: Context) -> dict[str, Any]:
    """The account's minimum throughput billing commitment; its `Status` is DISABLED when there is none."""
    entry = await ctx.server.engine.metadata.get(records.settings_key(ctx.region, ctx.account))
    record = records.decode_settings(entry.value) if entry else SettingsRecord()
    return _described(record, ctx.server.clock.now_ms())


async def describe_limits(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - takes none
    """How many shards and on-demand streams the account may have in this region, and has."""
    used = await account_usage(ctx)
    return {
        "ShardLimit": limits.SHARDS_PER_ACCOUNT,
        "OpenShardCount": used.shards,
        "OnDemandStreamCount": used.on_demand,
        "OnDemandStreamCountLimit": limits.ON_DEMAND_STREAMS,
    }


class Usage(NamedTuple):
    """What an account has in a region: open shards, on-demand streams, and streams that are CREATING or DELETING."""

    shards: int
    on_demand: int
    changing: int


async def check_account(ctx: Context, *, shards: int = 0, on_demand_streams: int = 0, streams: int = 0) -> None:
    """Raise LimitExceededException unless the account may have so many open shards and on-demand streams more.

    `streams` is how many it is to have made.
    """
    used = await account_usage(ctx)
    if streams and ctx.server.quotas.throughput and used.changing + streams > limits.STREAMS_CHANGING:
        raise rules.limit_exceeded(
            "This request would have exceeded the limit on the number of streams that can simultaneously be in "
            f"CREATING or DELETING. Limit: {limits.STREAMS_CHANGING}"
        )
    if used.shards + shards > limits.SHARDS_PER_ACCOUNT:
        raise rules.limit_exceeded(
            f"This request would exceed the shard limit for the account {ctx.account} in {ctx.region}. "
            f"Current shard count for the account: {used.shards}. Limit: {limits.SHARDS_PER_ACCOUNT}. "
            f"Number of additional shards that would have resulted from this request: {shards}."
        )
    if on_demand_streams and used.on_demand + on_demand_streams > limits.ON_DEMAND_STREAMS:
        raise rules.limit_exceeded(
            f"The account {ctx.account} has {used.on_demand} streams in ON_DEMAND mode already; "
            f"the limit is {limits.ON_DEMAND_STREAMS}."
        )


async def account_usage(ctx: Context) -> Usage:
    """What the account has in the region."""
    shards = on_demand = changing = 0
    now_ms = ctx.server.clock.now_ms()
    prefix, after = records.stream_key(ctx.region, ctx.account, ""), ""
    while entries := await ctx.server.engine.metadata.list(prefix, after=after, max_entries=limits.LIST_PAGE):
        after = entries[-1].key
        for entry in entries:
            record = records.decode_stream(entry.value)
            shards += sum(map(topology.is_open, record.shards))
            on_demand += record.on_demand
            changing += now_ms < record.until_ms and record.status in (Status.CREATING, Status.DELETING)
    return Usage(shards, on_demand, changing)
