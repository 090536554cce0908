"""The actions on streams themselves: make, describe, list and delete them."""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec

from headrace.context import Context
from headrace.primitives.metadata import Conflict, Entry, Write
from headrace.services.kinesis import limits, records, rules, tagging, topology
from headrace.services.kinesis.accounts import check_account, commitment
from headrace.services.kinesis.records import Status, StreamRecord, TagsRecord
from headrace.services.kinesis.state import State, Stream, due_writes

_ID_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


async def create_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make a stream: `StreamName`, `ShardCount` or `StreamModeDetails`, and what else it is to be. It is CREATING then.

    Raises ResourceInUseException when there is one of this name, LimitExceededException for more shards or streams than
    an account may have, InvalidArgumentException and ValidationException for what does not go together.
    """
    name: str = params["StreamName"]
    on_demand = params.get("StreamModeDetails", {}).get("StreamMode") == "ON_DEMAND"
    _check_mode(params, on_demand=on_demand)
    warm_mib: int = params.get("WarmThroughputMiBps", 0)
    if "WarmThroughputMiBps" in params:
        await check_warm(ctx, warm_mib, on_demand=on_demand)
    tags: dict[str, str] = params.get("Tags") or {}
    tagging.check_tags(tags)
    count: int = max(limits.ON_DEMAND_SHARDS, warm_mib) if on_demand else params["ShardCount"]
    await check_account(ctx, shards=count, on_demand_streams=int(on_demand), streams=1)
    now_ms = ctx.server.clock.now_ms()
    record = StreamRecord(
        name=name,
        stream_id=new_stream_id(),
        created_at_ms=now_ms,
        status=Status.CREATING,
        until_ms=now_ms + limits.TRANSITION_MS,
        shards=topology.first_shards(count, now_ms),
        next_shard=count,
        on_demand=on_demand,
        max_record_kib=params.get("MaxRecordSizeInKiB", limits.RECORD_KIB[0]),
        warm_mib=warm_mib,
        strategy=params.get("RecordDistributionStrategy", ""),
    )
    await _store_new(ctx, record, tags)
    return {}


def _check_mode(params: dict[str, Any], *, on_demand: bool) -> None:
    """Raise InvalidArgumentException unless the parameters fit the capacity mode."""
    if on_demand and "ShardCount" in params:
        raise rules.invalid_argument("ShardCount cannot be given for a stream in ON_DEMAND mode.")
    if not on_demand and "ShardCount" not in params:
        raise rules.invalid_argument("ShardCount must be given for a stream in PROVISIONED mode.")
    if not on_demand and params.get("RecordDistributionStrategy") == "AUTO":
        raise rules.invalid_argument("RecordDistributionStrategy AUTO is for streams in ON_DEMAND mode only.")


async def check_warm(ctx: Context, warm_mib: int, *, on_demand: bool) -> None:
    """Raise ValidationException or InvalidArgumentException unless a stream may have that warm throughput.

    AWS: only in on-demand mode, in accounts with a minimum throughput billing commitment.
    """
    if not on_demand:
        raise rules.validation("WarmThroughputMiBps is for streams in ON_DEMAND mode only.")
    if (await commitment(ctx))["Status"] == "DISABLED":
        raise rules.validation("WarmThroughputMiBps needs MinimumThroughputBillingCommitment to be ENABLED.")
    if warm_mib > limits.WARM_MIB:
        raise rules.invalid_argument(f"WarmThroughputMiBps is at most {limits.WARM_MIB}, not {warm_mib}.")


def new_stream_id() -> str:
    """A StreamId that no other stream has."""
    letters = "".join(secrets.choice(_ID_ALPHABET) for _ in range(23))
    return f"{letters[:20]}-{letters[20:]}"


async def _store_new(ctx: Context, record: StreamRecord, tags: dict[str, str]) -> None:
    """Store a stream that is not there yet. Raises ResourceInUseException when it is."""
    state: State = ctx.state
    region, account, name = ctx.region, ctx.account, record.name
    await state.get(region, account, name)  # one whose deletion is due is gone after this
    writes = [
        Write(records.stream_key(region, account, name), records.encode(record), 0),
        Write(records.stream_id_key(region, account, record.stream_id), name.encode()),
        *due_writes(region, account, None, record),
    ]
    if tags:
        writes.append(Write(records.tags_key(region, account, f"stream/{name}"), records.encode(TagsRecord(tags=tags))))
    try:
        await ctx.server.engine.metadata.apply(writes)
    except Conflict:
        raise rules.in_use(f"Stream {name} under account {account} already exists.") from None


async def delete_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete a stream with its shards and data. It is DELETING first, and takes and gives no records any more.

    Raises ResourceNotFoundException, and ResourceInUseException while it has queues, or consumers that
    `EnforceConsumerDeletion` does not give up.
    """
    state: State = ctx.state
    stream = await state.find(ctx, params)
    metadata = ctx.server.engine.metadata
    queues = records.stream_queue_key(stream.region, stream.account, stream.name, "")
    if await metadata.list(queues, max_entries=1):
        raise rules.in_use(f"Stream {stream.name} under account {stream.account} has queues. Delete them first.")
    consumers = records.consumer_key(stream.region, stream.account, stream.name, "")
    if not params.get("EnforceConsumerDeletion") and await metadata.list(consumers, max_entries=1):
        raise rules.in_use(
            f"Stream {stream.name} under account {stream.account} has consumers. "
            "Deregister them, or set EnforceConsumerDeletion."
        )
    now_ms = ctx.server.clock.now_ms()

    def change(old: StreamRecord) -> StreamRecord:
        if old.status is Status.DELETING:
            return old
        until_ms = now_ms + limits.TRANSITION_MS
        return msgspec.structs.replace(old, status=Status.DELETING, until_ms=until_ms, plan=None)

    await state.revise(stream, change)
    return {}


