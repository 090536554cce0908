"""The processes that keep queues: which of them live, and asking one of them what it keeps.

Every process tells the others twice a second that it lives. One that was silent for a few seconds is paused, cut off or
dead, and what is waited for from it is given up; one that NATS knows nobody of any more is gone at once. Being wrong
about either costs time, nothing else: see `queues`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from headrace.clock import Clock
from headrace.engines.nats.connection import Connection, Message
from headrace.engines.nats.queue_keeping import Overtaken
from headrace.engines.nats.queue_receiving import ReceiveRequest, ReturnRequest
from headrace.engines.nats.queue_requests import (
    ArriveRequest,
    ChangeRequest,
    DeleteRequest,
    DepthRequest,
    PurgeRequest,
    RedriveRequest,
    Request,
    SendRequest,
    SettleRequest,
)
from headrace.errors import StorageError
from headrace.primitives.queues import OverInFlight, QueueMissing, Received

BEAT_S: Final = 0.5
"""How often a process says that it lives."""
SILENCE_S: Final = 3.0
"""A process that said nothing for longer is given up."""
GONE_S: Final = 1.2
"""A process that NATS does not reach, and that said nothing for longer, is gone."""
ANSWER_S: Final = 15.0
"""How long an answer is waited for, besides what the request itself waits, from a process that lives."""
MAX_SERVED: Final = 50_000
"""Requests of other processes that are under way here at once."""
MAX_GIVEN: Final = 5_000
"""Answers that handed out messages, remembered in case whoever asked had left before they came."""
ANSWER_BYTES: Final = 1_024
"""What an answer takes besides its result, at most."""
MAX_PROCESSES: Final = 10_000
"""Processes heard of at once."""

_ASK, _CANCEL = 0, 1
_NO_RESPONDERS: Final = 503

_Requests = (
    SendRequest
    | ReceiveRequest
    | DeleteRequest
    | ChangeRequest
    | DepthRequest
    | PurgeRequest
    | SettleRequest
    | RedriveRequest
    | ArriveRequest
    | ReturnRequest
)


class Unanswered(Exception):
    """The process that was asked has not answered. `heard`: it may have done what it was asked all the same."""

    def __init__(self, reason: str, *, heard: bool = True) -> None:
        super().__init__(reason)
        self.heard = heard


class PeerGone(Unanswered):
    """It is not there any more, or says nothing."""


class PeerUnreached(Unanswered):
    """It lives, but could not be reached."""


_NOTHING: Final = msgspec.Raw(b"\xc0")


class _Call(msgspec.Struct, array_like=True):
    """What one process says to another: do this, or stop doing it."""

    kind: int
    caller: str
    number: int
    queue: str
    request: _Requests


class _Answer(msgspec.Struct, array_like=True):
    """The result as bytes, or the error's name and text."""

    error: str = ""
    text: str = ""
    result: msgspec.Raw = _NOTHING


_ENCODER: Final = msgspec.msgpack.Encoder()
_CALL: Final = msgspec.msgpack.Decoder(_Call)
_ANSWER: Final = msgspec.msgpack.Decoder(_Answer)

Serve = Callable[[str, Request], Awaitable[Any]]
"""Does what another process asks of a queue that this one keeps. Raises Overtaken when it does not keep it."""


