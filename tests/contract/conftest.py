"""Every contract test runs on every engine: an engine under test stands on a frozen clock that the test moves.

A further engine is one more entry in `BUILDERS` (and in `DURABLE` when its data outlives it). The cluster engine runs
on a real nats-server, one for each worker of the test run, where every test has a prefix of its own; with
HEADRACE_TEST_CLUSTER set in the environment all of its tests run on a cluster of three servers as well.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from unittest import mock

import pytest

from headrace.clock import VirtualClock
from headrace.engines.sqlite import database, group_order
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.primitives.engine import Engine
from headrace.primitives.queues import Depth, Outcome, Outgoing, QueueSettings, Received, Sent

START_MS = 1_700_000_000_000


class SlowDisk(SqliteEngine):
    """SQLite as it behaves on a device whose syncs take long: commits are made on a thread."""

    async def start(self) -> None:
        with mock.patch.object(database, "SLOW_SYNC_S", -1.0):
            await super().start()


def on_nats(urls: str, replicas: int, path: Path, clock: VirtualClock) -> Engine:
    """An engine whose data is told from that of others on the same servers by its path."""
    from headrace.engines.nats.engine import NatsEngine
    from headrace.engines.nats.options import Options

    prefix = "t" + hashlib.sha256(str(path).encode()).hexdigest()[:12]
    return NatsEngine(Options(urls=urls, prefix=prefix, replicas=replicas), clock)


BUILDERS: dict[str, Callable[[Path, VirtualClock], Engine]] = {
    "sqlite": lambda path, clock: SqliteEngine(str(path / "data"), clock),
    "sqlite-slow-disk": lambda path, clock: SlowDisk(str(path / "data"), clock),
    "sqlite-memory": lambda _path, clock: SqliteEngine(":memory:", clock),
}
DURABLE = ["sqlite", "sqlite-slow-disk", "nats", "nats-cluster"]
NATS = {"nats": 1, "nats-cluster": 3}
"""The engines on NATS servers, and how many."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All engines for most tests; only those that keep their data for tests that reopen."""
    if "engine_name" in metafunc.fixturenames:
        names = [*BUILDERS, "nats", *(["nats-cluster"] if os.environ.get("HEADRACE_TEST_CLUSTER") else [])]
        if "reopen" in metafunc.fixturenames:
            names = [name for name in names if name in DURABLE]
        metafunc.parametrize("engine_name", names)


@pytest.fixture
def builder(engine_name: str, request: pytest.FixtureRequest) -> Callable[[Path, VirtualClock], Engine]:
    """What builds the engine under test, given where its data is and its clock."""
    if engine_name not in NATS:
        return BUILDERS[engine_name]
    count = NATS[engine_name]
    urls = request.getfixturevalue("nats_servers")(count)
    return lambda path, clock: on_nats(urls, count, path, clock)


class Stage:
    """The engine under test; `reopen` closes it and starts another on the same data and clock."""

    def __init__(self, build: Callable[[], Engine], *, durable: bool = True) -> None:
        self.durable = durable
        """Whether the data outlives the engine."""
        self._build = build
        self.engine = build()

    async def reopen(self) -> Engine:
        """Close the engine as a process that stops does, and start it again."""
        await self.engine.drain()
        await self.engine.close()
        self.engine = self._build()
        await self.engine.start()
        return self.engine


class Batch(list[Received]):
    """What a receive gave, with its columns at hand."""

    @property
    def bodies(self) -> list[str]:
        return [message.body for message in self]

    @property
    def receipts(self) -> list[str]:
        return [message.receipt for message in self]

    @property
    def ids(self) -> list[str]:
        return [message.message_id for message in self]

    @property
    def counts(self) -> list[int]:
        return [message.receive_count for message in self]