# Describing


async def describe_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A stream and its shards, a page at a time: `Limit`, `ExclusiveStartShardId` in.

    AWS: a stream that is CREATING has no shards yet. Raises ResourceNotFoundException, InvalidArgumentException.
    """
    state: State = ctx.state
    stream = await state.find(ctx, params)
    size = min(params.get("Limit", limits.DESCRIBED_SHARDS), limits.DESCRIBED_SHARDS)
    after = -1
    if (start := params.get("ExclusiveStartShardId")) is not None:
        number = rules.parse_shard_id(start)
        if number is None:
            raise rules.invalid_argument(f"{start} is not the id of a shard.")
        after = number
    described = _common(ctx, stream)
    there = [] if described["StreamStatus"] == Status.CREATING.value else sorted(stream.shards)
    following = [number for number in there if number > after]
    described["Shards"] = [describe_shard(stream, number) for number in following[:size]]
    described["HasMoreShards"] = len(following) > size
    return {"StreamDescription": described}


async def describe_stream_summary(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A stream without its shards. Raises ResourceNotFoundException."""
    state: State = ctx.state
    stream = await state.find(ctx, params)
    record = stream.record
    consumers = records.consumer_key(stream.region, stream.account, stream.name, "")
    summary = _common(ctx, stream)
    summary["StreamId"] = record.stream_id
    summary["OpenShardCount"] = 0 if summary["StreamStatus"] == Status.CREATING.value else len(stream.open_shards)
    summary["ConsumerCount"] = len(await ctx.server.engine.metadata.list(consumers, max_entries=limits.LIST_PAGE))
    summary["QueueCount"] = await state.stream_queues.count(stream.region, stream.account, stream.name)
    summary["MaxRecordSizeInKiB"] = record.max_record_kib
    if record.on_demand:
        summary["RecordDistributionStrategy"] = record.strategy or "USER_PARTITION_KEY"
        if record.warm_mib:
            summary["WarmThroughput"] = warm_throughput(ctx, stream)
    return {"StreamDescriptionSummary": summary}


def warm_throughput(ctx: Context, stream: Stream) -> dict[str, int]:
    """AWS's WarmThroughput of a stream: what it is to take, and what it takes by now."""
    target = stream.record.warm_mib
    scaling = stream.status(ctx.server.clock.now_ms()) is Status.UPDATING
    return {"TargetMiBps": target, "CurrentMiBps": min(target, len(stream.open_shards)) if scaling else target}


