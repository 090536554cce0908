"""A session with an SMPP message centre: bound, kept alive, several messages under way at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from headrace.clock import Clock, sleep
from headrace.services.sns import limits
from headrace.services.sns.transports import smpp
from headrace.services.sns.transports.deadline import Within
from headrace.services.sns.transports.http_client import NoAnswer
from headrace.services.sns.transports.smpp import Bind, Command, Message, Pdu, SmppError

_READ_BYTES: Final = 16 * 1024
_MAX_SEQUENCE: Final = 0x7FFFFFFF

log = structlog.get_logger()


class Centre(msgspec.Struct, frozen=True):
    """Where a message centre is, and as whom to bind to it."""

    host: str
    port: int
    bind: Bind
    tls: bool = False


class SmppRefused(Exception):
    """The message centre answered with an error."""

    def __init__(self, status: int) -> None:
        super().__init__(smpp.describe(status))
        self.status = status


class SmppSession:
    """One connection.

    `received` is called with each message that a person has sent, before it is acknowledged; `ended` once, when the
    session is over.
    """

    def __init__(
        self,
        clock: Clock,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        received: Callable[[Message], Awaitable[None]],
        ended: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._ended = ended
        self._reader, self._writer = streams
        self._received = received
        self._sequences = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Pdu]] = {}
        self._window = asyncio.Semaphore(limits.SMPP_WINDOW)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep_alive())]
        self.closed = False

    @classmethod
    async def open(
        cls,
        clock: Clock,
        centre: Centre,
        received: Callable[[Message], Awaitable[None]],
        ended: Callable[[], None],
        tls: ssl.SSLContext | None = None,
    ) -> SmppSession:
        """Connect and bind as a transceiver. Raises NoAnswer, SmppRefused and SmppError."""
        body = smpp.bind_body(centre.bind)
        try:
            streams = await asyncio.open_connection(centre.host, centre.port, ssl=tls)
        except OSError as error:
            raise NoAnswer(f"The message centre cannot be reached: {error}") from error
        session = cls(clock, streams, received, ended)
        try:
            await session._ask(Command.BIND_TRANSCEIVER, body)
        except BaseException:
            await session.close()
            raise
        return session

    async def submit(self, message: Message) -> str:
        """Have the message centre take a message; its id for it. Raises NoAnswer and SmppRefused."""
        async with self._window:
            answer = await self._ask(Command.SUBMIT_SM, smpp.message_body(message))
        return smpp.read_id(answer.body)

    async def close(self) -> None:
        """Unbind and hang up; whoever waits for an answer gets NoAnswer."""
        if not self.closed:
            self._send(Pdu(Command.UNBIND, self._next()))
        self._end("the session was closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _ask(self, command: Command, body: bytes = b"") -> Pdu:
        """The answer to a request. Raises NoAnswer and SmppRefused."""
        if self.closed:
            raise NoAnswer("The session with the message centre has ended")
        sequence = self._next()
        answer: asyncio.Future[Pdu] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = answer
        self._send(Pdu(command, sequence, body=body))
        try:
            async with Within(self._clock, limits.SMPP_ANSWER_MS):
                pdu = await answer
        except TimeoutError:
            raise NoAnswer("The message centre did not answer in time") from None
        finally:
            self._waiting.pop(sequence, None)
        if pdu.status != smpp.OK:
            raise SmppRefused(pdu.status)
        return pdu

    def _next(self) -> int:
        return next(self._sequences) % _MAX_SEQUENCE or next(self._sequences)

    def _send(self, pdu: Pdu) -> None:
        self._writer.write(smpp.encode(pdu))

    async def _read(self) -> None:
        """Take in what the message centre sends, until it hangs up."""
        buffer = bytearray()
        reason = "the message centre hung up"
        try:
            while chunk := await self._reader.read(_READ_BYTES):
                buffer += chunk
                while (pdu := smpp.take(buffer)) is not None:
                    await self._handle(pdu)
        except (OSError, SmppError) as error:
            reason = str(error) or reason
        self._end(reason)
        self._writer.close()

    async def _handle(self, pdu: Pdu) -> None:
        if pdu.command & smpp.RESPONSE:
            waiting = self._waiting.get(pdu.sequence)
            if waiting is not None and not waiting.done():
                waiting.set_result(pdu)
        elif pdu.command == Command.DELIVER_SM:
            await self._take(pdu)
        elif pdu.command == Command.ENQUIRE_LINK:
            self._send(Pdu(Command.ENQUIRE_LINK_RESP, pdu.sequence))
        elif pdu.command == Command.UNBIND:
            self._send(Pdu(Command.UNBIND_RESP, pdu.sequence))
            self._end("the message centre ended the session")
            self._writer.close()
        else:
            self._send(Pdu(Command.GENERIC_NACK, pdu.sequence, smpp.INVALID_COMMAND))

    async def _take(self, pdu: Pdu) -> None:
        """A message from a phone: acknowledged once it is dealt with, so that it comes again when it is not."""
        status = smpp.OK
        try:
            message = smpp.read_message(pdu.body)
            if not message.is_receipt:
                await self._received(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the session has to go on
            log.warning("a short message could not be taken", error=repr(error))
            status = smpp.SYSTEM_ERROR
        self._send(Pdu(Command.DELIVER_SM_RESP, pdu.sequence, status, b"\0"))

    async def _keep_alive(self) -> None:
        """Ask from time to time whether the session stands; one that does not answer is ended."""
        while not self.closed:
            await sleep(self._clock, limits.SMPP_ENQUIRE_MS)
            try:
                await self._ask(Command.ENQUIRE_LINK)
            except (NoAnswer, SmppRefused) as error:
                self._end(str(error))
                self._writer.close()

    def _end(self, reason: str) -> None:
        if not self.closed:
            self.closed = True
            self._ended()
        for each in self._waiting.values():
            if not each.done():
                each.set_exception(NoAnswer(f"The session with the message centre has ended: {reason}"))
