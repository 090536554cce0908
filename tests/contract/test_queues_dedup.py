"""Deduplication: a deduplication id makes one message in its window, whatever became of the first."""

import pytest

from headrace.primitives.queues import Outgoing

WINDOW_MS = 300_000


@pytest.fixture
async def q(queue):
    return await queue(fifo=True)


async def test_a_repeated_send_gives_the_first_ones_answer(q):
    (first,) = await q.send("x", group="g", dedup_id="d")
    (again,) = await q.send("x", group="g", dedup_id="d")
    assert not first.duplicate
    assert (again.message_id, again.sequence, again.duplicate) == (first.message_id, first.sequence, True)
    assert await q.counts() == (1, 0, 0)


async def test_the_id_decides_not_the_body(q):
    await q.send("one", group="g", dedup_id="d")
    await q.send("two", group="g", dedup_id="d")
    await q.send("one", group="g", dedup_id="e")
    assert (await q.receive()).bodies == ["one", "one"]


async def test_duplicates_within_one_send(engine, q):
    messages = [
        Outgoing(body=body, header=b"", group="g", dedup_id=dedup_id)
        for body, dedup_id in ("1a", "2b", "3a", "4c", "5b")
    ]
    sent = await engine.queues.send(q.name, messages)
    assert [one.duplicate for one in sent] == [False, False, True, False, True]
    assert (sent[2].message_id, sent[4].message_id) == (sent[0].message_id, sent[1].message_id)
    assert (await q.receive()).bodies == ["1", "2", "4"]


async def test_the_window_is_five_minutes_from_the_first(q, clock):
    (first,) = await q.send("x", group="g", dedup_id="d")
    await clock.advance(WINDOW_MS // 2)
    assert (await q.send("x", group="g", dedup_id="d"))[0].duplicate
    await clock.advance(WINDOW_MS // 2 - 1)
    assert (await q.send("x", group="g", dedup_id="d"))[0].duplicate
    await clock.advance(1)
    (second,) = await q.send("x", group="g", dedup_id="d")
    assert not second.duplicate
    assert second.message_id != first.message_id
    assert await q.counts() == (2, 0, 0)
    await clock.advance(WINDOW_MS - 1)
    (again,) = await q.send("x", group="g", dedup_id="d")
    assert (again.duplicate, again.message_id) == (True, second.message_id)


async def test_the_window_outlives_the_message(q, clock):
    (first,) = await q.send("x", group="g", dedup_id="d")
    await q.delete(await q.receive())
    (again,) = await q.send("x", group="g", dedup_id="d")
    assert (again.message_id, again.sequence, again.duplicate) == (first.message_id, first.sequence, True)
    assert await q.counts() == (0, 0, 0)
    await clock.advance(WINDOW_MS)
    assert not (await q.send("x", group="g", dedup_id="d"))[0].duplicate


async def test_the_window_outlives_retention(queue, clock):
    q = await queue(fifo=True, retention_ms=60_000)
    await q.send("x", group="g", dedup_id="d")
    await clock.advance(60_000)
    assert await q.counts() == (0, 0, 0)
    assert (await q.send("x", group="g", dedup_id="d"))[0].duplicate


async def test_a_dropped_queue_forgets(q):
    await q.send("x", group="g", dedup_id="d")
    await q.drop()
    await q.configure(fifo=True)
    assert not (await q.send("x", group="g", dedup_id="d"))[0].duplicate


async def test_by_queue_other_groups_are_duplicates_too(q):
    await q.send("x", group="g", dedup_id="d")
    assert (await q.send("x", group="h", dedup_id="d"))[0].duplicate


async def test_by_group_other_groups_are_not(queue):
    q = await queue(fifo=True, dedup_per_group=True)
    (first,) = await q.send("x", group="g", dedup_id="d")
    (other,) = await q.send("y", group="h", dedup_id="d")
    (again,) = await q.send("z", group="g", dedup_id="d")
    assert (first.duplicate, other.duplicate, again.duplicate) == (False, False, True)
    assert again.message_id == first.message_id


async def test_by_group_the_parts_are_not_run_together(queue):
    q = await queue(fifo=True, dedup_per_group=True)
    pairs = [
        ("a", "bc"),
        ("ab", "c"),
        ("a/b", "c"),
        ("a", "b/c"),
        ("a:", "b"),
        ("a", ":b"),
        ("a\x00", "b"),
        ("a", "\x00b"),
    ]
    for group, dedup_id in pairs:
        assert not (await q.send("x", group=group, dedup_id=dedup_id))[0].duplicate


async def test_queues_do_not_share_their_ids(queue):
    for name in ("one", "two"):
        q = await queue(name, fifo=True)
        assert not (await q.send("x", group="g", dedup_id="d"))[0].duplicate


async def test_without_an_id_nothing_is_a_duplicate(q):
    await q.send("x", "x", group="g")
    assert await q.counts() == (2, 0, 0)


async def test_ids_are_told_apart_to_the_letter(q):
    ids = ["d", "D", "d ", "", "%", "_", "d" * 128, "0", "00"]
    sent = [(await q.send("x", group="g", dedup_id=dedup_id))[0] for dedup_id in ids]
    assert not any(one.duplicate for one in sent)


async def test_another_window_is_kept_to(queue, clock):
    q = await queue(fifo=True, dedup_window_ms=1000)
    await q.send("x", group="g", dedup_id="d")
    await clock.advance(999)
    assert (await q.send("x", group="g", dedup_id="d"))[0].duplicate
    await clock.advance(1)
    assert not (await q.send("x", group="g", dedup_id="d"))[0].duplicate


async def test_many_ids_each_with_its_own_window(q, clock):
    for number in range(50):
        await q.send(str(number), group="g", dedup_id=str(number))
        await clock.advance(10_000)
    duplicates = [(await q.send("x", group="g", dedup_id=str(number)))[0].duplicate for number in range(50)]
    assert duplicates == [number > 20 for number in range(50)]


async def test_a_purge_does_not_forget_ids(q):
    await q.send("x", group="g", dedup_id="d")
    await q.purge()
    assert (await q.send("x", group="g", dedup_id="d"))[0].duplicate
    assert await q.counts() == (0, 0, 0)
