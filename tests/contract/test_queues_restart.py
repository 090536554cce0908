"""Restart: what a queue holds and knows is the same after the engine was closed and opened again."""

import asyncio

import pytest

from headrace.primitives.queues import Outcome, QueueMissing


@pytest.mark.parametrize("fifo", [False, True])
async def test_messages_are_there_as_they_were(queue, reopen, clock, fifo):
    q = await queue(fifo=fifo)
    (sent,) = await q.send("body", header=b"\x00h", group="g", dedup_id="d" if fifo else None)
    sent_at_ms = clock.now_ms()
    await reopen()
    await clock.advance(1000)
    (message,) = await q.receive()
    assert (message.message_id, message.sequence) == (sent.message_id, sent.sequence)
    assert (message.body, message.header, message.group) == ("body", b"\x00h", "g")
    assert (message.sent_at_ms, message.receive_count) == (sent_at_ms, 1)


async def test_settings_stay(queue, reopen, clock):
    dead = await queue("dead")
    q = await queue(visibility_timeout_ms=7000, delay_ms=2000, max_receive_count=1, dead_letter_queue="dead")
    await reopen()
    await q.send("x")
    assert await q.counts() == (0, 0, 1)
    await clock.advance(2000)
    await q.receive()
    await clock.advance(7000)
    assert await q.receive() == []
    assert await dead.counts() == (1, 0, 0)


async def test_a_dropped_queue_stays_dropped(queue, reopen):
    q = await queue()
    await q.send("x")
    await q.drop()
    await reopen()
    with pytest.raises(QueueMissing):
        await q.depth()
    await q.configure()
    assert await q.counts() == (0, 0, 0)


@pytest.mark.parametrize("fifo", [False, True])
async def test_every_state_stays(queue, reopen, clock, fifo):
    q = await queue(fifo=fifo)
    await q.send("held", group="a")
    await q.receive()
    await q.send("free", group="b")
    await q.send("late", group="c", delay_ms=60_000)
    oldest = (await q.depth()).oldest_sent_at_ms
    await reopen()
    assert await q.counts() == (1, 1, 1)
    assert (await q.depth()).oldest_sent_at_ms == oldest
    await clock.advance(30_000)
    assert await q.counts() == (2, 0, 1)
    await clock.advance(30_000)
    assert await q.counts() == (3, 0, 0)
    assert sorted((await q.receive()).bodies) == ["free", "held", "late"]


async def test_time_that_passed_while_it_was_closed_counts(queue, engine, stage, reopen, clock):
    q = await queue(visibility_timeout_ms=5000, retention_ms=60_000)
    await q.send("x", delay_ms=3000)
    await q.send("y")
    await q.receive()
    await engine.close()
    await clock.advance(5000)
    await reopen()
    assert await q.counts() == (2, 0, 0)
    await clock.advance(55_000)
    assert await q.counts() == (0, 0, 0)


@pytest.mark.parametrize("fifo", [False, True])
async def test_receipts_stay_good(queue, reopen, fifo):
    q = await queue(fifo=fifo)
    await q.send("a", "b", "c", group="g")
    batch = await q.receive(2)
    await reopen()
    assert await q.hide(batch[:1], 60_000) == [Outcome.DONE]
    assert await q.delete(batch) == [Outcome.DONE, Outcome.DONE]
    assert await q.delete(batch) == [Outcome.GONE, Outcome.GONE]
    assert (await q.receive()).bodies == ["c"]


async def test_deleted_and_purged_messages_stay_away(queue, reopen, clock):
    q = await queue()
    await q.send("purged", delay_ms=1000)
    await q.purge()
    await q.send("deleted")
    await q.delete(await q.receive())
    await reopen()
    await clock.advance(60_000)
    assert await q.counts() == (0, 0, 0)
    assert await q.receive() == []


async def test_receive_counts_and_first_receives_stay(queue, reopen, clock):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("x")
    first_ms = clock.now_ms()
    for count in range(1, 5):
        (message,) = await q.receive()
        assert (message.receive_count, message.first_received_at_ms) == (count, first_ms)
        await reopen()
        await clock.advance(1000)


