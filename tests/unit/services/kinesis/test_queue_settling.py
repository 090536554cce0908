"""Acknowledging, hiding and restoring what was received from stream queues."""

from __future__ import annotations

import asyncio

import pytest

from .queue_tools import acknowledge, dead_after, depth, handles, make_queue, nothing, receive, receive_dead


@pytest.fixture
async def stream(unlimited):
    """Kinesis with a stream "s" in on-demand mode."""
    await unlimited.create(shards=0)
    return unlimited


@pytest.fixture
async def dead(stream, clock):
    """A queue with three dead letters, "0" to "2"."""
    queue = await make_queue(stream, **dead_after(1))
    await stream.put_many(*[(b"%d" % number, str(number)) for number in range(3)])
    got = 0
    while got < 3:
        got += len(await receive(stream, queue, VisibilityTimeoutSeconds=1))
    await clock.advance(1_000)
    return queue


async def test_restored_twice_at_once_a_record_comes_once(stream, dead):
    letters = await receive_dead(stream, dead)
    entries = handles(letters) + handles(letters[:1])

    def restore():
        return stream("restore_dead_letter_queue_records", QueueARN=dead, Entries=entries)

    answers = await asyncio.gather(restore(), restore())
    assert len(answers[0]["Successful"]) == 4
    assert len(answers[1]["Failed"]) == 4
    assert await depth(stream, dead) == 3
    found = await receive(stream, dead)
    assert sorted(record["Data"] for record in found) == [b"0", b"1", b"2"]
    assert {record["ReceiveCount"] for record in found} == {1}


async def test_a_dead_letter_that_is_visible_again_can_be_restored(stream, dead, clock):
    letters = await receive_dead(stream, dead, VisibilityTimeoutSeconds=1)
    await clock.advance(2_000)
    answer = await stream("restore_dead_letter_queue_records", QueueARN=dead, Entries=handles(letters))
    assert answer["Failed"] == []
    assert await nothing(stream, dead, "receive_dead_letter_queue_records")
    assert len(await receive(stream, dead)) == 3


async def test_an_older_handle_acknowledges_too(stream, clock):
    queue = await make_queue(stream)
    await stream.put(b"a")
    first = await receive(stream, queue, VisibilityTimeoutSeconds=1)
    await clock.advance(1_000)
    await receive(stream, queue, VisibilityTimeoutSeconds=1)
    await acknowledge(stream, queue, first)
    await clock.advance(1_000)
    assert await nothing(stream, queue)


async def test_entries_of_all_kinds_in_one_call(stream, clock):
    queue = await make_queue(stream, **dead_after(2))
    await stream.put(b"a")
    await receive(stream, queue, VisibilityTimeoutSeconds=1)
    await clock.advance(1_000)
    [last] = await receive(stream, queue, VisibilityTimeoutSeconds=5)
    await stream.put(b"b")
    [first] = await receive(stream, queue, VisibilityTimeoutSeconds=5)
    entries = [{**handle, "VisibilityTimeoutSeconds": 60} for handle in handles([last, first])]
    entries.insert(1, {"ReceiptHandle": "nonsense", "VisibilityTimeoutSeconds": 60})
    answer = await stream("update_queue_records_visibility", QueueARN=queue, Entries=entries)
    assert answer["Successful"] == handles([last, first])
    assert [failed["ReceiptHandle"] for failed in answer["Failed"]] == ["nonsense"]
    await clock.advance(30_000)
    assert await nothing(stream, queue)
    assert await nothing(stream, queue, "receive_dead_letter_queue_records")
    await acknowledge(stream, queue, [last, first])
    await clock.advance(60_000)
    assert await nothing(stream, queue)
    assert await nothing(stream, queue, "receive_dead_letter_queue_records")


async def test_a_last_receive_settled_from_two_sides_is_settled_once(stream):
    queue = await make_queue(stream, **dead_after(1))
    await stream.put(b"a")
    entries = handles(await receive(stream, queue))
    answers = await asyncio.gather(
        *[stream("acknowledge_queue_records", QueueARN=queue, Entries=entries) for _ in range(3)]
    )
    assert sorted(len(answer["Successful"]) for answer in answers) == [0, 0, 1]
