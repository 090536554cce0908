"""What a stream is set to: retention, record size, encryption and enhanced monitoring."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from headrace.context import Context
from headrace.services.kinesis import limits, rules
from headrace.services.kinesis.records import StreamRecord
from headrace.services.kinesis.resharding import check_active, recent, updating
from headrace.services.kinesis.state import State, Stream

_METRICS: Final = (
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
)


async def update(ctx: Context, stream: Stream, change: Callable[[StreamRecord], StreamRecord]) -> None:
    """Store what `change` makes of an ACTIVE stream's record, and have it UPDATING for a while.

    Raises ResourceInUseException when it is not ACTIVE, and what `change` raises.
    """
    state: State = ctx.state
    now_ms = ctx.server.clock.now_ms()

    def checked(old: StreamRecord) -> StreamRecord:
        check_active(stream, old, now_ms)
        new = change(old)
        return old if new == old else updating(new, now_ms)

    await state.revise(stream, checked)


# Retention


async def increase_stream_retention_period(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Keep records for `RetentionPeriodHours`, longer than before; what has expired does not come back.

    Raises InvalidArgumentException, ResourceInUseException, ResourceNotFoundException.
    """
    hours: int = params["RetentionPeriodHours"]
    return await _retain(ctx, params, hours, lambda old_h: hours >= old_h)


async def decrease_stream_retention_period(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Keep records for `RetentionPeriodHours`, shorter than before; what is older is gone at once.

    Raises InvalidArgumentException, ResourceInUseException, ResourceNotFoundException.
    """
    hours: int = params["RetentionPeriodHours"]
    return await _retain(ctx, params, hours, lambda old_h: hours <= old_h)


def _check_hours(hours: int) -> None:
    """Raise InvalidArgumentException unless a stream may keep its records for so long."""
    least, most = limits.RETENTION_H
    if hours < least:
        raise rules.invalid_argument(
            f"Minimum allowed retention period is {least} hours. Requested retention period ({hours} hours) is too "
            "short."
        )
    if hours > most:
        raise rules.invalid_argument(
            f"Maximum allowed retention period is {most} hours. Requested retention period ({hours} hours) is too long."
        )


async def _retain(ctx: Context, params: dict[str, Any], hours: int, fits: Callable[[int], bool]) -> dict[str, Any]:
    state: State = ctx.state
    stream = await state.find(ctx, params)
    _check_hours(hours)

    def change(old: StreamRecord) -> StreamRecord:
        if not fits(old.retention_h):
            instead = "Decrease" if hours < old.retention_h else "Increase"
            raise rules.invalid_argument(
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be "
                f"{'shorter' if hours < old.retention_h else 'longer'} than existing retention period "
                f"({old.retention_h} hours). Use {instead}RetentionPeriod API."
            )
        return msgspec.structs.replace(old, retention_h=hours)

    await update(ctx, stream, change)
    # Records that nobody reads are to go, or to stay, too.
    await asyncio.gather(*[state.open(stream, shard) for shard in stream.shards.values()])
    return {}


# Record size


async def update_max_record_size(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take records of up to `MaxRecordSizeInKiB`, 1,024 to 10,240.

    Raises ResourceInUseException, ResourceNotFoundException, ValidationException.
    """
    state: State = ctx.state
    stream = await state.find(ctx, params)
    size_kib: int = params["MaxRecordSizeInKiB"]
    await update(ctx, stream, lambda old: msgspec.structs.replace(old, max_record_kib=size_kib))
    return {}


# Encryption


async def start_stream_encryption(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Have the stream count as encrypted under `KeyId`. Stored and shown, records are not encrypted yet.

    AWS: 25 times in 24 hours. Raises InvalidArgumentException, KMSNotFoundException, LimitExceededException,
    ResourceInUseException, ResourceNotFoundException.
    """
    key_id: str = params["KeyId"]
    if params["EncryptionType"] != "KMS":
        raise rules.invalid_argument("EncryptionType must be KMS.")
    rules.check_key_id(key_id)
    return await _encrypt(ctx, params, lambda _old: key_id)


async def stop_stream_encryption(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Have the stream no longer count as encrypted; `KeyId` must be its key.

    Raises InvalidArgumentException, LimitExceededException, ResourceInUseException, ResourceNotFoundException.
    """
    key_id: str = params["KeyId"]
    if params["EncryptionType"] != "KMS":
        raise rules.invalid_argument("EncryptionType must be KMS.")

    def stopped(old: StreamRecord) -> str:
        if old.key_id and old.key_id != key_id:
            raise rules.invalid_argument(f"{key_id} is not the key that stream {old.name} is encrypted with.")
        return ""

    return await _encrypt(ctx, params, stopped)


async def _encrypt(ctx: Context, params: dict[str, Any], key: Callable[[StreamRecord], str]) -> dict[str, Any]:
    state: State = ctx.state
    stream = await state.find(ctx, params)
    now_ms = ctx.server.clock.now_ms()

    def change(old: StreamRecord) -> StreamRecord:
        key_id = key(old)
        if key_id == old.key_id:
            return old
        changes = recent(old.key_changes_ms, now_ms)
        if key_id:
            # AWS: stopping has a limit of its own, which cannot be reached before that of starting.
            if len(changes) >= limits.KEY_CHANGES_PER_DAY:
                raise rules.limit_exceeded(
                    f"Encryption of stream {stream.name} was started {limits.KEY_CHANGES_PER_DAY} times in the last 24 "
                    "hours, which is the limit."
                )
            changes.append(now_ms)
        return msgspec.structs.replace(old, key_id=key_id, key_changes_ms=changes)

    await update(ctx, stream, change)
    return {}


# Enhanced monitoring


async def enable_enhanced_monitoring(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Have shard-level metrics: `ShardLevelMetrics`, or ALL. Stored and shown, there are no metrics yet.

    Raises ResourceInUseException, ResourceNotFoundException.
    """
    return await _monitor(ctx, params, lambda current, named: current | named)


async def disable_enhanced_monitoring(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Have shard-level metrics no longer: `ShardLevelMetrics`, or ALL.

    Raises ResourceInUseException, ResourceNotFoundException.
    """
    return await _monitor(ctx, params, lambda current, named: current - named)


async def _monitor(
    ctx: Context, params: dict[str, Any], combine: Callable[[set[str], set[str]], set[str]]
) -> dict[str, Any]:
    state: State = ctx.state
    stream = await state.find(ctx, params)
    given: list[str] = params["ShardLevelMetrics"]
    named = set(_METRICS) if "ALL" in given else set(given)
    before = list(stream.record.metrics)

    def change(old: StreamRecord) -> StreamRecord:
        wanted = combine(set(old.metrics), named)
        return msgspec.structs.replace(old, metrics=[name for name in _METRICS if name in wanted])

    await update(ctx, stream, change)
    return {
        "StreamName": stream.name,
        "CurrentShardLevelMetrics": before,
        "DesiredShardLevelMetrics": list(stream.record.metrics),
        "StreamARN": stream.arn,
    }
