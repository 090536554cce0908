"""One session with one NATS server: the socket, the handshake, and frames in and out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from headrace.engines.nats.faults import Unavailable
from headrace.engines.nats.frames import FrameReader, OnMessage, ProtocolBroken
from headrace.engines.nats.options import Options, Server

CONNECT_TIMEOUT_S: Final = 2.0
"""How long a server may take from the TCP handshake until it has accepted the session."""
CLIENT_VERSION: Final = "1"
"""What the server is told, and shows in its lists of connections."""


class Link(asyncio.Protocol):
    """A session with a server. `on_message` gets what comes, `on_lost` is called once when it has ended.

    Frames given to `write` in one turn of the event loop go to the socket together.
    """

    def __init__(
        self, on_message: OnMessage, on_info: Callable[[dict[str, Any]], None], on_lost: Callable[[str], None]
    ) -> None:
        self.info: dict[str, Any] = {}
        self.ready = False
        self.pings_out = 0
        self._on_info = on_info
        self._on_lost = on_lost
        self._reader = FrameReader(on_message, self._control)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._hello: asyncio.Future[None] = self._loop.create_future()
        self._pongs: list[asyncio.Future[None]] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self._reason = "the server closed the connection"
        self._ended = asyncio.Event()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the socket."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        try:
            self._reader.feed(data)
        except ProtocolBroken as broken:
            self.abort(f"it does not speak NATS: {broken}")

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._writable.set()

    def connection_lost(self, cause: Exception | None) -> None:
        """Tell whoever waits that the session has ended."""
        self._ended.set()
        self.ready = False
        reason = f"{self._reason}: {cause}" if cause else self._reason
        self._writable.set()
        for waiting in (self._hello, *self._pongs):
            if not waiting.done():
                waiting.set_exception(Unavailable(f"The connection to NATS was lost: {reason}."))
                waiting.exception()  # nobody may be waiting any more
        self._on_lost(reason)

    # --- the session ---

    async def open(self, server: Server, options: Options, *, unlike: Link | None = None) -> None:
        """Connect, encrypt where asked, and be accepted; not by the server that another session is with.

        Raises OSError, Unavailable, ssl.SSLError, TimeoutError.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._loop.create_connection(lambda: self, server.host, server.port)
            await self._hello  # the server's INFO
            if unlike is not None and self.info.get("server_id") == unlike.info.get("server_id"):
                raise Unavailable("This server is about to end.")
            if server.tls or options.wants_tls or self.info.get("tls_required"):
                await self._encrypt(server, options.ssl_context())
            self._send_connect(options.credentials(server).fields(self.info.get("nonce")))
            await self.ping()
        self.ready = True

    async def ping(self) -> None:
        """Return when the server has answered all that was written before. Raises Unavailable."""
        pong: asyncio.Future[None] = self._loop.create_future()
        self._pongs.append(pong)
        self.pings_out += 1
        self.write(b"PING\r\n")
        await pong

    def write(self, frame: bytes) -> None:
        """Send a frame with this turn's others."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(frame)

    @property
    def writable(self) -> bool:
        """Whether the socket takes more without letting memory grow."""
        return self._writable.is_set()

    async def until_writable(self) -> None:
        """Return when the socket takes more, or has ended."""
        await self._writable.wait()

    def close(self) -> None:
        """Send what was written and end the session."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """End the session at once, for this reason."""
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    async def ended(self) -> None:
        """Return when the socket is closed, after `close` or `abort`."""
        if self._transport is not None:
            await self._ended.wait()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    async def _encrypt(self, server: Server, context: ssl.SSLContext) -> None:
        assert self._transport is not None
        transport = await self._loop.start_tls(self._transport, self, context, server_hostname=server.host)
        assert transport is not None
        self._transport = transport

    def _send_connect(self, proof: dict[str, Any]) -> None:
        connect = {
            "verbose": False,
            "pedantic": False,
            "tls_required": False,
            "name": "headrace",
            "lang": "python",
            "version": CLIENT_VERSION,
            "protocol": 1,
            "echo": True,
            "headers": True,
            "no_responders": True,
            **proof,
        }
        self.write(b"CONNECT %b\r\n" % json.dumps(connect).encode())

    def _control(self, line: bytes) -> None:
        word = line[:4].upper()
        if word == b"PING":
            self.write(b"PONG\r\n")
        elif word == b"PONG":
            self.pings_out = 0
            if self._pongs:
                pong = self._pongs.pop(0)
                if not pong.done():
                    pong.set_result(None)
        elif word == b"INFO":
            self._inform(line[5:])
        elif word == b"-ERR":
            self._reason = line[4:].decode(errors="replace").strip().strip("'")
        elif word[:3] != b"+OK":
            raise ProtocolBroken(f"a line begins with {word!r}")

    def _inform(self, text: bytes) -> None:
        with contextlib.suppress(ValueError):
            self.info = self.info | json.loads(text)
        if not self._hello.done():
            self._hello.set_result(None)
        self._on_info(self.info)
