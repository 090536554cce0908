"""Receipts of every kind: fresh, used, old, foreign, of what expired or moved, and of no message at all."""

import pytest

from headrace.primitives.queues import Outcome

GARBAGE = [
    "",
    "x",
    "AAAA",
    "0",
    "-1",
    "1:2:3",
    "é",
    "\x00",
    "a" * 5000,
    "AQEB" + "x" * 100,
    "1.5",
    "null",
    " ",
    "/",
    "%",
]


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_deleted_message_is_gone(queue, clock, fifo):
    q = await queue(fifo=fifo, visibility_timeout_ms=1000)
    await q.send("x", group="g")
    batch = await q.receive()
    assert await q.delete(batch) == [Outcome.DONE]
    assert await q.counts() == (0, 0, 0)
    await clock.advance(60_000)
    assert await q.receive() == []


@pytest.mark.parametrize("fifo", [False, True])
async def test_deleting_again_finds_it_gone(queue, fifo):
    q = await queue(fifo=fifo)
    await q.send("x", group="g")
    batch = await q.receive()
    assert await q.delete([*batch, *batch]) == [Outcome.DONE, Outcome.GONE]
    assert await q.delete(batch) == [Outcome.GONE]
    assert await q.hide(batch, 5000) == [Outcome.GONE]
    assert await q.counts() == (0, 0, 0)


@pytest.mark.parametrize("fifo", [False, True])
@pytest.mark.parametrize("receipt", GARBAGE)
async def test_garbage_is_malformed(engine, queue, fifo, receipt):
    q = await queue(fifo=fifo)
    await q.send("x", group="g")
    assert await engine.queues.delete(q.name, [receipt]) == [Outcome.MALFORMED]
    assert await engine.queues.change_visibility(q.name, [(receipt, 0)]) == [Outcome.MALFORMED]
    assert await q.counts() == (1, 0, 0)


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_tampered_receipt_deletes_nothing_else(engine, queue, fifo):
    q = await queue(fifo=fifo)
    await q.send("a", group="g")
    await q.send("b", group="h")
    batch = await q.receive()
    receipt = batch.receipts[0]
    for place in range(len(receipt)):
        swapped = receipt[:place] + ("A" if receipt[place] != "A" else "B") + receipt[place + 1 :]
        await engine.queues.delete(q.name, [swapped, receipt[:place], receipt + "A" * (place + 1)])
    assert sum(await q.counts()) >= 1


async def test_a_receipt_of_another_queue_is_malformed(engine, queue):
    q, other = await queue(), await queue("other")
    await q.send("x")
    await other.send("y")
    batch = await q.receive()
    await other.receive()
    assert await engine.queues.delete("other", batch.receipts) == [Outcome.MALFORMED]
    assert await engine.queues.change_visibility("other", [(batch.receipts[0], 0)]) == [Outcome.MALFORMED]
    assert await other.counts() == (0, 1, 0)
    assert await q.delete(batch) == [Outcome.DONE]


async def test_good_and_bad_receipts_in_one_call(engine, queue):
    q = await queue()
    await q.send("a", "b", "c")
    batch = await q.receive()
    await q.delete([batch[1]])
    receipts = [batch.receipts[0], "garbage", batch.receipts[1], batch.receipts[2]]
    outcomes = await engine.queues.delete(q.name, receipts)
    assert outcomes == [Outcome.DONE, Outcome.MALFORMED, Outcome.GONE, Outcome.DONE]
    assert await q.counts() == (0, 0, 0)


async def test_no_receipts_at_all(engine, queue):
    q = await queue()
    assert await engine.queues.delete(q.name, []) == []
    assert await engine.queues.change_visibility(q.name, []) == []


async def test_a_standard_queue_deletes_by_an_expired_receipt(queue, clock):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("x")
    batch = await q.receive()
    await clock.advance(5000)
    assert await q.delete(batch) == [Outcome.DONE]
    assert await q.counts() == (0, 0, 0)


async def test_a_standard_queue_deletes_by_an_older_receipt(queue, clock):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("x")
    old = await q.receive()
    await clock.advance(1000)
    new = await q.receive()
    assert await q.delete(old) == [Outcome.DONE]
    assert await q.counts() == (0, 0, 0)
    assert await q.delete(new) == [Outcome.GONE]


async def test_a_fifo_queue_refuses_an_expired_receipt(queue, clock):
    q = await queue(fifo=True, visibility_timeout_ms=1000)
    await q.send("x", group="g")
    batch = await q.receive()
    await clock.advance(999)
    assert await q.hide(batch, 1000) == [Outcome.DONE]
    await clock.advance(1000)
    assert await q.delete(batch) == [Outcome.EXPIRED]
    assert await q.hide(batch, 5000) == [Outcome.EXPIRED]
    assert await q.counts() == (1, 0, 0)


async def test_a_fifo_queue_takes_a_receipt_to_its_last_moment(queue, clock):
    q = await queue(fifo=True, visibility_timeout_ms=1000)
    await q.send("x", group="g")
    batch = await q.receive()
    await clock.advance(999)
    assert await q.delete(batch) == [Outcome.DONE]


async def test_a_fifo_queue_refuses_an_older_receipt(queue, clock):
    q = await queue(fifo=True, visibility_timeout_ms=1000)
    await q.send("x", group="g")
    old = await q.receive()
    await clock.advance(1000)
    new = await q.receive()
    assert await q.delete(old) == [Outcome.EXPIRED]
    assert await q.hide(old, 0) == [Outcome.EXPIRED]
    assert await q.counts() == (0, 1, 0)
    assert await q.delete(new) == [Outcome.DONE]
    assert await q.delete(old) == [Outcome.GONE]


async def test_a_fifo_receipt_given_back_is_spent(queue):
    q = await queue(fifo=True)
    await q.send("x", group="g")
    batch = await q.receive()
    assert await q.hide(batch, 0) == [Outcome.DONE]
    assert await q.delete(batch) == [Outcome.EXPIRED]
    assert await q.counts() == (1, 0, 0)


async def test_receipts_of_purged_and_expired_messages_find_them_gone(queue, clock):
    q = await queue(retention_ms=60_000, visibility_timeout_ms=600_000)
    await q.send("purged")
    purged = await q.receive()
    await q.purge()
    await q.send("expired")
    expired = await q.receive()
    await clock.advance(60_000)
    assert await q.delete([*purged, *expired]) == [Outcome.GONE, Outcome.GONE]
    assert await q.hide([*purged, *expired], 1000) == [Outcome.GONE, Outcome.GONE]


async def test_a_receipt_of_a_dead_lettered_message_does_nothing_anywhere(engine, queue, clock):
    dead = await queue("dead")
    q = await queue(max_receive_count=1, dead_letter_queue="dead", visibility_timeout_ms=1000)
    await q.send("x")
    batch = await q.receive()
    await clock.advance(1000)
    assert await q.receive() == []
    assert await q.delete(batch) == [Outcome.GONE]
    assert await q.hide(batch, 0) == [Outcome.GONE]
    assert await engine.queues.delete("dead", batch.receipts) == [Outcome.MALFORMED]
    assert await dead.counts() == (1, 0, 0)


async def test_a_receipt_of_a_redriven_message_finds_it_gone(queue, clock):
    q = await queue(visibility_timeout_ms=1000)
    other = await queue("other")
    await q.send("x")
    batch = await q.receive()
    await clock.advance(1000)
    assert await q.redrive("other") == 1
    assert await q.delete(batch) == [Outcome.GONE]
    assert await other.counts() == (1, 0, 0)
