"""Bytes over a socket: raw HTTP/1.1 and HTTP/2 clients, and the wire's server with a handler of the test's own."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import pytest
import uvloop

from headrace.wire.server import Listener, serve

TIMEOUT_S = 30


class Answer:
    """A response as it came."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class RawConnection:
    """An HTTP/1.1 connection on which anything may be sent."""

    def __init__(self, sock: socket.socket):
        self._socket = sock
        self._reader = sock.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self, *, head_only: bool = False) -> Answer:
        """Read one response."""
        status = int(self._reader.readline().split()[1])
        headers = {}
        while (line := self._reader.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if head_only else int(headers.get("content-length", 0))
        return Answer(status, headers, self._reader.read(length))

    def ask(self, data: bytes) -> Answer:
        self.send(data)
        return self.answer()

    def chunk(self) -> bytes:
        """Read one chunk of a body that comes in chunks; b"" is the last."""
        size = int(self._reader.readline(), 16)
        data = self._reader.read(size)
        self._reader.readline()
        return data

    def is_closed(self) -> bool:
        """Whether the server has closed the connection, or does so before it sends anything."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    def close_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._reader.close()
        self._socket.close()


class H2Connection:
    """An HTTP/2 connection by prior knowledge."""

    def __init__(self, sock: socket.socket):
        self._socket = sock
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._flush()
        self.answers: dict[int, Answer] = {}
        self._events: list[h2.events.Event] = []

    def request(self, headers: dict[str, str], body: bytes = b"", method: str = "POST", path: str = "/") -> int:
        """Send a request; its stream."""
        stream = self._h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "h2.test:80")]
        self._h2.send_headers(stream, pseudo + list(headers.items()), end_stream=not body)
        if body:
            self._h2.send_data(stream, body, end_stream=True)
        self._flush()
        return stream

    def reset(self, stream: int) -> None:
        self._h2.reset_stream(stream)
        self._flush()

    def answer(self, stream: int) -> Answer:
        """Read until the response on that stream is whole."""
        answer = None
        while True:
            for event in self._receive():
                if isinstance(event, h2.events.ResponseReceived):
                    headers = dict(event.headers)
                    self.answers[event.stream_id] = Answer(int(headers[":status"]), headers, b"")
                elif isinstance(event, h2.events.DataReceived):
                    self.answers[event.stream_id].body += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded) and event.stream_id == stream:
                    answer = self.answers[stream]
            self._flush()
            if answer is not None:
                return answer

    def read_on(self, streams: set[int]) -> None:
        """Read what there is now, and make room for more on these streams (and the connection) only."""
        for event in self._receive():
            if isinstance(event, h2.events.ResponseReceived):
                self.answers[event.stream_id] = Answer(int(dict(event.headers)[":status"]), {}, b"")
            elif isinstance(event, h2.events.DataReceived):
                if event.stream_id in streams:
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                else:
                    self._h2.increment_flow_control_window(event.flow_controlled_length)
        self._flush()

    def _receive(self) -> list[h2.events.Event]:
        data = self._socket.recv(65_536)
        assert data, "the server closed the connection"
        return self._h2.receive_data(data)

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., socket.socket]]:
    """Opens sockets to a base URL; all are closed at the end."""
    with contextlib.ExitStack() as opened:

        def connect(url: str) -> socket.socket:
            at = urlsplit(url)
            return opened.enter_context(socket.create_connection((at.hostname, at.port), TIMEOUT_S))

        yield connect


@pytest.fixture
def raw(headrace, connect) -> Iterator[RawConnection]:
    """An HTTP/1.1 connection to a running server."""
    with contextlib.closing(RawConnection(connect(headrace.endpoint_url))) as connection:
        yield connection


@pytest.fixture
def open_raw(connect) -> Iterator[Callable[[str], RawConnection]]:
    """Opens HTTP/1.1 connections to a base URL."""
    with contextlib.ExitStack() as opened:
        yield lambda url: opened.enter_context(contextlib.closing(RawConnection(connect(url))))


@pytest.fixture
def open_h2(connect) -> Callable[[str], H2Connection]:
    """Opens HTTP/2 connections to a base URL."""
    return lambda url: H2Connection(connect(url))


class RunningServer:
    """The wire's server in a thread, on a free port."""

    def __init__(self, handle, **listener):
        self._handle = handle
        self._listener = Listener(**({"host": "127.0.0.1", "port": 0} | listener))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.stop_asked: asyncio.Event | None = None
        self.url = ""
        self.failure: BaseException | None = None

    def start(self) -> "RunningServer":
        self._thread.start()
        assert self._ready.wait(TIMEOUT_S)
        if self.failure is not None:
            raise self.failure
        return self

    def call(self, function) -> None:
        """Have the server's loop call a function."""
        self.loop.call_soon_threadsafe(function)

    def ask_to_stop(self) -> None:
        self.call(self.stop_asked.set)

    def has_stopped(self) -> bool:
        self._thread.join(TIMEOUT_S)
        return not self._thread.is_alive()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.ask_to_stop()
        assert self.has_stopped()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            self.failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self.loop, self.stop_asked = asyncio.get_running_loop(), asyncio.Event()
        await serve(self._handle, self._listener, ready=self._set_ready, stop=self.stop_asked)

    def _set_ready(self, url: str) -> None:
        self.url = url
        self._ready.set()


@pytest.fixture
def run_server() -> Iterator[Callable[..., RunningServer]]:
    """Runs servers with a handler of the test's own; all are stopped at the end."""
    with contextlib.ExitStack() as running:

        def run(handle, **listener) -> RunningServer:
            server = RunningServer(handle, **listener).start()
            running.callback(server.stop)
            return server

        yield run


@pytest.fixture(scope="session")
def head() -> Callable[..., bytes]:
    """The head of an HTTP/1.1 call of SQS in JSON, to which further header lines are given."""

    def head(action: str, *lines: str) -> bytes:
        start = [
            "POST / HTTP/1.1",
            "Host: raw.test",
            f"X-Amz-Target: AmazonSQS.{action}",
            "Content-Type: application/x-amz-json-1.0",
        ]
        return "\r\n".join([*start, *lines, "", ""]).encode()

    return head


@pytest.fixture(scope="session")
def call(head) -> Callable[..., bytes]:
    """A whole HTTP/1.1 call of SQS in JSON."""

    def call(action: str, **params) -> bytes:
        body = json.dumps(params).encode()
        return head(action, f"Content-Length: {len(body)}") + body

    return call
