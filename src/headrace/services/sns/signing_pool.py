"""Signing beside the event loop, once there is much to sign.

A signature takes longer than everything else that is done for a message. As long as few are asked for they are made on
the loop, a few in each of its turns. With more, processes are started that sign (`signing_process`). Threads would do
with less memory, but each of their signatures waits for the interpreter, which left the processors idle for a fifth of
the time. The processes end when there has been nothing to sign for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import operator
import os
import sys
from collections import deque
from typing import Final, cast

import structlog

from headrace.services.sns import limits
from headrace.services.sns.signing_process import LENGTH_BYTES, READY, Key, request

_PROGRAM: Final = "headrace.services.sns.signing_process"

_UNANSWERED: Final = operator.attrgetter("unanswered")

Asked = tuple[bytes, "asyncio.Future[str]"]
"""A request, and whoever waits for its answer."""

log = structlog.get_logger()


class SigningPool:
    """Makes signatures with a key: on the loop, or in processes of their own. Nothing is started before it is needed.

    What waits here is bounded by the requests and deliveries that are under way, which wait for it.
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self._waiting: deque[Asked] = deque()
        self._ready: list[_Process] = []
        self._alive: set[_Process] = set()
        self._starting: asyncio.Task[None] | None = None
        self._not_before_s = 0.0
        """No processes are started until then."""
        self._counted = 0
        """Signatures asked for since `_since_s`."""
        self._since_s = 0.0
        self._used = False
        self._look: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that sign."""
        return [each.pid for each in self._ready]

    def begin(self, digest: bytes, version: str) -> asyncio.Future[str]:
        """Have a digest signed; the signature in base64, when it is made. Raises RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError("nothing is signed any more")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._share_out)
        self._waiting.append((request(digest, version), future))
        self._counted += 1
        return future

    async def close(self) -> None:
        """Have the processes end, once what was begun is signed."""
        self._closed = True
        if self._look is not None:
            self._look.cancel()
        if self._starting is not None:
            await asyncio.wait([self._starting])
        self._ready.clear()
        for each in self._alive:
            each.end()
        if self._alive:
            await asyncio.wait([each.exited for each in self._alive], timeout=limits.SIGNING_END_S)
        for each in tuple(self._alive):
            each.kill()

    def _share_out(self) -> None:
        """Begin to sign what was asked for in this turn of the loop."""
        self._look_at_pace()
        if not self._ready:
            self._sign_some()
            return
        self._used = True
        for asked in self._waiting:
            min(self._ready, key=_UNANSWERED).take(asked)
        self._waiting.clear()
        for each in self._ready:
            each.send()

    # --- on the loop ---

    def _sign_some(self) -> None:
        """Sign a few here, and leave the rest to later turns of the loop: it has others to serve."""
        for _ in range(min(len(self._waiting), limits.SIGNED_A_TURN)):
            asked, future = self._waiting.popleft()
            if future.done():
                continue
            try:
                future.set_result(self._key.answer(asked).decode())
            except Exception as error:  # noqa: BLE001 - whoever waits is told
                future.set_exception(error)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._share_out)

    # --- the processes ---

    def _look_at_pace(self) -> None:
        """Have processes started, those that are missing, when so much was asked for within a second."""
        now_s = asyncio.get_running_loop().time()
        if self._counted >= limits.SIGNED_HERE_PER_S and self._starting is None and now_s >= self._not_before_s:
            missing = min(limits.SIGNING_PROCESSES, os.cpu_count() or 1) - len(self._alive)
            if missing > 0:
                self._not_before_s = now_s + 1
                self._starting = asyncio.get_running_loop().create_task(self._start(missing))
        if now_s > self._since_s + 1:
            self._since_s, self._counted = now_s, 0

    async def _start(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        command = (sys.executable, "-m", _PROGRAM)
        try:
            for _ in range(count):
                await loop.subprocess_exec(lambda: _Process(self, self._key), *command, stderr=None)
        except (OSError, NotImplementedError) as error:
            self._put_off(str(error))
        finally:
            self._starting = None

    def began(self, process: _Process) -> None:
        """A process was started."""
        self._alive.add(process)

    def joined(self, process: _Process) -> None:
        """A process is ready to sign."""
        if self._closed:
            return
        self._ready.append(process)
        self._used = True
        if self._look is None:
            self._look_later()

    def left(self, process: _Process, unanswered: deque[Asked]) -> None:
        """A process has ended: what it has not answered is asked for anew, here or of another."""
        self._alive.discard(process)
        if process in self._ready:
            self._ready.remove(process)
            log.warning("a process that signs has ended", pid=process.pid)
        elif not process.is_ready and not self._closed:
            self._put_off("a process that signs has not come to start")
        if unanswered:
            self._waiting.extend(unanswered)
            asyncio.get_running_loop().call_soon(self._share_out)

    def _put_off(self, reason: str) -> None:
        self._not_before_s = asyncio.get_running_loop().time() + limits.SIGNING_RETRY_S
        log.warning("messages are signed on the event loop", reason=reason, next_try_s=limits.SIGNING_RETRY_S)

    def _look_later(self) -> None:
        self._look = asyncio.get_running_loop().call_later(limits.SIGNING_IDLE_S, self._end_idle)

    def _end_idle(self) -> None:
        """Have the processes end if they had nothing to do since this was last asked."""
        if self._used or any(map(_UNANSWERED, self._ready)):
            self._used = False
            self._look_later()
            return
        self._look = None
        idle, self._ready = self._ready, []
        for each in idle:
            each.end()


class _Process(asyncio.SubprocessProtocol):
    """A process that signs."""

    def __init__(self, pool: SigningPool, key: Key) -> None:
        self._pool = pool
        self._key = key
        self._asked: deque[Asked] = deque()
        self._unsent: list[bytes] = []
        self._read = b""
        self.is_ready = False
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pid = 0

    @property
    def unanswered(self) -> int:
        """How many requests it has not answered yet."""
        return len(self._asked)

    def take(self, asked: Asked) -> None:
        """Ask for a signature, with the next `send`."""
        self._asked.append(asked)
        self._unsent.append(asked[0])

    def send(self) -> None:
        """Send what was asked for."""
        if self._unsent:
            self._stdin.write(b"".join(self._unsent))
            self._unsent.clear()

    def end(self) -> None:
        """Have it end once it has answered everything."""
        self._stdin.close()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._transport.kill()
        self._transport.close()

    # --- what the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()
        self._stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        self._pool.began(self)
        self._stdin.write(len(self._key.der).to_bytes(LENGTH_BYTES) + self._key.der)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - there is but one
        if not self.is_ready:
            self.is_ready = True
            data = data.removeprefix(READY)
            self._pool.joined(self)
        read, size = self._read + data, self._key.signature_chars
        whole = len(read) // size * size
        for at in range(0, whole, size):
            _, future = self._asked.popleft()
            if not future.done():
                future.set_result(read[at : at + size].decode())
        self._read = read[whole:]

    def process_exited(self) -> None:
        self._stdin.close()  # what it has answered is still to be read

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it has ended, whatever the reason
        self._transport.close()
        if not self.exited.done():
            self.exited.set_result(None)
        self._pool.left(self, self._asked)
