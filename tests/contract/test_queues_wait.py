"""Long waits: who wakes them, when they end, and that what they do not return stays in the queue."""

import asyncio
from contextlib import suppress

import pytest

from headrace.primitives.queues import QueueMissing

GUARD_S = 10
"""How long a test lets an answer that must come take, before it calls it lost."""


async def settle(turns=20):
    for _ in range(turns):
        await asyncio.sleep(0)


async def waiting(q, max_messages=10, **options):
    """A receive that has begun to wait."""
    options.setdefault("wait_ms", 20_000)
    task = asyncio.create_task(q.receive(max_messages, **options))
    await settle()
    assert not task.done()
    return task


async def answer(task):
    return await asyncio.wait_for(task, GUARD_S)


async def test_a_message_that_is_there_is_not_waited_for(queue):
    q = await queue()
    await q.send("x")
    assert (await answer(q.receive(wait_ms=20_000))).bodies == ["x"]


async def test_a_wait_ends_with_nothing_when_its_time_is_up(queue, clock):
    q = await queue()
    task = await waiting(q, wait_ms=20_000)
    await clock.advance(19_999)
    assert not task.done()
    await clock.advance(1)
    assert await answer(task) == []


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_send_wakes_it(queue, clock, fifo):
    q = await queue(fifo=fifo)
    task = await waiting(q)
    await clock.advance(5000)
    await q.send("x", group="g")
    batch = await answer(task)
    assert (batch.bodies, batch.counts) == (["x"], [1])
    await clock.advance(29_999)
    assert await q.counts() == (0, 1, 0)
    await clock.advance(1)
    assert await q.counts() == (1, 0, 0)


@pytest.mark.parametrize("fifo", [False, True])
async def test_visibility_that_ends_wakes_it(queue, clock, fifo):
    q = await queue(fifo=fifo, visibility_timeout_ms=5000)
    await q.send("x", group="g")
    await q.receive()
    task = await waiting(q)
    await clock.advance(4999)
    assert not task.done()
    await clock.advance(1)
    assert (await answer(task)).counts == [2]


@pytest.mark.parametrize("fifo", [False, True])
async def test_visibility_set_to_nothing_wakes_it(queue, fifo):
    q = await queue(fifo=fifo)
    await q.send("x", group="g")
    batch = await q.receive()
    task = await waiting(q)
    await q.hide(batch, 0)
    assert (await answer(task)).counts == [2]


async def test_shortened_visibility_wakes_it_at_the_new_time(queue, clock):
    q = await queue(visibility_timeout_ms=30_000)
    await q.send("x")
    batch = await q.receive()
    task = await waiting(q)
    await q.hide(batch, 3000)
    await clock.advance(2999)
    assert not task.done()
    await clock.advance(1)
    assert (await answer(task)).bodies == ["x"]


async def test_extended_visibility_does_not_wake_it_at_the_old_time(queue, clock):
    q = await queue(visibility_timeout_ms=5000)
    await q.send("x")
    batch = await q.receive()
    task = await waiting(q)
    await q.hide(batch, 15_000)
    await clock.advance(14_999)
    assert not task.done()
    await clock.advance(1)
    assert (await answer(task)).bodies == ["x"]


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_delay_that_comes_due_wakes_it(queue, clock, fifo):
    q = await queue(fifo=fifo)
    await q.send("before", group="g", delay_ms=8000)
    task = await waiting(q)
    await q.send("after", group="h", delay_ms=3000)
    await clock.advance(2999)
    assert not task.done()
    await clock.advance(1)
    assert (await answer(task)).bodies == ["after"]
    task = await waiting(q)
    await clock.advance(5000)
    assert (await answer(task)).bodies == ["before"]


async def test_deleting_the_head_of_a_group_wakes_it(queue):
    q = await queue(fifo=True)
    await q.send("a", "b", group="g")
    head = await q.receive(1)
    task = await waiting(q)
    await q.delete(head)
    assert (await answer(task)).bodies == ["b"]


async def test_a_dead_letter_wakes_who_waits_for_it(queue, clock):
    dead = await queue("dead")
    q = await queue(max_receive_count=1, dead_letter_queue="dead", visibility_timeout_ms=1000)
    await q.send("x")
    await q.receive()
    task = await waiting(dead)
    await clock.advance(1000)
    assert await q.receive() == []
    assert (await answer(task)).bodies == ["x"]


async def test_a_wait_moves_dead_letters_and_goes_on_waiting(queue, clock):
    dead = await queue("dead")
    q = await queue(max_receive_count=1, dead_letter_queue="dead", visibility_timeout_ms=1000)
    await q.send("x")
    await q.receive()
    task = await waiting(q)
    await clock.advance(1000)
    assert await dead.counts() == (1, 0, 0)
    await q.send("y")
    assert (await answer(task)).bodies == ["y"]


