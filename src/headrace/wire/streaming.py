"""Answers that are sent piece by piece, at the pace at which their readers take them.

Granian's own streams queue whatever they are given, without a bound and without a word when it was sent. A file it
reads no faster than it can send it. So it is given the end of a pipe to read as a file: a client that does not read,
or whose HTTP/2 window is used up, keeps the pipe full, and a full pipe keeps whoever makes the pieces waiting. What is
held for a client is a pipe's worth (64 KiB), what Granian and the sockets buffer, and the piece that waits.

A read of an empty pipe holds one of Granian's threads, so there is a limit to how many of these answers there are at
once (`limits.MAX_STREAMS`).
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import sys
import termios
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final, Self

from headrace import limits
from headrace.errors import ServiceError
from headrace.wire.messages import Exchange, Response

OPEN_TIMEOUT_S: Final = 60
"""How long Granian may take to open its end. It takes less than a millisecond; or never, when the client has left."""

MAX_OPEN_WAIT_S: Final = 0.05
"""How long is waited, at most, before looking again whether it has."""


class Streams:
    """All answers of a process that are being sent piece by piece."""

    def __init__(self) -> None:
        self._count = 0

    def check(self) -> None:
        """Raise ServiceError `ServiceUnavailable` when there are as many as there may be."""
        if self._count >= limits.MAX_STREAMS:
            message = f"There are {limits.MAX_STREAMS} subscriptions to this server; end some, or try again later."
            raise ServiceError("ServiceUnavailable", message, status=503)

    async def send(self, exchange: Exchange, response: Response, body: AsyncIterator[bytes]) -> None:
        """Send an answer piece by piece, asking for a piece once the one before is on its way.

        When the client hangs up on the way, which shows as soon as two more pieces were sent, the iterator is closed.
        """
        self._count += 1
        try:
            await _send(exchange, response, body)
        except HungUp:
            pass
        finally:
            self._count -= 1
            if isinstance(body, AsyncGenerator):
                await body.aclose()


async def _send(exchange: Exchange, response: Response, body: AsyncIterator[bytes]) -> None:
    first = await anext(body, b"")
    if not first:
        exchange.response_bytes(response.status, response.headers, first)
        return
    pipe = Pipe()
    left = asyncio.ensure_future(exchange.client_disconnect())  # tells only of those who leave before the answer begins
    left.add_done_callback(pipe.give_up)
    try:
        exchange.response_file(response.status, response.headers, pipe.path)
        await pipe.send(first)
        await pipe.until_opened()
        async for piece in body:
            await pipe.send(piece)
    finally:
        left.remove_done_callback(pipe.give_up)
        left.cancel()
        pipe.close()


class Events:
    """The events of an operation that streams; what goes wrong on the way is made a ServiceError by `failing`.

    No generator: what is closed before it has begun must be closed too.
    """

    __slots__ = ("_events", "_failing")

    def __init__(self, events: Any, failing: Callable[[Exception], ServiceError]) -> None:
        self._events = events
        self._failing = failing

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        try:
            event: dict[str, Any] = await anext(self._events)
        except StopAsyncIteration:
            raise
        except Exception as error:
            raise self._failing(error) from error
        return event

    async def aclose(self) -> None:
        """Have no more events made."""
        await self._events.aclose()


class HungUp(Exception):
    """The client does not listen any more."""


class Pipe:
    """A pipe whose reading end Granian opens by its `path`."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self.path = f"/dev/fd/{self._reading}"
        self._opened = False
        self._written_bytes = 0
        self._room: asyncio.Future[None] | None = None
        self._gone = False

    async def send(self, piece: bytes) -> None:
        """Write a piece, waiting for room as often as need be. Raises HungUp."""
        rest = memoryview(piece)
        while rest:
            if self._gone:
                raise HungUp
            try:
                count = os.write(self._writing, rest)
            except BlockingIOError:
                await self._wait_for_room()
                continue
            except BrokenPipeError:
                raise HungUp from None
            self._written_bytes += count
            rest = rest[count:]

    async def until_opened(self) -> None:
        """Once something was read, and so the reader has an end of its own, close ours: then its leaving shows.

        Not before, as the number in the path may then be another file's. Raises HungUp.
        """
        deadline_s = asyncio.get_running_loop().time() + OPEN_TIMEOUT_S
        for turn in itertools.count():
            if _bytes_in(self._reading) < self._written_bytes:
                os.close(self._reading)
                self._opened = True
                return
            if self._gone or asyncio.get_running_loop().time() > deadline_s:
                raise HungUp
            await asyncio.sleep(min(MAX_OPEN_WAIT_S, turn / 10_000))

    def give_up(self, _why: object = None) -> None:
        """Let nobody wait for room any more: there is no reader."""
        self._gone = True
        self._wake()

    def close(self) -> None:
        """End the answer."""
        os.close(self._writing)
        if not self._opened:
            os.close(self._reading)

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        self._room = loop.create_future()
        loop.add_writer(self._writing, self._wake)
        try:
            await self._room
        finally:
            loop.remove_writer(self._writing)
            self._room = None

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)


def _bytes_in(reading: int) -> int:
    """How much a pipe holds that was not read yet."""
    return int.from_bytes(fcntl.ioctl(reading, termios.FIONREAD, bytes(4)), sys.byteorder)
