"""Chunks: records appended together, stored as one message.

A message a record would cost the servers and the readers several times what the record itself does. A chunk is a head
of fixed size, which says where it stands in its log, and a MessagePack array of [key, data] pairs.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from headrace.engines.nats.jetstream import Stored
from headrace.errors import StorageCorrupt
from headrace.primitives.logs import SEAL, Appending, Record

CHUNK_BYTES: Final = 128 * 1024
"""Keys and data in a chunk, unless a single record is larger: what a read of one record has to fetch."""
CHUNK_RECORDS: Final = 1_000

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BQIQQQ")
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


class Packed(NamedTuple):
    """Records that are to become a chunk: how many, the bytes of their keys and data, and the encoded records."""

    records: int
    size: int
    encoded: bytes


class Chunk(NamedTuple):
    """A stored chunk. `place` is its message's sequence in the stream, `total_bytes` counts all up to its end."""

    place: int
    first: int
    last: int
    appended_at_ms: int
    size: int
    total_bytes: int
    payload: bytes

    @property
    def total_before(self) -> int:
        """Bytes appended to the log before this chunk."""
        return self.total_bytes - self.size


def size_of(key: str, data: bytes) -> int:
    """The bytes that a record counts for."""
    return len(data) + (len(key) if key.isascii() else len(key.encode()))


def pack(records: Sequence[Appending]) -> list[Packed]:
    """The records, in order, in as few chunks as the chunk limits allow."""
    sizes = [size_of(record.key, record.data) for record in records]
    if not sizes or (sum(sizes) <= CHUNK_BYTES and len(sizes) <= CHUNK_RECORDS and records[-1].key != SEAL):
        return [Packed(len(sizes), sum(sizes), _ENCODER.encode(records))] if sizes else []
    packed: list[Packed] = []
    taken: list[Appending] = []
    size = 0
    for record, length in zip(records, sizes, strict=True):
        if taken and (size + length > CHUNK_BYTES or len(taken) == CHUNK_RECORDS or record.key == SEAL):
            packed.append(Packed(len(taken), size, _ENCODER.encode(taken)))
            taken, size = [], 0
        taken.append(record)
        size += length
    packed.append(Packed(len(taken), size, _ENCODER.encode(taken)))
    return packed


def payload(packed: Packed, *, first: int, at_ms: int, total_before: int) -> bytes:
    """The message of a chunk that begins with sequence `first`."""
    head = _HEAD.pack(_VERSION, first, packed.records, at_ms, packed.size, total_before + packed.size)
    return head + packed.encoded


def chunk(stored: Stored) -> Chunk:
    """The chunk in a message. Raises StorageCorrupt."""
    return parse(stored.sequence, stored.payload)


def parse(place: int, payload: bytes) -> Chunk:
    """The chunk in a message's payload. Raises StorageCorrupt."""
    if len(payload) < _HEAD.size or payload[0] != _VERSION:
        raise StorageCorrupt("A chunk of log records is damaged. Restore the streams from a backup.")
    _, first, count, at_ms, size, total_bytes = _HEAD.unpack_from(payload)
    return Chunk(place, first, first + count - 1, at_ms, size, total_bytes, payload)


def is_seal(chunk: Chunk) -> bool:
    """Whether the chunk is a log's seal, which is always a chunk of its own."""
    return chunk.first == chunk.last and chunk.size == len(SEAL) and unpack(chunk)[0][0] == SEAL


def unpack(chunk: Chunk) -> list[tuple[str, bytes]]:
    """Key and data of each record. Raises StorageCorrupt."""
    try:
        return _DECODER.decode(memoryview(chunk.payload)[_HEAD.size :])
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise StorageCorrupt("A chunk of log records is damaged. Restore the streams from a backup.") from cause


def total_through(chunk: Chunk, sequence: int) -> int:
    """The bytes appended to the log up to and including `sequence`, which is in the chunk."""
    if sequence >= chunk.last:
        return chunk.total_bytes
    pairs = unpack(chunk)[: sequence - chunk.first + 1]
    return chunk.total_before + sum(size_of(key, data) for key, data in pairs)


class Reading:
    """The records gathered for one read, up to its limits.

    `after` moves on to the last sequence looked at; `full` tells that a limit was reached.
    """

    __slots__ = ("after", "bytes_left", "full", "records", "records_left")

    def __init__(self, after: int, max_records: int, max_bytes: int) -> None:
        self.after = after
        self.records: list[Record] = []
        self.records_left = max_records
        self.bytes_left = max_bytes
        self.full = max_records <= 0

    def add(self, chunk: Chunk) -> None:
        """Take from this chunk, which follows the last one, what the limits allow."""
        whole = chunk.first > self.after and chunk.last - chunk.first < self.records_left
        if whole and chunk.size <= self.bytes_left:
            pairs = unpack(chunk)
            at_ms = chunk.appended_at_ms
            self.records += [Record(place, at_ms, key, data) for place, (key, data) in enumerate(pairs, chunk.first)]
            self.after = chunk.last
            self.bytes_left -= chunk.size
            self.records_left -= len(pairs)
            self.full = self.records_left == 0
        else:
            self._add_part(chunk)

    def _add_part(self, chunk: Chunk) -> None:
        skipped = max(0, self.after + 1 - chunk.first)
        pairs = unpack(chunk)[skipped:]
        for sequence, (key, data) in enumerate(pairs, chunk.first + skipped):
            size = size_of(key, data)
            if self.records_left == 0 or (size > self.bytes_left and self.records):
                self.full = True
                return
            self.records.append(Record(sequence, chunk.appended_at_ms, key, data))
            self.after = sequence
            self.bytes_left -= size
            self.records_left -= 1
        self.full = self.records_left == 0
