"""The Queues primitive on NATS: each queue kept by one process, its journal in JetStream, and any process may be asked.

A queue is a journal: chunks of effects on a subject of its own, in one of a few streams. One process keeps the queue,
which is to hold its messages' order, counts and timeouts in memory and to write the journal; the others pass on to it
what they are asked. Which one it is stands in a record that all processes mirror, but nothing rests on that: a chunk
is stored only where its writer believes the journal to end (`Nats-Expected-Last-Subject-Sequence`), so of two that
believe to keep a queue the later one wins and the other learns of it with its next write, before it has answered
anybody. When a keeper dies, the first process that is asked reads the journal and goes on.

Why not JetStream's own consumers: AckWait, NAK delays, message TTLs and duplicate windows run on the servers' clock
and know neither exact counts, nor order by due time, nor groups, tenants, attempts or dead letters; what they leave
out would have to be kept beside them, at a message's cost for each step. As tried with one server that syncs every
write, a single queue's journal takes 2,500 chunks a second one after another, at 80 µs of the client's time each, and
a chunk holds whatever was asked in a turn of the event loop: hundreds of sends, receives and deletes.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from headrace.clock import Clock
from headrace.engines.nats import fifo
from headrace.engines.nats.jetstream import DUPLICATE_WINDOW_NS, JetStream
from headrace.engines.nats.mirror import Space
from headrace.engines.nats.queue_bodies import Bodies
from headrace.engines.nats.queue_keepers import Keepers, told
from headrace.engines.nats.queue_keeping import KeptQueue, Overtaken
from headrace.engines.nats.queue_moving import Arrival
from headrace.engines.nats.queue_peers import PeerGone, Peers, Unanswered
from headrace.engines.nats.queue_places import (
    DECODER,
    ENCODER,
    PARTITIONS,
    Definition,
    definition_key,
    keeper_key,
    stream_of,
    subjects_of,
)
from headrace.engines.nats.queue_receiving import ReceiveRequest
from headrace.engines.nats.queue_requests import (
    ArriveRequest,
    ChangeRequest,
    DeleteRequest,
    DepthRequest,
    PurgeRequest,
    RedriveRequest,
    Request,
    SendRequest,
    SettleRequest,
)
from headrace.engines.nats.queue_sweep import QueueSweep
from headrace.engines.nats.waiting import Waiting
from headrace.errors import StorageError
from headrace.primitives.metadata import Change, Conflict, Write
from headrace.primitives.queues import Depth, Outcome, Outgoing, QueueMissing, QueueSettings, Received, Sent

ATTEMPTS: Final = 50
"""Times that a definition is changed again after others changed it, before it is given up."""
LOST_PAUSE_S: Final = 0.05
"""Pause before a request looks for the queue's keeper again."""
LOST_S: Final = 10.0
"""How long a request looks for the queue's keeper before it gives up."""


