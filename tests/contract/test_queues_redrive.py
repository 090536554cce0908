"""Redrive: moving visible messages on, to a queue or back to where each came from."""

import contextlib

import pytest

from headrace.primitives.queues import QueueMissing


async def dead_letter(q, clock, *bodies, **fields):
    """Send to a queue with a receive limit of one and let it fail."""
    await q.send(*bodies, **fields)
    await q.receive(visibility_timeout_ms=1000)
    await clock.advance(1000)
    assert await q.receive() == []


@pytest.fixture
async def dead(queue):
    return await queue("dead")


@pytest.fixture
async def source(queue, dead):
    return await queue("source", max_receive_count=1, dead_letter_queue="dead")


async def test_back_to_the_source_as_a_new_message(source, dead, clock):
    (sent,) = await source.send("x", header=b"h")
    await dead_letter(source, clock)
    await clock.advance(5000)
    assert await dead.redrive() == 1
    moved_at_ms = clock.now_ms()
    await clock.advance(1000)
    (message,) = await source.receive()
    assert (message.body, message.header, message.receive_count) == ("x", b"h", 1)
    assert message.message_id != sent.message_id
    assert (message.sent_at_ms, message.first_received_at_ms) == (moved_at_ms, moved_at_ms + 1000)
    assert message.source is None
    assert await dead.counts() == (0, 0, 0)


async def test_to_another_queue(queue, source, dead, clock):
    other = await queue("other")
    await dead_letter(source, clock, "a", "b")
    assert await dead.redrive("other") == 2
    assert sorted((await other.receive()).bodies) == ["a", "b"]
    assert await source.counts() == (0, 0, 0)


async def test_each_to_its_own_source(queue, dead, clock):
    sources = [await queue(name, max_receive_count=1, dead_letter_queue="dead") for name in ("s1", "s2", "s3")]
    for q in sources:
        await dead_letter(q, clock, q.name)
    assert await dead.redrive() == 3
    assert [(await q.receive()).bodies for q in sources] == [["s1"], ["s2"], ["s3"]]


async def test_what_has_no_source_stays_unless_it_is_told_where_to(queue, source, dead, clock):
    other = await queue("other")
    await dead.send("by hand")
    await dead_letter(source, clock, "dead")
    assert await dead.redrive() == 1
    assert await dead.counts() == (1, 0, 0)
    assert await dead.redrive() == 0
    assert await dead.redrive("other") == 1
    assert (await other.receive()).bodies == ["by hand"]


async def test_messages_without_a_source_do_not_block_those_behind(source, dead, clock):
    for _ in range(20):
        await dead.send(*"abcdefghij")
    await dead_letter(source, clock, "dead")
    moved = 0
    for _ in range(30):
        moved += await dead.redrive(None, 10)
    assert moved == 1
    assert (await source.receive()).bodies == ["dead"]


async def test_a_source_that_is_gone_loses_nothing(source, dead, clock):
    await dead_letter(source, clock, "x")
    await source.drop()
    with contextlib.suppress(QueueMissing):
        assert await dead.redrive() == 0
    assert await dead.counts() == (1, 0, 0)


async def test_no_more_than_asked(source, dead, clock):
    await dead_letter(source, clock, *"abcdefg")
    assert [await dead.redrive(None, count) for count in (3, 2, 10, 10)] == [3, 2, 2, 0]
    assert await source.counts() == (7, 0, 0)


async def test_only_what_is_visible(queue, source, dead, clock):
    other = await queue("other")
    await dead.send("delayed", delay_ms=60_000)
    await dead_letter(source, clock, "held", "free")
    held = await dead.receive(1)
    assert await dead.redrive("other") == 1
    assert await dead.counts() == (0, 1, 1)
    await dead.hide(held, 0)
    assert await dead.redrive("other") == 1
    assert sorted((await other.receive()).bodies) == ["free", "held"]


