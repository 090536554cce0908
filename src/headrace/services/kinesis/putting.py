"""PutRecord and PutRecords."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from headrace.context import Context
from headrace.errors import ServiceError, StorageError
from headrace.primitives.logs import Appending, LogMissing, LogSealed
from headrace.services.kinesis import limits, records, rules
from headrace.services.kinesis.state import Shard, State, Stream

_INTERNAL: Final = "InternalFailure"


class Placement:
    """Records of one call that go to one shard: their place in the call, hash keys, and what the log is to keep."""

    __slots__ = ("appendings", "hashes", "indexes", "shard")

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.indexes: list[int] = []
        self.hashes: list[bytes] = []
        self.appendings: list[Appending] = []

    def add(self, index: int, hash_key: bytes, appending: Appending) -> None:
        """One record more."""
        self.indexes.append(index)
        self.hashes.append(hash_key)
        self.appendings.append(appending)


async def put_record(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Put a record: `Data`, `PartitionKey`, `ExplicitHashKey`, `SequenceNumberForOrdering` in; shard and number out.

    AWS: records of one shard are numbered in the order they come, so SequenceNumberForOrdering holds by itself; it is
    checked only. Raises ResourceNotFoundException, InvalidArgumentException, ValidationException,
    ProvisionedThroughputExceededException, DryRunOperationException.
    """
    state: State = ctx.state
    stream = await state.ready(ctx, params)
    if (ordering := params.get("SequenceNumberForOrdering")) is not None:
        _check_ordering(ordering)
    key: str = params.get("PartitionKey", "")
    size_bytes = record_bytes(stream, params, "")
    hash_key = _hash_key(stream, params, key, "partitionKey")
    shard = stream.route(hash_key)
    if not _admit(ctx, shard, size_bytes):
        raise rules.throughput_exceeded(_throttled(stream, shard))
    if params.get("DryRun"):
        raise rules.dry_run()
    if stream.record.on_demand:
        state.scaler.note(stream)
    placement = Placement(shard)
    encrypted = bool(stream.record.key_id)
    placement.add(0, hash_key, Appending(records.encode_key(key, encrypted=encrypted), params["Data"]))
    results: list[dict[str, Any]] = [{}]
    await append(state, stream, placement, results)
    return results[0] | {"EncryptionType": "KMS"} if encrypted else results[0]


