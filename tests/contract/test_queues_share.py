"""Sharing a queue: the limit on what is in flight, and fairness among the tenants of a standard queue."""

import asyncio

import pytest

from headrace.primitives.queues import OverInFlight


async def test_a_standard_queue_says_when_too_much_is_in_flight(queue, clock):
    q = await queue(max_in_flight=5, visibility_timeout_ms=1000)
    await q.send(*"abcdefgh")
    assert len(await q.receive(4)) == 4
    assert len(await q.receive(4)) == 1
    with pytest.raises(OverInFlight):
        await q.receive()
    assert await q.counts() == (3, 5, 0)
    await clock.advance(1000)
    assert len(await q.receive()) == 5


async def test_deleting_makes_room(queue):
    q = await queue(max_in_flight=2)
    await q.send(*"abcd")
    batch = await q.receive()
    assert len(batch) == 2
    await q.delete(batch[:1])
    assert len(await q.receive()) == 1


async def test_at_the_limit_it_says_so_also_with_nothing_visible(queue):
    q = await queue(max_in_flight=1)
    await q.send("a")
    await q.receive()
    with pytest.raises(OverInFlight):
        await q.receive()


@pytest.mark.parametrize("fifo", [False, True])
@pytest.mark.parametrize("how", ["delete", "hide", "expire"])
async def test_a_wait_at_the_limit_is_woken_by_room(queue, clock, fifo, how):
    # AWS: a long poll at the limit is no error, it finds nothing.
    q = await queue(fifo=fifo, max_in_flight=1, visibility_timeout_ms=5000)
    await q.send("a", group="g")
    await q.send("b", group="h")
    batch = await q.receive()
    task = asyncio.create_task(q.receive(wait_ms=20_000))
    await asyncio.sleep(0.01)
    await clock.advance(4999)
    assert not task.done()
    if how == "expire":
        await clock.advance(1)
    else:
        await (q.delete(batch) if how == "delete" else q.hide(batch, 0))
    assert len(await asyncio.wait_for(task, 10)) == 1


async def test_a_wait_at_the_limit_ends_with_nothing(queue, clock):
    q = await queue(max_in_flight=1)
    await q.send("a", "b")
    await q.receive(visibility_timeout_ms=60_000)
    task = asyncio.create_task(q.receive(wait_ms=20_000))
    await asyncio.sleep(0.01)
    await clock.advance(20_000)
    assert await asyncio.wait_for(task, 10) == []


async def test_a_fifo_queue_at_the_limit_gives_nothing(queue):
    q = await queue(fifo=True, max_in_flight=2)
    for group in "abc":
        await q.send(group, group=group)
    batch = await q.receive()
    assert len(batch) == 2
    assert await q.receive() == []
    await q.delete(batch[:1])
    assert len(await q.receive()) == 1


async def test_no_limit(queue):
    q = await queue(max_in_flight=0)
    await q.send(*"abcdefghijklmno")
    assert [len(await q.receive()), len(await q.receive()), len(await q.receive())] == [10, 5, 0]


async def test_a_quiet_tenant_goes_before_a_noisy_one(queue):
    q = await queue()
    for _ in range(10):
        await q.send(*"nnnnnnnnnn", group="noisy")
    for _ in range(5):
        await q.receive()
    await q.send("q", group="quiet")
    assert "q" in (await q.receive()).bodies


async def test_fairness_gives_everything_in_the_end(queue):
    q = await queue()
    for number in range(30):
        await q.send(f"n{number}", group="noisy")
        if number % 3 == 0:
            await q.send(f"q{number}", group="quiet")
            await q.send(f"none{number}")
    held = []
    while batch := await q.receive(7):
        held += batch
    assert len({message.message_id for message in held}) == 50
    assert await q.counts() == (0, 50, 0)


async def test_a_noisy_tenant_alone_is_served(queue):
    q = await queue()
    for _ in range(5):
        await q.send(*"nnnnnnnnnn", group="noisy")
    assert sum([len(await q.receive()) for _ in range(6)]) == 50


async def test_an_unfair_queue_keeps_to_the_order(queue):
    q = await queue(fair=False)
    for _ in range(6):
        await q.send(*"nnnnnnnnnn", group="noisy")
    for _ in range(5):
        await q.receive()
    await q.send("q", group="quiet")
    assert (await q.receive()).bodies == ["n"] * 10


async def test_tenants_do_not_lock(queue):
    q = await queue()
    await q.send("a", "b", group="tenant")
    assert len(await q.receive(1)) == 1
    assert len(await q.receive(1)) == 1
