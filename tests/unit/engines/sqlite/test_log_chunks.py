"""The chunk codec: what goes in comes out, within the chunk limits and the limits of a read."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.engines.sqlite import log_chunks
from headrace.engines.sqlite.log_chunks import Reading, Row, pack, size_of, size_through, unpack
from headrace.errors import StorageCorrupt
from headrace.primitives.logs import Appending, Record

RECORDS = st.lists(st.builds(Appending, st.text(max_size=5), st.binary(max_size=40)), max_size=30)


def rows_of(records, first=1, at_ms=7):
    """The records as stored chunks."""
    rows = []
    for count, size, encoded in pack(records):
        rows.append(Row(first, first + count - 1, at_ms, size, encoded))
        first += count
    return rows


def small_chunks():
    return mock.patch.multiple(log_chunks, CHUNK_BYTES=100, CHUNK_RECORDS=4)


@given(RECORDS)
def test_what_was_packed_is_unpacked(records):
    with small_chunks():
        chunks = pack(records)
    assert [pair for chunk in chunks for pair in unpack(chunk.encoded)] == [(r.key, r.data) for r in records]
    for chunk in chunks:
        pairs = unpack(chunk.encoded)
        assert chunk.records == len(pairs) <= 4
        assert chunk.size == sum(size_of(key, data) for key, data in pairs)
        assert chunk.size <= 100 or len(pairs) == 1


def test_chunks_are_as_few_as_the_limits_allow():
    assert pack([]) == []
    assert len(pack([Appending("key", b"x" * 200)] * 500)) == 1
    assert [chunk.records for chunk in pack([Appending("", b"")] * 2500)] == [1000, 1000, 500]
    large = Appending("k", b"x" * 10_000_000)
    small = Appending("k", b"x")
    assert [chunk.records for chunk in pack([small, large, small, small])] == [1, 1, 2]


@pytest.mark.parametrize(("key", "size"), [("", 3), ("k", 4), ("é", 5), ("€", 6), ("𝄞", 7)])
def test_keys_count_in_utf8(key, size):
    assert size_of(key, b"abc") == size


@given(RECORDS, st.integers(0, 40), st.integers(0, 40), st.integers(0, 300))
def test_a_reading_takes_what_its_limits_allow(records, after, max_records, max_bytes):
    with small_chunks():
        rows = rows_of(records)
    reading = Reading(after, max_records, max_bytes)
    reading.add([row for row in rows if row.last > after])
    expected = []
    for sequence, record in enumerate(records, 1):
        if sequence > after:
            max_bytes -= size_of(record.key, record.data)
            if len(expected) == max_records or (max_bytes < 0 and expected):
                assert reading.full
                break
            expected.append(Record(sequence, 7, record.key, record.data))
    assert reading.records == expected


def test_a_reading_goes_on_with_later_rows():
    rows = rows_of([Appending("", b"a"), Appending("", b"b")]) + rows_of([Appending("", b"c")], first=3)
    reading = Reading(0, 10, 100)
    for row in rows:
        reading.add([row])
    assert [record.data for record in reading.records] == [b"a", b"b", b"c"]
    assert (reading.after, reading.full, reading.records_left, reading.bytes_left) == (3, False, 7, 97)


@given(RECORDS.filter(bool), st.data())
def test_the_size_through_a_record(records, data):
    [row] = rows_of(records, first=11)
    sequence = data.draw(st.integers(11, row.last + 2))
    assert size_through(row, sequence) == sum(size_of(r.key, r.data) for r in records[: sequence - 10])


@pytest.mark.parametrize("encoded", [b"", b"\xc1", b"\x91\x92\xa1k", b"\x81\xa1k\x01", b"\x91\x92\xa1\xff\xc4\x00"])
def test_a_damaged_chunk_is_told(encoded):
    with pytest.raises(StorageCorrupt):
        unpack(encoded)
