"""Metadata on SQLite: prefixes are ranges of the key's index."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.clock import VirtualClock
from headrace.engines.sqlite import metadata as module
from headrace.engines.sqlite.metadata import SqliteMetadata, beyond
from headrace.errors import StorageError

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=4)


@given(TEXTS, TEXTS)
def test_a_prefix_is_a_range(prefix, text):
    end = beyond(prefix)
    within = prefix <= text and (isinstance(end, bytes) or text < end)
    assert within == text.startswith(prefix)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("", b""), ("a", "b"), ("a/", "a0"), ("a\ud7ff", "a\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", b"")],
)
def test_what_sorts_after_a_prefix(prefix, end):
    assert beyond(prefix) == end


async def test_listing_reads_a_range_of_the_key(opened):
    connection = opened(":memory:").connection
    [plan] = connection.execute(f"EXPLAIN QUERY PLAN {module._LIST}", ("a", "b", 10)).fetchall()
    assert plan[-1] == "SEARCH metadata USING PRIMARY KEY (key>? AND key<?)"


async def test_a_change_that_was_taken_back_is_not_told(database):
    metadata = SqliteMetadata(database, VirtualClock(0))
    seen = []
    metadata.watch("", seen.append)
    database.connection.set_commit_hook(lambda: True)
    outcomes = await asyncio.gather(metadata.put("a", b""), metadata.delete("b"), return_exceptions=True)
    assert all(isinstance(outcome, StorageError) for outcome in outcomes)
    database.connection.set_commit_hook(None)
    await metadata.put("c", b"")
    assert [change.key for change in seen] == ["c"]
    assert await metadata.get("a") is None


async def test_without_watchers_nothing_is_kept_to_be_told(database):
    metadata = SqliteMetadata(database, VirtualClock(0))
    end = metadata.watch("", print)
    end()
    await metadata.put("a", b"")
    assert database._callbacks == []
    assert metadata._watches == ()
