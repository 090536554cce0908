"""PutRecord and PutRecords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from headrace.context import Context
from headrace.errors import ServiceError, StorageError
from headrace.primitives.logs import Appending, LogMissing, LogSealed
from headrace.services.kinesis import limits, records, rules
from headrace.services.kinesis.state import Shard, State, Stream

_INTERNAL: Final = "InternalFailure"


class Placement:
    """Records of one call that go to one shard: their places in the call, and what the log is to keep.

    `hashes` are the hash keys of all records of the call.
    """

    __slots__ = ("appendings", "hashes", "indexes", "shard")

    def __init__(self, shard: Shard, hashes: Sequence[bytes]) -> None:
        self.shard = shard
        self.hashes = hashes
        self.indexes: list[int] = []
        self.appendings: list[Appending] = []

    def add(self, index: int, appending: Appending) -> None:
        """One record more."""
        self.indexes.append(index)
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
    size_bytes = _size(key, params["Data"])
    if size_bytes > stream.max_bytes:
        raise _too_large(stream, params["Data"], size_bytes, "")
    hash_key = _hash_key(stream, params, key, "partitionKey")
    shard = stream.route(hash_key)
    if not _admit(ctx, shard, size_bytes):
        raise rules.throughput_exceeded(_throttled(stream, shard))
    if params.get("DryRun"):
        raise rules.dry_run()
    if stream.record.on_demand:
        state.scaler.note(stream)
    placement = Placement(shard, [hash_key])
    encrypted = bool(stream.record.key_id)
    placement.add(0, Appending(records.encode_key(key, encrypted=encrypted), params["Data"]))
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
    failures = len(entries) - sum([len(placement.indexes) for placement in placements])
    if params.get("DryRun"):
        raise rules.dry_run()
    if stream.record.on_demand:
        state.scaler.note(stream)
    if len(placements) == 1:
        await append(state, stream, placements[0], results)
    elif placements:
        failures += await _append_all(state, stream, placements, results)
    answer: dict[str, Any] = {"FailedRecordCount": failures, "Records": results}
    if stream.record.key_id:
        answer["EncryptionType"] = "KMS"
    return answer


def _place(
    ctx: Context, stream: Stream, entries: list[dict[str, Any]], results: list[dict[str, Any]]
) -> list[Placement]:
    """The records by the shards they go to; those that a shard does not take now have their result at once."""
    sizes, hashes = _check(stream, entries)
    encrypted = bool(stream.record.key_id)
    counted = ctx.server.quotas.throughput or stream.record.on_demand
    placements: dict[int, Placement] = {}
    for index, (entry, hash_key, size_bytes) in enumerate(zip(entries, hashes, sizes, strict=True)):
        shard = stream.route(hash_key)
        if counted and not _admit(ctx, shard, size_bytes):
            code = "ProvisionedThroughputExceededException"
            results[index] = {"ErrorCode": code, "ErrorMessage": _throttled(stream, shard)}
            continue
        placement = placements.get(shard.number)
        if placement is None:
            placement = placements[shard.number] = Placement(shard, hashes)
        key = records.encode_key(entry.get("PartitionKey", ""), encrypted=encrypted)
        placement.indexes.append(index)
        placement.appendings.append(Appending(key, entry["Data"]))
    return list(placements.values())


def _check(stream: Stream, entries: list[dict[str, Any]]) -> tuple[list[int], list[bytes]]:
    """The records' sizes and hash keys. Raises the error of the first that cannot be put, or of all together."""
    sizes: list[int] = []
    hashes: list[bytes] = []
    by_key = stream.record.strategy != "AUTO"
    for entry in entries:
        key = entry.get("PartitionKey", "")
        size_bytes = _size(key, entry["Data"])
        if size_bytes > stream.max_bytes:
            raise _too_large(stream, entry["Data"], size_bytes, f"records.{len(sizes) + 1}.member.")
        sizes.append(size_bytes)
        if key and by_key and "ExplicitHashKey" not in entry:
            hashes.append(rules.hash_of(key))
        else:
            hashes.append(_hash_key(stream, entry, key, f"records.{len(sizes)}.member.partitionKey"))
    if (total_bytes := sum(sizes)) > limits.PUT_BYTES:
        raise rules.invalid_argument(f"Records size exceeds {limits.PUT_BYTES} bytes; these have {total_bytes}.")
    return sizes, hashes


