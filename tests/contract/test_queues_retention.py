"""Retention: a message goes when its time is up, counted from its sending, whatever its state."""

import pytest

from headrace.primitives.queues import Outcome


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_message_goes_when_its_retention_ends(queue, clock, fifo):
    q = await queue(fifo=fifo, retention_ms=60_000)
    await q.send("x", group="g")
    await clock.advance(59_999)
    assert await q.counts() == (1, 0, 0)
    await clock.advance(1)
    depth = await q.depth()
    assert (depth.visible, depth.in_flight, depth.delayed, depth.oldest_sent_at_ms) == (0, 0, 0, None)
    assert await q.receive() == []


async def test_a_message_is_there_to_its_last_moment(queue, clock):
    q = await queue(retention_ms=60_000)
    await q.send("x")
    await clock.advance(59_999)
    assert (await q.receive()).bodies == ["x"]


async def test_receive_never_gives_what_is_past_its_time(queue, clock):
    q = await queue(retention_ms=60_000)
    await q.send("old")
    await clock.advance(30_000)
    await q.send("new")
    await clock.advance(30_000)
    assert (await q.receive()).bodies == ["new"]


async def test_messages_in_flight_go_too(queue, clock):
    q = await queue(retention_ms=60_000, visibility_timeout_ms=600_000)
    await q.send("x")
    batch = await q.receive()
    await clock.advance(60_000)
    assert await q.counts() == (0, 0, 0)
    assert await q.delete(batch) == [Outcome.GONE]
    await clock.advance(600_000)
    assert await q.receive() == []


async def test_delayed_messages_age_from_their_sending(queue, clock):
    q = await queue(retention_ms=60_000)
    await q.send("late", delay_ms=50_000)
    await q.send("never", delay_ms=70_000)
    await clock.advance(50_000)
    assert await q.counts() == (1, 0, 1)
    await clock.advance(10_000)
    assert await q.counts() == (0, 0, 0)
    await clock.advance(10_000)
    assert await q.counts() == (0, 0, 0)
    assert await q.receive() == []


async def test_a_shorter_retention_reaches_what_is_there(queue, clock):
    # AWS: a reduced retention period expires messages that are older than it.
    q = await queue(retention_ms=600_000)
    await q.send("old")
    await clock.advance(100_000)
    await q.send("new")
    await q.configure(retention_ms=60_000)
    assert (await q.receive()).bodies == ["new"]
    assert await q.counts() == (0, 1, 0)


async def test_a_longer_retention_saves_what_is_there(queue, clock):
    q = await queue(retention_ms=60_000)
    await q.send("x")
    await clock.advance(59_000)
    await q.configure(retention_ms=120_000)
    await clock.advance(60_999)
    assert await q.counts() == (1, 0, 0)
    await clock.advance(1)
    assert await q.counts() == (0, 0, 0)


async def test_an_expired_head_frees_its_group(queue, clock):
    q = await queue(fifo=True, retention_ms=60_000, visibility_timeout_ms=600_000)
    await q.send("a", group="g")
    await q.receive()
    await clock.advance(30_000)
    await q.send("b", group="g")
    assert await q.receive() == []
    await clock.advance(30_000)
    assert (await q.receive()).bodies == ["b"]


async def test_an_expired_message_is_not_dead_lettered(queue, clock):
    dead = await queue("dead", retention_ms=10**9)
    q = await queue(retention_ms=60_000, visibility_timeout_ms=60_000, max_receive_count=1, dead_letter_queue="dead")
    await q.send("x")
    await q.receive()
    await clock.advance(60_000)
    assert await q.receive() == []
    assert await dead.counts() == (0, 0, 0)


async def test_an_expired_message_is_not_redriven(queue, clock):
    q, other = await queue(retention_ms=60_000), await queue("other")
    await q.send("x")
    await clock.advance(60_000)
    assert await q.redrive("other") == 0
    assert await other.counts() == (0, 0, 0)


async def test_many_expire_in_slices_and_none_is_seen(queue, clock):
    q = await queue(retention_ms=60_000)
    for _ in range(30):
        await q.send(*(str(number) for number in range(100)))
    await clock.advance(60_000)
    assert await q.counts() == (0, 0, 0)
    assert await q.receive() == []
    await q.send("new")
    assert (await q.receive()).bodies == ["new"]
    assert await q.counts() == (0, 1, 0)
