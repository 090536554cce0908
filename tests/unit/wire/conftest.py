"""A server's two ends without a socket, operations that do as they are told, and values made up after their shapes."""

import asyncio
import os
import types
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from headrace.clock import VirtualClock
from headrace.context import Quotas, Server
from headrace.wire.auth.policies import Policies
from headrace.wire.catalog import Catalog
from headrace.wire.control import Control
from headrace.wire.dispatch import Dispatcher
from headrace.wire.messages import Request
from headrace.wire.shapes import INTEGER_RANGES, Shape


class FakeScope:
    """RSGI's HTTP scope, with what matters given."""

    proto = "http"
    http_version = "1.1"

    def __init__(self, **given):
        self.scheme = given.pop("scheme", "http")
        self.method = given.pop("method", "POST")
        self.path = given.pop("path", "/")
        self.query_string = given.pop("query_string", "")
        self.authority = given.pop("authority", None)
        self.headers = {"host": "headrace.test:4566"} | {
            name.lower(): value for name, value in given.pop("headers", {}).items()
        }
        assert not given


class FakeExchange:
    """RSGI's HTTP protocol: gives a body, whole or in pieces, and keeps the answer."""

    def __init__(self, body: bytes = b"", pieces: list[bytes] | None = None, *, broken: bool = False):
        self._body, self._pieces, self._broken = body, pieces, broken
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.read = 0
        self.opened = asyncio.Event()

    async def __call__(self) -> bytes:
        if self._broken:
            raise RuntimeError("stream error")
        return self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces if self._pieces is not None else [self._body, b""]:
            self.read += len(piece)
            yield piece

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()

    def response_bytes(self, status, headers, body):
        assert not self.status
        self.status, self.headers, self.body = status, dict(headers), body

    def response_file(self, status, headers, file):
        """Opens the file as Granian does; what is read of it, by `take`, is the body."""
        assert not self.status
        self.status, self.headers = status, dict(headers)
        self.file = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        self.opened.set()

    def take(self, size: int = 1_000_000) -> bytes:
        """Read on in the file; b"" when there is nothing now, None at its end."""
        try:
            taken = os.read(self.file, size)
        except BlockingIOError:
            return b""
        self.body += taken
        return taken or None

    async def take_all(self) -> None:
        """Read the file to its end, once there is one."""
        await self.opened.wait()
        while self.take() is not None:  # noqa: ASYNC110 - what is waited for comes through a pipe
            await asyncio.sleep(0)
        self.hang_up()

    def hang_up(self) -> None:
        os.close(self.file)


@pytest.fixture(scope="session")
def exchange_of() -> type[FakeExchange]:
    return FakeExchange


@pytest.fixture(scope="session")
def request_of() -> Callable[..., Request]:
    """A request from what matters of it; `body` bytes, `headers` by any case."""

    def make(body: bytes = b"", **given: Any) -> Request:
        made = Request(FakeScope(**given), "the-request-id")
        made.body = body
        return made

    return make


@pytest.fixture
def operations() -> types.ModuleType:
    """A service's operations; tests set functions on it before they take `dispatcher`."""
    return types.ModuleType("operations")


@pytest.fixture
def dispatcher(operations) -> Dispatcher:
    server = Server(
        clock=VirtualClock(0),
        engine=None,
        quotas=Quotas(),
        base_url="http://base.test",
        invoke=None,
        prepare=None,
        prepare_together=None,
    )
    control = Control(health=lambda: {"status": "ok"}, reset=None, advance=None)
    catalog = Catalog({"sqs": operations, "kinesis": operations})
    return Dispatcher(
        catalog=catalog,
        server=server,
        states=dict.fromkeys(catalog.services, "state"),
        control=control,
        policies=Policies(server.clock),
    )


@pytest.fixture
def ask(request) -> Callable[..., Any]:
    """Has the dispatcher, made on the first call, answer a request; the exchange with its answer."""

    async def ask(body: bytes = b"", **given: Any) -> FakeExchange:
        given["headers"] = {"content-length": str(len(body))} | given.get("headers", {})
        exchange = FakeExchange(body)
        reading = asyncio.create_task(exchange.take_all())
        await request.getfixturevalue("dispatcher").handle(FakeScope(**given), exchange)
        if exchange.opened.is_set():
            await reading
        reading.cancel()
        return exchange

    return ask


@pytest.fixture(scope="session")
def served() -> Catalog:
    """Models without functions: SQS with its overlay, the others as botocore has them."""
    nothing = types.ModuleType("operations")
    return Catalog(dict.fromkeys(["sqs", "sns", "kinesis", "cloudwatch", "autoscaling"], nothing))


@pytest.fixture(scope="session")
def values_of() -> Callable[[Shape], st.SearchStrategy[Any]]:
    """Values of a shape, within its constraints but for patterns; deep shapes are cut off."""
    return _values


DEEPEST = 6
_TEXT = st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n\r")


def _values(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    least = int(shape.minimum or 0)
    size = {"min_size": least, "max_size": min(least + 4, int(shape.maximum or least + 4))}
    if shape.kind == "structure":
        return _structures(shape, depth)
    if shape.kind == "list":
        return st.lists(_values(shape.member, depth + 1), **size) if depth < DEEPEST else st.just([])
    if shape.kind == "map":
        values = _values(shape.value, depth + 1)
        return st.dictionaries(_values(shape.key, depth + 1), values, **size) if depth < DEEPEST else st.just({})
    if shape.enum:
        return st.sampled_from(shape.enum)
    return _scalars(shape, size)


def _scalars(shape: Shape, size: dict[str, int]) -> st.SearchStrategy[Any]:
    lowest, highest = INTEGER_RANGES.get(shape.kind, (None, None))
    lowest = lowest if shape.minimum is None else int(shape.minimum)
    highest = highest if shape.maximum is None else int(shape.maximum)
    strategies = {
        "integer": lambda: st.integers(lowest, highest),
        "long": lambda: st.integers(lowest, highest),
        "float": lambda: st.floats(shape.minimum, shape.maximum, allow_nan=False, allow_infinity=False),
        "double": lambda: st.floats(shape.minimum, shape.maximum, allow_nan=False, allow_infinity=False),
        "timestamp": lambda: st.integers(0, 4_102_444_800).map(float),
        "boolean": st.booleans,
        "blob": lambda: st.binary(**size),
    }
    return strategies.get(shape.kind, lambda: st.text(_TEXT, **size))()


def _structures(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    members = (
        {name: _values(member.shape, depth + 1) for name, member in shape.members.items()} if depth < DEEPEST else {}
    )
    required = {name: members.pop(name) for name in shape.required if name in members}
    return st.fixed_dictionaries(required, optional=members)
