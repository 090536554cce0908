"""Purge: everything sent before goes, whatever its state; what is sent after stays."""

import pytest

from headrace.primitives.queues import Outcome


@pytest.mark.parametrize("fifo", [False, True])
async def test_every_state_is_purged(queue, clock, fifo):
    q = await queue(fifo=fifo, visibility_timeout_ms=1000)
    await q.send("in flight", group="a")
    await q.receive()
    await q.send("visible", group="b")
    await q.send("delayed", group="c", delay_ms=5000)
    assert await q.counts() == (1, 1, 1)
    await q.purge()
    assert await q.counts() == (0, 0, 0)
    await clock.advance(60_000)
    assert await q.counts() == (0, 0, 0)
    assert await q.receive() == []


@pytest.mark.parametrize("fifo", [False, True])
async def test_what_comes_after_stays(queue, fifo):
    q = await queue(fifo=fifo)
    await q.send("old", group="g")
    await q.purge()
    await q.send("new", group="g")
    assert await q.counts() == (1, 0, 0)
    assert (await q.receive()).bodies == ["new"]


async def test_purging_frees_a_locked_group(queue):
    q = await queue(fifo=True)
    await q.send("a", "b", group="g")
    held = await q.receive(1)
    await q.purge()
    await q.send("c", group="g")
    assert (await q.receive()).bodies == ["c"]
    assert await q.delete(held) == [Outcome.GONE]
    assert await q.hide(held, 0) == [Outcome.GONE]
    assert await q.counts() == (0, 1, 0)


async def test_purging_in_flight_messages_frees_their_places(queue):
    q = await queue(max_in_flight=3)
    await q.send(*"abc")
    await q.receive()
    await q.purge()
    await q.send(*"def")
    assert sorted((await q.receive()).bodies) == list("def")


async def test_purge_leaves_other_queues(queue):
    q, other = await queue(), await queue("other")
    await q.send("x")
    await other.send("y")
    await q.purge()
    assert await other.counts() == (1, 0, 0)


async def test_purging_nothing_is_harmless(queue):
    q = await queue()
    await q.purge()
    await q.purge()
    assert await q.counts() == (0, 0, 0)


async def test_sequences_go_on_after_a_purge(queue):
    q = await queue(fifo=True)
    (before,) = await q.send("a", group="g")
    await q.purge()
    (after,) = await q.send("b", group="g")
    assert after.sequence > before.sequence


async def test_a_large_purge_is_whole(queue):
    q = await queue(visibility_timeout_ms=1000)
    for _ in range(30):
        await q.send(*(str(number) for number in range(100)))
    await q.receive()
    await q.purge()
    assert await q.counts() == (0, 0, 0)
    await q.send("new")
    assert (await q.receive()).bodies == ["new"]
