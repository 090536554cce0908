"""What an operation is given besides its parameters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol

import msgspec

from headrace.clock import Clock
from headrace.primitives.engine import Engine

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id")
"""The id of the request a task answers, for the log."""


class Principal(msgspec.Struct, frozen=True, cache_hash=True):
    """Who calls: `access_key_id` ("" when unsigned), the account it belongs to, its unique id and ARN.

    A service that calls from within has its name as `service` ("sns.amazonaws.com"), and in `source_arn` the resource
    that it calls for, which is the account's.
    """

    account: str
    access_key_id: str
    user_id: str
    arn: str
    service: str = ""
    source_arn: str = ""


class ResourcePolicy(msgspec.Struct, frozen=True, cache_hash=True):
    """A resource's ARN and its policy, a JSON document that was checked for form; "" when it has none."""

    arn: str
    policy: str


class Quotas(msgspec.Struct, frozen=True):
    """Whether throughput limits apply (`--quotas aws`) or are lifted (`--quotas none`); size limits always apply."""

    throughput: bool = True


class Invoke(Protocol):
    """Call another service's operation through the same pipeline, without HTTP, codec and signature."""

    def __call__(
        self, service: str, operation: str, params: dict[str, Any], *, principal: Principal, region: str
    ) -> Awaitable[dict[str, Any]]:
        """The operation's result; raises ServiceError as the operation does."""


class Prepare(Protocol):
    """Make ready to call one operation many times: `invoke` without what is the same each time.

    What comes out takes the operation's parameters and gives its coroutine. Parameters are not held against the
    model: they come from code that keeps to it. The operation's own rules, and policies, apply as ever. All calls share
    one context, and with it the state that the called service has when this is made ready.
    """

    def __call__(
        self, service: str, operation: str, *, principal: Principal, region: str
    ) -> Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]:
        """What calls the operation; awaiting it raises ServiceError when the principal may not."""


class PrepareTogether(Protocol):
    """Make ready to call one operation many times at once, all calls or none: as `Prepare`, with no results.

    Only for operations that have such a way, `<name>_together` beside the function that carries them out.
    """

    def __call__(
        self, service: str, operation: str, *, principal: Principal, region: str
    ) -> Callable[[Sequence[dict[str, Any]]], Coroutine[Any, Any, None]]:
        """What makes the calls, given the parameters of each; raises ServiceError as any of them does."""


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """How messages leave for people: what is "" there is no way for, and such messages go to the outbox.

    `push` tells for which platforms the push services are called: `providers`, or `PLATFORM=URL` for each, with commas
    between. `ca_file` (PEM) holds authorities to trust besides the machine's. `public_url` is where people reach this
    server, for the links they are sent; "" is the server's own address. `signing_key` and `signing_cert` are the files
    (PEM) of the key that messages are signed with; "" has one made.
    """

    smtp_url: str = ""
    smtp_from: str = "no-reply@headrace.local"
    sms_url: str = ""
    sms_body: str = ""
    sms_number: str = ""
    sms_sandbox: bool = False
    push: str = ""
    ca_file: str = ""
    public_url: str = ""
    signing_key: str = ""
    signing_cert: str = ""


class Server(msgspec.Struct):
    """What all requests of a process share."""

    clock: Clock
    engine: Engine
    quotas: Quotas
    base_url: str
    """`http://127.0.0.1:4566`: for URLs built outside a request (resources at start, deliveries)."""
    invoke: Invoke
    prepare: Prepare
    prepare_together: PrepareTogether
    channels: Channels = Channels()
    kept: dict[str, Any] = {}
    """What is kept for the process by name, where a service's state is not at hand; a reset empties it."""


class Event(dict[str, Any]):
    """An event of an operation that streams: its one member names its kind.

    `messages` keeps what the wire has made of it, by media type: an event that goes to many is encoded once.
    """

    __slots__ = ("messages",)

    def __init__(self, event: dict[str, Any]) -> None:
        super().__init__(event)
        self.messages: dict[str, bytes] = {}


class Origin(Protocol):
    """What knows the URL that it was reached by: a request, or the server for calls from within the process."""

    @property
    def base_url(self) -> str:
        """Scheme and authority, without a slash at the end."""


class Context(msgspec.Struct, kw_only=True):
    """One request's surroundings. `state` is the called service's own `State`, built once per process.

    `trace` is the caller's X-Ray header (`X-Amzn-Trace-Id`), which messages carry on.
    """

    server: Server
    state: Any
    principal: Principal
    region: str
    request_id: str
    origin: Origin
    hangup: Callable[[], Awaitable[None]] | None = None
    trace: str | None = None

    @property
    def base_url(self) -> str:
        """Scheme and authority the client used: queue URLs echo it."""
        return self.origin.base_url

    @property
    def account(self) -> str:
        """The caller's 12-digit account."""
        return self.principal.account

    def until_hangup(self) -> Watch:
        """With it a long wait ends, cancelled, when the client hangs up: `with ctx.until_hangup(): await …`.

        For calls that wait long: the watch costs more than a short call does.
        """
        return Watch(self.hangup)


class Watch:
    """Cancels the task that entered it when the client hangs up. An object and no coroutine: thousands may stand."""

    __slots__ = ("_ended", "_hangup", "_task")

    def __init__(self, hangup: Callable[[], Awaitable[None]] | None) -> None:
        self._hangup = hangup
        self._task: asyncio.Task[Any] | None = None
        self._ended: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        if self._hangup is not None:
            self._task = asyncio.current_task()
            self._ended = asyncio.ensure_future(self._hangup())
            self._ended.add_done_callback(self._cancel)

    def __exit__(self, *_: object) -> None:
        if self._ended is not None:
            self._ended.remove_done_callback(self._cancel)
            self._ended.cancel()

    def _cancel(self, ended: asyncio.Future[None]) -> None:
        if self._task is not None and not ended.cancelled():
            self._task.cancel()
