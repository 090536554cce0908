"""Queues used by several processes: any may be asked, one keeps each, and who was overtaken can do no harm."""

import asyncio

import pytest

from headrace.clock import VirtualClock
from headrace.engines.nats import queue_peers, queue_room, queue_sweep
from headrace.engines.nats.queue_places import keeper_key
from headrace.errors import StorageFull
from headrace.primitives.queues import Outcome, Outgoing, OverInFlight, QueueMissing, QueueSettings

GUARD_S = 20


@pytest.fixture
def clock():
    return VirtualClock(1_700_000_000_000)


def message(body, **fields):
    return Outgoing(body=body, header=b"h", **fields)


def bodies(received):
    return [each.body for each in received]


async def pair(queue_process, **settings):
    """Two processes, the first of which keeps the queue `q`."""
    keeper, other = await queue_process(), await queue_process()
    await keeper.open("q", QueueSettings(**settings))
    await keeper.depth("q")
    await other.open("q", QueueSettings(**settings))
    assert (len(keeper.kept()), len(other.kept())) == (1, 0)
    return keeper, other


def go_silent(process):
    """Have a process neither say that it lives nor answer, as one that is paused."""
    process._peers._beating.cancel()
    for end in process._peers._ends:
        end()


@pytest.mark.parametrize("fifo", [False, True])
async def test_any_process_can_be_asked(queue_process, fifo):
    keeper, other = await pair(queue_process, fifo=fifo)
    [first] = await other.send("q", [message("a", group="g")])
    assert first.sequence == 1
    await keeper.send("q", [message("b", group="g")])
    received = await other.receive("q", max_messages=10)
    assert bodies(received) == ["a", "b"]
    assert received[0].message_id == first.message_id
    assert received[0].header == b"h"
    assert await other.change_visibility("q", [(received[1].receipt, 0)]) == [Outcome.DONE]
    assert await other.delete("q", [received[0].receipt, "no receipt"]) == [Outcome.DONE, Outcome.MALFORMED]
    assert (await other.depth("q")).visible == 1
    await other.purge("q")
    assert await keeper.depth("q") == await other.depth("q")
    assert (len(keeper.kept()), len(other.kept())) == (1, 0)


async def test_errors_come_back_as_they_are(queue_process):
    keeper, other = await pair(queue_process, max_in_flight=1)
    await keeper.send("q", [message("a")])
    await keeper.receive("q", max_messages=1)
    with pytest.raises(OverInFlight):
        await other.receive("q", max_messages=1)
    with pytest.raises(QueueMissing):
        await other.redrive("q", "nowhere", 10)
    await keeper.drop("q")
    with pytest.raises(QueueMissing):
        await other.depth("q")


async def test_a_wait_at_another_process_is_woken(queue_process):
    keeper, other = await pair(queue_process)
    task = asyncio.create_task(other.receive("q", max_messages=1, wait_ms=20_000))
    await until(lambda: keeper.kept()[0].waiters)
    await keeper.send("q", [message("a")])
    assert bodies(await asyncio.wait_for(task, GUARD_S)) == ["a"]


async def test_a_wait_that_is_cancelled_takes_nothing(queue_process):
    keeper, other = await pair(queue_process)
    task = asyncio.create_task(other.receive("q", max_messages=1, wait_ms=20_000))
    await until(lambda: keeper.kept()[0].waiters)
    task.cancel()
    await until(lambda: not keeper.kept()[0].waiters)
    await keeper.send("q", [message("a")])
    assert (await keeper.depth("q")).visible == 1


async def test_what_was_handed_to_someone_who_left_is_put_back(queue_process, monkeypatch):
    keeper, other = await pair(queue_process)
    await keeper.send("q", [message("a")])
    monkeypatch.setattr(other._peers._connection, "ask", _never_answered(other._peers._connection))
    task = asyncio.create_task(other.receive("q", max_messages=1))
    await until(lambda: keeper._peers._given)
    task.cancel()
    await until(lambda: keeper.kept()[0].state.visible)
    [again] = await keeper.receive("q", max_messages=1)
    assert again.receive_count == 1


