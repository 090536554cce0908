"""Hiding: a received message stays hidden for its timeout, which may be changed meanwhile."""

import pytest

from headrace.primitives.queues import Outcome

HOUR_MS = 3_600_000


async def test_a_message_is_hidden_until_its_timeout_ends(queue, clock):
    q = await queue(visibility_timeout_ms=30_000)
    await q.send("x")
    await q.receive()
    await clock.advance(29_999)
    assert await q.receive() == []
    assert await q.counts() == (0, 1, 0)
    await clock.advance(1)
    assert await q.counts() == (1, 0, 0)
    assert (await q.receive()).counts == [2]


async def test_a_receive_may_bring_its_own_timeout(queue, clock):
    q = await queue(visibility_timeout_ms=30_000)
    await q.send("a", "b")
    await q.receive(1, visibility_timeout_ms=1000)
    await q.receive(1, visibility_timeout_ms=60_000)
    await clock.advance(1000)
    assert await q.counts() == (1, 1, 0)
    await clock.advance(58_999)
    assert await q.counts() == (1, 1, 0)
    await clock.advance(1)
    assert await q.counts() == (2, 0, 0)


async def test_a_timeout_of_nothing_hides_nothing(queue):
    q = await queue()
    await q.send("x")
    batch = await q.receive(10, visibility_timeout_ms=0)
    assert (batch.bodies, batch.counts) == (["x"], [1])
    assert await q.counts() == (1, 0, 0)
    assert (await q.receive()).counts == [2]


async def test_extending_counts_from_now(queue, clock):
    q = await queue(visibility_timeout_ms=10_000)
    await q.send("x")
    batch = await q.receive()
    await clock.advance(9000)
    assert await q.hide(batch, 20_000) == [Outcome.DONE]
    await clock.advance(19_999)
    assert await q.receive() == []
    await clock.advance(1)
    assert (await q.receive()).bodies == ["x"]


async def test_shortening_counts_from_now(queue, clock):
    q = await queue(visibility_timeout_ms=30_000)
    await q.send("x")
    batch = await q.receive()
    assert await q.hide(batch, 2000) == [Outcome.DONE]
    await clock.advance(1999)
    assert await q.receive() == []
    await clock.advance(1)
    assert (await q.receive()).counts == [2]


@pytest.mark.parametrize("fifo", [False, True])
async def test_zero_makes_it_visible_at_once(queue, fifo):
    q = await queue(fifo=fifo)
    await q.send("x", group="g")
    batch = await q.receive()
    assert await q.hide(batch, 0) == [Outcome.DONE]
    assert await q.counts() == (1, 0, 0)
    assert (await q.receive()).counts == [2]


async def test_a_visible_message_has_no_visibility_to_change(queue, clock):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("x")
    batch = await q.receive()
    await clock.advance(1000)
    assert await q.hide(batch, 5000) == [Outcome.NOT_IN_FLIGHT]
    assert await q.counts() == (1, 0, 0)


async def test_the_second_of_two_changes_in_a_call_sees_the_first(engine, queue):
    q = await queue()
    await q.send("x")
    ((receipt,),) = [(await q.receive()).receipts]
    outcomes = await engine.queues.change_visibility(q.name, [(receipt, 0), (receipt, 5000)])
    assert outcomes == [Outcome.DONE, Outcome.NOT_IN_FLIGHT]
    assert await q.counts() == (1, 0, 0)


async def test_a_changed_message_keeps_its_count(queue, clock):
    q = await queue()
    await q.send("x")
    batch = await q.receive()
    for timeout_ms in (5000, 8000, 1000):
        await q.hide(batch, timeout_ms)
    await clock.advance(1000)
    assert (await q.receive()).counts == [2]


async def test_twelve_hours_in_all_from_the_receive(queue, clock):
    q = await queue(visibility_timeout_ms=6 * HOUR_MS)
    await q.send("x")
    batch = await q.receive()
    await clock.advance(4 * HOUR_MS)
    assert await q.hide(batch, 8 * HOUR_MS + 1) == [Outcome.BEYOND_LIMIT]
    assert await q.hide(batch, 12 * HOUR_MS) == [Outcome.BEYOND_LIMIT]
    await clock.advance(HOUR_MS)
    assert await q.counts() == (0, 1, 0)
    assert await q.hide(batch, 7 * HOUR_MS) == [Outcome.DONE]
    await clock.advance(7 * HOUR_MS - 1)
    assert await q.counts() == (0, 1, 0)
    await clock.advance(1)
    assert await q.counts() == (1, 0, 0)


async def test_a_refused_change_leaves_the_old_timeout(queue, clock):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("x")
    batch = await q.receive()
    await clock.advance(500)
    assert await q.hide(batch, 12 * HOUR_MS) == [Outcome.BEYOND_LIMIT]
    await clock.advance(500)
    assert await q.counts() == (1, 0, 0)


async def test_the_limit_starts_anew_with_every_receive(queue, clock):
    q = await queue(visibility_timeout_ms=11 * HOUR_MS)
    await q.send("x")
    await q.receive()
    await clock.advance(11 * HOUR_MS)
    batch = await q.receive(visibility_timeout_ms=1000)
    assert await q.hide(batch, 12 * HOUR_MS) == [Outcome.DONE]


@pytest.mark.parametrize("timeout_ms", [0, 5000])
async def test_an_older_receipt_of_a_standard_queue_changes_nothing(queue, clock, timeout_ms):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("x")
    old = await q.receive()
    await clock.advance(1000)
    new = await q.receive()
    assert await q.hide(old, timeout_ms) == [Outcome.NOT_IN_FLIGHT]
    await clock.advance(999)
    assert await q.counts() == (0, 1, 0)
    assert await q.hide(new, 2) == [Outcome.DONE]
    await clock.advance(2)
    assert await q.counts() == (1, 0, 0)


async def test_messages_come_back_in_the_order_of_their_timeouts_not_before(queue, clock):
    q = await queue()
    await q.send(*"abcde")
    batch = await q.receive()
    for place, message in enumerate(batch):
        await q.hide([message], 1000 * (5 - place))
    seen = []
    for _ in range(5):
        await clock.advance(1000)
        seen += (await q.receive()).bodies
    assert seen == list("edcba")
