"""The Queues primitive on SQLite.

The order of standard and FIFO queues stands in `standard` and `fifo`, functions that run inside the
turn's transaction. Here is what surrounds them: which queues are open, and when those who wait are woken.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Final

import apsw
import msgspec

from headrace.clock import Clock
from headrace.engines.sqlite import fifo, receipts, rows, standard, sweeps
from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.database import Database, storage_error
from headrace.engines.sqlite.queue_state import QueueState, load
from headrace.engines.sqlite.queue_sweep import QueueSweep
from headrace.engines.sqlite.waiting import Waiting
from headrace.errors import StorageError
from headrace.primitives.queues import (
    Depth,
    Outcome,
    Outgoing,
    OverInFlight,
    QueueMissing,
    QueueSettings,
    Received,
    Sent,
)

_FIND: Final = "SELECT number, settings FROM queues WHERE name = ?"
_CREATE: Final = "INSERT INTO queues (name, settings, next_sequence) VALUES (?, ?, 1)"
_CONFIGURE: Final = "UPDATE queues SET settings = ? WHERE number = ?"
_UNNAME: Final = "UPDATE queues SET name = NULL WHERE number = ?"


class SqliteQueues:
    """All queues of one database. See `headrace.primitives.queues.Queues`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting = Waiting(clock)
        self._states: dict[str, QueueState] = {}
        self._loading: dict[str, asyncio.Task[QueueState | None]] = {}
        self._sweep = QueueSweep(database, clock, self)
        self._draining = False
        database.on_rollback.append(self.forget)

    # --- starting and stopping ---

    async def start(self) -> None:
        """Take up what a stopped process left, and keep house from now on."""
        await self._sweep.start()

    async def drain(self) -> None:
        """Answer every waiting receive with nothing, and wait for nothing from now on."""
        self._draining = True
        for state in self._states.values():
            self._waiting.dismiss(state)

    async def close(self) -> None:
        """End the background work."""
        await self._sweep.close()

    async def reset(self) -> None:
        """Remove every queue."""
        await self._sweep.close()
        await self._database.write(self._connection.execute, sweeps.EVERYTHING)
        self.forget()
        await self._sweep.start()

    def forget(self) -> None:
        """Let go of what is in memory; those who wait look again. For a rollback, and a reset."""
        states, self._states = self._states, {}
        for state in states.values():
            self._retire(state)

    # --- the primitive ---

    async def open(self, queue: str, settings: QueueSettings) -> None:
        """See `Queues.open`."""
        while True:
            try:
                state = await self._state(queue)
            except QueueMissing:
                await self._database.write(self._create, queue, settings)
                continue
            if state.settings == settings:
                return
            old_delay_ms = state.settings.delay_ms
            await self._database.write(self._configure, state, settings)
            if state.fifo and settings.delay_ms != old_delay_ms:
                await self._delay_sent(queue, old_delay_ms)
            self._waiting.wake_available(state)
            return

    async def drop(self, queue: str) -> None:
        """See `Queues.drop`."""
        try:
            state = await self._state(queue)
        except QueueMissing:
            return
        del self._states[queue]
        self._retire(state)
        await self._database.write(self._connection.execute, _UNNAME, (state.number,))
        self._sweep.drop(state.number)

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> list[Sent]:
        """See `Queues.send`."""
        state = self._ready(queue) or await self._state(queue)
        send = fifo.send if state.fifo else standard.send
        sent = await self._database.write(send, self._connection, state, messages, self._clock.now_ms())
        if state.waiters:
            self._waiting.wake_sent(state, len(sent))
        return sent

    async def send_together(self, sends: Mapping[str, Sequence[Outgoing]]) -> dict[str, list[Sent]]:
        """See `Queues.send_together`."""
        states = await self._all_ready(sends)
        sent = await self._database.write(_send_each, self._connection, states, sends, self._clock.now_ms())
        for state in states:
            if state.waiters:
                self._waiting.wake_sent(state, len(sent[state.name]))
        return sent

    async def receive(
        self,
        queue: str,
        *,
        max_messages: int,
        visibility_timeout_ms: int | None = None,
        wait_ms: int = 0,
        attempt_id: str | None = None,
    ) -> list[Received]:
        """See `Queues.receive`."""
        deadline_ms = self._clock.now_ms() + wait_ms
        while True:
            state = await self.unexpired(queue)
            hide_ms = state.settings.visibility_timeout_ms if visibility_timeout_ms is None else visibility_timeout_ms
            if attempt_id and state.fifo and (again := await self._retry(state, attempt_id, hide_ms)):
                return again
            received, moved = await self._take(state, max_messages, hide_ms, attempt_id, patient=wait_ms > 0)
            if received or (self._clock.now_ms() >= deadline_ms or self._draining):
                if received and state.waiters:
                    self._waiting.wake_available(state)
                if received or not moved:
                    return received
            elif not moved and not state.stale:
                await self._waiting.wait(state, deadline_ms)

    async def delete(self, queue: str, texts: Sequence[str]) -> list[Outcome]:
        """See `Queues.delete`."""
        state = await self.unexpired(queue)
        claims = [receipts.decode(text, state.number) for text in texts]
        order: ModuleType = fifo if state.fifo else standard
        outcomes: list[Outcome] = await self._database.write(
            order.delete, self._connection, state, claims, self._clock.now_ms()
        )
        if state.waiters:
            self._waiting.wake_available(state)  # a group may be free now, or there may be room in flight
        return outcomes

    async def change_visibility(self, queue: str, changes: Sequence[tuple[str, int]]) -> list[Outcome]:
        """See `Queues.change_visibility`."""
        state = await self.unexpired(queue)
        claims = [(receipts.decode(text, state.number), hide_ms) for text, hide_ms in changes]
        order: ModuleType = fifo if state.fifo else standard
        outcomes: list[Outcome] = await self._database.write(
            order.change_visibility, self._connection, state, claims, self._clock.now_ms()
        )
        if state.waiters:
            self._waiting.wake_available(state)
        return outcomes

    async def depth(self, queue: str) -> Depth:
        """See `Queues.depth`."""
        return await self._database.read(self._depth, await self.unexpired(queue))

    async def purge(self, queue: str) -> None:
        """See `Queues.purge`."""
        through = _newest(await self._state(queue))
        more = True
        while more:
            state = await self._state(queue)
            more = await self._database.write(sweeps.purge, self._connection, state, through, self._clock.now_ms())

    async def redrive(self, queue: str, destination: str | None, max_messages: int) -> int:
        """See `Queues.redrive`."""
        while True:
            state = await self.unexpired(queue)
            names = {destination} if destination else await self._sources(state, max_messages)
            targets = {name: await self._state(name) for name in names}
            if not any(each.stale for each in (state, *targets.values())):
                break
        moved: int = await self._database.write(
            sweeps.redrive,
            self._connection,
            state,
            targets.get(destination) if destination else None,
            targets,
            max_messages,
            self._clock.now_ms(),
        )
        for target in targets.values():
            self._waiting.wake_sent(target, moved)
        return moved

    # --- queues in memory ---

    @property
    def _connection(self) -> Connection:
        return self._database.connection

    def _ready(self, queue: str) -> QueueState | None:
        """What `_state` gives, when it has to wait for nothing: a coroutine of its own costs something."""
        return None if self._database.busy else self._states.get(queue)

    async def _state(self, queue: str) -> QueueState:
        """The open queue; nothing else runs between this and a write that follows at once. Raises QueueMissing."""
        while True:
            await self._database.idle()
            state = self._states.get(queue)
            if state is not None:
                return state
            task = self._loading.get(queue)
            if task is None:
                task = self._loading[queue] = asyncio.ensure_future(self._load(queue))
                task.add_done_callback(lambda _: self._loading.pop(queue, None))
            if await asyncio.shield(task) is None:
                raise QueueMissing(queue)

    async def _all_ready(self, queues: Collection[str]) -> list[QueueState]:
        """The open queues, as `_state` gives each, all at the same moment. Raises QueueMissing."""
        while True:
            states = [state for queue in queues if (state := self._ready(queue)) is not None]
            if len(states) == len(queues):
                return states
            for queue in queues:
                await self._state(queue)

    async def _load(self, queue: str) -> QueueState | None:
        found = await self._database.read(lambda: self._connection.execute(_FIND, (queue,)).fetchone())
        if found is None:
            return None
        number, settings = found[0], msgspec.json.decode(found[1], type=QueueSettings)
        now_ms = self._clock.now_ms()
        state = await self._database.read_aside(lambda reader: load(reader, queue, number, settings, now_ms))
        self._states[queue] = state
        return state

    async def unexpired(self, queue: str) -> QueueState:
        """The open queue with nothing in it that is older than its retention. Raises QueueMissing."""
        while True:
            state = self._ready(queue) or await self._state(queue)
            now_ms = self._clock.now_ms()
            if now_ms < state.next_expiry_ms:
                return state
            await self._database.write(sweeps.expire, self._connection, state, now_ms)

    def expiring(self, now_ms: int) -> list[str]:
        """Open queues that may hold messages older than their retention."""
        return [state.name for state in self._states.values() if now_ms >= state.next_expiry_ms]

    def _create(self, queue: str, settings: QueueSettings) -> None:
        if not self._connection.execute(_FIND, (queue,)).fetchone():
            self._connection.execute(_CREATE, (queue, msgspec.json.encode(settings)))

    def _configure(self, state: QueueState, settings: QueueSettings) -> None:
        settings = msgspec.structs.replace(settings, fifo=state.fifo)
        self._connection.execute(_CONFIGURE, (msgspec.json.encode(settings), state.number))
        state.settings = settings
        state.next_expiry_ms = 0  # the retention may be shorter now

    async def _delay_sent(self, queue: str, old_delay_ms: int) -> None:
        """Have a changed delay hold for what was sent before."""
        through: int | None = _newest(await self._state(queue))
        while through is not None:
            state = await self._state(queue)
            now_ms = self._clock.now_ms()
            through = await self._database.write(sweeps.delay, self._connection, state, through, old_delay_ms, now_ms)

    def _retire(self, state: QueueState) -> None:
        state.stale = True
        self._waiting.dismiss(state)

    def _depth(self, state: QueueState) -> Depth:
        state.advance(self._connection, self._clock.now_ms())
        oldest_ms = sweeps.oldest_sent_ms(self._connection, state)
        return Depth(state.visible, state.in_flight, state.delayed, oldest_ms)

    # --- receiving ---

    async def _take(
        self, state: QueueState, max_messages: int, hide_ms: int, attempt_id: str | None, *, patient: bool
    ) -> tuple[list[Received], int]:
        """Hand out what there is now; and how many messages were dead-lettered on the way."""
        dead = await self._dead_letter_queue(state)
        await self._database.idle()
        if state.stale or (dead is not None and dead.stale):
            return [], 1  # look again
        max_messages = min(max_messages, self._room(state, patient=patient))
        if not max_messages or self._clock.now_ms() < state.available_ms():
            return [], 0
        handed_out: list[Received] = []
        try:
            moved = await self._database.write(
                self._hand_out, state, dead, max_messages, hide_ms, attempt_id, handed_out
            )
        except asyncio.CancelledError:
            self._sweep.spawn(self._put_back(state.name, handed_out))
            raise
        if dead is not None and moved:
            self._waiting.wake_sent(dead, moved)
        return handed_out, moved

    def _hand_out(
        self,
        state: QueueState,
        dead: QueueState | None,
        max_messages: int,
        hide_ms: int,
        attempt_id: str | None,
        handed_out: list[Received],
    ) -> int:
        now_ms = self._clock.now_ms()
        take = fifo.take if state.fifo else standard.take
        received, moved = take(self._connection, state, dead, max_messages, hide_ms, now_ms)
        if attempt_id and state.fifo and received:
            texts = [each.receipt for each in received]
            fifo.keep_attempt(self._connection, state, attempt_id, texts, state.cursor_ms + hide_ms, state.cursor_ms)
        handed_out += received
        return moved

    async def _retry(self, state: QueueState, attempt_id: str, hide_ms: int) -> list[Received]:
        if state.stale:
            return []
        return await self._database.write(
            fifo.retry, self._connection, state, attempt_id, hide_ms, self._clock.now_ms()
        )

    async def _dead_letter_queue(self, state: QueueState) -> QueueState | None:
        settings = state.settings
        if not settings.max_receive_count or settings.dead_letter_queue is None:
            return None
        try:
            return await self._state(settings.dead_letter_queue)
        except QueueMissing:
            return None  # AWS: without its dead-letter queue a queue hands such messages out on and on

    async def _sources(self, state: QueueState, max_messages: int) -> set[str]:
        return await self._database.read(sweeps.sources, self._connection, state, max_messages, self._clock.now_ms())

    def _room(self, state: QueueState, *, patient: bool) -> int:
        """How many more messages may be in flight. Raises OverInFlight, unless `patient`.

        AWS: about 120,000 messages may be in flight. Then ReceiveMessage fails with OverLimit on a standard
        queue, unless it is a long poll; a long poll, and any receive of a FIFO queue, finds nothing.
        """
        try:
            state.advance(self._connection, self._clock.now_ms())
        except apsw.Error as cause:
            raise storage_error(cause) from cause
        room = state.room()
        if not room and not state.fifo and not patient:
            raise OverInFlight
        return room

    async def _put_back(self, queue: str, handed_out: Sequence[Received]) -> None:
        """Make visible again what was handed out to someone who is gone."""
        with contextlib.suppress(QueueMissing, StorageError):
            state = await self._state(queue)
            await self._database.write(self._undo, state, handed_out)
            self._waiting.wake_available(state)

    def _undo(self, state: QueueState, handed_out: Sequence[Received]) -> None:
        now_ms = state.advance(self._connection, self._clock.now_ms())
        undone = []
        for each in handed_out:
            claim = receipts.decode(each.receipt, state.number)
            if claim and (row := rows.put_back(self._connection, state, claim.id, claim.receive_count)):
                undone.append(row)
        if state.fifo:
            fifo.settle(self._connection, state, undone, now_ms)


def _newest(state: QueueState) -> int:
    """The greatest id that a message of the queue has."""
    return sweeps.span(state.number)[0] + state.next_sequence - 1


def _send_each(
    connection: Connection, states: Iterable[QueueState], sends: Mapping[str, Sequence[Outgoing]], now_ms: int
) -> dict[str, list[Sent]]:
    # Rows of several queues in one statement would cost more than a statement for each queue: SQLite keeps copies of
    # the pages that a statement of many rows changes.
    return {
        state.name: (fifo.send if state.fifo else standard.send)(connection, state, sends[state.name], now_ms)
        for state in states
    }