def _never_answered(connection):
    ask = connection.ask

    async def asking(subject, payload, on_reply, **options):
        return await ask(subject, payload, lambda _: None, **options)

    return asking


@pytest.mark.parametrize(("fifo", "spent"), [(False, Outcome.NOT_IN_FLIGHT), (True, Outcome.EXPIRED)])
async def test_who_had_to_ask_again_is_not_told_that_it_is_shown_already(queue_process, monkeypatch, fifo, spent):
    keeper, other = await pair(queue_process, fifo=fifo)
    await keeper.send("q", [message("a", group="g")])
    [held] = await other.receive("q", max_messages=1)
    with monkeypatch.context() as unanswered:
        unanswered.setattr(other._peers._connection, "ask", _never_answered(other._peers._connection))
        task = asyncio.create_task(other.change_visibility("q", [(held.receipt, 0)]))
        await until(lambda: keeper.kept()[0].state.visible)
    other._peers._ask_again(keeper.process)
    assert await asyncio.wait_for(task, GUARD_S) == [Outcome.DONE]
    assert await other.change_visibility("q", [(held.receipt, 0)]) == [spent]


async def test_waits_end_when_the_process_that_was_asked_first_stops(queue_process):
    keeper, other = await pair(queue_process)
    task = asyncio.create_task(other.receive("q", max_messages=1, wait_ms=20_000))
    await until(lambda: keeper.kept()[0].waiters)
    await other.drain()
    assert await asyncio.wait_for(task, GUARD_S) == []


async def test_a_queue_whose_keeper_stopped_is_taken_up(queue_process):
    keeper, other = await pair(queue_process)
    await keeper.send("q", [message("a")])
    waiting = asyncio.create_task(other.receive("q", max_messages=5, wait_ms=20_000))
    assert bodies(await waiting) == ["a"]
    waiting = asyncio.create_task(other.receive("q", max_messages=5, wait_ms=20_000))
    await until(lambda: keeper.kept()[0].waiters)
    await keeper.close()
    await other.send("q", [message("b")])
    assert bodies(await asyncio.wait_for(waiting, GUARD_S)) == ["b"]
    assert len(other.kept()) == 1


async def test_a_queue_whose_keeper_is_silent_is_taken_up(queue_process, monkeypatch):
    monkeypatch.setattr(queue_peers, "SILENCE_S", 0.2)
    monkeypatch.setattr(queue_peers, "GONE_S", 0.1)
    keeper, other = await pair(queue_process)
    await keeper.send("q", [message("a")])
    go_silent(keeper)
    assert bodies(await asyncio.wait_for(other.receive("q", max_messages=5), GUARD_S)) == ["a"]


async def test_a_keeper_that_was_overtaken_unawares_does_no_harm(queue_process):
    """It learns of it with its next write, and what it was asked is done by the new keeper."""
    keeper, other = await pair(queue_process)
    await keeper.send("q", [message("a")])
    keeper._end_watch()  # it hears nothing of the other's claim
    await other._records.put(keeper_key(other._definitions["q"].number), other.process.encode())
    [held] = await other.receive("q", max_messages=1)
    assert await other.delete("q", [held.receipt]) == [Outcome.DONE]
    stale = keeper.kept()[0]
    assert stale.state.visible == 1  # as far as it knows
    assert await keeper.receive("q", max_messages=1) == []
    assert stale.stale
    assert (len(keeper.kept()), len(other.kept())) == (0, 1)


async def overtaken(queue_process, **settings):
    """A process that does not know yet that another keeps the queue `q` by now; a message sent and received there."""
    keeper, other = await pair(queue_process, **settings)
    keeper._end_watch()
    await other._records.put(keeper_key(other._definitions["q"].number), other.process.encode())
    await other.send("q", [message("a", group="g"), message("b", group="other")])
    [held] = await other.receive("q", max_messages=1)
    assert keeper.kept()[0].state.entries == {}
    return keeper, other, held


@pytest.mark.parametrize("fifo", [False, True])
async def test_who_was_overtaken_does_not_say_that_a_message_is_gone(queue_process, fifo):
    keeper, other, held = await overtaken(queue_process, fifo=fifo)
    assert await keeper.delete("q", [held.receipt]) == [Outcome.DONE]
    depth = await other.depth("q")
    assert (depth.visible, depth.in_flight) == (1, 0)