async def test_a_redriven_message_may_fail_as_often_again(source, dead, clock):
    await dead_letter(source, clock, "x")
    await dead.redrive()
    await source.receive(visibility_timeout_ms=1000)
    assert await dead.counts() == (0, 0, 0)
    await clock.advance(1000)
    assert await source.receive() == []
    (message,) = await dead.receive()
    assert (message.body, message.source) == ("x", "source")


async def test_a_redriven_message_has_its_whole_retention(queue, dead, clock):
    source = await queue("source", max_receive_count=1, dead_letter_queue="dead", retention_ms=60_000)
    await dead_letter(source, clock, "x")
    await clock.advance(100_000)
    assert await dead.redrive() == 1
    await clock.advance(59_999)
    assert await source.counts() == (1, 0, 0)
    await clock.advance(1)
    assert await source.counts() == (0, 0, 0)


async def test_fifo_keeps_groups_and_order(queue, clock):
    dead = await queue("dead", fifo=True)
    source = await queue("source", fifo=True, max_receive_count=1, dead_letter_queue="dead")
    for number in range(5):
        await source.send(f"g{number}", group="g", dedup_id=f"g{number}")
        await source.send(f"h{number}", group="h", dedup_id=f"h{number}")
    await dead_letter(source, clock)
    assert await dead.redrive() == 10
    bodies = await source.drain_bodies()
    assert [body for body in bodies if body[0] == "g"] == [f"g{number}" for number in range(5)]
    assert [body for body in bodies if body[0] == "h"] == [f"h{number}" for number in range(5)]


async def test_fifo_redrive_within_the_dedup_window_loses_nothing(queue, clock):
    dead = await queue("dead", fifo=True)
    source = await queue("source", fifo=True, max_receive_count=1, dead_letter_queue="dead")
    await dead_letter(source, clock, "x", group="g", dedup_id="d")
    assert await dead.redrive() == 1
    assert await source.counts() == (1, 0, 0)
    await dead_letter(source, clock)
    assert await dead.counts() == (1, 0, 0)
    assert await dead.redrive() == 1
    assert (await source.receive()).bodies == ["x"]


async def test_fifo_redrive_queues_behind_what_is_there(queue, clock):
    dead = await queue("dead", fifo=True)
    source = await queue("source", fifo=True, max_receive_count=1, dead_letter_queue="dead")
    await dead_letter(source, clock, "old", group="g")
    await source.send("new", group="g")
    assert await dead.redrive() == 1
    assert await source.drain_bodies() == ["new", "old"]


async def test_fifo_redrive_frees_the_group_it_left(queue, clock):
    dead = await queue("dead", fifo=True)
    source = await queue("source", fifo=True, max_receive_count=1, dead_letter_queue="dead")
    await dead_letter(source, clock, "a", "b", group="g")
    assert await dead.redrive(None, 1) == 1
    assert (await source.receive()).bodies == ["a"]
    assert (await dead.receive()).bodies == ["b"]


async def test_fifo_redrive_keeps_the_order_of_what_was_received_meanwhile(queue, clock):
    q, other = await queue(fifo=True), await queue("other", fifo=True)
    await q.send(*"abc", group="g")
    await q.receive(2, visibility_timeout_ms=1000)
    await clock.advance(1000)
    assert await q.redrive("other") == 3
    assert (await other.receive()).bodies == ["a", "b", "c"]


async def test_fifo_redrive_to_the_source_keeps_the_order_of_what_was_received_meanwhile(queue, clock):
    dead = await queue("dead", fifo=True)
    source = await queue("source", fifo=True, max_receive_count=1, dead_letter_queue="dead")
    await dead_letter(source, clock, *"abc", group="g")
    await dead.receive(2, visibility_timeout_ms=1000)
    await clock.advance(1000)
    assert await dead.redrive() == 3
    assert (await source.receive()).bodies == ["a", "b", "c"]
