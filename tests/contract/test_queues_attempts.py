"""Attempt ids: a receive of a FIFO queue that is repeated gives the same messages and receipts again."""

import pytest

from headrace.primitives.queues import Outcome

WINDOW_MS = 300_000


@pytest.fixture
async def q(queue):
    return await queue(fifo=True, visibility_timeout_ms=30_000)


async def test_a_repeated_receive_gives_the_same_again(q):
    await q.send(*"abcd", group="g")
    first = await q.receive(2, attempt_id="t")
    again = await q.receive(2, attempt_id="t")
    assert (again.bodies, again.receipts, again.ids) == (first.bodies, first.receipts, first.ids)
    assert await q.counts() == (2, 2, 0)
    assert await q.delete(again) == [Outcome.DONE, Outcome.DONE]


async def test_a_repeated_receive_hides_anew(q, clock):
    await q.send("a", group="g")
    await q.receive(attempt_id="t")
    await clock.advance(20_000)
    again = await q.receive(attempt_id="t")
    await clock.advance(29_999)
    assert await q.counts() == (0, 1, 0)
    assert await q.delete(again) == [Outcome.DONE]


async def test_another_attempt_gets_nothing_of_it(q):
    await q.send("a", group="g")
    await q.receive(attempt_id="t")
    assert await q.receive(attempt_id="u") == []
    assert await q.receive() == []


async def test_an_attempt_whose_messages_were_deleted_starts_afresh(q):
    await q.send(*"abc", group="g")
    first = await q.receive(2, attempt_id="t")
    await q.delete(first[:1])
    assert await q.receive(2, attempt_id="t") == []
    await q.delete(first[1:])
    assert (await q.receive(2, attempt_id="t")).bodies == ["c"]


async def test_an_attempt_whose_messages_were_changed_starts_afresh(q):
    await q.send("a", "b", group="g")
    first = await q.receive(1, attempt_id="t")
    await q.hide(first, 10_000)
    assert await q.receive(1, attempt_id="t") == []


async def test_an_attempt_is_forgotten_after_five_minutes(q, clock):
    await q.send("a", group="g")
    first = await q.receive(attempt_id="t", visibility_timeout_ms=600_000)
    await clock.advance(WINDOW_MS)
    assert await q.receive(attempt_id="t") == []
    await clock.advance(WINDOW_MS)
    again = await q.receive(attempt_id="t")
    assert (again.bodies, again.counts) == (["a"], [2])
    assert again.receipts != first.receipts


async def test_after_the_visibility_ended_the_messages_come_as_ever(q, clock):
    await q.send("a", group="g")
    await q.receive(attempt_id="t")
    await clock.advance(30_000)
    again = await q.receive(attempt_id="t")
    assert again.bodies == ["a"]
    assert await q.delete(again) == [Outcome.DONE]


async def test_an_attempt_does_not_take_messages_from_a_later_receiver(q, clock):
    await q.send("a", group="g")
    await q.receive(attempt_id="t")
    await clock.advance(30_000)
    other = await q.receive()
    assert other.bodies == ["a"]
    assert await q.receive(attempt_id="t") == []
    assert await q.delete(other) == [Outcome.DONE]


async def test_an_attempt_that_got_nothing_may_get_something(q):
    assert await q.receive(attempt_id="t") == []
    await q.send("a", group="g")
    assert (await q.receive(attempt_id="t")).bodies == ["a"]


async def test_attempts_of_other_queues_are_their_own(queue, q):
    other = await queue("other", fifo=True)
    await q.send("a", group="g")
    await other.send("b", group="g")
    await q.receive(attempt_id="t")
    assert (await other.receive(attempt_id="t")).bodies == ["b"]


async def test_a_purge_ends_an_attempt(q):
    await q.send("a", group="g")
    await q.receive(attempt_id="t")
    await q.purge()
    await q.send("b", group="g")
    assert (await q.receive(attempt_id="t")).bodies == ["b"]


async def test_an_expired_message_ends_an_attempt(queue, clock):
    q = await queue(fifo=True, retention_ms=60_000, visibility_timeout_ms=200_000)
    await q.send("a", group="g")
    await q.receive(attempt_id="t")
    await clock.advance(60_000)
    assert await q.receive(attempt_id="t") == []


async def test_a_dropped_queue_forgets_its_attempts(q):
    await q.send("a", group="g")
    await q.receive(attempt_id="t")
    await q.drop()
    await q.configure(fifo=True)
    assert await q.receive(attempt_id="t") == []


async def test_an_attempt_that_is_retried_within_a_millisecond_is_forgotten_once(q, clock):
    await q.send("a", group="g")
    for _ in range(3):
        assert (await q.receive(attempt_id="try", visibility_timeout_ms=1_000)).bodies == ["a"]
    await clock.advance(300_001)
    assert (await q.receive(attempt_id="try")).bodies == ["a"]