async def test_who_was_overtaken_does_not_say_that_a_message_is_not_in_flight(queue_process):
    keeper, other, held = await overtaken(queue_process)
    assert await keeper.change_visibility("q", [(held.receipt, 0)]) == [Outcome.DONE]
    assert (await other.depth("q")).visible == 2


async def test_who_was_overtaken_purges_what_it_does_not_know(queue_process):
    keeper, other, _ = await overtaken(queue_process)
    await keeper.purge("q")
    depth = await other.depth("q")
    assert (depth.visible, depth.in_flight) == (0, 0)


async def test_who_was_overtaken_does_not_say_that_nothing_is_left_to_move(queue_process):
    keeper, other, _ = await overtaken(queue_process)
    await other.open("to", QueueSettings())
    assert await keeper.redrive("q", "to", 10) == 1


async def test_who_lost_its_connection_is_asked_again(queue_process):
    """A wait that it may not have heard of goes on, and hands a message out once."""
    keeper, other = await pair(queue_process)
    waiting = asyncio.create_task(other.receive("q", max_messages=1, wait_ms=20_000))
    await until(lambda: keeper.kept()[0].waiters)
    asked = next(iter(other._peers._waiting[keeper.process]))
    keeper._peers._back()
    await until(lambda: other._peers._waiting[keeper.process] and asked not in other._peers._waiting[keeper.process])
    await other.send("q", [message("a")])
    assert bodies(await asyncio.wait_for(waiting, GUARD_S)) == ["a"]
    assert (len(keeper.kept()), len(other.kept())) == (1, 0)


async def test_a_keeper_that_hears_of_its_successor_stops_at_once(queue_process):
    keeper, other = await pair(queue_process)
    waiting = asyncio.create_task(keeper.receive("q", max_messages=1, wait_ms=20_000))
    await until(lambda: keeper.kept()[0].waiters)
    await other._records.put(keeper_key(other._definitions["q"].number), other.process.encode())
    await other.send("q", [message("a")])
    assert bodies(await asyncio.wait_for(waiting, GUARD_S)) == ["a"]
    assert keeper.kept() == []


async def test_two_that_claim_a_queue_together_agree(queue_process):
    first, second = await queue_process(), await queue_process()
    await first.open("q", QueueSettings())
    sent = await asyncio.gather(
        *(queues.send("q", [message(str(number))]) for number in range(50) for queues in (first, second))
    )
    assert sorted(each.sequence for [each] in sent) == list(range(1, 101))
    assert len(first.kept()) + len(second.kept()) == 1


async def test_dead_letters_go_to_a_queue_that_another_process_keeps(queue_process, clock):
    keeper, other = await pair(queue_process, visibility_timeout_ms=1000, max_receive_count=1, dead_letter_queue="dead")
    await other.open("dead", QueueSettings())
    await other.depth("dead")
    [sent] = await keeper.send("q", [message("a")])
    await keeper.receive("q", max_messages=1)
    await clock.advance(1000)
    assert await keeper.receive("q", max_messages=1) == []
    [dead] = await other.receive("dead", max_messages=1)
    assert (dead.message_id, dead.source, dead.body) == (sent.message_id, "q", "a")
    assert [each.name for each in other.kept()] == ["dead"]
    await other.change_visibility("dead", [(dead.receipt, 0)])
    assert await other.redrive("dead", None, 10) == 1
    assert (await keeper.depth("q")).visible == 1


