"""The connection to a NATS cluster: requests and answers, subscriptions, and reconnecting to whatever server lives.

All requests share one subscription; each has a token in its reply subject, and whoever waits for it is found by that.
A request costs one frame out, one in, and a future.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import secrets
import ssl
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import structlog

from headrace.engines.nats import frames
from headrace.engines.nats.faults import NoResponders, TooLarge, Unavailable
from headrace.engines.nats.link import Link
from headrace.engines.nats.options import DEFAULT_PORT, Options, Server, servers
from headrace.errors import StorageError

log = structlog.get_logger()

REQUEST_TIMEOUT_S: Final = 5.0
"""How long an answer is waited for unless the caller says otherwise."""
SWEEP_S: Final = 0.1
"""How often answers that are overdue are looked for; a timeout is exact to this."""
PING_S: Final = 1.0
"""How often a silent server is asked whether it lives."""
SILENCE_S: Final = 2.0
"""A server that has sent nothing for this long is left for another: it is paused, or cut off."""
RECONNECT_PAUSE_S: Final = (0.02, 1.0)
"""First and longest pause between attempts to connect, once every server was tried."""
STAGGER_S: Final = 0.3
"""A server that has not accepted the session by then is not waited for before the next is tried."""
MAX_PENDING: Final = 100_000
"""Requests that wait for their answers at once."""
MAX_SERVERS: Final = 100
"""Servers known at once: those of the options and those that the cluster names."""

_NO_RESPONDERS: Final = 503


class Message(NamedTuple):
    """A message as it came: subject, reply subject (b"" when none), header block (b"" when none), payload."""

    subject: bytes
    reply: bytes
    headers: bytes
    payload: bytes

    @property
    def status(self) -> int:
        """The status in its headers (404, 408, 503 …), 0 when there is none."""
        return frames.status(self.headers)


OnReply = Callable[[Message], None]
"""Called with every message that comes to a reply subject or a subscription."""


class Connection:
    """A connection that outlives its servers. `start` it on the event loop, `close` it at the end.

    Nothing is sent twice by it: when the connection is lost, every request that waits raises Unavailable, and whether
    it was carried out is not known. Subscriptions are made again on the next server.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.on_reconnect: list[Callable[[], None]] = []
        """Called after a lost connection was replaced: what was published meanwhile was not seen."""
        self._servers = servers(options.urls)
        self._link: Link | None = None
        self._connected = asyncio.Event()
        self._heard_s = 0.0
        self._inbox = f"_INBOX.{secrets.token_hex(11)}."
        self._cut = len(self._inbox)
        self.asked = 0
        """Requests that were sent; their tokens are counted on from it."""
        self._pending: dict[bytes, _Pending] = {}
        self._subscriptions: dict[int, tuple[str, OnReply]] = {}
        self._sids = itertools.count(2)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._lost_once = False
        self._why = "no server was reached yet"

    # --- life ---

    async def start(self) -> None:
        """Connect to one of the servers. Raises StorageError when none can be reached or all refuse."""
        self._closed = False
        if not await self._connect_once():
            raise StorageError(f"No NATS server can be used at {self._named()}: {self._why}.")
        self._spawn(self._watch())

    async def close(self) -> None:
        """End the connection; what was published is sent first."""
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._link is not None:
            with contextlib.suppress(StorageError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._link.ping()
            await self._end(self._link)
        self._link = None
        self._connected.clear()
        self._why = "the connection was closed"
        self._fail_pending(self._why)

    async def _end(self, link: Link) -> None:
        link.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await link.ended()
                return
        link.abort("the connection was closed")

    @property
    def info(self) -> dict[str, Any]:
        """What the connected server said of itself (`version`, `max_payload`, `server_name`, `cluster` …)."""
        return {} if self._link is None else self._link.info

    @property
    def max_payload(self) -> int:
        """Bytes that one message (headers and payload) may have."""
        return int(self.info.get("max_payload", 1024 * 1024))

    @property
    def connected(self) -> bool:
        """Whether there is a server at the other end, as far as is known."""
        return self._connected.is_set()

    @property
    def waiting(self) -> int:
        """Requests that wait for an answer that is due soon (long waits excluded)."""
        return sum(1 for pending in self._pending.values() if not pending.long)

    # --- sending ---

    async def request(
        self, subject: str, payload: bytes = b"", *, headers: bytes = b"", timeout_s: float = REQUEST_TIMEOUT_S
    ) -> Message:
        """Publish and wait for one answer. Raises Unavailable, NoResponders, TooLarge."""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        pending = _Pending(self._now_s() + timeout_s, future=future)
        token = await self._ask(subject, payload, headers, pending)
        try:
            return await future
        finally:
            self._pending.pop(token, None)

    async def ask(
        self,
        subject: str,
        payload: bytes,
        on_reply: OnReply,
        *,
        headers: bytes = b"",
        timeout_s: float = REQUEST_TIMEOUT_S,
        on_end: Callable[[StorageError], None] | None = None,
        long: bool = False,
    ) -> Callable[[], None]:
        """Publish and have `on_reply` called with every answer, until the function that is returned is called.

        `on_end` is called once, with the reason, when the connection is lost or `timeout_s` has passed; no answer comes
        after that. `long` marks a wait for what may never come. Raises Unavailable, TooLarge.
        """
        pending = _Pending(self._now_s() + timeout_s, on_reply=on_reply, on_end=on_end, long=long)
        token = await self._ask(subject, payload, headers, pending)
        return lambda: void(self._pending.pop(token, None))

    async def publish(self, subject: str, payload: bytes = b"", *, headers: bytes = b"", reply: str = "") -> None:
        """Send without waiting for an answer; it may be lost with the connection. Raises Unavailable, TooLarge."""
        link = await self._usable(self._now_s() + REQUEST_TIMEOUT_S)
        self._write(link, subject, reply, headers, payload)

    def publish_soon(self, subject: str, payload: bytes = b"", *, headers: bytes = b"") -> None:
        """Send when there is a server to send to, else forget it: for what is of no use later."""
        if self._link is not None and self._link.ready:
            self._write(self._link, subject, "", headers, payload)

    def subscribe(self, subject: str, on_message: OnReply) -> Callable[[], None]:
        """Have `on_message` called with what is published to the subject; returns what ends it.

        It is made again after a reconnect; `flush` tells when the server knows it.
        """
        sid = next(self._sids)
        self._subscriptions[sid] = (subject, on_message)
        if self._link is not None and self._connected.is_set():
            self._link.write(b"SUB %b %d\r\n" % (subject.encode(), sid))

        def end() -> None:
            if self._subscriptions.pop(sid, None) and self._link is not None and self._connected.is_set():
                self._link.write(b"UNSUB %d\r\n" % sid)

        return end

    def inbox(self) -> str:
        """A fresh subject that nobody else uses, for `subscribe`."""
        return f"_INBOX.{secrets.token_hex(11)}"

    async def flush(self, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        """Return when the server has seen all that was sent before. Raises Unavailable."""
        link = await self._usable(self._now_s() + timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                await link.ping()
        except TimeoutError:
            raise Unavailable("NATS did not answer in time.") from None

    async def _ask(self, subject: str, payload: bytes, headers: bytes, pending: _Pending) -> bytes:
        if len(self._pending) >= MAX_PENDING:
            raise Unavailable(f"{MAX_PENDING} requests to NATS wait for their answers already.")
        link = self._link
        if link is None or not link.ready or not link.writable:
            link = await self._usable(pending.deadline_s)
        self.asked += 1
        token = b"%x" % self.asked
        self._write(link, subject, self._inbox + token.decode(), headers, payload)
        self._pending[token] = pending
        return token

    async def _usable(self, deadline_s: float) -> Link:
        """The session, once there is one that takes more. Raises Unavailable at the deadline."""
        try:
            async with asyncio.timeout_at(deadline_s):
                while True:
                    await self._connected.wait()
                    link = self._link
                    assert link is not None
                    await link.until_writable()
                    if link.ready:
                        return link
                    await asyncio.sleep(0)
        except TimeoutError:
            raise Unavailable(f"No NATS server can be reached: {self._why}.") from None

    def _write(self, link: Link, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if len(payload) + len(headers) > self.max_payload:
            raise TooLarge(
                f"{len(payload) + len(headers)} bytes are more than NATS takes in a message: "
                f"raise max_payload of its servers, which is {self.max_payload}."
            )
        link.write(frames.pub(subject, reply, headers, payload))

    # --- receiving ---

    def _on_message(self, sid: int, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        if sid != 1:
            subscription = self._subscriptions.get(sid)
            if subscription is not None:
                _call(subscription[1], Message(subject, reply, headers, payload))
            return
        token = subject[self._cut :]
        pending = self._pending.get(token)
        if pending is None:
            return
        future = pending.future
        if future is None:
            _call(pending.on_reply, Message(subject, reply, headers, payload))
        elif not future.done():
            if headers and not payload and frames.status(headers) == _NO_RESPONDERS:
                future.set_exception(
                    NoResponders("NATS JetStream does not answer: it has no leader or no such stream.")
                )
            else:
                future.set_result(Message(subject, reply, headers, payload))

    def _fail_pending(self, reason: str) -> None:
        pending, self._pending = self._pending, {}
        for one in pending.values():
            one.end(Unavailable(f"The connection to NATS was lost: {reason}."))

    def _sweep(self) -> None:
        now_s = self._now_s()
        for token in [token for token, pending in self._pending.items() if pending.deadline_s <= now_s]:
            pending = self._pending.pop(token, None)
            if pending is not None:
                pending.end(Unavailable("NATS did not answer in time."))

    # --- staying connected ---

    async def _watch(self) -> None:
        """Sweep, ask silent servers whether they live, and reconnect."""
        pinged_s = 0.0
        while True:
            await asyncio.sleep(SWEEP_S)
            self._sweep()
            link = self._link
            if link is None or not link.ready:
                continue
            now_s = self._now_s()
            if not link.pings_out:
                self._heard_s = now_s
            elif now_s - self._heard_s > SILENCE_S:
                link.abort("the server fell silent")
                continue
            if now_s - pinged_s >= PING_S:
                pinged_s = now_s
                self._spawn(_quietly(link.ping()))

    def _on_lost(self, link: Link, reason: str) -> None:
        if link is not self._link or self._closed:
            return
        self._link = None
        self._why = reason
        self._connected.clear()
        self._lost_once = True
        log.warning("nats_lost", reason=reason)
        self._fail_pending(reason)
        self._spawn(self._reconnect())

    async def _reconnect(self) -> None:
        pause_s, longest_s = RECONNECT_PAUSE_S
        while not await self._connect_once():
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads processes, keeps no secret
            pause_s = min(longest_s, 2 * pause_s)
        log.info("nats_reconnected", server=self.info.get("server_name"))
        for callback in tuple(self.on_reconnect):
            callback()

    async def _connect_once(self) -> bool:
        """Try every server once, in random order, and use the first that accepts; none holds the others up."""
        attempts: set[asyncio.Task[bool]] = set()
        try:
            for server in random.sample(self._servers, len(self._servers)):
                attempts.add(asyncio.ensure_future(self._connect(server)))
                ended, attempts = await asyncio.wait(attempts, timeout=STAGGER_S, return_when=asyncio.FIRST_COMPLETED)
                if _any_used(ended):
                    return True
            while attempts:
                ended, attempts = await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
                if _any_used(ended):
                    return True
            return False
        finally:
            for task in attempts:
                task.cancel()
            await asyncio.gather(*attempts, return_exceptions=True)

    async def _connect(self, server: Server, unlike: Link | None = None) -> bool:
        """Open a session with a server and use it; not when it is the same one that another session is with."""
        link = Link(
            self._on_message, lambda info: self._on_info(link, info), lambda reason: self._on_lost(link, reason)
        )
        try:
            await link.open(server, self.options, unlike=unlike)
        except (OSError, ssl.SSLError, TimeoutError, StorageError) as cause:
            self._why = f"{server.host}:{server.port}: {str(cause) or 'no answer in time'}"
            link.abort(self._why)
            await link.ended()
            return False
        except BaseException:
            link.abort("it was given up")
            raise
        if self._connected.is_set() and unlike is None:
            link.abort("another server was quicker")
            await link.ended()
            return True
        self._use(link)
        return True

    def _use(self, link: Link) -> None:
        self._link = link
        self._heard_s = self._now_s()
        link.write(b"SUB %b* 1\r\n" % self._inbox.encode())
        for sid, (subject, _) in self._subscriptions.items():
            link.write(b"SUB %b %d\r\n" % (subject.encode(), sid))
        self._connected.set()

    async def _move(self, old: Link) -> None:
        """Leave a server that is about to end for another, without losing the answers that it still owes."""
        for server in random.sample(self._servers, len(self._servers)):
            if self._link is old and await self._connect(server, unlike=old):
                break
        if self._link is old:
            return
        for sid in self._subscriptions:
            old.write(b"UNSUB %d\r\n" % sid)
        for callback in tuple(self.on_reconnect):
            callback()
        try:
            await asyncio.sleep(REQUEST_TIMEOUT_S)
        finally:
            await self._end(old)

    def _on_info(self, link: Link, info: dict[str, Any]) -> None:
        """Take note of servers that the cluster names, reached as the first ones are, and leave one that is to end."""
        if info.get("ldm") and link is self._link and link.ready:
            self._spawn(self._move(link))
        first = self._servers[0]
        known = {(server.host, server.port) for server in self._servers}
        for url in info.get("connect_urls") or ():
            host, _, port = url.rpartition(":")
            place = (host.strip("[]"), int(port) if port.isdigit() else DEFAULT_PORT)
            if place not in known and len(self._servers) < MAX_SERVERS:
                known.add(place)
                self._servers.append(Server(*place, first.tls, first.user, first.password))

    def _named(self) -> str:
        return ", ".join(f"{server.host}:{server.port}" for server in servers(self.options.urls))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()


class _Pending:
    """What waits for answers: a future for one, or callbacks for several."""

    __slots__ = ("deadline_s", "future", "long", "on_end", "on_reply")

    def __init__(
        self,
        deadline_s: float,
        *,
        future: asyncio.Future[Message] | None = None,
        on_reply: OnReply | None = None,
        on_end: Callable[[StorageError], None] | None = None,
        long: bool = False,
    ) -> None:
        self.deadline_s = deadline_s
        self.future = future
        self.on_reply = on_reply or void
        self.on_end = on_end
        self.long = long

    def end(self, reason: StorageError) -> None:
        if self.future is not None:
            if not self.future.done():
                self.future.set_exception(reason)
        elif self.on_end is not None:
            self.on_end(reason)


def _any_used(attempts: set[asyncio.Task[bool]]) -> bool:
    """Whether one of these attempts to connect has led to a session."""
    return any(task.result() for task in attempts)


def void(_: object) -> None:
    """Take anything and do nothing."""


def _call(callback: OnReply, message: Message) -> None:
    """A callback that fails must not take the messages after it along."""
    try:
        callback(message)
    except Exception as cause:  # noqa: BLE001 - whatever it is, the session goes on
        context = {"message": f"Handling a message on {message.subject!r} failed.", "exception": cause}
        asyncio.get_running_loop().call_exception_handler(context)


async def _quietly(work: Any) -> None:
    with contextlib.suppress(StorageError):
        await work