async def put_records(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Put up to 500 `Records`, each as PutRecord does; what became of each out, in the same order.

    Records of one shard keep their order. One that cannot be put fails by itself, with ErrorCode
    ProvisionedThroughputExceededException or InternalFailure. Raises what PutRecord raises for the stream, and
    InvalidArgumentException for records that are too large together.
    """
    state: State = ctx.state
    stream = await state.ready(ctx, params)
    entries: list[dict[str, Any]] = params["Records"]
    results: list[dict[str, Any]] = [{}] * len(entries)
    placements = _place(ctx, stream, entries, results)
    if params.get("DryRun"):
        raise rules.dry_run()
    if stream.record.on_demand:
        state.scaler.note(stream)
    if len(placements) == 1:
        await append(state, stream, placements[0], results)
    elif placements:
        await _append_all(state, stream, placements, results)
    failures = sum(["ErrorCode" in result for result in results])
    answer: dict[str, Any] = {"FailedRecordCount": failures, "Records": results}
    if stream.record.key_id:
        answer["EncryptionType"] = "KMS"
    return answer


def _place(
    ctx: Context, stream: Stream, entries: list[dict[str, Any]], results: list[dict[str, Any]]
) -> list[Placement]:
    """The records by the shards they go to; those that a shard does not take now have their result at once."""
    total_bytes = 0
    sizes = []
    hashes = []
    for index, entry in enumerate(entries, start=1):
        size_bytes = record_bytes(stream, entry, f"records.{index}.member.")
        total_bytes += size_bytes
        sizes.append(size_bytes)
        hashes.append(_hash_key(stream, entry, entry.get("PartitionKey", ""), f"records.{index}.member.partitionKey"))
    if total_bytes > limits.PUT_BYTES:
        raise rules.invalid_argument(f"Records size exceeds {limits.PUT_BYTES} bytes; these have {total_bytes}.")
    encrypted = bool(stream.record.key_id)
    placements: dict[int, Placement] = {}
    for index, (entry, hash_key) in enumerate(zip(entries, hashes, strict=True)):
        shard = stream.route(hash_key)
        if not _admit(ctx, shard, sizes[index]):
            code = "ProvisionedThroughputExceededException"
            results[index] = {"ErrorCode": code, "ErrorMessage": _throttled(stream, shard)}
            continue
        placement = placements.get(shard.number)
        if placement is None:
            placement = placements[shard.number] = Placement(shard)
        key = records.encode_key(entry.get("PartitionKey", ""), encrypted=encrypted)
        placement.add(index, hash_key, Appending(key, entry["Data"]))
    return list(placements.values())


async def _append_all(state: State, stream: Stream, placements: list[Placement], results: list[dict[str, Any]]) -> None:
    """Append to several shards at once. What fails with one shard's log fails for its records alone."""
    outcomes = await asyncio.gather(
        *[append(state, stream, placement, results) for placement in placements], return_exceptions=True
    )
    failed = [(placement, outcome) for placement, outcome in zip(placements, outcomes, strict=True) if outcome]
    for placement, outcome in failed:
        if len(failed) == len(placements) or not isinstance(outcome, StorageError | ServiceError):
            raise outcome
        for index in placement.indexes:
            results[index] = {"ErrorCode": _INTERNAL, "ErrorMessage": "Internal Service Failure"}


async def append(state: State, stream: Stream, placement: Placement, results: list[dict[str, Any]]) -> None:
    """Append records to their shard's log, and put ShardId and SequenceNumber of each into `results`, at its place.

    A shard may be closed meanwhile, by whichever process. Then its log is sealed, and its children take the records.
    """
    shard = placement.shard
    if not shard.opened:
        await state.open(stream, shard)
    try:
        sequences = await state.server.engine.logs.append(shard.log, placement.appendings)
    except LogMissing:
        raise rules.no_such_stream(stream.name, stream.account) from None
    except LogSealed:
        await state.sealed(stream, shard)
        await _append_to_children(state, stream, placement, results)
        return
    base, shard_id = shard.base, shard.id
    for index, sequence in zip(placement.indexes, sequences, strict=True):
        number = str(base + (sequence << rules.SEQUENCE_SHIFT))
        results[index] = {"SequenceNumber": number, "ShardId": shard_id}


async def _append_to_children(
    state: State, stream: Stream, placement: Placement, results: list[dict[str, Any]]
) -> None:
    placements: dict[int, Placement] = {}
    for index, hash_key, appending in zip(placement.indexes, placement.hashes, placement.appendings, strict=True):
        shard = stream.route(hash_key)
        if shard.number not in placements:
            placements[shard.number] = Placement(shard)
        placements[shard.number].add(index, hash_key, appending)
    for child in placements.values():
        await append(state, stream, child, results)


# What a record has to satisfy


def record_bytes(stream: Stream, entry: dict[str, Any], path: str) -> int:
    """The size of a record, its partition key included. Raises ValidationException when the stream does not take it."""
    data: bytes = entry["Data"]
    key: str = entry.get("PartitionKey", "")
    size_bytes = len(data) + (len(key) if key.isascii() else len(key.encode()))
    if size_bytes > stream.max_bytes:
        if len(data) > stream.max_bytes:
            raise rules.violation(
                f"{path}data",
                f"java.nio.HeapByteBuffer[pos=0 lim={len(data)} cap={len(data)}]",
                f"Member must have length less than or equal to {stream.max_bytes}",
            )
        raise rules.validation(
            f"The record's data and partition key have {size_bytes} bytes; this stream takes {stream.max_bytes}."
        )
    return size_bytes


def _hash_key(stream: Stream, entry: dict[str, Any], key: str, path: str) -> bytes:
    """Where a record belongs. AWS: ExplicitHashKey goes before the partition key, and AUTO heeds neither."""
    explicit: str | None = entry.get("ExplicitHashKey")
    explicit_hash = None if explicit is None else rules.explicit_hash(explicit)
    if stream.record.strategy == "AUTO":
        return stream.next_hash()
    if not key:
        raise rules.violation(path, None, "Member must not be null")
    return rules.hash_of(key) if explicit_hash is None else explicit_hash


def _check_ordering(text: str) -> None:
    number = rules.parse_sequence_number(text)
    if number is None or number.kind is not rules.Kind.RECORD:
        raise rules.invalid_argument(f"ExclusiveMinimumSequenceNumber {text} used in PutRecord is invalid.")


def _admit(ctx: Context, shard: Shard, size_bytes: int) -> bool:
    """Count a record for the shard it goes to; False when that takes no more now."""
    if ctx.server.quotas.throughput:
        now_ms = ctx.server.clock.now_ms()
        if not (shard.records_in.takes(1, now_ms) and shard.bytes_in.takes(size_bytes, now_ms)):
            return False
        shard.records_in.use(1, now_ms)
        shard.bytes_in.use(size_bytes, now_ms)
    shard.window_bytes += size_bytes
    shard.window_records += 1
    return True


def _throttled(stream: Stream, shard: Shard) -> str:
    return f"Rate exceeded for shard {shard.id} in stream {stream.name} under account {stream.account}."
