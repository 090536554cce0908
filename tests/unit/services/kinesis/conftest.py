"""Kinesis on a real engine in memory and a frozen clock, called without a server around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import VirtualClock
from headrace.context import Context, Principal, Quotas, Server
from headrace.engines.sqlite import database
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.errors import ServiceError
from headrace.services.kinesis import limits, operations
from headrace.services.kinesis.state import State

START_MS = 1_700_000_000_000
START_S = START_MS / 1000


async def no_other_service(*_: Any, **__: Any) -> dict[str, Any]:
    raise AssertionError("Kinesis calls no other service")


class Kinesis:
    """Kinesis as one caller sees it: `await kinesis("put_record", StreamName=…)`."""

    def __init__(self, server: Server, state: State, account: str = "000000000000", region: str = "us-east-1") -> None:
        self.server = server
        self.state = state
        self.account = account
        self.region = region

    async def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        return await getattr(operations, operation)(self.context(), params)

    def context(self) -> Context:
        return Context(
            server=self.server,
            state=self.state,
            principal=Principal(self.account, "AKID", "AIDASENDER", f"arn:aws:iam::{self.account}:root"),
            region=self.region,
            request_id="00000000-0000-0000-0000-000000000000",
            origin=self.server,
        )

    def caller(self, *, account: str | None = None, region: str | None = None) -> Kinesis:
        """The same server as another caller sees it."""
        return Kinesis(self.server, self.state, account or self.account, region or self.region)

    async def error(self, operation: str, **params: Any) -> ServiceError:
        """The error that a call must raise."""
        with pytest.raises(ServiceError) as caught:
            await self(operation, **params)
        return caught.value

    async def advance(self, seconds: float) -> None:
        await self.server.clock.advance(int(seconds * 1000))

    async def settle(self) -> None:
        """Let the stream's transition end."""
        await self.server.clock.advance(limits.TRANSITION_MS)

    # What tests do most, written short.

    async def create(self, name: str = "s", shards: int = 1, **params: Any) -> None:
        """A stream that is ACTIVE; with no shards one in on-demand mode."""
        mode = {"ShardCount": shards} if shards else {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
        await self("create_stream", StreamName=name, **mode, **params)
        await self.settle()

    async def put(self, data: bytes = b"data", key: str = "key", name: str = "s", **params: Any) -> dict[str, Any]:
        return await self("put_record", StreamName=name, Data=data, PartitionKey=key, **params)

    async def put_many(self, *entries: tuple[bytes, str], name: str = "s") -> list[dict[str, Any]]:
        records = [{"Data": data, "PartitionKey": key} for data, key in entries]
        return (await self("put_records", StreamName=name, Records=records))["Records"]

    async def iterator(self, shard: int = 0, kind: str = "TRIM_HORIZON", name: str = "s", **params: Any) -> str:
        shard_id = f"shardId-{shard:012d}"
        answer = await self("get_shard_iterator", StreamName=name, ShardId=shard_id, ShardIteratorType=kind, **params)
        return answer["ShardIterator"]

    async def get(self, iterator: str, **params: Any) -> dict[str, Any]:
        return await self("get_records", ShardIterator=iterator, **params)

    async def data(self, shard: int = 0, kind: str = "TRIM_HORIZON", name: str = "s", **params: Any) -> list[bytes]:
        """What a first GetRecords from there gives."""
        answer = await self.get(await self.iterator(shard, kind, name, **params))
        return [record["Data"] for record in answer["Records"]]

    async def shards(self, name: str = "s", **params: Any) -> list[dict[str, Any]]:
        return (await self("list_shards", StreamName=name, **params))["Shards"]

    async def summary(self, name: str = "s") -> dict[str, Any]:
        return (await self("describe_stream_summary", StreamName=name))["StreamDescriptionSummary"]

    async def split(self, shard: int = 0, at: int = 1 << 127, name: str = "s") -> None:
        """Split and settle."""
        shard_id = f"shardId-{shard:012d}"
        await self("split_shard", StreamName=name, ShardToSplit=shard_id, NewStartingHashKey=str(at))
        await self.settle()

    def arn(self, name: str = "s") -> str:
        return f"arn:aws:kinesis:{self.region}:{self.account}:stream/{name}"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START_MS)


class Stage:
    """A server's parts, and a way to stop the process and start another on the same data."""

    def __init__(self, data: str, clock: VirtualClock, *, throughput: bool = True) -> None:
        self._data = data
        self._clock = clock
        self._throughput = throughput

    async def start(self) -> Kinesis:
        self._engine = SqliteEngine(self._data, self._clock)
        await self._engine.start()
        server = Server(
            clock=self._clock,
            engine=self._engine,
            quotas=Quotas(throughput=self._throughput),
            base_url="http://localhost:4566",
            invoke=no_other_service,
            prepare=no_other_service,
            prepare_together=no_other_service,
        )
        self._state = State(server)
        await self._state.start()
        return Kinesis(server, self._state)

    async def stop(self) -> None:
        await self._state.close()
        await self._engine.drain()
        await self._engine.close()

    async def restart(self) -> Kinesis:
        await self.stop()
        return await self.start()


@pytest.fixture
async def kinesis(clock: VirtualClock) -> AsyncIterator[Kinesis]:
    """Kinesis with AWS's throughput limits."""
    stage = Stage(":memory:", clock)
    yield await stage.start()
    await stage.stop()


@pytest.fixture
async def unlimited(clock: VirtualClock) -> AsyncIterator[Kinesis]:
    """Kinesis without throughput limits."""
    stage = Stage(":memory:", clock, throughput=False)
    yield await stage.start()
    await stage.stop()


@pytest.fixture
async def durable(tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A stage whose data outlives `restart`, without throughput limits.

    It commits on the loop, however slow the disk is: a clock that is moved waits for the loop, not for threads.
    """
    monkeypatch.setattr(database, "SLOW_SYNC_S", 1e9)
    stage = Stage(str(tmp_path / "data"), clock, throughput=False)
    yield stage
    await stage.stop()
