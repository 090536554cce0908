"""Names: any key is a token of a subject, and comes back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.engines.nats.naming import MAX_TOKEN_BYTES, key_of, token
from headrace.errors import StorageError


@given(st.text())
def test_keys_come_back(key):
    made = token(key)
    assert made
    assert not set(made) & set(" .*>\r\n\t\0")
    assert made.isascii()
    assert key_of(made.encode()) == key


@given(st.text(), st.text())
def test_keys_are_told_apart(one, other):
    assert (token(one) == token(other)) is (one == other)


def test_common_keys_stay_readable():
    assert token("arn:aws:sqs:us-east-1:000000000000:orders") == "arn:aws:sqs:us-east-1:000000000000:orders"
    assert token("steps.fifo") == "steps=2Efifo"


def test_a_key_that_is_too_long():
    with pytest.raises(StorageError):
        token("é" * MAX_TOKEN_BYTES)
