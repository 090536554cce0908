"""Chunks: records appended together, stored as one row.

A row a record would cost the engine several times what the record itself does. A chunk is a MessagePack
array of [key, data] pairs, decoded in one go; its sequences and time stand beside it in the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from headrace.errors import StorageCorrupt
from headrace.primitives.logs import SEAL, Appending, Record

CHUNK_BYTES: Final = 128 * 1024
"""Keys and data in a chunk, unless a single record is larger: what a read of one record has to fetch."""
CHUNK_RECORDS: Final = 1_000

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


class Chunk(NamedTuple):
    """A chunk to store: how many records, the bytes of their keys and data, and the encoded records."""

    records: int
    size: int
    encoded: bytes


class Row(NamedTuple):
    """A stored chunk, in the order its columns are read."""

    first: int
    last: int
    appended_at_ms: int
    size: int
    encoded: bytes


def size_of(key: str, data: bytes) -> int:
    """The bytes that a record counts for."""
    return len(data) + (len(key) if key.isascii() else len(key.encode()))


def pack(records: Sequence[Appending]) -> list[Chunk]:
    """The records, in order, in as few chunks as the chunk limits allow."""
    sizes = [size_of(record.key, record.data) for record in records]
    if not sizes or (sum(sizes) <= CHUNK_BYTES and len(sizes) <= CHUNK_RECORDS and records[-1].key != SEAL):
        return [Chunk(len(sizes), sum(sizes), _ENCODER.encode(records))] if sizes else []
    packed: list[Chunk] = []
    taken: list[Appending] = []
    size = 0
    for record, length in zip(records, sizes, strict=True):
        if taken and (size + length > CHUNK_BYTES or len(taken) == CHUNK_RECORDS or record.key == SEAL):
            packed.append(Chunk(len(taken), size, _ENCODER.encode(taken)))
            taken, size = [], 0
        taken.append(record)
        size += length
    packed.append(Chunk(len(taken), size, _ENCODER.encode(taken)))
    return packed


def is_seal(chunk: Chunk) -> bool:
    """Whether the chunk is a log's seal, which is always a chunk of its own."""
    return chunk.records == 1 and chunk.size == len(SEAL) and unpack(chunk.encoded)[0][0] == SEAL


def unpack(encoded: bytes) -> list[tuple[str, bytes]]:
    """Key and data of each record. Raises StorageCorrupt."""
    try:
        return _DECODER.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise StorageCorrupt("A chunk of log records is damaged. Restore the data from a backup.") from cause


def size_through(row: Row, sequence: int) -> int:
    """The bytes of the chunk's records up to and including `sequence`."""
    if sequence >= row.last:
        return row.size
    return sum(size_of(key, data) for key, data in unpack(row.encoded)[: sequence - row.first + 1])


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

    def add(self, rows: Sequence[Row]) -> None:
        """Take from these chunks, which follow each other, what the limits allow."""
        for row in rows:
            if self.full:
                return
            if row.first > self.after and row.last - row.first < self.records_left and row.size <= self.bytes_left:
                self._add_whole(row)
            else:
                self._add_part(row)

    def _add_whole(self, row: Row) -> None:
        first, last, at_ms, size, encoded = row
        pairs = unpack(encoded)
        self.records += [Record(sequence, at_ms, key, data) for sequence, (key, data) in enumerate(pairs, first)]
        self.after = last
        self.bytes_left -= size
        self.records_left -= len(pairs)
        self.full = self.records_left == 0

    def _add_part(self, row: Row) -> None:
        skipped = max(0, self.after + 1 - row.first)
        pairs = unpack(row.encoded)[skipped:]
        for sequence, (key, data) in enumerate(pairs, row.first + skipped):
            size = size_of(key, data)
            if self.records_left == 0 or (size > self.bytes_left and self.records):
                self.full = True
                return
            self.records.append(Record(sequence, row.appended_at_ms, key, data))
            self.after = sequence
            self.bytes_left -= size
            self.records_left -= 1
        self.full = self.records_left == 0
