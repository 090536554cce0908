"""GetShardIterator and GetRecords."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.context import Context
from headrace.primitives.logs import Record
from headrace.services.kinesis import limits, records, rules, shards
from headrace.services.kinesis.iterators import Iterator, read_iterator, write_iterator
from headrace.services.kinesis.state import Shard, State, Stream


async def get_shard_iterator(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """An iterator at a place in the shard `ShardId`: `ShardIteratorType`, `StartingSequenceNumber`, `Timestamp` in.

    Where LATEST and AT_TIMESTAMP lie is settled now. Raises ResourceNotFoundException, InvalidArgumentException,
    ProvisionedThroughputExceededException, DryRunOperationException.
    """
    state: State = ctx.state
    stream = await state.ready(ctx, params)
    shard = await state.shard(stream, params["ShardId"])
    position = {
        "Type": params["ShardIteratorType"],
        "SequenceNumber": params.get("StartingSequenceNumber"),
        "Timestamp": params.get("Timestamp"),
    }
    now_ms = ctx.server.clock.now_ms()
    if ctx.server.quotas.throughput:
        if not shard.iterators_out.takes(1, now_ms):
            raise rules.throughput_exceeded(_throttled(stream, shard))
        shard.iterators_out.use(1, now_ms)
    after = await shards.start_of(state, stream, shard, position)
    if params.get("DryRun"):
        raise rules.dry_run()
    return {"ShardIterator": _iterator(stream, shard, after, now_ms)}


async def get_records(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The records from `ShardIterator` on, up to `Limit` of them and 10 MiB, with the iterator that goes on from there.

    At the end of a closed shard there is no such iterator; its `ChildShards` are named instead. Raises
    ResourceNotFoundException, InvalidArgumentException, ExpiredIteratorException,
    ProvisionedThroughputExceededException, DryRunOperationException.
    """
    state: State = ctx.state
    now_ms = ctx.server.clock.now_ms()
    iterator = read_iterator(params["ShardIterator"], now_ms)
    stream, shard = await _find(ctx, params, iterator)
    throttled = ctx.server.quotas.throughput
    if throttled:
        if shard.read.left(now_ms) <= 0 or not shard.calls_out.takes(1, now_ms):
            raise rules.throughput_exceeded(_throttled(stream, shard))
        shard.calls_out.use(1, now_ms)
    if params.get("DryRun"):
        raise rules.dry_run()
    batch = await shards.read(
        state,
        stream,
        shard,
        iterator.after,
        max_records=params.get("Limit", limits.GET_RECORDS),
        max_bytes=limits.GET_BYTES,
    )
    if throttled:
        shard.read.use(batch.size_bytes, now_ms)
    result: dict[str, Any] = {"Records": render(shard, batch.records), "MillisBehindLatest": batch.behind_ms}
    if batch.ended:
        result["ChildShards"] = child_shards(stream, shard)
    else:
        result["NextShardIterator"] = _iterator(stream, shard, batch.after, ctx.server.clock.now_ms())
    return result


async def _find(ctx: Context, params: dict[str, Any], iterator: Iterator) -> tuple[Stream, Shard]:
    """Where an iterator belongs. AWS: a StreamARN or StreamId that is given must be that of its stream."""
    state: State = ctx.state
    stream = await state.get(ctx.region, iterator.account, iterator.stream_name)
    if stream is None or stream.record.stream_id != iterator.stream_id:
        raise rules.no_such_stream(iterator.stream_name, iterator.account)
    if ("StreamARN" in params or "StreamId" in params) and await state.find(ctx, params) is not stream:
        raise rules.invalid_argument("The ShardIterator is none of the stream that StreamARN or StreamId name.")
    shard = stream.shards.get(iterator.shard) or await state.shard(stream, rules.shard_id(iterator.shard))
    return stream, shard


def _iterator(stream: Stream, shard: Shard, after: int, now_ms: int) -> str:
    return write_iterator(Iterator(stream.account, stream.name, stream.record.stream_id, shard.number, after, now_ms))


def render(shard: Shard, found: list[Record]) -> list[dict[str, Any]]:
    """Log records as AWS's Records. Written for speed: there may be ten thousand of them."""
    base, shift = shard.base, rules.SEQUENCE_SHIFT
    return [
        {
            "SequenceNumber": str(base + (sequence << shift)),
            "ApproximateArrivalTimestamp": at_ms / 1000,
            "Data": data,
            "PartitionKey": key,
        }
        if key[:1] > "\0"
        else _marked(shard, sequence, at_ms, key, data)
        for sequence, at_ms, key, data in map(msgspec.structs.astuple, found)
    ]


def _marked(shard: Shard, sequence: int, at_ms: int, key: str, data: bytes) -> dict[str, Any]:
    """A record whose key says more than the partition key, or that has none."""
    partition_key, encrypted = records.decode_key(key)
    record: dict[str, Any] = {
        "SequenceNumber": shard.sequence_number(sequence),
        "ApproximateArrivalTimestamp": at_ms / 1000,
        "Data": data,
    }
    if partition_key:
        record["PartitionKey"] = partition_key
    if encrypted:
        record["EncryptionType"] = "KMS"
    return record


def child_shards(stream: Stream, shard: Shard) -> list[dict[str, Any]]:
    """AWS's ChildShards: what came of a closed shard."""
    return [
        {
            "ShardId": child.id,
            "ParentShards": [
                rules.shard_id(parent) for parent in (child.record.parent, child.record.adjacent) if parent >= 0
            ],
            "HashKeyRange": rules.hash_range(child.record.first_hash, child.record.last_hash),
        }
        for child in stream.children(shard)
    ]


def _throttled(stream: Stream, shard: Shard) -> str:
    return f"Rate exceeded for shard {shard.id} in stream {stream.name} under account {stream.account}."