class Queue:
    """One queue of the engine under test, and the calls that tests make most, written short."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self.name = name

    async def configure(self, **settings: object) -> None:
        await self._stage.engine.queues.open(self.name, QueueSettings(**settings))

    async def send(self, *bodies: str, **fields: object) -> list[Sent]:
        fields.setdefault("header", b"")
        return await self._stage.engine.queues.send(self.name, [Outgoing(body=body, **fields) for body in bodies])

    async def receive(self, max_messages: int = 10, **options: object) -> Batch:
        return Batch(await self._stage.engine.queues.receive(self.name, max_messages=max_messages, **options))

    async def drain_bodies(self) -> list[str]:
        """Receive and delete until nothing comes any more; the bodies in the order they came."""
        bodies = []
        while batch := await self.receive():
            bodies += batch.bodies
            await self.delete(batch)
        return bodies

    async def delete(self, batch: Iterable[Received]) -> list[Outcome]:
        return await self._stage.engine.queues.delete(self.name, [message.receipt for message in batch])

    async def hide(self, batch: Iterable[Received], timeout_ms: int) -> list[Outcome]:
        changes = [(message.receipt, timeout_ms) for message in batch]
        return await self._stage.engine.queues.change_visibility(self.name, changes)

    async def depth(self) -> Depth:
        return await self._stage.engine.queues.depth(self.name)

    async def counts(self) -> tuple[int, int, int]:
        """Visible, in flight, delayed."""
        depth = await self.depth()
        return depth.visible, depth.in_flight, depth.delayed

    async def purge(self) -> None:
        await self._stage.engine.queues.purge(self.name)

    async def redrive(self, destination: str | None = None, max_messages: int = 100) -> int:
        return await self._stage.engine.queues.redrive(self.name, destination, max_messages)

    async def drop(self) -> None:
        await self._stage.engine.queues.drop(self.name)


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands still until the test moves it."""
    return VirtualClock(START_MS)


@pytest.fixture(autouse=True)
def few_fresh(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one of the SQLite engines, have FIFO groups written down so often that the few messages of tests are."""
    if "engine_name" in request.fixturenames and request.getfixturevalue("engine_name") == "sqlite-slow-disk":
        monkeypatch.setattr(group_order, "FRESH_MAX", 5)
        monkeypatch.setattr(group_order, "WRITTEN_AT_ONCE", 2)


@pytest.fixture
async def stage(
    builder: Callable[[Path, VirtualClock], Engine], tmp_path: Path, clock: VirtualClock
) -> AsyncIterator[Stage]:
    """The engine under test, started."""
    stage = Stage(lambda: builder(tmp_path, clock))
    await stage.engine.start()
    yield stage
    await stage.engine.drain()
    await wipe(stage.engine)
    await stage.engine.close()


async def wipe(engine: Engine) -> None:
    """Leave nothing on servers that are used by many tests."""
    if engine.name == "nats":
        for name in await engine.jetstream.stream_names():
            await engine.jetstream.delete_stream(name)


@pytest.fixture
def engine(stage: Stage) -> Engine:
    """The engine under test, started; after a `reopen`, use what that returned."""
    return stage.engine


@pytest.fixture
def build(
    engine_name: str, builder: Callable[[Path, VirtualClock], Engine], tmp_path: Path
) -> Callable[[VirtualClock], Stage]:
    """Build engines, not started, each on data of its own: for tests that need many."""
    numbers = itertools.count()

    def build(clock: VirtualClock) -> Stage:
        path = tmp_path / str(next(numbers))
        return Stage(lambda: builder(path, clock), durable=engine_name in DURABLE)

    return build


@pytest.fixture
def reopen(stage: Stage) -> Callable[[], Awaitable[Engine]]:
    """Stop the engine and start it again on the same data; the new engine."""
    return stage.reopen


@pytest.fixture
def queue(stage: Stage) -> Callable[..., Awaitable[Queue]]:
    """Open a queue: `await queue("orders", fifo=True)`. It follows the engine through `reopen`."""

    async def make(name: str = "q", **settings: object) -> Queue:
        made = Queue(stage, name)
        await made.configure(**settings)
        return made

    return make