async def test_a_redrive_wakes_who_waits_for_it(queue):
    q, other = await queue(), await queue("other")
    await q.send("x")
    task = await waiting(other)
    assert await q.redrive("other") == 1
    assert (await answer(task)).bodies == ["x"]


async def test_one_send_reaches_every_waiter_it_is_enough_for(queue):
    q = await queue()
    tasks = [await waiting(q, 1) for _ in range(10)]
    await q.send(*"abcdefghij")
    batches = [await answer(task) for task in tasks]
    assert sorted(body for batch in batches for body in batch.bodies) == list("abcdefghij")


async def test_a_message_goes_to_one_waiter_and_the_others_wait_on(queue, clock):
    q = await queue()
    tasks = [await waiting(q) for _ in range(5)]
    await q.send("x")
    done, _ = await asyncio.wait(tasks, timeout=GUARD_S, return_when=asyncio.FIRST_COMPLETED)
    assert [len(await task) for task in done] == [1]
    await clock.advance(20_000)
    assert sorted([len(await answer(task)) for task in tasks]) == [0, 0, 0, 0, 1]


async def test_waiters_of_other_queues_sleep_on(queue):
    q, other = await queue(), await queue("other")
    task = await waiting(other)
    await q.send("x")
    await settle()
    assert not task.done()
    task.cancel()


async def test_a_cancelled_wait_takes_nothing(queue):
    q = await queue()
    task = await waiting(q)
    task.cancel()
    await q.send("x")
    await settle()
    assert await q.counts() == (1, 0, 0)
    assert (await q.receive()).counts == [1]


@pytest.mark.parametrize("turns", range(12))
async def test_a_wait_cancelled_around_a_send_loses_nothing(queue, turns):
    q = await queue()
    task = await waiting(q)
    sending = asyncio.create_task(q.send("x"))
    await settle(turns)
    task.cancel()
    await sending
    try:
        assert (await task).bodies == ["x"]
    except asyncio.CancelledError:
        await settle()
        assert (await q.receive()).bodies == ["x"]


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_waiter_hands_its_call_to_the_next(queue, turns):
    q = await queue()
    first, second = await waiting(q), await waiting(q)
    sending = asyncio.create_task(q.send("x"))
    await settle(turns)
    first.cancel()
    await sending
    with suppress(asyncio.CancelledError):
        if await first:
            second.cancel()
            return
    assert (await answer(second)).bodies == ["x"]


@pytest.mark.parametrize("turns", range(8))
async def test_a_wait_cancelled_around_a_timer_loses_nothing(queue, clock, turns):
    q = await queue()
    await q.send("x", delay_ms=1000)
    task = await waiting(q)
    moving = asyncio.create_task(clock.advance(1000))
    await settle(turns)
    task.cancel()
    await moving
    with suppress(asyncio.CancelledError):
        assert (await task).bodies == ["x"]
        return
    assert (await q.receive()).bodies == ["x"]


async def test_draining_answers_every_waiter_and_ends_waiting(engine, queue):
    q, other = await queue(), await queue("other")
    tasks = [await waiting(q), await waiting(q), await waiting(other)]
    await engine.queues.drain()
    assert [await answer(task) for task in tasks] == [[], [], []]
    assert await answer(q.receive(wait_ms=20_000)) == []
    await q.send("x")
    assert (await answer(q.receive(wait_ms=20_000))).bodies == ["x"]


async def test_dropping_the_queue_ends_its_waits(queue):
    q = await queue()
    task = await waiting(q)
    await q.drop()
    with suppress(QueueMissing):
        assert await answer(task) == []


async def test_a_purge_wakes_nobody_and_breaks_nothing(queue):
    q = await queue()
    await q.send("x", delay_ms=1000)
    task = await waiting(q)
    await q.purge()
    await settle()
    assert not task.done()
    await q.send("y")
    assert (await answer(task)).bodies == ["y"]


async def test_many_waiters_come_and_go(queue, clock):
    q = await queue()
    tasks = [await waiting(q, 1, wait_ms=1000 + number) for number in range(300)]
    for task in tasks[::3]:
        task.cancel()
    await q.send(*(str(number) for number in range(50)))
    await clock.advance(2000)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    taken = [batch for batch in outcomes if isinstance(batch, list)]
    assert sum(len(batch) for batch in taken) == 50
    assert len(taken) == 200


async def test_deadline_and_due_time_together_lose_nothing(queue, clock):
    q = await queue()
    await q.send("x", delay_ms=5000)
    task = await waiting(q, wait_ms=5000)
    await clock.advance(5000)
    batch = await answer(task)
    assert batch.bodies or (await q.receive()).bodies == ["x"]
