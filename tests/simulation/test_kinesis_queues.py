"""A stream queue against plain Python, in seeded runs: receives, acknowledgements, dead letters, restores, restarts.

`HEADRACE_SIMULATION_SEEDS=1000:2000 pytest tests/simulation/test_kinesis_queues.py` runs those seeds instead.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any

import pytest

from headrace.services.kinesis import operations, queue_records
from headrace.services.kinesis.queue_limits import TRANSITION_MS

from .stream_trial import STREAM, Build, StreamTrial

FIRST, LAST = (int(seed) for seed in os.environ.get("HEADRACE_SIMULATION_SEEDS", "0:8").split(":"))
STEPS = 250
REST_S = 30
QUEUED, LAST_RECEIVE, DEAD, ACKNOWLEDGED = "queued", "last receive", "dead", "acknowledged"
TIMEOUTS_S = [0, 1, 5, 30, 600]
GONE, WRONG = "ResourceNotFoundException", "InvalidArgumentException"


@dataclass
class Item:
    """A record as the queue has it. A `life` ends when it goes to another place; handles are for one life."""

    body: bytes
    place: str = QUEUED
    receives: int = 0
    due_ms: int = 0
    life: int = 0

    def move(self, place: str) -> None:
        self.place = place
        self.life += 1


@dataclass
class Handle:
    """A receipt handle, and what it was given for."""

    text: str
    item: Item
    life: int
    receive: int
    dead: bool


def dead_letters(max_receives: int) -> dict[str, Any]:
    """A DeadLetterConfiguration; 0 receives for none."""
    return {"TargetType": "BUILT_IN", "MaxReceiveCount": max_receives} if max_receives else {"TargetType": "NONE"}


class QueueTrial(StreamTrial):
    """A queue on a stream that is written to meanwhile."""

    def __init__(self, build: Build, seed: int) -> None:
        super().__init__(build, seed)
        self.items: dict[bytes, Item] = {}
        self.handles: list[Handle] = []
        self.max_receives = self.rng.choice([1, 2, 3])

    def begin(self) -> None:
        self.call("create_stream", StreamName=STREAM, StreamModeDetails={"StreamMode": "ON_DEMAND"})
        self.advance(1_000)
        self.call("increase_stream_retention_period", StreamName=STREAM, RetentionPeriodHours=8_760)
        self.advance(1_000)
        arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"
        made = self.call(
            "create_queue",
            QueueName="work",
            StreamConfigurationList=[{"StreamARN": arn, "StartingPosition": {"Type": "TRIM_HORIZON"}}],
            QueueAttributes={"DeadLetterConfiguration": dead_letters(self.max_receives)},
        )
        self.queue = made["QueueDescription"]["QueueARN"]
        self.advance(1_000)

    def settle(self) -> None:
        """Last receives that have ended made dead letters, or not if more receives are allowed meanwhile."""
        self.run(asyncio.wait_for(self.rest(), REST_S))
        for item in self.items.values():
            if item.place is LAST_RECEIVE and item.due_ms <= self.now_ms:
                item.move(DEAD if 0 < self.max_receives <= item.receives else QUEUED)

    async def rest(self) -> None:
        """Return when nothing is due any more, however long the engine takes for that."""
        await self.clock.advance(0)
        while due := await self.engine.metadata.list(queue_records.DUE_PREFIX, max_entries=1):
            if queue_records.read_due(due[0].key).due_ms > self.now_ms:
                break
            await asyncio.sleep(0.001)

    def visible(self, *, dead: bool) -> list[Item]:
        place = DEAD if dead else QUEUED
        return [item for item in self.items.values() if item.place is place and item.due_ms <= self.now_ms]

    # ---- steps

    def put_some(self) -> None:
        before = self.bodies
        self.put_many([str(self.rng.randrange(50)) for _ in range(self.rng.choice([1, 5, 30]))])
        assert self.bodies > before
        for puts in self.puts.values():
            for put in puts:
                self.items.setdefault(put.body, Item(put.body))

    def receive(self, *, dead: bool) -> None:
        self.settle()
        limit, timeout_s = self.rng.randint(1, 10), self.rng.choice(TIMEOUTS_S)
        expected, begun_ms = bool(self.visible(dead=dead)), self.now_ms
        operation = operations.receive_dead_letter_queue_records if dead else operations.receive_queue_records
        params = {"QueueARN": self.queue, "Limit": limit, "WaitTimeSeconds": 1, "VisibilityTimeoutSeconds": timeout_s}

        async def ask() -> dict[str, Any]:
            await self.state.stream_queues.find_open(self.queue)  # so that the wait begins before the clock is moved
            asking = asyncio.create_task(operation(self.context, params))
            if not expected:
                await self.clock.advance(1_000)
            return await asking

        records = self.run(ask())["QueueRecords"]
        self.settle()
        assert len(records) <= limit
        assert records or not expected, "nothing was given though something was visible"
        # Given as soon as the last of them was visible, though the clock has gone on since.
        at_ms = max([begun_ms, *[self.items[record["Data"]].due_ms for record in records]])
        for record in records:
            self.given(record, at_ms + timeout_s * 1_000, dead=dead)
        self.settle()

    def given(self, record: dict[str, Any], due_ms: int, *, dead: bool) -> None:
        item = self.items[record["Data"]]
        assert item in self.visible(dead=dead), f"{item} was given"
        item.receives += 1
        assert record["ReceiveCount"] == item.receives
        item.due_ms = due_ms
        if not dead and item.receives == self.max_receives:
            item.move(LAST_RECEIVE)
        self.handles.append(Handle(record["ReceiptHandle"], item, item.life, item.receives, dead))

    def use(self, action: str) -> None:
        """Settle a few of the receipts that were given lately, for records or for dead letters."""
        self.settle()
        dead = action == "restore" or self.rng.random() < 0.4
        known = [handle for handle in self.handles[-60:] if handle.dead is dead]
        chosen = self.rng.sample(known, min(len(known), self.rng.randint(1, 5)))
        # Of each record one: what becomes of the others depends on their order.
        chosen = list({id(handle.item): handle for handle in chosen}.values())
        if not chosen:
            return
        timeout_s = self.rng.choice(TIMEOUTS_S)
        what = "dead_letter_queue_records" if dead else "queue_records"
        name = {"acknowledge": f"acknowledge_{what}", "hide": f"update_{what}_visibility", "restore": f"restore_{what}"}
        entries: list[dict[str, Any]] = [{"ReceiptHandle": handle.text} for handle in chosen]
        if action == "hide":
            entries = [entry | {"VisibilityTimeoutSeconds": timeout_s} for entry in entries]
        answer = self.call(name[action], QueueARN=self.queue, Entries=entries)
        failed = {entry["ReceiptHandle"]: entry["ErrorCode"] for entry in answer["Failed"]}
        succeeded = {entry["ReceiptHandle"] for entry in answer["Successful"]}
        assert succeeded | failed.keys() == {handle.text for handle in chosen}
        for handle in chosen:
            assert failed.get(handle.text) == self.refusal(handle, action), (action, handle)
            if handle.text in succeeded:
                self.apply(handle.item, action, timeout_s)
        self.settle()

    def refusal(self, handle: Handle, action: str) -> str | None:
        if handle.life != handle.item.life or handle.item.place is ACKNOWLEDGED:
            return GONE
        if action == "hide" and (handle.item.due_ms <= self.now_ms or handle.receive != handle.item.receives):
            return WRONG
        return None

    def apply(self, item: Item, action: str, timeout_s: int) -> None:
        if action == "acknowledge":
            item.place = ACKNOWLEDGED
        elif action == "hide":
            item.due_ms = self.now_ms + timeout_s * 1_000
        else:
            item.move(QUEUED)
            item.receives, item.due_ms = 0, self.now_ms

    def allow_more_receives(self) -> None:
        """In force once the queue is ACTIVE again: receives that end before go by what held before."""
        if not self.max_receives:
            return
        after = 0 if self.max_receives >= 5 else self.max_receives + 1
        attributes = {"DeadLetterConfiguration": dead_letters(after)}
        self.call("update_queue", QueueARN=self.queue, QueueAttributes=attributes)
        self.advance(TRANSITION_MS - 1)
        self.settle()
        self.max_receives = after
        self.advance(1)
        self.settle()

    def finish(self) -> None:
        """Receive and acknowledge everything: each record is there, once."""
        for _ in range(12):
            self.advance(700_000)
            for dead in (False, True):
                self.settle()
                while self.visible(dead=dead):
                    self.receive(dead=dead)
                    self.acknowledge_all(dead=dead)
        assert {item.place for item in self.items.values()} == {ACKNOWLEDGED}

    def acknowledge_all(self, *, dead: bool) -> None:
        """Acknowledge what is in flight."""
        what = "dead_letter_queue_records" if dead else "queue_records"
        for handle in self.handles:
            item = handle.item
            if handle.dead is dead and handle.life == item.life and item.place is not ACKNOWLEDGED:
                entries = [{"ReceiptHandle": handle.text}]
                assert self.call(f"acknowledge_{what}", QueueARN=self.queue, Entries=entries)["Failed"] == []
                item.place = ACKNOWLEDGED


WEIGHTS = {"put": 12, "receive": 35, "receive_dead": 12, "acknowledge": 15, "hide": 12, "restore": 6, "advance": 12}
WEIGHTS |= {"reopen": 3, "more": 1}


def step(trial: QueueTrial) -> None:
    steps = {
        "put": trial.put_some,
        "receive": lambda: trial.receive(dead=False),
        "receive_dead": lambda: trial.receive(dead=True),
        "acknowledge": lambda: trial.use("acknowledge"),
        "hide": lambda: trial.use("hide"),
        "restore": lambda: trial.use("restore"),
        "advance": lambda: trial.advance(trial.rng.choice([1, 999, 1_000, 5_000, 29_999, 600_000])),
        "reopen": trial.reopen,
        "more": trial.allow_more_receives,
    }
    steps[trial.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]]()


@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_a_seeded_run(build: Build, seed: int) -> None:
    trial = QueueTrial(build, seed)
    try:
        trial.begin()
        for _ in range(STEPS):
            step(trial)
        trial.finish()
        assert len(trial.items) > 50
    finally:
        trial.end()
