"""Following a stream: everything on some of its subjects, in order, each message once, whatever happens to servers.

A consumer without acknowledgements pushes the messages. Its own numbers must follow each other, its heartbeats must
come; when they do not, or the connection was lost, another consumer begins where this one ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import structlog

from headrace.engines.nats import frames
from headrace.engines.nats.connection import Message
from headrace.engines.nats.jetstream import JetStream
from headrace.errors import StorageError

log = structlog.get_logger()

HEARTBEAT_S: Final = 0.5
SILENCE_S: Final = 1.6
"""A consumer that was silent for longer has lost its server."""
PAUSE_S: Final = 0.2
ASKED: Final = 1_000
ASK_TIMEOUT_S: Final = 1.0
INACTIVE_S: Final = 30
"""How long the server keeps a consumer that nobody listens to."""

_CONTROL: Final = 100


class Delivery(NamedTuple):
    """What the reply subject of a delivered message tells."""

    deliveries: int
    sequence: int
    consumer_sequence: int
    time_ns: int
    pending: int


def delivery(reply: bytes) -> Delivery:
    """Read `$JS.ACK.…`: nine parts, or eleven and more with the domain and the account."""
    parts = reply.split(b".")
    return Delivery(*map(int, parts[4:9] if len(parts) == 9 else parts[6:11]))  # noqa: PLR2004 - see above


class Follower:
    """Follows subjects of a stream from `start` to `close`.

    `on_message` gets the message and its delivery. `resume` is asked, whenever a consumer is made, for the sequence
    after which to go on, None to begin with the newest message of every subject; `on_current` is called once all that
    was there at that time has been handed on.

    A consumer is made by the cluster's leader, and while there is none no other can be made; but every server that has
    a copy of the stream can be asked for what it holds. So that is done meanwhile, when `reached` tells the sequence
    up to which everything is known. Then messages may come twice, and others of the stream, on other subjects, too.
    """

    def __init__(
        self,
        jetstream: JetStream,
        stream: str,
        subjects: Sequence[str],
        *,
        on_message: Callable[[Message, Delivery], None],
        resume: Callable[[], int | None],
        on_current: Callable[[], None],
        reached: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._jetstream = jetstream
        self._stream = stream
        self._subjects = list(subjects)
        self._on_message = on_message
        self._resume = resume
        self._on_current = on_current
        self._reached = reached
        self._heard_s = 0.0
        self._expected = 1
        self._current = False
        self._broken = asyncio.Event()
        self._end: Callable[[], None] | None = None
        self._name = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin. Raises StorageError when no consumer can be made now."""
        await self._begin()
        self._jetstream.connection.on_reconnect.append(self._broken.set)
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Stop following."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        with contextlib.suppress(ValueError):
            self._jetstream.connection.on_reconnect.remove(self._broken.set)
        self._leave()
        with contextlib.suppress(StorageError):
            await self._jetstream.call(f"CONSUMER.DELETE.{self._stream}.{self._name}", timeout_s=0.5)

    async def _begin(self) -> None:
        self._leave()
        connection = self._jetstream.connection
        inbox = connection.inbox()
        self._name = f"follow-{secrets.token_hex(8)}"
        self._expected = 1
        self._current = False
        self._broken.clear()
        after = self._resume()
        self._end = connection.subscribe(inbox, lambda message, name=self._name: self._receive(name, message))  # type: ignore[misc]
        made = await self._jetstream.call(
            f"CONSUMER.CREATE.{self._stream}.{self._name}",
            {"stream_name": self._stream, "config": self._config(inbox, after)},
        )
        self._heard_s = asyncio.get_running_loop().time()
        if not made.get("num_pending") and self._expected == 1:
            self._now_current()

    def _config(self, inbox: str, after: int | None) -> dict[str, Any]:
        begin: dict[str, Any] = {"deliver_policy": "last_per_subject"}
        if after is not None:
            begin = {"deliver_policy": "by_start_sequence", "opt_start_seq": after + 1}
        return begin | {
            "name": self._name,
            "deliver_subject": inbox,
            "filter_subjects": self._subjects,
            "ack_policy": "none",
            "max_deliver": 1,
            "flow_control": True,
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
            "inactive_threshold": int(INACTIVE_S * 1e9),
            "num_replicas": 1,
            "mem_storage": True,
        }

    def _leave(self) -> None:
        if self._end is not None:
            self._end()
            self._end = None

    def _receive(self, name: str, message: Message) -> None:
        if name != self._name:
            return
        self._heard_s = asyncio.get_running_loop().time()
        if frames.status(message.headers) == _CONTROL:
            self._answer_control(message)
            return
        placed = delivery(message.reply)
        if placed.consumer_sequence != self._expected:
            self._broken.set()
            return
        self._expected += 1
        self._on_message(message, placed)
        if not placed.pending and not self._current:
            self._now_current()

    def _answer_control(self, message: Message) -> None:
        """Flow control is answered, so that the server goes on; a heartbeat tells what was sent last."""
        reply = message.reply or frames.header(message.headers, b"Nats-Consumer-Stalled") or b""
        if reply:
            self._jetstream.connection.publish_soon(reply.decode())
        last = frames.header(message.headers, b"Nats-Last-Consumer")
        if last is not None and int(last) >= self._expected:
            self._broken.set()

    def _now_current(self) -> None:
        self._current = True
        self._on_current()

    async def _keep(self) -> None:
        """Make another consumer whenever this one is broken."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._broken.wait()
            silent_s = asyncio.get_running_loop().time() - self._heard_s
            if not self._broken.is_set() and silent_s <= SILENCE_S:
                continue
            try:
                await self._begin_anew()
            except StorageError as cause:
                log.warning("nats_follow_failed", stream=self._stream, cause=str(cause))
                self._broken.set()
                await asyncio.sleep(PAUSE_S)

    async def _begin_anew(self) -> None:
        """Make another consumer; until there is one, ask for what is new. Raises StorageError."""
        begun = asyncio.ensure_future(self._begin())
        try:
            while not begun.done():
                await asyncio.wait([begun], timeout=PAUSE_S)
                if not begun.done():
                    with contextlib.suppress(StorageError):
                        await self._ask()
        finally:
            begun.cancel()
        await begun

    async def _ask(self) -> None:
        """Hand on what a server has behind what is known. Raises StorageError."""
        after = self._reached()
        if after is None:
            return
        found = await self._jetstream.get_many(
            self._stream, ">", sequence=after + 1, max_messages=ASKED, timeout_s=ASK_TIMEOUT_S
        )
        if self._reached() is None:
            return
        for each in found:
            message = Message(each.subject.encode(), b"", each.headers, each.payload)
            self._on_message(message, Delivery(1, each.sequence, 0, 0, 0))