class NatsQueues:
    """All queues of a deployment. See `headrace.primitives.queues.Queues`."""

    def __init__(self, jetstream: JetStream, records: Space, clock: Clock) -> None:
        self.clock = clock
        self.waiting = Waiting(clock)
        self.draining = False
        self.crowded = False
        self.process = secrets.token_hex(8)
        """This process's name among those that keep queues."""
        self._jetstream = jetstream
        self._records = records
        self._bodies = Bodies(jetstream)
        self._peers = Peers(jetstream.connection, jetstream.prefix, self.process, clock, self._serve)
        self._keepers = Keepers(records, self.process)
        self._definitions: dict[str, Definition] = {}
        self._kept: dict[int, KeptQueue] = {}
        self._loading: dict[int, asyncio.Task[KeptQueue]] = {}
        self._streams: set[int] = set()
        self._work: set[asyncio.Future[Any]] = set()
        self._sweep = QueueSweep(self, jetstream)
        self._end_watch = records.watch("", self._on_record)

    # --- starting and stopping ---

    async def start(self) -> None:
        """Be ready to keep queues, and to ask others for those that they keep."""
        after = ""
        while page := await self._records.list("d/", after=after):
            after = page[-1].key
            for entry in page:
                self._definitions[entry.key[2:]] = DECODER.decode(entry.value)
        await self._peers.start()
        self._sweep.start()

    async def drain(self) -> None:
        """Answer every waiting receive with nothing, and wait for nothing from now on."""
        self.draining = True
        self._peers.drain()
        for kept in tuple(self._kept.values()):
            self.waiting.dismiss(kept)

    async def close(self) -> None:
        """Write what was accepted, and keep nothing any more."""
        await self.drain()
        await self._sweep.close()
        await self._peers.close()
        self._end_watch()
        await asyncio.gather(*self._work, return_exceptions=True)
        await asyncio.gather(*(kept.close() for kept in self._kept.values()), return_exceptions=True)
        self._kept.clear()

    async def reset(self) -> None:
        """Remove every queue's journal; the definitions go with all other records."""
        for kept in tuple(self._kept.values()):
            self._give_up(kept)
        for partition in range(PARTITIONS):
            name = stream_of(self._jetstream.prefix, partition)
            if await self._jetstream.stream_info(name) is not None:
                await self._jetstream.call(f"STREAM.PURGE.{name}")

    # --- the primitive ---

    async def open(self, queue: str, settings: QueueSettings) -> None:
        """See `Queues.open`."""
        for _ in range(ATTEMPTS):
            entry = await self._records.get(definition_key(queue))
            try:
                if entry is None:
                    return await self._make(queue, settings)
                definition = DECODER.decode(entry.value)
                settings = msgspec.structs.replace(settings, fifo=definition.settings.fifo)
                if definition.settings == settings:
                    return None
                await self._ask(queue, SettleRequest())
                changed = ENCODER.encode(Definition(definition.number, settings))
                await self._records.put(entry.key, changed, expected=entry.revision)
                with contextlib.suppress(QueueMissing):
                    await self._ask(queue, SettleRequest())
            except (Conflict, QueueMissing):
                continue
            return None
        raise StorageError(f"The queue {queue} is changed by others all the time: try again.")

    async def drop(self, queue: str) -> None:
        """See `Queues.drop`."""
        entry = await self._records.get(definition_key(queue))
        if entry is None:
            return
        definition = DECODER.decode(entry.value)
        doomed = [Write(key=key, value=None) for key in (entry.key, keeper_key(definition.number))]
        await self._records.apply(doomed)
        prefix = self._jetstream.prefix
        await self._jetstream.call(f"STREAM.PURGE.{definition.stream(prefix)}", {"filter": definition.subject(prefix)})

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> list[Sent]:
        """See `Queues.send`."""
        sent: list[Sent] = await self._ask(queue, SendRequest(list(messages)))
        return sent

    async def send_together(self, sends: Mapping[str, Sequence[Outgoing]]) -> dict[str, list[Sent]]:
        """See `Queues.send_together`."""
        answers = await asyncio.gather(*(self.send(*each) for each in sends.items()), return_exceptions=True)
        sent: dict[str, list[Sent]] = {}
        for queue, answer in zip(sends, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            sent[queue] = answer
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
        deadline_ms = self.clock.now_ms() + (0 if self.draining else wait_ms)
        request = ReceiveRequest(max_messages, visibility_timeout_ms, deadline_ms, wait_ms > 0, attempt_id)
        received: list[Received] = await self._ask(queue, request)
        return received

    async def delete(self, queue: str, receipts: Sequence[str]) -> list[Outcome]:
        """See `Queues.delete`."""
        outcomes: list[Outcome] = await self._ask(queue, DeleteRequest(list(receipts)))
        return outcomes

    async def change_visibility(self, queue: str, changes: Sequence[tuple[str, int]]) -> list[Outcome]:
        """See `Queues.change_visibility`."""
        outcomes: list[Outcome] = await self._ask(queue, ChangeRequest(list(changes)))
        return outcomes

    async def depth(self, queue: str) -> Depth:
        """See `Queues.depth`."""
        depth: Depth = await self._ask(queue, DepthRequest())
        return depth

    async def purge(self, queue: str) -> None:
        """See `Queues.purge`."""
        await self._ask(queue, PurgeRequest())

    async def redrive(self, queue: str, destination: str | None, max_messages: int) -> int:
        """See `Queues.redrive`."""
        moved: int = await self._ask(queue, RedriveRequest(destination, max_messages))
        return moved

    # --- what requests need ---

    async def require(self, queue: str) -> None:
        """Return when there is such a queue. Raises QueueMissing."""
        await self._definition(queue)

    async def arrive(self, queue: str, arrivals: Sequence[Arrival]) -> None:
        """Store messages that are moved there. Raises QueueMissing, StorageError."""
        await self._ask(queue, ArriveRequest(list(arrivals)))

    def mind(self, work: asyncio.Future[Any]) -> None:
        """Keep hold of work that goes on by itself, and wait for it at the end."""
        self._work.add(work)
        work.add_done_callback(self._done)

    def kept(self) -> list[KeptQueue]:
        """The queues that this process keeps now."""
        return list(self._kept.values())

    async def numbers(self) -> set[int]:
        """The numbers of all queues that there are now, whoever made them. Raises StorageError."""
        await self._records.sync()
        return {definition.number for definition in self._definitions.values()}

    def unkept(self, after: str) -> str | None:
        """The next queue by name, after that one, that no living process keeps."""
        for name in sorted(name for name in self._definitions if name > after):
            keeper = self._keepers.of(self._definitions[name].number)
            if keeper is None or (keeper != self.process and self._peers.silent(keeper)):
                return name
        return None

    def _done(self, work: asyncio.Future[Any]) -> None:
        self._work.discard(work)
        if not work.cancelled():
            work.exception()  # whoever waits for it sees it too

    # --- finding the keeper ---

    async def _ask(self, queue: str, request: Request) -> Any:
        """Have the queue's keeper do it. Raises QueueMissing, StorageError, and what the request says."""
        failing_s: float | None = None
        perhaps_done = False
        while True:
            try:
                definition = self._definitions.get(queue) or await self._definition(queue)
                kept = self._kept.get(definition.number)
                if kept is not None:
                    answer = await request.run(kept, self)
                else:
                    answer = await self._ask_keeper(queue, definition, request)
                return request.asked_again(answer) if perhaps_done else answer
            except (Overtaken, Unanswered) as cause:
                perhaps_done = perhaps_done or (isinstance(cause, Unanswered) and cause.heard)
                failing_s = self._still_trying(queue, failing_s, cause)
            await asyncio.sleep(LOST_PAUSE_S)

    async def _ask_keeper(self, queue: str, definition: Definition, request: Request) -> Any:
        """Have the process do it that keeps the queue, or take it up when there is none."""
        keeper = self._keepers.of(definition.number)
        if keeper is None or keeper == self.process or self._peers.silent(keeper):
            return await request.run(await self._keep(queue, definition, keeper), self)
        try:
            return await self._peers.ask(keeper, queue, request)
        except PeerGone:
            if self._keepers.of(definition.number) == keeper:
                await self._keep(queue, definition, keeper)
            raise

    @staticmethod
    def _still_trying(queue: str, failing_s: float | None, cause: Exception) -> float:
        """Since when it has failed. Raises StorageError when that is too long."""
        now_s = asyncio.get_running_loop().time()
        if failing_s is not None and now_s - failing_s > LOST_S:
            raise StorageError(f"No process can be found that keeps the queue {queue}: try again.") from cause
        return now_s if failing_s is None else failing_s

    async def _serve(self, queue: str, request: Request) -> Any:
        """Do what another process asks, if this one keeps the queue. Raises Overtaken when it does not."""
        definition = await self._definition(queue)
        kept = self._kept.get(definition.number)
        if kept is None:
            if self._keepers.of(definition.number) != self.process:
                raise Overtaken
            kept = await self._keep(queue, definition, self.process)
        answer = await request.run(kept, self)
        if self.draining and not answer and request.wait_ms(self.clock.now_ms()):
            raise Overtaken  # whoever asked may wait on, elsewhere
        return answer

    async def _definition(self, queue: str) -> Definition:
        definition = self._definitions.get(queue)
        if definition is None:
            entry = await self._records.get(definition_key(queue))
            if entry is None:
                raise QueueMissing(queue)
            definition = DECODER.decode(entry.value)
        return definition

    async def _keep(self, queue: str, definition: Definition, instead_of: str | None) -> KeptQueue:
        """Take the queue up in another process's place. Raises Overtaken, StorageError."""
        task = self._loading.get(definition.number)
        if task is None:
            task = self._loading[definition.number] = asyncio.ensure_future(self._load(queue, definition, instead_of))
            task.add_done_callback(lambda _: self._loading.pop(definition.number, None))
            self.mind(task)
        return await asyncio.shield(task)

    async def _load(self, queue: str, definition: Definition, instead_of: str | None) -> KeptQueue:
        await self.ensure_stream(definition.number % PARTITIONS)
        await self._keepers.claim(definition.number, instead_of)
        kept = KeptQueue(queue, definition, self._jetstream, self._bodies, self.clock)
        await kept.load(self.process)
        current = self._definitions.get(queue)
        if current is None or current.number != definition.number or self._keepers.of(current.number) != self.process:
            raise Overtaken
        if current != definition:
            self._reconfigure(kept, current)
        kept.given_up = self._forget
        self._kept[definition.number] = kept
        return kept

    # --- definitions ---

    async def _make(self, queue: str, settings: QueueSettings) -> None:
        number = secrets.randbits(48) or 1
        await self.ensure_stream(number % PARTITIONS)
        await self._records.put(definition_key(queue), ENCODER.encode(Definition(number, settings)), expected=0)

    async def ensure_stream(self, partition: int) -> None:
        """Make the stream that holds the journals of a partition, when it is not there."""
        if partition in self._streams:
            return
        prefix = self._jetstream.prefix
        await self._jetstream.ensure_stream(
            stream_of(prefix, partition),
            {"subjects": [subjects_of(prefix, partition)], "duplicate_window": DUPLICATE_WINDOW_NS},
        )
        self._streams.add(partition)

    def _on_record(self, change: Change) -> None:
        """A queue was made, changed or dropped, or another process keeps it: told by the mirror."""
        kind, _, rest = change.key.partition("/")
        if kind == "k":
            number, keeper = told(change)
            if keeper != self.process and (kept := self._kept.get(number)) is not None:
                self._give_up(kept)
            return
        before = self._definitions.pop(rest, None)
        if change.entry is not None:
            definition = self._definitions[rest] = DECODER.decode(change.entry.value)
            if before is None or before.number == definition.number:
                kept = self._kept.get(definition.number)
                if kept is not None:
                    self._reconfigure(kept, definition)
                return
        if before is not None and (kept := self._kept.get(before.number)) is not None:
            self._give_up(kept)

    def _reconfigure(self, kept: KeptQueue, definition: Definition) -> None:
        """Have changed settings hold."""
        old_delay_ms = kept.state.settings.delay_ms
        with contextlib.suppress(Overtaken, StorageError):
            state = kept.begin()
            kept.definition, state.settings = definition, definition.settings
            if state.fifo and state.settings.delay_ms != old_delay_ms:
                fifo.delay_sent(state, old_delay_ms)
            kept.commit()
            self.waiting.wake_available(kept)

    def _give_up(self, kept: KeptQueue) -> None:
        kept.fail(Overtaken())

    def _forget(self, kept: KeptQueue) -> None:
        if self._kept.get(kept.definition.number) is kept:
            del self._kept[kept.definition.number]