async def test_changed_visibility_stays(queue, reopen, clock):
    q = await queue()
    await q.send("long", "short", "back")
    long, short, back = await q.receive()
    await q.hide([long], 60_000)
    await q.hide([short], 1000)
    await q.hide([back], 0)
    await reopen()
    assert await q.counts() == (1, 2, 0)
    await clock.advance(1000)
    assert await q.counts() == (2, 1, 0)
    await clock.advance(58_999)
    assert await q.counts() == (2, 1, 0)
    await clock.advance(1)
    assert await q.counts() == (3, 0, 0)


async def test_the_twelve_hours_count_through_a_restart(queue, reopen, clock):
    q = await queue(max_hidden_ms=60_000)
    await q.send("x")
    batch = await q.receive()
    await clock.advance(20_000)
    await reopen()
    assert await q.hide(batch, 40_001) == [Outcome.BEYOND_LIMIT]
    assert await q.hide(batch, 40_000) == [Outcome.DONE]


async def test_group_locks_and_order_stay(queue, reopen, clock):
    q = await queue(fifo=True)
    await q.send(*"abcd", group="g")
    batch = await q.receive(2)
    await q.delete(batch[:1])
    await reopen()
    assert await q.receive() == []
    await q.send("e", group="g")
    await clock.advance(30_000)
    again = await q.receive()
    assert (again.bodies, again.counts) == (["b", "c", "d", "e"], [2, 1, 1, 1])


async def test_a_returned_head_waits_for_its_batch_after_a_restart(queue, reopen):
    q = await queue(fifo=True)
    await q.send(*"abc", group="g")
    batch = await q.receive(2)
    await q.hide(batch[:1], 0)
    await reopen()
    assert await q.receive() == []
    await q.delete(batch[1:])
    assert (await q.receive()).bodies == ["a", "c"]


@pytest.mark.parametrize("per_group", [False, True])
async def test_deduplication_stays(queue, reopen, clock, per_group):
    q = await queue(fifo=True, dedup_per_group=per_group)
    (first,) = await q.send("x", group="g", dedup_id="d")
    await q.delete(await q.receive())
    await clock.advance(150_000)
    await reopen()
    await clock.advance(149_999)
    (again,) = await q.send("x", group="g", dedup_id="d")
    assert (again.message_id, again.sequence, again.duplicate) == (first.message_id, first.sequence, True)
    await clock.advance(1)
    assert not (await q.send("x", group="g", dedup_id="d"))[0].duplicate


async def test_sequences_go_on(queue, reopen):
    q = await queue(fifo=True)
    sequences = []
    for number in range(5):
        ((sent),) = await q.send("x", group="g")
        sequences.append(sent.sequence)
        if number % 2:
            await q.delete(await q.receive())
        await reopen()
    assert sequences == sorted(set(sequences))


async def test_dead_letters_remember_their_source(queue, reopen, clock):
    dead = await queue("dead")
    q = await queue(max_receive_count=1, dead_letter_queue="dead", visibility_timeout_ms=1000)
    await q.send("x")
    await q.receive()
    await reopen()
    await clock.advance(1000)
    assert await q.receive() == []
    await reopen()
    assert await dead.redrive() == 1
    await reopen()
    assert (await q.receive()).bodies == ["x"]


async def test_a_large_queue_is_whole(queue, reopen):
    q = await queue()
    for start in range(0, 2000, 100):
        await q.send(*(str(number) for number in range(start, start + 100)))
    await reopen()
    assert await q.counts() == (2000, 0, 0)
    seen = []
    while batch := await q.receive():
        seen += batch.bodies
    assert sorted(seen, key=int) == [str(number) for number in range(2000)]


async def test_waiters_of_the_new_engine_are_woken_by_old_timeouts(queue, reopen, clock):
    q = await queue(visibility_timeout_ms=5000)
    await q.send("x")
    await q.receive()
    await reopen()
    task = asyncio.create_task(q.receive(wait_ms=20_000))
    for _ in range(20):
        await asyncio.sleep(0)
    await clock.advance(5000)
    assert (await asyncio.wait_for(task, 10)).counts == [2]
