"""Depth: the counts are right after every change and at every moment, also when nobody touched the queue."""

import random

import pytest


async def test_every_step_of_a_message_shows(queue, clock):
    q = await queue(delay_ms=2000, visibility_timeout_ms=3000)
    await q.send("x")
    assert await q.counts() == (0, 0, 1)
    await clock.advance(2000)
    assert await q.counts() == (1, 0, 0)
    await q.receive()
    assert await q.counts() == (0, 1, 0)
    await clock.advance(3000)
    assert await q.counts() == (1, 0, 0)
    batch = await q.receive()
    await q.delete(batch)
    assert await q.counts() == (0, 0, 0)


async def test_nobody_need_ask_for_time_to_pass(queue, clock):
    q = await queue(visibility_timeout_ms=5000)
    for place in range(10):
        await q.send(str(place), delay_ms=place * 1000)
    await q.receive()
    await clock.advance(4999)
    assert await q.counts() == (4, 1, 5)
    await clock.advance(1)
    assert await q.counts() == (6, 0, 4)
    await clock.advance(86_400_000)
    assert await q.counts() == (10, 0, 0)


async def test_deleting_a_message_that_is_visible_again_counts_it_out(queue, clock):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("a", "b")
    batch = await q.receive()
    await clock.advance(1000)
    await q.delete(batch[:1])
    assert await q.counts() == (1, 0, 0)


async def test_hiding_again_does_not_count_twice(queue, clock):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("a", "b", "c")
    batch = await q.receive()
    for timeout_ms in (2000, 3000, 500, 4000):
        await q.hide(batch, timeout_ms)
        assert await q.counts() == (0, 3, 0)
    await clock.advance(4000)
    assert await q.counts() == (3, 0, 0)


async def test_the_oldest_is_the_oldest_in_any_state(queue, clock):
    q = await queue()
    start_ms = clock.now_ms()
    await q.send("delayed", delay_ms=600_000)
    await clock.advance(1000)
    await q.send("in flight")
    held = await q.receive()
    await clock.advance(1000)
    await q.send("visible")
    assert (await q.depth()).oldest_sent_at_ms == start_ms
    await clock.advance(600_000)
    batch = await q.receive()
    assert sorted(batch.bodies) == ["delayed", "in flight", "visible"]
    await q.delete([message for message in batch if message.body == "delayed"])
    assert (await q.depth()).oldest_sent_at_ms == start_ms + 1000
    await q.delete(held)
    assert (await q.depth()).oldest_sent_at_ms == start_ms + 2000
    await q.delete(batch)
    assert (await q.depth()).oldest_sent_at_ms is None


async def test_a_locked_fifo_group_counts_as_visible(queue):
    # AWS: only what was received is not visible; the rest of its group waits, but counts as available.
    q = await queue(fifo=True)
    await q.send("a", "b", "c", group="g")
    await q.receive(1)
    assert await q.counts() == (2, 1, 0)
    assert await q.receive() == []


async def test_a_duplicate_is_not_counted(queue):
    q = await queue(fifo=True)
    await q.send("a", "a", group="g", dedup_id="d")
    await q.send("a", group="g", dedup_id="d")
    assert await q.counts() == (1, 0, 0)


@pytest.mark.parametrize("fifo", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_counts_add_up_in_a_random_run(queue, clock, fifo, seed):
    rng = random.Random(seed)
    q = await queue(fifo=fifo, visibility_timeout_ms=7000, retention_ms=10**9)
    held, alive = [], 0
    for step in range(150):
        match rng.choice(["send", "receive", "delete", "advance", "hide"]):
            case "send":
                alive += len(await q.send(str(step), group=rng.choice("ghi"), delay_ms=rng.choice([None, 0, 3000])))
            case "receive":
                held += await q.receive(rng.randint(1, 5))
            case "delete" if held:
                outcomes = await q.delete([held.pop(rng.randrange(len(held)))])
                alive -= [outcome.value for outcome in outcomes].count("done")
            case "hide" if held:
                await q.hide([rng.choice(held)], rng.choice([0, 1000, 9000]))
            case _:
                await clock.advance(rng.choice([1, 999, 3000]))
        assert sum(await q.counts()) == alive
    await clock.advance(20_000)
    assert await q.counts() == (alive, 0, 0)
