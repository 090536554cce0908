"""What an operation is given besides its parameters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import msgspec

from headrace.clock import Clock
from headrace.primitives.engine import Engine

T = TypeVar("T")


class Principal(msgspec.Struct, frozen=True):
    """Who calls: `access_key_id` ("" when unsigned), the account it belongs to, its unique id and ARN."""

    account: str
    access_key_id: str
    user_id: str
    arn: str


class Quotas(msgspec.Struct, frozen=True):
    """Whether throughput limits apply (`--quotas aws`) or are lifted (`--quotas none`); size limits always apply."""

    throughput: bool = True


class Invoke(Protocol):
    """Call another service's operation through the same pipeline, without HTTP, codec and signature."""

    def __call__(
        self, service: str, operation: str, params: dict[str, Any], *, principal: Principal, region: str
    ) -> Awaitable[dict[str, Any]]:
        """The operation's result; raises ServiceError as the operation does."""


class Server(msgspec.Struct):
    """What all requests of a process share."""

    clock: Clock
    engine: Engine
    quotas: Quotas
    base_url: str
    """`http://127.0.0.1:4566`: for URLs built outside a request (resources at start, deliveries)."""
    invoke: Invoke


class Context:
    """One request's surroundings. `state` is the called service's own `State`, built once per process."""

    __slots__ = ("base_url", "hangup", "principal", "region", "request_id", "server", "state")

    def __init__(
        self,
        *,
        server: Server,
        state: Any,
        principal: Principal,
        region: str,
        request_id: str,
        base_url: str,
        hangup: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.server = server
        self.state = state
        self.principal = principal
        self.region = region
        self.request_id = request_id
        self.base_url = base_url
        """Scheme and authority the client used: queue URLs echo it."""
        self.hangup = hangup

    @property
    def account(self) -> str:
        """The caller's 12-digit account."""
        return self.principal.account

    async def until_hangup(self, waiting: Coroutine[Any, Any, T]) -> T:
        """Await `waiting`, cancelling it (and this request) when the client hangs up meanwhile.

        For calls that wait long: the watch costs more than a short call does.
        """
        if self.hangup is None:
            return await waiting
        task = asyncio.current_task()
        assert task is not None
        watch = asyncio.ensure_future(self.hangup())

        def hang_up(ended: asyncio.Future[None]) -> None:
            if not ended.cancelled():
                task.cancel()

        watch.add_done_callback(hang_up)
        try:
            return await waiting
        finally:
            watch.remove_done_callback(hang_up)
            watch.cancel()