class Peers:
    """The other processes, as this one (`process`) sees them."""

    def __init__(self, connection: Connection, prefix: str, process: str, clock: Clock, serve: Serve) -> None:
        self.process = process
        self._connection = connection
        self._base = f"{prefix}.k."
        self._alive = alive_subject(prefix)
        self._clock = clock
        self._serve = serve
        self._heard_s: dict[str, float] = {}
        self._since_s = 0.0
        """Since when silence counts."""
        self._was_deaf = False
        """Others may be reconnecting too: that nothing was heard of one does not say that it is long dead."""
        self._waiting: dict[str, dict[int, asyncio.Future[Message | None]]] = {}
        self._polls: set[asyncio.Future[Message | None]] = set()
        """Of those, the ones that may wait for long."""
        self._numbers = itertools.count(1)
        self._served: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._given: OrderedDict[tuple[str, int], list[str]] = OrderedDict()
        self._ends: list[Callable[[], None]] = []
        self._beating: asyncio.Task[None] | None = None

    # --- life ---

    async def start(self) -> None:
        """Listen to the others, and tell them of this process."""
        self._since_s = asyncio.get_running_loop().time()
        self._ends = [
            self._connection.subscribe(self._alive, self._hear),
            self._connection.subscribe(f"{self._base}{self.process}", self._asked),
        ]
        self._connection.on_reconnect.append(self._back)
        await self._connection.flush()
        self._beating = asyncio.create_task(self._beat())

    def drain(self) -> None:
        """Answer every receive that waits at another process with nothing, and have the others take the queues over."""
        if self._beating is not None:
            self._beating.cancel()
        self._connection.publish_soon(self._alive, b"-" + self.process.encode())
        for future in tuple(self._polls):
            if not future.done():
                future.set_result(None)

    async def close(self) -> None:
        """Take leave of the others; what they have asked is answered first, or stopped."""
        self.drain()
        for end in self._ends:
            end()
        if self._beating is not None:
            await asyncio.gather(self._beating, return_exceptions=True)
        if self._served:
            await asyncio.wait(self._served.values(), timeout=1)
        for task in tuple(self._served.values()):
            task.cancel()
        await asyncio.gather(*self._served.values(), return_exceptions=True)
        with contextlib.suppress(ValueError):
            self._connection.on_reconnect.remove(self._back)

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before_s = loop.time()
            self._connection.publish_soon(self._alive, self.process.encode())
            await asyncio.sleep(BEAT_S)
            if loop.time() - before_s > 2 * BEAT_S:
                self._deaf()  # this process was paused: what it did not hear says nothing of the others
            for process, calls in self._waiting.items():
                if self.silent(process):
                    _fail(calls, "it is silent")

    def _back(self) -> None:
        """The connection was lost: so were answers, and what others have asked meanwhile; they are to ask again."""
        self._deaf()
        self._connection.publish_soon(f"{self._base}alive", b"~" + self.process.encode())

    def _deaf(self) -> None:
        self._was_deaf = True
        self._since_s = asyncio.get_running_loop().time()
        self._heard_s.clear()

    def _hear(self, message: Message) -> None:
        process = message.payload.decode()
        if process.startswith("-"):
            self._heard_s[process[1:]] = -SILENCE_S
            _fail(self._waiting.get(process[1:], {}), "it has stopped")
        elif process.startswith("~"):
            self._ask_again(process[1:])
        elif process != self.process:
            if process not in self._heard_s and len(self._heard_s) >= MAX_PROCESSES:
                self._heard_s.pop(next(iter(self._heard_s)))
            self._heard_s[process] = asyncio.get_running_loop().time()

    def _ask_again(self, process: str) -> None:
        """What waits for an answer of that process, which may have been lost, is to be asked once more."""
        for future in tuple(self._waiting.get(process, {}).values()):
            _give_up(future, PeerUnreached("its connection was lost"))

    def _unanswered(self, future: asyncio.Future[Message | None], reason: str) -> None:
        """No answer comes: from a process that lives and is connected that says something of it, else nothing."""
        _give_up(future, PeerGone(reason) if self._connection.connected else PeerUnreached(reason))

    def silent(self, process: str, for_s: float | None = None) -> bool:
        """Whether nothing was heard of the process for so long (None: for longer than one that lives is silent)."""
        silence_s = asyncio.get_running_loop().time() - self._heard_s.get(process, self._since_s)
        return silence_s > (SILENCE_S if for_s is None else for_s)

    def _never_heard(self, process: str) -> bool:
        return not self._was_deaf and process not in self._heard_s

    # --- asking ---

    async def ask(self, process: str, queue: str, request: Request) -> Any:
        """Have another process do it.

        Raises PeerGone, PeerUnreached, Overtaken when it does not keep the queue, StorageError, and what the request
        says.
        """
        number, wait_s = next(self._numbers), request.wait_ms(self._clock.now_ms()) / 1000
        call = _Call(_ASK, self.process, number, queue, request.leaving(self._clock.now_ms()))  # type: ignore[arg-type]
        future: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()
        if wait_s > 0:
            self._polls.add(future)
        calls = self._waiting.setdefault(process, {})
        calls[number] = future
        end: Callable[[], None] | None = None
        try:
            end = await self._connection.ask(
                f"{self._base}{process}",
                _ENCODER.encode(call),
                lambda message: None if future.done() else future.set_result(message),
                timeout_s=wait_s + ANSWER_S,
                on_end=lambda reason: self._unanswered(future, str(reason)),
                long=wait_s > 0,
            )
            message = await future
        except (asyncio.CancelledError, PeerUnreached):
            self._cancel(process, call)
            raise
        finally:
            calls.pop(number, None)
            self._polls.discard(future)
            if end is not None:
                end()
        if message is None:
            self._cancel(process, call)
            return []
        if message.status == _NO_RESPONDERS:
            gone = self._never_heard(process) or self.silent(process, GONE_S)
            raise (PeerGone if gone else PeerUnreached)("nobody was there to be asked", heard=False)
        return _result(_ANSWER.decode(message.payload), request)

    def _cancel(self, process: str, call: _Call) -> None:
        """Nobody waits for the answer any more: nothing is to be done, and what was done to be taken back."""
        call.kind = _CANCEL
        self._connection.publish_soon(f"{self._base}{process}", _ENCODER.encode(call))

    # --- being asked ---

    def _asked(self, message: Message) -> None:
        call = _CALL.decode(message.payload)
        key = (call.caller, call.number)
        if call.kind == _CANCEL:
            self._cancelled(key, call.queue)
            return
        if len(self._served) >= MAX_SERVED:
            self._reply(message, _Answer("storage", "Too many requests are under way: try again."))
            return
        task = self._served[key] = asyncio.ensure_future(self._answer(call, message))
        task.add_done_callback(lambda _: self._served.pop(key, None))

    def _cancelled(self, key: tuple[str, int], queue: str) -> None:
        task = self._served.get(key)
        if task is not None:
            task.cancel()
        elif (receipts := self._given.pop(key, None)) is not None:
            self._return(key, queue, receipts)

    def _return(self, key: tuple[str, int], queue: str, receipts: list[str]) -> None:
        """Put back what was handed out to nobody."""
        task = self._served[key] = asyncio.ensure_future(self._quietly(queue, ReturnRequest(receipts)))
        task.add_done_callback(lambda _: self._served.pop(key, None))

    async def _quietly(self, queue: str, request: Request) -> None:
        with contextlib.suppress(Overtaken, QueueMissing, StorageError):
            await self._serve(queue, request)

    async def _answer(self, call: _Call, message: Message) -> None:
        try:
            result = await self._serve(call.queue, call.request.arrived(self._clock.now_ms()))
            answer = _Answer(result=msgspec.Raw(_ENCODER.encode(result)))
            if isinstance(call.request, ReceiveRequest) and result:
                answer = await self._fitting(call, result, answer)
        except Overtaken:
            answer = _Answer("overtaken")
        except QueueMissing as cause:
            answer = _Answer("missing", str(cause))
        except OverInFlight:
            answer = _Answer("over")
        except StorageError as cause:
            answer = _Answer("storage", str(cause))
        self._reply(message, answer)

    async def _fitting(self, call: _Call, received: list[Received], answer: _Answer) -> _Answer:
        """The answer with as many of the messages as NATS takes at once; the others are put back."""
        most = self._connection.max_payload - ANSWER_BYTES
        while len(memoryview(answer.result)) > most and len(received) > 1:
            kept = received[: len(received) // 2]
            await self._quietly(call.queue, ReturnRequest([each.receipt for each in received[len(kept) :]]))
            received, answer = kept, _Answer(result=msgspec.Raw(_ENCODER.encode(kept)))
        self._given[call.caller, call.number] = [each.receipt for each in received]
        while len(self._given) > MAX_GIVEN:
            self._given.popitem(last=False)
        return answer

    def _reply(self, message: Message, answer: _Answer) -> None:
        with contextlib.suppress(StorageError):
            self._connection.publish_soon(message.reply.decode(), _ENCODER.encode(answer))


def alive_subject(prefix: str) -> str:
    """Where the processes of a deployment say that they live."""
    return f"{prefix}.k.alive"


def _result(answer: _Answer, request: Request) -> Any:
    """What the other process answered. Raises what was raised there."""
    if not answer.error:
        return msgspec.msgpack.decode(answer.result, type=request.answers)
    if answer.error == "overtaken":
        raise Overtaken
    if answer.error == "missing":
        raise QueueMissing(answer.text)
    if answer.error == "over":
        raise OverInFlight
    raise StorageError(answer.text)


def _fail(calls: dict[int, asyncio.Future[Message | None]], reason: str) -> None:
    for future in tuple(calls.values()):
        _give_up(future, PeerGone(reason))


def _give_up(future: asyncio.Future[Message | None], cause: Exception) -> None:
    if not future.done():
        future.set_exception(cause)
        future.exception()
