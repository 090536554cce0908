"""What becomes of a stream's shards: how they are made, split, merged, planned for, and when they go. Pure.

A stream's open shards lie side by side and cover all hash keys. All functions take and give records; none changes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from headrace.services.kinesis import limits
from headrace.services.kinesis.records import Plan, ShardRecord, Status, StreamRecord
from headrace.services.kinesis.rules import HASH_KEYS, LAST_HASH, hash_bytes

NEVER_MS: Final = 1 << 62
"""When nothing is due."""


def first_shards(count: int, now_ms: int) -> list[ShardRecord]:
    """A new stream's shards: ranges of equal size."""
    bounds = uniform_bounds(count)
    lasts = [hash_bytes(int.from_bytes(first) - 1) for first in bounds[1:]] + [LAST_HASH]
    return [
        ShardRecord(number, first, last, now_ms // 1000, now_ms)
        for number, (first, last) in enumerate(zip(bounds, lasts, strict=True))
    ]


def uniform_bounds(count: int) -> list[bytes]:
    """The first hash keys of that many ranges of equal size."""
    width = HASH_KEYS // count
    return [hash_bytes(width * index) for index in range(count)]


def is_open(shard: ShardRecord) -> bool:
    """Whether the shard takes records."""
    return not shard.closed_at_ms


def open_shards(record: StreamRecord) -> list[ShardRecord]:
    """The shards that take records, by their hash keys."""
    return sorted((shard for shard in record.shards if is_open(shard)), key=lambda shard: shard.first_hash)


# Plans


def can_split(shard: ShardRecord) -> bool:
    """Whether a shard has hash keys enough for two."""
    return shard.first_hash < shard.last_hash


def halves(shard: ShardRecord) -> bytes:
    """The hash key at which the upper half of a shard begins."""
    first, last = int.from_bytes(shard.first_hash), int.from_bytes(shard.last_hash)
    return hash_bytes(first + (last - first + 1) // 2)


def uniform_plan(record: StreamRecord, count: int) -> Plan:
    """The steps that make the open shards `count` ranges of equal size.

    AWS: where the new ranges do not fit the old ones, shards are made on the way that are closed at once.
    """
    steps: list[tuple[int, bytes | int]] = []
    number = record.next_shard
    bounds = uniform_bounds(count)
    pieces: list[tuple[bytes, int]] = []
    """First hash key and number of each shard once all the splits are done."""
    cuts = iter(bounds)
    cut = next(cuts, None)
    for shard in open_shards(record):
        current, first = shard.number, shard.first_hash
        while cut is not None and cut <= shard.last_hash:
            if cut > first:
                steps.append((current, cut))
                pieces.append((first, number))
                current, first = number + 1, cut
                number += 2
            cut = next(cuts, None)
        pieces.append((first, current))
    for group in _groups(pieces, bounds):
        current = group[0]
        for adjacent in group[1:]:
            steps.append((current, adjacent))
            current = number
            number += 1
    return Plan(steps)


def _groups(pieces: Sequence[tuple[bytes, int]], bounds: Iterable[bytes]) -> list[list[int]]:
    """The numbers of the pieces within each of the ranges that begin at `bounds`."""
    starts = set(bounds)
    groups: list[list[int]] = []
    for first, number in pieces:
        if first in starts:
            groups.append([])
        groups[-1].append(number)
    return groups


def carry_out(record: StreamRecord, now_ms: int) -> StreamRecord:
    """The stream with its plan carried out: parents closed, children open. Where parents end is still to be found out.

    A shard that one step makes and a later one closes never took a record, so its end is known.
    """
    if record.plan is None:
        return record
    shards = {shard.number: shard for shard in record.shards}
    number = record.next_shard
    for parent_number, at in record.plan.steps:
        parents = [shards[parent_number]] if isinstance(at, bytes) else [shards[parent_number], shards[at]]
        for child in _children(parents, at, number, now_ms):
            shards[child.number] = child
            number += 1
        for parent in parents:
            ending = 0 if parent.number >= record.next_shard else -1
            shards[parent.number] = msgspec.structs.replace(parent, closed_at_ms=now_ms, ending=ending)
    return msgspec.structs.replace(record, shards=list(shards.values()), next_shard=number, plan=None)


def _children(parents: Sequence[ShardRecord], at: bytes | int, number: int, now_ms: int) -> list[ShardRecord]:
    """What comes of a split of one shard at a hash key, or of a merge of two."""
    epoch_s = max(now_ms // 1000, *(parent.epoch_s + 1 for parent in parents))
    if isinstance(at, bytes):
        [parent] = parents
        below = hash_bytes(int.from_bytes(at) - 1)
        return [
            ShardRecord(number, parent.first_hash, below, epoch_s, now_ms, parent.number),
            ShardRecord(number + 1, at, parent.last_hash, epoch_s, now_ms, parent.number),
        ]
    shard, adjacent = parents
    first, last = min(shard.first_hash, adjacent.first_hash), max(shard.last_hash, adjacent.last_hash)
    return [ShardRecord(number, first, last, epoch_s, now_ms, shard.number, adjacent.number)]


def adjacent(one: ShardRecord, other: ShardRecord) -> bool:
    """Whether two shards' ranges touch."""
    ends = (int.from_bytes(one.last_hash) + 1, int.from_bytes(other.last_hash) + 1)
    return ends[0] == int.from_bytes(other.first_hash) or ends[1] == int.from_bytes(one.first_hash)


def ended(record: StreamRecord, endings: dict[int, int]) -> StreamRecord:
    """The stream with the ends of closed shards, by number, put in where they were not known."""
    shards = [
        msgspec.structs.replace(shard, ending=endings[shard.number])
        if shard.number in endings and shard.closed_at_ms and shard.ending < 0
        else shard
        for shard in record.shards
    ]
    return msgspec.structs.replace(record, shards=shards)


# What is due


def closing(record: StreamRecord) -> list[int]:
    """The numbers of closed shards whose end is still to be found out."""
    return [shard.number for shard in record.shards if shard.closed_at_ms and shard.ending < 0]


def expires_ms(record: StreamRecord, shard: ShardRecord) -> int:
    """When a shard goes: once all it may hold has expired. Never, for an open one."""
    return shard.closed_at_ms + record.retention_h * limits.HOUR_MS if shard.closed_at_ms else NEVER_MS


def expired(record: StreamRecord, now_ms: int) -> list[int]:
    """The numbers of closed shards that are gone by now."""
    return [shard.number for shard in record.shards if expires_ms(record, shard) <= now_ms]


def without(record: StreamRecord, numbers: Iterable[int]) -> StreamRecord:
    """The stream without these shards."""
    gone = set(numbers)
    shards = [shard for shard in record.shards if shard.number not in gone]
    return msgspec.structs.replace(record, shards=shards) if gone else record


def due_ms(record: StreamRecord) -> int:
    """When something is to be done with the stream that does not come about by time alone; NEVER_MS for nothing."""
    if record.status is Status.DELETING:
        return record.until_ms
    due = record.until_ms if record.plan is not None else NEVER_MS
    if record.on_demand and record.cool_at_ms:
        due = min(due, max(record.cool_at_ms, record.until_ms))
    for shard in record.shards:
        if shard.closed_at_ms:
            due = min(due, shard.closed_at_ms if shard.ending < 0 else expires_ms(record, shard))
    return due
