"""Delays: the queue's, a message's own, and what a delayed message counts as."""

import asyncio

from headrace.primitives.queues import Outcome


async def test_a_delayed_message_shows_when_due(queue, clock):
    q = await queue()
    await q.send("x", delay_ms=10_000)
    assert await q.counts() == (0, 0, 1)
    await clock.advance(9999)
    assert await q.receive() == []
    assert await q.counts() == (0, 0, 1)
    await clock.advance(1)
    assert await q.counts() == (1, 0, 0)
    (message,) = await q.receive()
    assert (message.receive_count, message.sent_at_ms) == (1, clock.now_ms() - 10_000)


async def test_the_queue_delays_what_does_not_say_otherwise(queue, clock):
    q = await queue(delay_ms=5000)
    await q.send("queue")
    await q.send("own", delay_ms=1000)
    await q.send("none", delay_ms=0)
    assert (await q.receive()).bodies == ["none"]
    await clock.advance(1000)
    assert (await q.receive()).bodies == ["own"]
    await clock.advance(4000)
    assert (await q.receive()).bodies == ["queue"]


async def test_delayed_messages_do_not_hold_up_others(queue):
    q = await queue()
    await q.send(*"abc", delay_ms=60_000)
    await q.send("now")
    assert (await q.receive()).bodies == ["now"]
    assert await q.counts() == (0, 1, 3)


async def test_a_message_that_was_due_is_never_delayed_again(queue, clock):
    q = await queue(delay_ms=5000, visibility_timeout_ms=1000)
    await q.send("x")
    await clock.advance(5000)
    batch = await q.receive()
    assert await q.counts() == (0, 1, 0)
    assert await q.hide(batch, 0) == [Outcome.DONE]
    assert await q.counts() == (1, 0, 0)
    await q.receive()
    await clock.advance(1000)
    assert await q.counts() == (1, 0, 0)


async def test_many_delays_come_due_each_at_its_time(queue, clock):
    q = await queue()
    for number in range(20, 0, -1):
        await q.send(str(number), delay_ms=number * 100)
    seen = []
    for number in range(1, 21):
        await clock.advance(100)
        assert await q.counts() == (1, number - 1, 20 - number)
        seen += (await q.receive()).bodies
    assert seen == [str(number) for number in range(1, 21)]


async def test_a_long_jump_makes_everything_due(queue, clock):
    q = await queue()
    for number in range(10):
        await q.send(str(number), delay_ms=number * 90_000)
    await clock.advance(900_000)
    assert await q.counts() == (10, 0, 0)
    assert len(await q.receive()) == 10


async def test_a_fifo_group_waits_for_its_delayed_head(queue, clock):
    q = await queue(fifo=True)
    await q.send("first", group="g", delay_ms=5000)
    await q.send("second", group="g", delay_ms=0)
    await q.send("other", group="h", delay_ms=0)
    assert (await q.receive()).bodies == ["other"]
    await clock.advance(4999)
    assert await q.receive() == []
    await clock.advance(1)
    assert (await q.receive()).bodies == ["first", "second"]


async def test_a_fifo_receive_stops_before_a_delayed_message(queue, clock):
    q = await queue(fifo=True)
    await q.send("first", group="g", delay_ms=0)
    await q.send("second", group="g", delay_ms=5000)
    await q.send("third", group="g", delay_ms=0)
    batch = await q.receive()
    assert batch.bodies == ["first"]
    await q.delete(batch)
    assert await q.receive() == []
    await clock.advance(5000)
    assert (await q.receive()).bodies == ["second", "third"]


async def test_a_delayed_fifo_queue_keeps_the_order(queue, clock):
    q = await queue(fifo=True, delay_ms=3000)
    await q.send("a", group="g")
    await clock.advance(1000)
    await q.send("b", "c", group="g")
    assert await q.counts() == (0, 0, 3)
    await clock.advance(2000)
    assert await q.counts() == (1, 0, 2)
    batch = await q.receive()
    assert batch.bodies == ["a"]
    await clock.advance(1000)
    assert await q.receive() == []
    await q.delete(batch)
    assert (await q.receive()).bodies == ["b", "c"]


async def test_a_changed_delay_holds_for_what_a_fifo_queue_has_already(queue, clock):
    # AWS: on FIFO queues the queue's delay is retroactive.
    q = await queue(fifo=True, delay_ms=60_000)
    await q.send("a", "b", group="g")
    await q.send("c", group="h")
    await clock.advance(10_000)
    assert await q.counts() == (0, 0, 3)
    await q.configure(fifo=True, delay_ms=10_000)
    assert await q.counts() == (3, 0, 0)
    await q.configure(fifo=True, delay_ms=30_000)
    assert await q.counts() == (0, 0, 3)
    assert await q.receive() == []
    await clock.advance(20_000)
    assert sorted((await q.receive()).bodies) == ["a", "b", "c"]


async def test_a_changed_delay_leaves_alone_what_was_received(queue, clock):
    q = await queue(fifo=True, visibility_timeout_ms=1000)
    await q.send("a", "b", group="g")
    await q.receive(1)
    await q.configure(fifo=True, delay_ms=60_000, visibility_timeout_ms=1000)
    assert await q.counts() == (0, 1, 1)
    await clock.advance(1000)
    assert (await q.receive()).bodies == ["a"]


async def test_a_changed_delay_wakes_who_waits(queue):
    q = await queue(fifo=True, delay_ms=60_000)
    await q.send("a", group="g")
    task = asyncio.create_task(q.receive(wait_ms=20_000))
    for _ in range(20):
        await asyncio.sleep(0)
    await q.configure(fifo=True, delay_ms=0)
    assert (await asyncio.wait_for(task, 10)).bodies == ["a"]


async def test_a_changed_delay_of_a_standard_queue_holds_for_new_messages_alone(queue, clock):
    q = await queue(delay_ms=60_000)
    await q.send("old")
    await q.configure(delay_ms=0)
    await q.send("new")
    assert (await q.receive()).bodies == ["new"]
    assert await q.counts() == (0, 1, 1)
