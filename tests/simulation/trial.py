"""A queue and its dead-letter queue on an engine, every step held against the model.

A `Trial` makes the steps it is told to; what tells it (Hypothesis, or a seeded random run) is elsewhere.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from headrace.clock import VirtualClock
from headrace.primitives.engine import Engine
from headrace.primitives.queues import Outcome, Outgoing, OverInFlight, QueueSettings, Received

from .model import Message, Model

T = TypeVar("T")
Build = Callable[[str, VirtualClock], Engine]
MEMORY = Path("/dev/shm")  # the data lies in memory where that is possible: what a device does is not tried here
QUEUES = ("main", "dead")
RETENTIONS_MS = (60_000, 900_000, 345_600_000)
TIMEOUTS_MS = (0, 1, 1000, 5000, 20_000, 59_000, 61_000)
"""Visibility timeouts; the last is beyond what these queues allow in all."""
SEND_DELAYS_MS = (None, None, None, 0, 3000)


class Trial:
    """One run. Numbers called `place` choose: which receipts, which group, which moment."""

    def __init__(self, build: Build, *, fifo: bool) -> None:
        self.fifo = fifo
        self._build = build
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="headrace-simulation-", dir=MEMORY if MEMORY.is_dir() else None))
        self.clock = VirtualClock(1_700_000_000_000)
        self.engine = self.start()
        self.models: dict[str, Model] = {}
        self.bodies = 0

    def start(self) -> Engine:
        engine = self._build(str(self.directory), self.clock)
        self.run(engine.start())
        return engine

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(asyncio.wait_for(call, 30))

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms()

    # ---- steps

    def begin(self, max_receives: int, delay_ms: int, retention_ms: int, max_in_flight: int, per_group: bool) -> None:
        """Open both queues; `max_in_flight` is for the main queue of a standard trial."""
        common = QueueSettings(fifo=self.fifo, visibility_timeout_ms=5000, max_hidden_ms=60_000, max_in_flight=0)
        self.configure("dead", common)
        main = msgspec.structs.replace(
            common,
            retention_ms=retention_ms,
            delay_ms=delay_ms,
            max_receive_count=max_receives,
            dead_letter_queue="dead" if max_receives else None,
            dedup_per_group=per_group,
            max_in_flight=0 if self.fifo else max_in_flight,
        )
        self.configure("main", main)
        self.check_depths()

    def configure(self, queue: str, settings: QueueSettings) -> None:
        self.run(self.engine.queues.open(queue, settings))
        self.models.setdefault(queue, Model(queue, settings)).settings = settings

    def send(self, queue: str, picks: Sequence[tuple[int, int | None]]) -> None:
        """Send a message for each (place, delay)."""
        model = self.models[queue]
        messages = [self.outgoing(place, delay_ms) for place, delay_ms in picks]
        answers = self.run(self.engine.queues.send(queue, messages))
        for message, answer in zip(messages, answers, strict=True):
            delay_ms = model.settings.delay_ms if message.delay_ms is None else message.delay_ms
            due_ms = self.now_ms + delay_ms
            known = Message(message.body, self.now_ms, due_ms, group=message.group, dedup_id=message.dedup_id)
            model.sent(known, answer, self.now_ms)

    def outgoing(self, place: int, delay_ms: int | None) -> Outgoing:
        """The next message, with a body no other has, now and then a large one."""
        self.bodies += 1
        body = f"{self.bodies} " * (600 if place % 5 == 0 else 1)
        group = "ghi"[place % 3] if self.fifo else [None, "t", "u"][place % 3]
        dedup_id = [None, None, "often", f"d{self.bodies}"][place % 4] if self.fifo else None
        return Outgoing(body=body, header=body.encode(), group=group, dedup_id=dedup_id, delay_ms=delay_ms)

    def receive(self, queue: str, max_messages: int, hide_ms: int | None, attempt_id: str | None = None) -> None:
        model = self.models[queue]
        over_limit = model.over_limit(self.now_ms)
        call = self.engine.queues.receive(
            queue, max_messages=max_messages, visibility_timeout_ms=hide_ms, attempt_id=attempt_id
        )
        try:
            batch = self.run(call)
        except OverInFlight:
            assert over_limit
            return
        assert not over_limit
        hide_ms = model.settings.visibility_timeout_ms if hide_ms is None else hide_ms
        if again := model.repeatable(attempt_id, self.now_ms):
            assert [(one.body, one.receipt) for one in batch] == [(one.body, receipt) for one, receipt in again]
            for _, receipt in again:
                model.hide(receipt, hide_ms, self.now_ms)
        else:
            self.received(model, batch, max_messages, hide_ms)
        given = [(model.owners[received.receipt], received.receipt) for received in batch]
        model.remember(attempt_id, given, self.now_ms)

    def received(self, model: Model, batch: list[Received], max_messages: int, hide_ms: int) -> None:
        taken = model.check_received(batch, max_messages, self.now_ms)
        spent = [one for run in model.runs(self.now_ms) for one in run if model.spent(one)]
        full = len(batch) == model.room(max_messages, self.now_ms)
        model.hand_out(taken, batch, hide_ms, self.now_ms)
        if model.settings.dead_letter_queue is None:
            return
        moved = [one for one in spent if self.has_moved(model, one)]
        assert full or moved == spent, "a message over its limit stayed"
        for one in moved:
            self.dead_letter(model, one)

    def has_moved(self, model: Model, one: Message) -> bool:
        """Ask the engine: a receipt of a visible message finds it not in flight, of a moved one finds it gone."""
        (outcome,) = self.run(self.engine.queues.change_visibility(model.name, [(one.receipts[-1][0], 0)]))
        assert outcome in {Outcome.GONE, Outcome.NOT_IN_FLIGHT, Outcome.EXPIRED}
        return outcome is Outcome.GONE

    def dead_letter(self, model: Model, one: Message) -> None:
        model.messages.remove(one)
        copy = Message(one.body, self.now_ms if self.fifo else one.sent_at_ms, self.now_ms, group=one.group)
        copy.message_id, copy.dedup_id, copy.source = one.message_id, one.dedup_id, model.name
        copy.count, copy.first_received_ms = one.count, one.first_received_ms
        self.models["dead"].messages.append(copy)

    def delete(self, queue: str, place: int) -> None:
        receipts = self.some_receipts(queue, place)
        outcomes = self.run(self.engine.queues.delete(queue, receipts))
        assert outcomes == [self.models[queue].deletes(receipt, self.now_ms) for receipt in receipts]

    def change_visibility(self, queue: str, place: int, timeout_ms: int) -> None:
        model = self.models[queue]
        changes = [(receipt, timeout_ms) for receipt in self.some_receipts(queue, place)]
        outcomes = self.run(self.engine.queues.change_visibility(queue, changes))
        for (receipt, _), outcome in zip(changes, outcomes, strict=True):
            allowed = model.changes(receipt, timeout_ms, self.now_ms)
            assert outcome in allowed, (outcome, allowed)
            if outcome is Outcome.DONE:
                model.hide(receipt, timeout_ms, self.now_ms)

    def some_receipts(self, queue: str, place: int) -> list[str]:
        """Up to three receipts: mostly recent ones, some old, now and then one of the other queue or none at all."""
        mine = list(self.models[queue].owners)
        if place % 17 == 0 or not mine:
            other = self.models[QUEUES[queue == "main"]]
            return ["garbage", *list(other.owners)[-1:]]
        start = place % len(mine) if place % 5 == 0 else max(0, len(mine) - 1 - place % 13)
        return mine[start : start + 1 + (place // 13) % 3]

    def advance(self, duration_ms: int) -> None:
        self.run(self.clock.advance(duration_ms))

    def advance_to_an_event(self, place: int, offset_ms: int) -> None:
        """Go to one of the next moments at which something changes by itself, or to just before or after it."""
        moments = sorted({moment for model in self.models.values() for moment in model.events(self.now_ms)})
        if moments:
            moment_ms = moments[min(place % 4, len(moments) - 1)] + offset_ms
            self.advance(max(0, moment_ms - self.now_ms))

    def redrive(self, to_source: bool) -> None:
        model, now_ms = self.models["dead"], self.now_ms
        moving = [one for one in model.visible(now_ms) if one.source or not to_source]
        moved = self.run(self.engine.queues.redrive("dead", None if to_source else "main", 1000))
        assert moved == len(moving)
        for one in moving:
            model.messages.remove(one)
            new = Message(one.body, now_ms, now_ms, group=one.group, dedup_id=one.dedup_id)
            self.models["main"].messages.append(new)

    def purge(self, queue: str) -> None:
        self.run(self.engine.queues.purge(queue))
        self.models[queue].messages.clear()

    def reconfigure(self, retention_ms: int, delay_ms: int) -> None:
        model = self.models["main"]
        settings = model.settings
        model.expire(self.now_ms)
        if settings.fifo and delay_ms != settings.delay_ms:
            model.delay_sent(max(delay_ms, settings.delay_ms), delay_ms, self.now_ms)
        self.configure("main", msgspec.structs.replace(settings, retention_ms=retention_ms, delay_ms=delay_ms))

    def reopen(self) -> None:
        self.run(self.engine.drain())
        self.run(self.engine.close())
        self.engine = self.start()

    def check_depths(self) -> None:
        """What must hold after every step."""
        for name, model in self.models.items():
            model.expire(self.now_ms)
            assert self.run(self.engine.queues.depth(name)) == model.depth(self.now_ms), name

    def end(self) -> None:
        self.run(self.engine.drain())
        self.run(self.engine.close())
        self.runner.close()
        shutil.rmtree(self.directory)