def _common(ctx: Context, stream: Stream) -> dict[str, Any]:
    record = stream.record
    described: dict[str, Any] = {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": stream.status(ctx.server.clock.now_ms()).value,
        "StreamModeDetails": {"StreamMode": mode_of(record)},
        "RetentionPeriodHours": record.retention_h,
        "StreamCreationTimestamp": created_at(record),
        "EnhancedMonitoring": [{"ShardLevelMetrics": record.metrics}],
        "EncryptionType": "KMS" if record.key_id else "NONE",
    }
    if record.key_id:
        described["KeyId"] = record.key_id
    return described


def mode_of(record: StreamRecord) -> str:
    """AWS's StreamMode."""
    return "ON_DEMAND" if record.on_demand else "PROVISIONED"


def created_at(record: StreamRecord) -> float:
    """AWS's StreamCreationTimestamp, in whole seconds, which is how exactly SDKs hand it back."""
    return float(record.created_at_ms // 1000)


def describe_shard(stream: Stream, number: int) -> dict[str, Any]:
    """AWS's Shard."""
    record = stream.shards[number].record
    numbers = {"StartingSequenceNumber": stream.shards[number].position(0)}
    if record.ending >= 0:
        numbers["EndingSequenceNumber"] = rules.sequence_number(record.epoch_s, number, 0, rules.Kind.END)
    described: dict[str, Any] = {
        "ShardId": stream.shards[number].id,
        "HashKeyRange": rules.hash_range(record.first_hash, record.last_hash),
        "SequenceNumberRange": numbers,
    }
    if record.parent >= 0:
        described["ParentShardId"] = rules.shard_id(record.parent)
    if record.adjacent >= 0:
        described["AdjacentParentShardId"] = rules.shard_id(record.adjacent)
    return described


# Listing


async def list_streams(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The account's streams in this region by name, a page at a time: `Limit`, `ExclusiveStartStreamName`, `NextToken`.

    AWS: a page has 100 streams unless `Limit` says otherwise. Raises InvalidArgumentException for a strange NextToken.
    """
    size: int = params.get("Limit", limits.LIST_STREAMS)
    after: str = params.get("ExclusiveStartStreamName", "")
    if (token := params.get("NextToken")) is not None:
        after = rules.decode_token(token)
    streams = await _streams_after(ctx, after, size + 1)
    listed = streams[:size]
    now_ms = ctx.server.clock.now_ms()
    result: dict[str, Any] = {
        "StreamNames": [record.name for record in listed],
        "HasMoreStreams": len(streams) > size,
        "StreamSummaries": [_summary(ctx, record, now_ms) for record in listed],
    }
    if len(streams) > size:
        result["NextToken"] = rules.encode_token(listed[-1].name)
    return result


async def _streams_after(ctx: Context, after: str, count: int) -> list[StreamRecord]:
    """Up to `count` streams whose names come after `after`; those whose deletion is due are gone."""
    prefix = records.stream_key(ctx.region, ctx.account, "")
    now_ms = ctx.server.clock.now_ms()
    found: list[StreamRecord] = []
    while len(found) < count:
        entries: list[Entry] = await ctx.server.engine.metadata.list(
            prefix, after=prefix + after if after else "", max_entries=min(count, limits.LIST_PAGE)
        )
        if not entries:
            break
        after = entries[-1].key.removeprefix(prefix)
        there = map(records.decode_stream, (entry.value for entry in entries))
        found += [record for record in there if record.status is not Status.DELETING or now_ms < record.until_ms]
    return found[:count]


def _summary(ctx: Context, record: StreamRecord, now_ms: int) -> dict[str, Any]:
    status = record.status if now_ms < record.until_ms else Status.ACTIVE
    return {
        "StreamName": record.name,
        "StreamARN": rules.stream_arn(ctx.region, ctx.account, record.name),
        "StreamStatus": status.value,
        "StreamModeDetails": {"StreamMode": mode_of(record)},
        "StreamCreationTimestamp": created_at(record),
    }
