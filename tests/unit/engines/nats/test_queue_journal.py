"""A queue's journal is the queue: whoever reads it comes to the same state, however much of it was removed."""

import asyncio
import random

import pytest

from headrace.clock import VirtualClock
from headrace.engines.nats import queue_sweep
from headrace.primitives.queues import Outcome, Outgoing, QueueSettings

START_MS = 1_700_000_000_000


@pytest.fixture
def clock():
    return VirtualClock(START_MS)


def kept(queues, name="q"):
    [found] = [kept for kept in queues.kept() if kept.name == name]
    return found


async def loaded(queues, name="q"):
    """The queue as another process would read it, which does not take it over."""
    mine = kept(queues, name)
    await mine.settled()
    other = type(mine)(name, mine.definition, queues._jetstream, queues._bodies, queues.clock)
    await other.read()
    return other


def dump(state):
    """Everything that the state knows, in comparable form."""
    state.advance(state.now_ms)
    entries = {
        sequence: (entry.message, entry.hidden, entry.chunk.place, entry.index)
        for sequence, entry in state.entries.items()
    }
    counts = (state.visible, state.in_flight, state.delayed, state.oldest_sent_ms(), state.next_sequence)
    memories = (state.dedups, sorted(state.memories), state.attempts, state.moves, state.tenants, state.tenants_large)
    return entries, counts, memories


def order(state):
    """In which order messages would be handed out, told without handing any out."""
    if not state.fifo:
        taken = list(iter(state.ready.take, None))
        for entry in taken:
            state.ready.add(entry)
        return list(dict.fromkeys((entry.message.due_ms, entry.message.sequence) for entry in taken))
    groups = state.groups._groups.values()
    return {
        group.name: (group.due_ms, [entry.message.sequence for entry in state.groups.first(group)]) for group in groups
    }


class Traffic:
    """Random calls on a queue."""

    def __init__(self, queues, clock, seed, *, fifo):
        self.queues = queues
        self.clock = clock
        self.random = random.Random(seed)
        self.fifo = fifo
        self.receipts = []
        self.sent = 0

    async def step(self):
        acts = [self.send, self.send, self.receive, self.receive, self.delete, self.hide, self.pass_time]
        await self.random.choice(acts)()

    async def send(self):
        count = self.random.randint(1, 10)
        self.sent += count
        group = f"g{self.random.randint(0, 4)}" if self.fifo or self.random.random() < 0.3 else None
        dedup_id = f"d{self.random.randint(0, 30)}" if self.fifo and self.random.random() < 0.5 else None
        delay_ms = self.random.choice([None, None, 1000])
        body = "x" * self.random.randint(1, 2000)
        outgoing = Outgoing(body=body, header=b"h", group=group, dedup_id=dedup_id, delay_ms=delay_ms)
        await self.queues.send("q", [outgoing] * count)

    async def receive(self):
        attempt_id = f"a{self.random.randint(0, 5)}" if self.fifo and self.random.random() < 0.3 else None
        received = await self.queues.receive("q", max_messages=self.random.randint(1, 10), attempt_id=attempt_id)
        assert all(message.body and message.header == b"h" for message in received)
        self.receipts += [message.receipt for message in received]

    async def delete(self):
        some = self.random.sample(self.receipts, min(len(self.receipts), self.random.randint(1, 15)))
        outcomes = await self.queues.delete("q", some)
        assert Outcome.MALFORMED not in outcomes

    async def hide(self):
        some = self.random.sample(self.receipts, min(len(self.receipts), self.random.randint(1, 5)))
        await self.queues.change_visibility("q", [(receipt, self.random.choice([0, 500, 20_000])) for receipt in some])

    async def pass_time(self):
        await self.clock.advance(self.random.choice([1, 300, 5000, 40_000]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fifo", [False, True])
async def test_whoever_reads_the_journal_comes_to_the_same_state(queue_process, clock, fifo, seed, monkeypatch):
    monkeypatch.setattr(queue_sweep, "SLACK_BYTES", 0)
    queues = await queue_process()
    await queues.open("dead", QueueSettings(fifo=fifo))
    await queues.open(
        "q",
        QueueSettings(fifo=fifo, retention_ms=120_000, max_receive_count=3, dead_letter_queue="dead"),
    )
    traffic = Traffic(queues, clock, seed, fifo=fifo)
    removed = 0
    for _ in range(12):
        for _ in range(12):
            await traffic.step()
        mine = kept(queues)
        before = len(mine.chunks)
        mine.bytes_carried_at = 0
        await queues._sweep.carry(mine)
        await queues._sweep.trim(mine)
        removed += max(0, before - len(mine.chunks))
        mine.begin()
        again = await loaded(queues)
        again.state.advance(mine.state.now_ms)
        assert dump(again.state) == dump(mine.state)
        assert order(again.state) == order(mine.state)
    assert removed > 0


async def test_a_new_keeper_goes_on_where_the_old_one_stopped(queue_process, clock):
    old = await queue_process()
    await old.open("q", QueueSettings(fifo=True))
    traffic = Traffic(old, clock, 1, fifo=True)
    for _ in range(5):
        for _ in range(20):
            await traffic.step()
        depth = await traffic.queues.depth("q")
        await traffic.queues.close()
        traffic.queues = await queue_process()
        assert await traffic.queues.depth("q") == depth


async def test_effects_that_follow_each_other_in_one_chunk_are_made_once(queue_process, clock):
    queues = await queue_process()
    await queues.open("q", QueueSettings())
    await queues.depth("q")
    mine = kept(queues)
    sends = [queues.send("q", [Outgoing(body=str(number), header=b"")]) for number in range(5)]
    chunks = len(mine.chunks)
    await asyncio.gather(*sends, queues.receive("q", max_messages=3), queues.receive("q", max_messages=1))
    assert len(mine.chunks) == chunks + 1
    again = await loaded(queues)
    assert dump(again.state) == dump(mine.state)
    assert sorted(entry.message.receive_count for entry in again.state.entries.values()) == [0, 1, 1, 1, 1]
