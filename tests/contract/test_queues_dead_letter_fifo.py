"""Dead letters of FIFO queues: the group goes on without them, and they keep group and order."""

import pytest

from headrace.primitives.queues import Outcome


@pytest.fixture
async def dead(queue):
    return await queue("dead", fifo=True)


@pytest.fixture
async def source(queue, dead):
    return await queue("source", fifo=True, max_receive_count=1, dead_letter_queue="dead")


async def kill(q, clock, count=10):
    """Receive up to `count` messages and let them come back, over the limit."""
    await q.receive(count, visibility_timeout_ms=1000)
    await clock.advance(1000)


async def test_the_group_goes_on_in_the_same_receive(source, dead, clock):
    await source.send("a", "b", "c", group="g")
    await kill(source, clock, 1)
    assert (await source.receive()).bodies == ["b", "c"]
    assert await dead.counts() == (1, 0, 0)


async def test_it_keeps_id_group_and_dedup_id_but_not_its_time(source, dead, clock):
    # AWS: the enqueue time of a FIFO queue's dead letter is when it was moved.
    (sent,) = await source.send("a", group="g", dedup_id="d", header=b"h")
    await clock.advance(5000)
    await kill(source, clock)
    await clock.advance(7000)
    assert await source.receive() == []
    moved_at_ms = clock.now_ms()
    await clock.advance(3000)
    (message,) = await dead.receive()
    assert (message.message_id, message.body, message.header) == (sent.message_id, "a", b"h")
    assert (message.group, message.dedup_id, message.source) == ("g", "d", "source")
    assert message.sent_at_ms == moved_at_ms


async def test_order_within_the_group_is_kept(source, dead, clock):
    await source.send(*"abcde", group="g")
    await kill(source, clock)
    assert await source.receive() == []
    assert (await dead.receive()).bodies == list("abcde")


async def test_its_retention_starts_anew(queue, source, clock):
    dead = await queue("dead", fifo=True, retention_ms=60_000)
    await source.send("a", group="g")
    await clock.advance(50_000)
    await kill(source, clock)
    await source.receive()
    await clock.advance(59_999)
    assert await dead.counts() == (1, 0, 0)
    await clock.advance(1)
    assert await dead.counts() == (0, 0, 0)


async def test_groups_lock_in_the_dead_letter_queue_too(source, dead, clock):
    await source.send("a", "b", group="g")
    await kill(source, clock)
    await source.receive()
    first = await dead.receive(1)
    assert first.bodies == ["a"]
    assert await dead.receive() == []
    assert await dead.delete(first) == [Outcome.DONE]
    assert (await dead.receive()).bodies == ["b"]


async def test_a_later_dead_letter_queues_behind_a_held_one(source, dead, clock):
    await source.send("a", group="g")
    await kill(source, clock)
    await source.receive()
    held = await dead.receive(visibility_timeout_ms=600_000)
    await source.send("b", group="g")
    await kill(source, clock)
    await source.receive()
    assert await dead.receive() == []
    await dead.delete(held)
    assert (await dead.receive()).bodies == ["b"]


async def test_the_same_dedup_id_from_two_sources_loses_nothing(queue, dead, clock):
    for name in ("s1", "s2"):
        q = await queue(name, fifo=True, max_receive_count=1, dead_letter_queue="dead")
        await q.send(name, group="g", dedup_id="same")
        await kill(q, clock)
        assert await q.receive() == []
    assert sorted(await dead.drain_bodies()) == ["s1", "s2"]


async def test_sent_to_the_dead_letter_queue_by_hand_first(source, dead, clock):
    await dead.send("by hand", group="g", dedup_id="d")
    await source.send("moved", group="g", dedup_id="d")
    await kill(source, clock)
    assert await source.receive() == []
    assert await dead.drain_bodies() == ["by hand", "moved"]


async def test_the_dedup_id_stays_taken_in_the_source(source, dead, clock):
    (sent,) = await source.send("a", group="g", dedup_id="d")
    await kill(source, clock)
    await source.receive()
    (again,) = await source.send("a", group="g", dedup_id="d")
    assert (again.duplicate, again.message_id) == (True, sent.message_id)
    assert await source.counts() == (0, 0, 0)


async def test_a_head_over_the_limit_waits_while_its_group_is_held(source, dead, clock):
    await source.send("a", "b", group="g")
    batch = await source.receive(2, visibility_timeout_ms=1000)
    await source.hide(batch[1:], 10_000)
    await clock.advance(1000)
    assert await source.receive() == []
    assert sum(await source.counts()) + sum(await dead.counts()) == 2
    assert await source.delete(batch[1:]) == [Outcome.DONE]
    await source.send("c", group="g")
    assert (await source.receive()).bodies == ["c"]
    assert await dead.drain_bodies() == ["a"]


async def test_one_groups_dead_letter_leaves_the_others(source, dead, clock):
    await source.send("a", group="g")
    await kill(source, clock)
    await source.send("b", group="h")
    await source.send("c", group="g")
    assert sorted((await source.receive()).bodies) == ["b", "c"]
    assert (await dead.receive()).bodies == ["a"]


async def test_groups_of_nothing_but_dead_letters_do_not_shorten_a_receive(source, dead, clock):
    for group in "abcdef":
        await source.send(group, group=group)
    await kill(source, clock)
    for group in "xyz":
        await source.send(group, group=group)
    assert sorted((await source.receive(3)).bodies) == ["x", "y", "z"]