async def test_a_move_that_is_made_again_is_made_once(queue_process, monkeypatch):
    """The process died, as it were, between the two queues."""
    queues = await queue_process()
    await queues.open("q", QueueSettings(max_receive_count=1, dead_letter_queue="dead", visibility_timeout_ms=0))
    await queues.open("dead", QueueSettings())
    await queues.send("q", [message("a")])
    await queues.receive("q", max_messages=1)
    arrive = queues.arrive

    async def arrive_and_die(queue, arrivals):
        await arrive(queue, arrivals)
        queues.kept()[0].fail(RuntimeError("killed"))
        raise asyncio.CancelledError

    monkeypatch.setattr(queues, "arrive", arrive_and_die)
    with pytest.raises(asyncio.CancelledError):
        await queues.receive("q", max_messages=1)
    monkeypatch.undo()
    await queues.close()
    successor = await queue_process()
    assert (await successor.depth("q")).visible == 1
    assert await successor.receive("q", max_messages=1) == []
    assert (await successor.depth("q")).visible == 0
    assert (await successor.depth("dead")).visible == 1


async def test_changed_settings_hold_at_the_keeper(queue_process, clock):
    keeper, other = await pair(queue_process)
    await other.open("q", QueueSettings(delay_ms=5000))
    await until(lambda: keeper.kept()[0].state.settings.delay_ms == 5000)
    await keeper.send("q", [message("a")])
    assert (await other.depth("q")).delayed == 1


async def until(true):
    """Return when it is true."""
    async with asyncio.timeout(GUARD_S):
        while not true():  # noqa: ASYNC110 - of another process nothing is told here
            await asyncio.sleep(0.002)


async def test_what_is_being_written_when_a_queue_is_given_up_is_done_once(queue_process, monkeypatch):
    keeper, other = await pair(queue_process)
    [kept] = keeper.kept()
    publish, stored, go_on = kept._jetstream.publish_once, asyncio.Event(), asyncio.Event()

    async def publish_slowly(stream, messages):
        ack = await publish(stream, messages)
        if stream == kept.stream:
            stored.set()
            await go_on.wait()
        return ack

    monkeypatch.setattr(kept._jetstream, "publish_once", publish_slowly)
    sending = asyncio.ensure_future(keeper.send("q", [message("a")]))
    await asyncio.wait_for(stored.wait(), GUARD_S)
    late = asyncio.ensure_future(keeper.send("q", [message("b")]))
    await asyncio.sleep(0)
    keeper._give_up(kept)
    go_on.set()
    await asyncio.wait_for(asyncio.gather(sending, late), GUARD_S)
    assert sorted(bodies(await other.receive("q", max_messages=10))) == ["a", "b"]


async def test_a_queue_that_is_dropped_while_it_is_taken_up(queue_process, monkeypatch):
    keeper, _ = await pair(queue_process)
    await keeper.send("q", [message("a")])
    [kept] = keeper.kept()
    keeper._give_up(kept)
    get_many = kept._jetstream.get_many

    async def drop_first(*arguments, **options):
        await kept._jetstream.call(f"STREAM.PURGE.{kept.stream}", {"filter": kept.subject})
        return await get_many(*arguments, **options)

    monkeypatch.setattr(kept._jetstream, "get_many", drop_first)
    assert (await asyncio.wait_for(keeper.depth("q"), GUARD_S)).visible == 0


async def test_a_process_without_room_takes_no_more_messages(queue_process, monkeypatch):
    monkeypatch.setattr(queue_sweep, "messages_allowed", lambda: 3)
    queues = await queue_process()
    await queues.open("q", QueueSettings())
    await queues.send("q", [Outgoing(body="x", header=b"")] * 3)
    queues._sweep.count()
    with pytest.raises(StorageFull, match="memory"):
        await queues.send("q", [Outgoing(body="x", header=b"")])
    received = await queues.receive("q", max_messages=10)
    await queues.delete("q", [message.receipt for message in received])
    queues._sweep.count()
    await queues.send("q", [Outgoing(body="x", header=b"")])
    assert (await queues.depth("q")).visible == 1


def test_what_may_be_known_goes_by_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(queue_room, "CONTAINER", tmp_path / "memory.max")
    machine = queue_room.memory_bytes()
    (tmp_path / "memory.max").write_text("max\n")
    assert queue_room.memory_bytes() == machine
    (tmp_path / "memory.max").write_text(f"{machine // 4}\n")
    assert queue_room.memory_bytes() == machine // 4
    (tmp_path / "memory.max").write_text("1000000\n")
    assert queue_room.messages_allowed() == queue_room.LEAST
