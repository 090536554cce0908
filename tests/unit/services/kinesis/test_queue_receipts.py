"""Receipt handles."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.services.kinesis import queue_receipts
from headrace.services.kinesis.queue_receipts import Kind, Receipt
from headrace.services.kinesis.queue_records import Pointer

QUEUE_ID = "0123456789abcdef" * 2
RECEIPT = Receipt(QUEUE_ID, Kind.QUEUED, 7, 123_456, 1_700_000_000_000, "AAAAAgAAAAEAAAABAAABi8/lTCiiw9ck")


@given(
    st.builds(
        Receipt,
        st.just(QUEUE_ID),
        st.sampled_from(Kind),
        st.integers(0, 20_000),
        st.integers(1, 2**62),
        st.integers(0, 2**45),
        st.text(string.printable, max_size=500),
    )
)
def test_a_handle_says_what_the_receipt_does(receipt):
    handle = queue_receipts.write(receipt)
    assert len(handle) <= 1_024
    assert queue_receipts.read(handle, QUEUE_ID) == receipt
    assert receipt.pointer == Pointer(receipt.shard, receipt.sequence)


def test_the_handle_of_another_queue_is_none_of_this():
    assert queue_receipts.read(queue_receipts.write(RECEIPT), "f" * 32) is None


def test_no_changed_character_passes():
    handle = queue_receipts.write(RECEIPT)
    for place in range(len(handle)):
        other = "A" if handle[place] != "A" else "B"
        changed = handle[:place] + other + handle[place + 1 :]
        assert queue_receipts.read(changed, QUEUE_ID) is None, place


@pytest.mark.parametrize("handle", ["", "x", "AAAA", "AAAAAAAA", "é", "A" * 1_024, base64.b64encode(b"{}").decode()])
def test_what_was_never_a_handle(handle):
    assert queue_receipts.read(handle, QUEUE_ID) is None
