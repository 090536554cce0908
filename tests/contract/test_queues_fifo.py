"""FIFO groups: none of a group is handed out while some of it is in flight, and its order always holds."""

import random

import pytest

from headrace.primitives.queues import Outcome


@pytest.fixture
async def q(queue):
    return await queue(fifo=True, visibility_timeout_ms=30_000)


async def test_a_receive_takes_as_much_of_a_group_as_it_may(q):
    await q.send(*"abcde", group="g")
    assert (await q.receive(3)).bodies == list("abc")


async def test_the_rest_of_the_group_waits(q):
    await q.send("a", "b", group="g")
    assert (await q.receive(1)).bodies == ["a"]
    assert await q.receive() == []
    await q.send("c", group="g")
    assert await q.receive() == []


async def test_deleting_opens_the_group(q):
    await q.send("a", "b", group="g")
    await q.delete(await q.receive(1))
    assert (await q.receive()).bodies == ["b"]


async def test_groups_do_not_wait_for_each_other(q):
    await q.send("a", group="g")
    await q.send("b", group="h")
    assert (await q.receive(1)).bodies == ["a"]
    assert (await q.receive(1)).bodies == ["b"]


async def test_one_receive_takes_from_several_groups_each_in_order(q):
    for body in ("a1", "b1", "a2", "c1", "b2", "a3"):
        await q.send(body, group=body[0])
    bodies = (await q.receive()).bodies
    assert {name: [body for body in bodies if body[0] == name] for name in "abc"} == {
        "a": ["a1", "a2", "a3"],
        "b": ["b1", "b2"],
        "c": ["c1"],
    }


async def test_expiry_gives_the_group_from_its_head_again(q, clock):
    await q.send(*"abc", group="g")
    await q.receive(2)
    await clock.advance(29_999)
    assert await q.receive() == []
    await clock.advance(1)
    batch = await q.receive()
    assert (batch.bodies, batch.counts) == (["a", "b", "c"], [2, 2, 1])


async def test_deleting_some_of_a_batch_keeps_the_group_locked(q, clock):
    await q.send(*"abcd", group="g")
    batch = await q.receive(3)
    await q.delete([batch[0], batch[1]])
    assert await q.receive() == []
    await clock.advance(30_000)
    assert (await q.receive()).bodies == ["c", "d"]


async def test_deleting_the_middle_of_a_batch_keeps_the_order_of_the_rest(q, clock):
    await q.send(*"abcd", group="g")
    batch = await q.receive(3)
    await q.delete([batch[1]])
    await clock.advance(30_000)
    assert (await q.receive()).bodies == ["a", "c", "d"]


async def test_deleting_a_batch_from_its_end(q):
    await q.send(*"abcd", group="g")
    batch = await q.receive(3)
    for message in reversed(batch):
        assert await q.receive() == []
        assert await q.delete([message]) == [Outcome.DONE]
    assert (await q.receive()).bodies == ["d"]


async def test_a_head_given_back_waits_for_the_rest_of_its_batch(q, clock):
    await q.send(*"abc", group="g")
    batch = await q.receive(2)
    assert await q.hide(batch[:1], 0) == [Outcome.DONE]
    assert await q.counts() == (2, 1, 0)
    assert await q.receive() == []
    await q.delete(batch[1:])
    again = await q.receive()
    assert (again.bodies, again.counts) == (["a", "c"], [2, 1])


async def test_the_second_given_back_waits_for_the_first(q):
    await q.send(*"abc", group="g")
    batch = await q.receive(2)
    await q.hide(batch[1:], 0)
    assert await q.receive() == []
    await q.delete(batch[:1])
    assert (await q.receive()).bodies == ["b", "c"]


async def test_a_longer_timeout_for_one_holds_the_group(q, clock):
    await q.send(*"abc", group="g")
    batch = await q.receive(2)
    await q.hide(batch[:1], 60_000)
    await clock.advance(30_000)
    assert await q.counts() == (2, 1, 0)
    assert await q.receive() == []
    await clock.advance(30_000)
    assert (await q.receive()).bodies == ["a", "b", "c"]


async def test_a_batch_that_lost_one_to_expiry_keeps_the_lock(q, clock):
    await q.send(*"abc", group="g")
    batch = await q.receive(2)
    await q.hide(batch[1:], 60_000)
    await clock.advance(30_000)
    assert await q.delete(batch[:1]) == [Outcome.EXPIRED]
    assert await q.receive() == []
    assert await q.delete(batch[1:]) == [Outcome.DONE]
    assert (await q.receive()).bodies == ["a", "c"]


async def test_a_timeout_of_nothing_leaves_the_group_open(q):
    await q.send("a", "b", group="g")
    first = await q.receive(1, visibility_timeout_ms=0)
    again = await q.receive(10, visibility_timeout_ms=0)
    assert (first.bodies, again.bodies, again.counts) == (["a"], ["a", "b"], [2, 1])


async def test_sequences_grow_within_a_receive(q):
    await q.send(*"abcdefgh", group="g")
    sequences = [message.sequence for message in await q.receive()]
    assert sequences == sorted(sequences)


async def test_many_groups_are_all_served(q):
    for number in range(200):
        await q.send(f"{number}/1", f"{number}/2", group=str(number))
    bodies = await q.drain_bodies()
    assert len(bodies) == 400
    for number in range(200):
        assert bodies.index(f"{number}/1") < bodies.index(f"{number}/2")


async def test_locked_groups_do_not_hide_free_ones_behind_them(q):
    await q.send(*(str(number) for number in range(100)), group="long")
    await q.receive(1)
    await q.send("free", group="other")
    assert (await q.receive()).bodies == ["free"]


async def test_odd_group_names_are_groups_of_their_own(q):
    names = ["", "g", "G", "g ", "%", "_", "ü", "g" * 128]
    for name in names:
        await q.send(name, group=name)
    assert sorted((await q.receive()).bodies) == sorted(names)


@pytest.mark.parametrize("seed", range(4))
async def test_a_consumer_that_gives_up_now_and_then_keeps_the_order(q, clock, seed):
    rng = random.Random(seed)
    for number in range(60):
        await q.send(f"{number:02}", group=str(number % 5))
    done = []
    while len(done) < 60:
        batch = await q.receive(rng.randint(1, 10), visibility_timeout_ms=rng.choice([1000, 5000]))
        for group in {message.group for message in batch}:
            mine = [message for message in batch if message.group == group]
            worked_off = mine[: rng.randint(0, len(mine))]
            assert await q.delete(worked_off) == [Outcome.DONE] * len(worked_off)
            done += [(group, message.body) for message in worked_off]
        await clock.advance(rng.choice([0, 1000]))
    for group in "01234":
        bodies = [body for name, body in done if name == group]
        assert bodies == sorted(bodies)
