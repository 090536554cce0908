"""Queues come and go: open, configure, drop, and calls to queues that are not there."""

import contextlib

import pytest

from headrace.primitives.queues import Outgoing, QueueMissing, QueueSettings


async def test_a_new_queue_is_empty(queue):
    depth = await (await queue()).depth()
    assert (depth.visible, depth.in_flight, depth.delayed, depth.oldest_sent_at_ms) == (0, 0, 0, None)


async def test_opening_twice_keeps_the_messages(queue):
    q = await queue()
    await q.send("kept")
    await q.configure()
    assert (await q.receive()).bodies == ["kept"]


@pytest.mark.parametrize("dropped", [False, True])
async def test_every_call_on_a_missing_queue_says_so(engine, queue, dropped):
    queues = engine.queues
    if dropped:
        await (await queue("gone")).drop()
    other = await queue("other")
    calls = [
        lambda: queues.send("gone", [Outgoing(body="x", header=b"")]),
        lambda: queues.receive("gone", max_messages=1),
        lambda: queues.receive("gone", max_messages=1, wait_ms=1000),
        lambda: queues.delete("gone", ["x"]),
        lambda: queues.change_visibility("gone", [("x", 0)]),
        lambda: queues.depth("gone"),
        lambda: queues.purge("gone"),
        lambda: queues.redrive("gone", None, 1),
        lambda: other.redrive("gone"),
    ]
    for call in calls:
        with pytest.raises(QueueMissing):
            await call()


async def test_dropping_a_missing_queue_is_harmless_or_says_so(engine):
    with contextlib.suppress(QueueMissing):
        await engine.queues.drop("never")


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_dropped_name_is_free_at_once_and_starts_empty(queue, clock, fifo):
    q = await queue(fifo=fifo, visibility_timeout_ms=1000)
    await q.send("a", "b", group="g", dedup_id=None)
    await q.send("later", group="g", delay_ms=5000)
    await q.receive(1)
    await q.drop()
    await q.configure(fifo=fifo)
    assert await q.counts() == (0, 0, 0)
    await clock.advance(10_000)
    assert await q.counts() == (0, 0, 0)
    assert await q.receive() == []
    await q.send("new", group="g")
    assert (await q.receive()).bodies == ["new"]


async def test_a_dropped_queue_can_come_back_as_the_other_kind(queue):
    q = await queue(fifo=False)
    await q.send("a")
    await q.drop()
    await q.configure(fifo=True)
    await q.send("x", "y", group="g")
    first = await q.receive(1)
    assert first.bodies == ["x"]
    assert await q.receive() == []


async def test_a_receipt_does_not_outlive_its_queue(queue):
    q = await queue()
    await q.send("a")
    old = await q.receive()
    await q.drop()
    await q.configure()
    await q.send("b")
    await q.delete(old)
    await q.hide(old, 0)
    assert (await q.receive()).bodies == ["b"]


async def test_dropping_one_queue_leaves_the_others(queue):
    kept, dropped = await queue("kept"), await queue("dropped")
    await kept.send("a")
    await dropped.send("b")
    await dropped.drop()
    assert (await kept.receive()).bodies == ["a"]


async def test_queues_do_not_mix(queue):
    many = [await queue(f"arn:aws:sqs:us-east-1:000000000000:q{number}") for number in range(50)]
    for number, q in enumerate(many):
        await q.send(str(number))
    for number, q in reversed(list(enumerate(many))):
        assert (await q.receive()).bodies == [str(number)]


async def test_names_are_taken_literally(queue):
    names = ["Q", "q", "q%", "q_", "q/1", "q'", "ü", "a:b.fifo", "x" * 300]
    many = [await queue(name) for name in names]
    for q in many:
        await q.send(q.name)
    assert [(await q.receive()).bodies for q in many] == [[name] for name in names]


async def test_new_settings_hold_for_later_receives(queue, clock):
    q = await queue(visibility_timeout_ms=30_000)
    await q.send("a", "b")
    await q.receive(1)
    await q.configure(visibility_timeout_ms=5000)
    await q.receive(1)
    await clock.advance(5000)
    assert await q.counts() == (1, 1, 0)
    await clock.advance(25_000)
    assert await q.counts() == (2, 0, 0)


async def test_a_new_delay_leaves_what_a_standard_queue_holds(queue, clock):
    # AWS: the delay of a standard queue is not retroactive.
    q = await queue(delay_ms=10_000)
    await q.send("slow")
    await q.configure(delay_ms=0)
    await q.send("fast")
    assert (await q.receive()).bodies == ["fast"]
    await clock.advance(10_000)
    assert (await q.receive()).bodies == ["slow"]


async def test_settings_default_to_what_aws_gives():
    settings = QueueSettings()
    assert (settings.visibility_timeout_ms, settings.retention_ms, settings.delay_ms) == (30_000, 345_600_000, 0)
    assert (settings.max_in_flight, settings.max_hidden_ms, settings.dedup_window_ms) == (120_000, 43_200_000, 300_000)


async def test_a_queue_never_changes_its_kind(queue):
    q = await queue(fifo=False)
    await q.configure(fifo=True)
    await q.send("a", "b", group="g")
    assert [len(await q.receive(1)), len(await q.receive(1))] == [1, 1]
