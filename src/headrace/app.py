"""A whole server, built from its settings: the one place that knows every part and puts them together."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

import structlog

from headrace import __version__
from headrace.clock import Clock, SystemClock, VirtualClock
from headrace.context import Channels, Invoke, Quotas, Server
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.errors import ServiceError
from headrace.primitives.engine import Engine
from headrace.services.kinesis import operations as kinesis_operations
from headrace.services.kinesis.state import State as KinesisState
from headrace.services.sns import operations as sns_operations
from headrace.services.sns import signing, sms_store
from headrace.services.sns.state import State as SnsState
from headrace.services.sns.transports.choice import check_channels
from headrace.services.sns.transports.outbox import BadFilter, Outbox
from headrace.services.sns.transports.sms_routes import gateway_key
from headrace.services.sqs import operations as sqs_operations
from headrace.services.sqs.state import State as SqsState
from headrace.settings import EMBEDDED, Settings, SettingsError
from headrace.wire.auth.policies import Policies
from headrace.wire.catalog import Catalog
from headrace.wire.control import Control
from headrace.wire.dispatch import Dispatcher
from headrace.wire.server import Listener, serve

log = structlog.get_logger()

OPERATIONS: Final[Mapping[str, ModuleType]] = {
    "kinesis": kinesis_operations,
    "sns": sns_operations,
    "sqs": sqs_operations,
}
"""Each service's operations, under the name its requests are signed for."""

STATES: Final[Mapping[str, Callable[[Server], Any]]] = {"kinesis": KinesisState, "sns": SnsState, "sqs": SqsState}
"""What builds each service's state."""


class App:
    """The parts of one server, put together but not yet running: `run` does that.

    `server.base_url` is where it is reached; with port 0 it is known once it is ready.
    """

    def __init__(self, settings: Settings) -> None:
        settings.check()
        self.settings = settings
        self.resources = _read_resources(settings)
        self.clock: Clock = VirtualClock(flowing=True) if settings.clock == "virtual" else SystemClock()
        self.engine: Engine = _build_engine(settings, self.clock)
        self.server = Server(
            clock=self.clock,
            engine=self.engine,
            quotas=Quotas(throughput=settings.quotas == "aws"),
            base_url=settings.base_url,
            invoke=self._invoke,
            prepare=self._prepare,
            prepare_together=self._prepare_together,
            channels=_channels(settings),
        )
        self.outbox = Outbox(self.server)
        answers_key = gateway_key(self.server.channels)
        self.states = {service: build(self.server) for service, build in STATES.items()}
        self.dispatcher = Dispatcher(
            catalog=Catalog(OPERATIONS),
            server=self.server,
            states=self.states,
            control=Control(
                health=self.health,
                reset=self.reset if settings.serves_test_endpoints else None,
                advance=self.advance if settings.clock == "virtual" and settings.serves_test_endpoints else None,
                outbox=self.show_outbox if settings.serves_test_endpoints else None,
                answered=self.answer_sms if settings.serves_test_endpoints or answers_key else None,
                answers_key="" if settings.serves_test_endpoints else answers_key,
                certificate=functools.partial(signing.certificate, self.server),
            ),
            policies=Policies(self.clock, strict=settings.policies == "aws"),
        )

    async def start(self) -> None:
        """Open the store and start the services; then make the resources. Raises StorageError, SettingsError."""
        await self.engine.start()
        await self._start_services()

    async def close(self) -> None:
        """Stop the services and close the store; harmless when they never started."""
        for state in self.states.values():
            await state.close()
        await self.engine.close()

    def health(self) -> dict[str, Any]:
        """What `GET /_headrace/health` answers."""
        return {
            "status": "ok" if self.engine.reachable else "unreachable",
            "version": __version__,
            "engine": self.engine.name,
            "storage": self.engine.describe(),
            "clock": self.settings.clock,
            "now_ms": self.clock.now_ms(),
            "services": dict.fromkeys(self.states, "running"),
        }

    async def reset(self) -> None:
        """Make the server as it was just after its first start: nothing stored but the resources of its file.

        The services' states are built anew, so that nothing they held in memory outlives what was stored.
        """
        for state in self.states.values():
            await state.close()
        await self.engine.reset()
        self.server.kept.clear()
        for service, build in STATES.items():
            self.states[service] = build(self.server)
        await self._start_services()

    async def advance(self, duration_ms: int) -> int:
        """Move a virtual clock on; what it shows then, in milliseconds."""
        assert isinstance(self.clock, VirtualClock)
        await self.clock.advance(duration_ms)
        return self.clock.now_ms()

    async def show_outbox(self, filters: dict[str, str]) -> dict[str, Any]:
        """What `GET /_headrace/outbox` answers. Raises ServiceError for a filter that there is not."""
        try:
            return await self.outbox.read(filters)
        except BadFilter as error:
            raise ServiceError("InvalidRequest", str(error)) from error

    async def answer_sms(self, number: str, text: str) -> None:
        """Take what a person has answered to an SMS, as a gateway hands it on."""
        await sms_store.answered(self.server, number, text)

    async def _start_services(self) -> None:
        for state in self.states.values():
            await state.start()
        await self.resources(self.dispatcher.invoke)

    async def _invoke(self, service: str, operation: str, params: dict[str, Any], **caller: Any) -> dict[str, Any]:
        return await self.dispatcher.invoke(service, operation, params, **caller)

    def _prepare(
        self, service: str, operation: str, **caller: Any
    ) -> Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]:
        return self.dispatcher.prepare(service, operation, **caller)

    def _prepare_together(
        self, service: str, operation: str, **caller: Any
    ) -> Callable[[Sequence[dict[str, Any]]], Coroutine[Any, Any, None]]:
        return self.dispatcher.prepare_together(service, operation, **caller)


