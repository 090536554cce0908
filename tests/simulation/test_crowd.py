"""Many consumers and producers at once, who wait, are cancelled at any moment, give back and delete.

Nobody's visibility timeout ends, so that what each of them holds is known to the message: no message and no
FIFO group may be held twice, no handing-out may be counted that did not reach anyone, and at the end all is done.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict

import pytest

from headrace.clock import VirtualClock
from headrace.engines.sqlite import database
from headrace.primitives.engine import Engine
from headrace.primitives.queues import Outcome, Outgoing, QueueSettings, Received

FOREVER_MS = 40_000_000
MESSAGES = 300
CONSUMERS = 12
GROUPS = 5


class Crowd:
    """Everyone at one queue."""

    def __init__(self, engine: Engine, clock: VirtualClock, seed: int, *, fifo: bool) -> None:
        self.queues, self.clock, self.fifo = engine.queues, clock, fifo
        self.rng = random.Random(seed)
        self.waiting: dict[str, list[str]] = defaultdict(list)
        """By group, what was sent and not deleted, in order."""
        self.holders: dict[str, int] = {}
        """By message (or FIFO group), the consumer that holds it, and how much of it."""
        self.handed_out: Counter[str] = Counter()
        self.deleted: set[str] = set()

    async def produce(self, group: str) -> None:
        """All of a group come from one producer: their order is that of its sends."""
        number = 0
        while number < MESSAGES // GROUPS:
            bodies = [f"{group}{number + step:04}" for step in range(self.rng.choice([1, 1, 3]))]
            number += len(bodies)
            self.waiting[group] += bodies
            delay_ms = self.rng.choice([0, 0, 0, 2000])
            messages = [Outgoing(body=body, header=b"", group=group, delay_ms=delay_ms) for body in bodies]
            await self.queues.send("q", messages)
            for _ in range(self.rng.randrange(10)):
                await asyncio.sleep(0)

    async def consume(self) -> None:
        while not self.done():
            receiving = asyncio.create_task(
                self.queues.receive(
                    "q",
                    max_messages=self.rng.randint(1, 5),
                    visibility_timeout_ms=FOREVER_MS,
                    wait_ms=self.rng.choice([0, 1000, 20_000]),
                )
            )
            if self.rng.random() < 0.5:
                for _ in range(self.rng.randrange(12)):
                    await asyncio.sleep(0)
                receiving.cancel()
            (batch,) = await asyncio.gather(receiving, return_exceptions=True)
            if not isinstance(batch, asyncio.CancelledError):
                await self.work(batch)

    async def work(self, batch: list[Received]) -> None:
        """Hold the messages for a while, delete some from the front, give the others back."""
        self.take(batch)
        for _ in range(self.rng.randrange(10)):
            await asyncio.sleep(0)
        finished = batch[: self.rng.randint(0, len(batch))]
        self.leave(batch, finished)
        if finished:
            outcomes = await self.queues.delete("q", [each.receipt for each in finished])
            assert set(outcomes) == {Outcome.DONE}
        if back := [(each.receipt, 0) for each in batch[len(finished) :]]:
            assert set(await self.queues.change_visibility("q", back)) == {Outcome.DONE}

    def take(self, batch: list[Received]) -> None:
        keys = {each.group or "" if self.fifo else each.body for each in batch}
        assert not keys & self.holders.keys(), "held by two"
        self.holders |= dict.fromkeys(keys, 1)
        for each in batch:
            assert each.body not in self.deleted
            self.handed_out[each.body] += 1
            assert each.receive_count == self.handed_out[each.body], "counted though nobody got it"
        if self.fifo:
            for group in keys:
                bodies = [each.body for each in batch if each.group == group]
                assert bodies == self.waiting[group][: len(bodies)], "out of order"

    def leave(self, batch: list[Received], finished: list[Received]) -> None:
        """Let go in our books before the engine is told: from the call on, others may get them."""
        for each in batch:
            self.holders.pop(each.group or "" if self.fifo else each.body, None)
        for each in finished:
            self.waiting[each.group or ""].remove(each.body)
            self.deleted.add(each.body)

    def done(self) -> bool:
        return len(self.deleted) >= MESSAGES and not any(self.waiting.values())

    async def run(self) -> None:
        people = [asyncio.create_task(self.produce("ghijk"[number])) for number in range(GROUPS)]
        people += [asyncio.create_task(self.consume()) for _ in range(CONSUMERS)]
        while not all(person.done() for person in people):
            await self.clock.advance(self.rng.choice([1, 100, 1000]))
            await asyncio.sleep(0)
        for person in people:
            await person


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
@pytest.mark.parametrize("slow_disk", [False, True], ids=["quick-disk", "slow-disk"])
@pytest.mark.parametrize("seed", range(4))
async def test_a_crowd(build, monkeypatch, tmp_path, fifo, slow_disk, seed):
    monkeypatch.setattr(database, "SLOW_SYNC_S", -1.0 if slow_disk else 1e9)
    clock = VirtualClock(1_700_000_000_000)
    engine = build(str(tmp_path), clock)
    await engine.start()
    await engine.queues.open("q", QueueSettings(fifo=fifo))
    crowd = Crowd(engine, clock, seed, fifo=fifo)
    await crowd.run()
    assert len(crowd.deleted) >= MESSAGES
    depth = await engine.queues.depth("q")
    assert (depth.visible, depth.in_flight, depth.delayed) == (0, 0, 0)
    await engine.close()
