"""Messages to several queues at once: in order within each queue, and all or none on an engine of one process."""

import asyncio

import pytest

from headrace.primitives.queues import Outgoing, QueueMissing

GUARD_S = 10


def message(body, **fields):
    return Outgoing(body=body, header=b"h", **fields)


async def test_each_queue_gets_its_own_in_order(queue, engine):
    first, second = await queue("first"), await queue("second")
    sends = {first.name: [message("a"), message("c")], second.name: [message("b")]}
    sent = await engine.queues.send_together(sends)
    one, two = await first.receive(), await second.receive()
    assert (one.bodies, two.bodies) == (["a", "c"], ["b"])
    assert [each.message_id for each in sent[first.name]] == one.ids
    assert [each.message_id for each in sent[second.name]] == two.ids
    assert await first.counts() == (0, 2, 0)


async def test_many_messages_to_many_queues(queue, engine):
    queues = [await queue(f"q{at}") for at in range(7)]
    bodies = [f"{at}:" + "x" * (at * 400) for at in range(9)]  # the larger ones lie elsewhere than the smaller
    await engine.queues.send_together({each.name: [message(body) for body in bodies] for each in queues})
    for each in queues:
        assert await each.drain_bodies() == bodies


async def test_delays_groups_and_deduplication_hold(queue, engine, clock):
    standard, fifo = await queue("standard", delay_ms=1000), await queue("fifo", fifo=True)
    sent = await engine.queues.send_together(
        {
            standard.name: [message("later"), message("now", delay_ms=0, group="tenant")],
            fifo.name: [
                message("one", group="g", dedup_id="1"),
                message("again", group="g", dedup_id="1"),
                message("two", group="g", dedup_id="2"),
            ],
        }
    )
    assert [each.duplicate for each in sent[fifo.name]] == [False, True, False]
    assert await standard.counts() == (1, 0, 1)
    assert [each.group for each in await standard.receive()] == ["tenant"]
    assert (await fifo.receive()).bodies == ["one", "two"]
    await clock.advance(1000)
    assert (await standard.receive()).bodies == ["later"]


async def test_those_who_wait_are_woken(queue, engine):
    queues = [await queue(f"q{at}") for at in range(3)]
    waiting = [asyncio.create_task(each.receive(wait_ms=20_000)) for each in queues]
    await asyncio.sleep(0.01)
    await engine.queues.send_together({each.name: [message("x")] for each in queues})
    for batch in await asyncio.wait_for(asyncio.gather(*waiting), GUARD_S):
        assert batch.bodies == ["x"]


async def test_a_queue_that_is_not_there(queue, engine):
    q = await queue()
    with pytest.raises(QueueMissing):
        await engine.queues.send_together({q.name: [message("x")], "nowhere": [message("y")]})
    left = await q.drain_bodies()
    assert left == [] if engine.name != "nats" else left in ([], ["x"])


async def test_none_to_nobody(engine):
    assert await engine.queues.send_together({}) == {}


async def test_they_outlive_the_engine(queue, engine, reopen):
    q, other = await queue("q"), await queue("other")
    await engine.queues.send_together({q.name: [message("x")], other.name: [message("y")]})
    await reopen()
    assert (await q.receive()).bodies == ["x"]
    assert (await other.receive()).bodies == ["y"]