async def _append_all(state: State, stream: Stream, placements: list[Placement], results: list[dict[str, Any]]) -> int:
    """Append to several shards at once; how many records have failed.

    What fails with one shard's log fails for its records alone. Raises what all have failed with.
    """
    for placement in placements:
        if not placement.shard.opened:
            await state.open(stream, placement.shard)
    outcomes = await state.server.engine.logs.append_each(
        [(placement.shard.log, placement.appendings) for placement in placements]
    )
    failed: list[Placement] = []
    for placement, outcome in zip(placements, outcomes, strict=True):
        try:
            await _acknowledge(state, stream, placement, outcome, results)
        except (StorageError, ServiceError):
            failed.append(placement)
            if len(failed) == len(placements):
                raise
            for index in placement.indexes:
                results[index] = {"ErrorCode": _INTERNAL, "ErrorMessage": "Internal Service Failure"}
    return sum([len(placement.indexes) for placement in failed])


async def append(state: State, stream: Stream, placement: Placement, results: list[dict[str, Any]]) -> None:
    """Append records to their shard's log, and put ShardId and SequenceNumber of each into `results`, at its place."""
    shard = placement.shard
    if not shard.opened:
        await state.open(stream, shard)
    outcome: list[int] | Exception
    try:
        outcome = await state.server.engine.logs.append(shard.log, placement.appendings)
    except (LogMissing, LogSealed) as refused:
        outcome = refused
    await _acknowledge(state, stream, placement, outcome, results)


async def _acknowledge(
    state: State,
    stream: Stream,
    placement: Placement,
    outcome: list[int] | Exception,
    results: list[dict[str, Any]],
) -> None:
    """Put ShardId and SequenceNumber of records that were appended into `results`, each at its place.

    `outcome` has their sequences, or what was raised instead, which is raised as the caller is to see it. A shard may
    be closed meanwhile, by whichever process: then its log is sealed, and its children take the records.
    """
    shard = placement.shard
    if isinstance(outcome, LogSealed):
        await state.sealed(stream, shard)
        await _append_to_children(state, stream, placement, results)
        return
    if isinstance(outcome, LogMissing):
        raise rules.no_such_stream(stream.name, stream.account)
    if isinstance(outcome, Exception):
        raise outcome
    base, shard_id = shard.base, shard.id
    for index, sequence in zip(placement.indexes, outcome, strict=True):
        number = str(base + (sequence << rules.SEQUENCE_SHIFT))
        results[index] = {"SequenceNumber": number, "ShardId": shard_id}


async def _append_to_children(
    state: State, stream: Stream, placement: Placement, results: list[dict[str, Any]]
) -> None:
    placements: dict[int, Placement] = {}
    for index, appending in zip(placement.indexes, placement.appendings, strict=True):
        shard = stream.route(placement.hashes[index])
        if shard.number not in placements:
            placements[shard.number] = Placement(shard, placement.hashes)
        placements[shard.number].add(index, appending)
    for child in placements.values():
        await append(state, stream, child, results)


# What a record has to satisfy


def _size(key: str, data: bytes) -> int:
    """What a record counts for: its data and partition key."""
    return len(data) + (len(key) if key.isascii() else len(key.encode()))


def _too_large(stream: Stream, data: bytes, size_bytes: int, path: str) -> ServiceError:
    """The ValidationException for a record that is larger than the stream takes."""
    if len(data) > stream.max_bytes:
        return rules.violation(
            f"{path}data",
            f"java.nio.HeapByteBuffer[pos=0 lim={len(data)} cap={len(data)}]",
            f"Member must have length less than or equal to {stream.max_bytes}",
        )
    return rules.validation(
        f"The record's data and partition key have {size_bytes} bytes; this stream takes {stream.max_bytes}."
    )


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
