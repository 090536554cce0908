"""Dead letters: what was received too often moves, whole, to the queue that is named for it."""

import pytest


async def fail(q, clock, times, timeout_ms=1000):
    """Receive all there is and let it come back, `times` times."""
    for _ in range(times):
        assert await q.receive(visibility_timeout_ms=timeout_ms)
        await clock.advance(timeout_ms)


@pytest.fixture
async def dead(queue):
    return await queue("dead")


@pytest.fixture
async def source(queue, dead):
    return await queue("source", max_receive_count=2, dead_letter_queue="dead")


async def test_it_moves_when_received_too_often(source, dead, clock):
    await source.send("x")
    await fail(source, clock, 2)
    assert await source.receive() == []
    assert await source.counts() == (0, 0, 0)
    assert await dead.counts() == (1, 0, 0)


async def test_it_is_handed_out_as_often_as_allowed(source, dead, clock):
    await source.send("x")
    await fail(source, clock, 1)
    assert (await source.receive()).counts == [2]
    assert await dead.counts() == (0, 0, 0)


async def test_the_last_holder_may_still_delete_it(source, dead, clock):
    await source.send("x")
    await fail(source, clock, 1)
    batch = await source.receive(visibility_timeout_ms=1000)
    assert await source.receive() == []
    await source.delete(batch)
    await clock.advance(1000)
    assert await source.receive() == []
    assert await dead.counts() == (0, 0, 0)


async def test_giving_it_back_counts_as_a_failure(source, dead):
    await source.send("x")
    for _ in range(2):
        await source.hide(await source.receive(), 0)
    assert await source.receive() == []
    assert await dead.counts() == (1, 0, 0)


async def test_a_receive_that_hides_nothing_counts_too(source, dead):
    await source.send("x")
    assert [len(await source.receive(10, visibility_timeout_ms=0)) for _ in range(3)] == [1, 1, 0]
    assert await dead.counts() == (1, 0, 0)


async def test_it_arrives_whole(source, dead, clock):
    sent_at_ms = clock.now_ms()
    (sent,) = await source.send("body", header=b"\x00header", group="tenant")
    await fail(source, clock, 2)
    await source.receive()
    (message,) = await dead.receive()
    assert (message.message_id, message.body, message.header) == (sent.message_id, "body", b"\x00header")
    assert (message.sent_at_ms, message.source, message.group) == (sent_at_ms, "source", "tenant")
    assert (await dead.depth()).oldest_sent_at_ms == sent_at_ms


async def test_its_receives_are_counted_across_queues(source, dead, clock):
    # AWS: ApproximateReceiveCount counts across all queues, and the first receive stays the first.
    await source.send("x")
    first_ms = clock.now_ms()
    await fail(source, clock, 2)
    await source.receive()
    (message,) = await dead.receive()
    assert (message.receive_count, message.first_received_at_ms) == (3, first_ms)


async def test_a_standard_dead_letter_ages_from_its_first_sending(queue, source, clock):
    # AWS: a standard queue's dead letter keeps its enqueue time, and expires by it.
    dead = await queue("dead", retention_ms=60_000)
    await source.send("x")
    await fail(source, clock, 2, timeout_ms=20_000)
    await source.receive()
    await clock.advance(19_999)
    assert await dead.counts() == (1, 0, 0)
    await clock.advance(1)
    assert await dead.counts() == (0, 0, 0)


async def test_the_queue_delay_of_the_dead_letter_queue_holds_nothing_up(queue, source, clock):
    dead = await queue("dead", delay_ms=60_000)
    await source.send("x")
    await fail(source, clock, 2)
    await source.receive()
    assert sum(await dead.counts()) == 1


async def test_good_messages_behind_dead_ones_come_in_the_same_receive(source, dead, clock):
    for _ in range(5):
        await source.send(*"abcde")
    for _ in range(2):
        while await source.receive(visibility_timeout_ms=1000):
            pass
        await clock.advance(1000)
    await source.send("good")
    assert (await source.receive(1)).bodies == ["good"]
    assert await source.counts() == (0, 1, 0)
    assert await dead.counts() == (25, 0, 0)


async def test_a_lower_limit_reaches_what_was_received_before(queue, dead, clock):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("x")
    await fail(q, clock, 3)
    await q.configure(max_receive_count=3, dead_letter_queue="dead")
    assert await q.receive() == []
    assert await dead.counts() == (1, 0, 0)


async def test_without_a_limit_nothing_moves(queue, dead, clock):
    q = await queue(max_receive_count=1, dead_letter_queue="dead")
    await q.send("x")
    await fail(q, clock, 1)
    await q.configure()
    await fail(q, clock, 30)
    assert await dead.counts() == (0, 0, 0)


async def test_a_dead_letter_queue_that_is_gone_loses_nothing(source, dead, clock):
    await source.send("x")
    await fail(source, clock, 2)
    await dead.drop()
    batch = await source.receive()
    assert sum(await source.counts()) == 1
    assert batch.bodies in ([], ["x"])


async def test_several_sources_share_a_dead_letter_queue(queue, dead, clock):
    sources = [await queue(name, max_receive_count=1, dead_letter_queue="dead") for name in ("s1", "s2")]
    for q in sources:
        await q.send(q.name)
        await fail(q, clock, 1)
        await q.receive()
    assert sorted((message.body, message.source) for message in await dead.receive()) == [("s1", "s1"), ("s2", "s2")]


async def test_every_queue_of_a_chain_gives_it_a_chance(queue, clock):
    last = await queue("last")
    middle = await queue("middle", max_receive_count=1, dead_letter_queue="last")
    first = await queue("first", max_receive_count=1, dead_letter_queue="middle")
    await first.send("x")
    await fail(first, clock, 1)
    assert await first.receive() == []
    await fail(middle, clock, 1)
    assert await middle.receive() == []
    (message,) = await last.receive()
    assert (message.body, message.source) == ("x", "middle")


async def test_a_circle_of_dead_letter_queues_ends(queue, clock):
    one = await queue("one", max_receive_count=1, dead_letter_queue="two")
    two = await queue("two", max_receive_count=1, dead_letter_queue="one")
    await one.send("x")
    await fail(one, clock, 1)
    for _ in range(4):
        await one.receive(visibility_timeout_ms=0)
        await two.receive(visibility_timeout_ms=0)
    assert sum(await one.counts()) + sum(await two.counts()) == 1


async def test_the_body_is_held_once(source, dead, clock):
    await source.send("x")
    await fail(source, clock, 2)
    await source.receive()
    batch = await dead.receive()
    await dead.delete(batch)
    await clock.advance(3_600_000)
    assert (await source.counts(), await dead.counts()) == ((0, 0, 0), (0, 0, 0))
