"""Reading shards: what GetRecords, SubscribeToShard and stream queues have in common."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from headrace.clock import sleep
from headrace.errors import StorageError
from headrace.primitives.logs import LogMissing, Record
from headrace.services.kinesis import limits, records, rules
from headrace.services.kinesis.state import Shard, State, Stream

_BY_NUMBER: Final = ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")
"""The types of a position that a sequence number gives."""


class Batch(NamedTuple):
    """What a read gives. The log's records (`shard.sequence_number(record.sequence)`, `records.decode_key`), oldest
    first; `after` is where to read on; `size_bytes` what they count for.

    `behind_ms` is AWS's MillisBehindLatest: the age of the last record while others follow it, 0 at the tip. `ended`
    tells that the shard is closed and nothing follows: its children are `stream.children(shard)`.
    """

    records: list[Record]
    after: int
    size_bytes: int
    behind_ms: int
    ended: bool


async def read(state: State, stream: Stream, shard: Shard, after: int, *, max_records: int, max_bytes: int) -> Batch:
    """The records of a shard after the log sequence `after`, up to both limits; the first one however large it is.

    Records that have expired are passed over. Raises ResourceNotFoundException when the stream or the shard is gone.
    """
    logs = state.server.engine.logs
    await state.open(stream, shard)
    try:
        found = await logs.read(shard.log, after, max_records=max_records, max_bytes=max_bytes)
        if found and found[-1].key == records.SEAL:
            await state.sealed(stream, shard)
        if shard.record.closed_at_ms:
            if shard.record.ending < 0:
                await state.settle(stream)
            if not found:
                found = await _read_to_end(state, shard, after, max_records=max_records, max_bytes=max_bytes)
            return _read_closed(state, shard, after, found)
        if not found:
            return Batch(found, after, 0, 0, ended=False)
        last = found[-1].sequence
        tip = await logs.tip(shard.log)
    except LogMissing:
        raise rules.no_such_stream(stream.name, stream.account) from None
    return _batch(state, found, last, tip.last)


async def _read_to_end(state: State, shard: Shard, after: int, *, max_records: int, max_bytes: int) -> list[Record]:
    """What a closed shard holds after `after`, for sure.

    That a read found nothing does not say so: what it did not see may have been appended since, before the shard's end
    was, or its replica was behind. Once the seal was seen, no read misses what comes before it. Raises StorageError.
    """
    logs = state.server.engine.logs
    if after >= shard.record.ending:
        return []
    for _ in range(limits.BEHIND_ATTEMPTS):
        if (await logs.tip(shard.log)).last > shard.record.ending:
            return await logs.read(shard.log, after, max_records=max_records, max_bytes=max_bytes)
        await sleep(state.server.clock, limits.BEHIND_MS)
    raise StorageError(f"The end of shard {shard.id} cannot be read yet: try again.")


def _read_closed(state: State, shard: Shard, after: int, found: list[Record]) -> Batch:
    """What was read of a closed shard, without what does not belong to it."""
    ending = shard.record.ending
    found = [record for record in found if record.sequence <= ending and record.key != records.SEAL]
    if not found:
        # Nothing follows, be it that the end is reached or that all the rest has expired.
        return Batch(found, max(after, ending), 0, 0, ended=True)
    return _batch(state, found, found[-1].sequence, ending, closed=True)


def _batch(state: State, found: list[Record], last: int, tip: int, *, closed: bool = False) -> Batch:
    size_bytes = sum([len(record.data) + len(record.key) for record in found])
    at_tip = last >= tip
    behind_ms = 0 if at_tip else max(0, state.server.clock.now_ms() - found[-1].appended_at_ms)
    return Batch(found, last, size_bytes, behind_ms, ended=closed and at_tip)


async def wait(state: State, stream: Stream, shard: Shard, after: int, *, wait_ms: int) -> bool:
    """True as soon as a read after `after` would find something (a record, or the end), False after `wait_ms`.

    Raises ResourceNotFoundException when the stream or the shard is gone.
    """
    if shard.record.closed_at_ms:
        return True
    await state.open(stream, shard)
    try:
        return await state.server.engine.logs.wait(shard.log, after, wait_ms=wait_ms)
    except LogMissing:
        raise rules.no_such_stream(stream.name, stream.account) from None


async def start_of(state: State, stream: Stream, shard: Shard, position: dict[str, Any]) -> int:
    """The log sequence after which a position begins: `Type` and, by type, `SequenceNumber` or `Timestamp`.

    `Type` is AWS's ShardIteratorType. Raises InvalidArgumentException for a position that is none of this shard's.
    """
    kind: str = position["Type"]
    _check_position(kind, position)
    if kind == "TRIM_HORIZON":
        return 0
    if kind in _BY_NUMBER:
        return _after_number(shard, stream, position["SequenceNumber"], kind)
    await state.open(stream, shard)
    try:
        if kind == "LATEST":
            tip = await state.server.engine.logs.tip(shard.log)
            return min(tip.last, shard.record.ending) if shard.record.ending >= 0 else tip.last
        at_ms = _timestamp_ms(state, position["Timestamp"])
        return await state.server.engine.logs.seek(shard.log, at_ms)
    except LogMissing:
        raise rules.no_such_stream(stream.name, stream.account) from None


def _check_position(kind: str, position: dict[str, Any]) -> None:
    """Raise InvalidArgumentException unless a position has what its type is used with, and nothing else.

    AWS: says so in these words, whatever the call has as the name of the number.
    """
    given = position.get("SequenceNumber") is not None
    if given != (kind in _BY_NUMBER):
        told = "and also a" if given else "and no"
        raise rules.invalid_argument(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "
            "(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. "
            f"Request specified {kind} {told} StartingSequenceNumber."
        )
    if kind == "AT_TIMESTAMP" and position.get("Timestamp") is None:
        raise rules.invalid_argument(
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. "
            "Current request has no timestamp parameter."
        )


def _after_number(shard: Shard, stream: Stream, text: str, kind: str) -> int:
    number = rules.parse_sequence_number(text)
    if number is None or number[:2] != (shard.record.epoch_s, shard.number):
        raise rules.invalid_argument(
            f"StartingSequenceNumber {text} used in GetShardIterator on shard {shard.id} in stream {stream.name} "
            f"under account {stream.account} is invalid because it did not come from this stream and shard."
        )
    if number.kind is rules.Kind.END:
        return max(shard.record.ending, 0)
    at_record = kind == "AT_SEQUENCE_NUMBER" and number.kind is rules.Kind.RECORD
    return number.sequence - 1 if at_record else number.sequence


def _timestamp_ms(state: State, timestamp: float) -> int:
    at_ms, now_ms = round(timestamp * 1000), state.server.clock.now_ms()
    if at_ms > now_ms:
        raise rules.invalid_argument(
            f"The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
            f"timestampInMillis: {at_ms}, currentTimestampInMillis: {now_ms}"
        )
    return at_ms
