"""SQS on a real engine in memory and a frozen clock, called without a server around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import VirtualClock
from headrace.context import Context, Principal, Quotas, Server
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.errors import ServiceError
from headrace.services.sqs import operations
from headrace.services.sqs.state import State

START_MS = 1_700_000_000_000


async def no_other_service(*_: Any, **__: Any) -> dict[str, Any]:
    raise AssertionError("SQS calls no other service")


class Sqs:
    """SQS as one caller sees it: `await sqs("SendMessage"-as-python-name, QueueUrl=…)`."""

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

    def caller(self, *, account: str | None = None, region: str | None = None) -> Sqs:
        """The same server as another caller sees it."""
        return Sqs(self.server, self.state, account or self.account, region or self.region)

    async def error(self, operation: str, **params: Any) -> ServiceError:
        """The error that a call must raise."""
        with pytest.raises(ServiceError) as caught:
            await self(operation, **params)
        return caught.value

    # What tests do most, written short.

    async def create(self, name: str, **attributes: Any) -> str:
        if name.endswith(".fifo"):
            attributes.setdefault("FifoQueue", "true")
        values = {key: str(value) for key, value in attributes.items()}
        result = await self("create_queue", QueueName=name, Attributes=values)
        return result["QueueUrl"]

    async def attributes(self, url: str, *names: str) -> dict[str, str]:
        result = await self("get_queue_attributes", QueueUrl=url, AttributeNames=list(names) or ["All"])
        return result.get("Attributes", {})

    async def receive(self, url: str, **params: Any) -> list[dict[str, Any]]:
        return (await self("receive_message", QueueUrl=url, **params)).get("Messages", [])

    async def bodies(self, url: str, **params: Any) -> list[str]:
        params.setdefault("MaxNumberOfMessages", 10)
        return [message["Body"] for message in await self.receive(url, **params)]

    def arn(self, name: str) -> str:
        return f"arn:aws:sqs:{self.region}:{self.account}:{name}"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START_MS)


class Stage:
    """A server's parts, and a way to stop the process and start another on the same data."""

    def __init__(self, data: str, clock: VirtualClock) -> None:
        self._data = data
        self._clock = clock

    async def start(self) -> Sqs:
        self._engine = SqliteEngine(self._data, self._clock)
        await self._engine.start()
        server = Server(
            clock=self._clock,
            engine=self._engine,
            quotas=Quotas(),
            base_url="http://localhost:4566",
            invoke=no_other_service,
            prepare=no_other_service,
            prepare_together=no_other_service,
        )
        self._state = State(server)
        await self._state.start()
        return Sqs(server, self._state)

    async def stop(self) -> None:
        await self._state.close()
        await self._engine.drain()
        await self._engine.close()

    async def restart(self) -> Sqs:
        await self.stop()
        return await self.start()


@pytest.fixture
async def sqs(clock: VirtualClock) -> AsyncIterator[Sqs]:
    stage = Stage(":memory:", clock)
    yield await stage.start()
    await stage.stop()


@pytest.fixture
async def durable(tmp_path: Path, clock: VirtualClock) -> AsyncIterator[Stage]:
    """A stage whose data outlives `restart`."""
    stage = Stage(str(tmp_path / "data"), clock)
    yield stage
    await stage.stop()