def _channels(settings: Settings) -> Channels:
    """How messages leave for people. Raises SettingsError for ways that cannot be used."""
    channels = Channels(
        smtp_url=settings.smtp_url or "",
        smtp_from=settings.smtp_from,
        sms_url=settings.sms_url or "",
        sms_body=settings.sms_body or "",
        sms_number=settings.sms_number or "",
        sms_sandbox=settings.sms_sandbox,
        push=settings.push or "",
        ca_file=settings.outgoing_ca or "",
        public_url=settings.public_url or "",
        signing_key=settings.signing_key or "",
        signing_cert=settings.signing_cert or "",
    )
    try:
        check_channels(channels)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    return channels


def _build_engine(settings: Settings, clock: Clock) -> Engine:
    """The engine of the settings; the cluster engine is loaded when it is used. Raises SettingsError."""
    if settings.engine == "sqlite":
        return SqliteEngine(settings.data, clock)
    from headrace.engines.nats.embedded import EmbeddedServer
    from headrace.engines.nats.engine import NatsEngine
    from headrace.engines.nats.options import Options, OptionsWrong

    fields = [name for name in Options.__struct_fields__ if name not in ("urls", "replicas")]
    chosen = {name: getattr(settings, f"nats_{name}") for name in fields}
    try:
        server = EmbeddedServer(settings.data) if settings.nats == EMBEDDED else None
        options = Options(urls=server.url if server else settings.nats or "", replicas=settings.replicas, **chosen)
        options.check()
    except OptionsWrong as error:
        raise SettingsError(str(error)) from error
    return NatsEngine(options, clock, server)


def _read_resources(settings: Settings) -> Callable[[Invoke], Awaitable[None]]:
    """What makes the resources of the settings' file; without a file YAML is not even loaded."""
    if settings.resources is None:
        return _no_resources
    from headrace.resources import create_resources, read_resources

    return functools.partial(create_resources, read_resources(settings.resources))


async def _no_resources(_invoke: Invoke) -> None:
    """There is no file, so there is nothing to make."""


async def run(app: App, stop: asyncio.Event, ready: Callable[[App], None]) -> None:
    """Serve until `stop` is set, then end the waiting calls, answer those in progress, and close the store.

    `ready` is called once requests are accepted. Raises StorageError, SettingsError for resources that cannot be made,
    and OSError for an address that cannot be listened on.
    """
    settings = app.settings
    listener = Listener(
        host=settings.host,
        port=settings.port,
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
        shared=settings.share_port,
    )

    def accepting(base_url: str) -> None:
        app.server.base_url = base_url
        ready(app)

    try:
        await app.start()
        draining = asyncio.create_task(_drain(app, stop))
        try:
            await serve(app.dispatcher.handle, listener, ready=accepting, stop=stop)
        finally:
            draining.cancel()
    finally:
        await app.close()
    log.info("stopped")


async def _drain(app: App, stop: asyncio.Event) -> None:
    """Once the server is to stop, let no call wait for what may come."""
    await stop.wait()
    await app.engine.drain()
