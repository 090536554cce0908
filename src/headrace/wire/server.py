"""The listening socket and the HTTP server behind it: Granian, embedded in this process's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, SSLProtocols, TaskImpl
from granian.http import HTTP1Settings
from granian.server.embed import Server

from headrace import limits
from headrace.wire.messages import Exchange, Scope

Handle = Callable[[Scope, Exchange], Awaitable[None]]

MAX_DRAIN_S: Final = 25
"""How long a stopping server waits for the requests in progress. A long poll waits 20 s at most."""

HEADER_READ_TIMEOUT_MS: Final = 60_000
"""How long a client may take to send a request's head, or keep a connection open between requests."""


SPARE_FILES: Final = 256
"""Files a process has open besides its connections."""


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen: `port` 0 takes a free one; with a certificate and its key (PEM files) it speaks TLS.

    `shared` listens beside other processes that do so on the same port; the kernel spreads connections over them.
    """

    host: str
    port: int
    tls_cert: str | None = None
    tls_key: str | None = None
    shared: bool = False


async def serve(handle: Handle, listener: Listener, *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Have `handle` answer requests until `stop` is set and those in progress are answered.

    Speaks HTTP/1.1 and HTTP/2, the latter by prior knowledge or, with TLS, by ALPN. Calls `ready` with the base URL
    once it accepts connections. Raises OSError, with what to do, for an address that cannot be listened on and for a
    certificate that cannot be used.
    """
    allow_connections()
    server = _Server(handle, listener)
    port = server.listen()
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    try:
        ready(_base_url(listener, port))
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.end()
        await asyncio.wait({serving}, timeout=MAX_DRAIN_S)
    finally:
        stopping.cancel()
        if not serving.done():
            serving.cancel()
    if serving.done() and not stop.is_set():
        await serving
        raise RuntimeError("the HTTP server ended by itself")


def allow_connections() -> None:
    """Raise this process's limit of open files, often 1,024, to what all connections need or to what is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.MAX_CONCURRENT_REQUESTS + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _base_url(listener: Listener, port: int) -> str:
    host = f"[{listener.host}]" if ":" in listener.host else listener.host
    return f"{'https' if listener.tls_cert else 'http'}://{host}:{port}"


class _Server(Server):
    """Granian's server, on a socket of our own: it is nobody else's too, and its port is known before it is served."""

    def __init__(self, handle: Handle, listener: Listener) -> None:
        self._listener = listener
        self._socket: socket.socket | None = None
        try:
            super().__init__(
                handle,
                listener.host,
                listener.port,
                interface=Interfaces.RSGI,
                task_impl=TaskImpl.asyncio,
                http=HTTPModes.auto,
                websockets=False,
                backlog=limits.MAX_CONNECTIONS_WAITING,
                backpressure=limits.MAX_CONCURRENT_REQUESTS,
                runtime_blocking_threads=limits.MAX_STREAMS,
                http1_settings=HTTP1Settings(
                    header_read_timeout=HEADER_READ_TIMEOUT_MS, max_buffer_size=limits.MAX_HEAD_BYTES
                ),
                log_enabled=False,
                ssl_cert=Path(listener.tls_cert) if listener.tls_cert else None,
                ssl_key=Path(listener.tls_key) if listener.tls_key else None,
                ssl_protocol_min=SSLProtocols.tls12,
            )
        except OSError as error:  # ssl.SSLError is one
            files = f"the certificate {listener.tls_cert} with the key {listener.tls_key}"
            raise OSError(error.errno, f"cannot use {files}: {error.strerror or error}") from error

    def listen(self) -> int:
        """Bind the socket and have it queue connections; the port. Raises OSError."""
        host, port = self._listener.host, self._listener.port
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            # A name like localhost may be several addresses; most clients try 127.0.0.1 first.
            family, kind, protocol, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
            with contextlib.ExitStack() as unless_listening:
                listening = unless_listening.enter_context(socket.socket(family, kind, protocol))
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if self._listener.shared:
                    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                listening.bind(address)
                listening.listen(limits.MAX_CONNECTIONS_WAITING)
                unless_listening.pop_all()
        except OSError as error:
            advice = "" if port == 0 else "; --port 0 takes a free port"
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}{advice}") from error
        self._socket = listening
        bound_port: int = listening.getsockname()[1]
        return bound_port

    def end(self) -> None:
        """Accept no more connections, answer what is in progress, and return from `serve`."""
        self.signal_handler_interrupt()  # type: ignore[no-untyped-call] # Granian has no types here

    def _init_shared_socket(self) -> None:
        assert self._socket is not None
        holder: Any = SocketHolder
        backlog = (limits.MAX_CONNECTIONS_WAITING,) if sys.platform.startswith(("linux", "freebsd")) else ()
        shared = holder(self._socket.detach(), False, *backlog)
        vars(self).update(_shd=shared, _sfd=shared.get_fd(), _ssp=None)
