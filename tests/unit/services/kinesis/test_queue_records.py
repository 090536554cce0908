"""What stream queues store, and under which keys."""

from __future__ import annotations

import pytest

from headrace.services.kinesis import queue_records
from headrace.services.kinesis.queue_records import Due, Header, LastReceive, Pointer


@pytest.mark.parametrize("pointer", [Pointer(0, 1), Pointer(19_999, 2**62)])
def test_a_pointer_is_a_message_s_body(pointer):
    assert queue_records.read_pointer(queue_records.write_pointer(pointer)) == pointer


def test_headers_and_last_receives_are_read_as_written():
    assert queue_records.decode_header(queue_records.FRESH) == Header(0, 0)
    header = Header(6, 1_700_000_000_000)
    assert queue_records.decode_header(queue_records.encode(header)) == header
    last = LastReceive(1_700_000_030_000, 6, 1_700_000_000_000, "claim")
    assert queue_records.decode_last(queue_records.encode(last)) == last


@pytest.mark.parametrize("pointer", [None, Pointer(3, 17)])
def test_a_key_says_what_is_due(pointer):
    due = Due(1_700_000_000_000, "us-east-1", "000000000000", "0af1", pointer)
    assert queue_records.read_due(queue_records.due_key(due)) == due


def test_what_is_due_sorts_by_time():
    times = [0, 9, 10, 999, 1_700_000_000_000, 99_999_999_999_999]
    keys = [queue_records.due_key(Due(due_ms, "z" if due_ms % 2 else "a", "1", "2")) for due_ms in times]
    assert keys == sorted(keys)
