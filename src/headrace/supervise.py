"""Several processes on one machine: each a whole server, all on one port, held up by a process that serves nothing.

The kernel spreads connections over them. One that ends is started again; when none can be started at all, everything
ends with what it said.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any, Final

import click
import msgspec
import structlog

from headrace import limits
from headrace.settings import EMBEDDED, Settings

log = structlog.get_logger()

READY: Final = b"headrace ready on "
SUPERVISED: Final = "HEADRACE_SUPERVISED"
"""Set in the environment of the processes: they end when their standard input does."""
START_S: Final = limits.START_PATIENCE_S + 30.0
"""How long a process may take until it accepts requests."""
STOP_S: Final = 30.0
RESTART_PAUSE_S: Final = 1.0
"""Pause before a process that ended is started again."""
SECRETS: Final = frozenset({"nats", "nats_password", "nats_token"})
"""What is handed on in the environment, where other users of the machine do not see it."""


class WorkerFailed(Exception):
    """A process ended before it was ready; it has said why."""


class Supervisor:
    """Runs `settings.workers` processes until a signal asks for the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._running: dict[int, asyncio.subprocess.Process] = {}

    async def run(self) -> int:
        """Start them, say that they are ready, and hold them up; the exit code. Raises WorkerFailed, StorageError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ask)
        with contextlib.ExitStack() as stack:
            nats = await self._embedded(stack)
            port = stack.enter_context(held(self._settings.host, self._settings.port))
            settings = msgspec.structs.replace(self._settings, port=port, nats=nats, workers=1, share_port=True)
            return await self._hold_up(settings)

    async def _embedded(self, stack: contextlib.ExitStack) -> str | None:
        """The URLs of the NATS servers; an embedded one is started, for all processes."""
        if self._settings.nats != EMBEDDED:
            return self._settings.nats
        from headrace.engines.nats.embedded import EmbeddedServer

        server = EmbeddedServer(self._settings.data)
        stack.callback(server.stop)
        await server.start()
        return server.url

    async def _hold_up(self, settings: Settings) -> int:
        numbers = range(self._settings.workers)
        try:
            await asyncio.gather(*(self._start(number, settings) for number in numbers))
            click.echo(f"headrace ready on {settings.base_url}")
            click.echo(f"{self._settings.workers} processes on NATS; quotas: {self._settings.quotas}")
            sys.stdout.flush()
            await asyncio.gather(*(self._keep(number, settings) for number in numbers))
        finally:
            codes = await self._end()
        return max((code for code in codes if code is not None), default=0, key=abs)

    def _ask(self) -> None:
        if self._stop.is_set():
            for process in self._running.values():
                process.kill()
            os._exit(130)
        self._stop.set()

    async def _start(self, number: int, settings: Settings) -> None:
        secrets = {f"HEADRACE_{name.upper()}": getattr(settings, name) for name in SECRETS}
        given = {name: value for name, value in secrets.items() if value is not None}
        process = await asyncio.create_subprocess_exec(
            *worker_command(settings),
            stdin=asyncio.subprocess.PIPE,  # its end tells the process that nobody holds it up any more
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | given | {SUPERVISED: "1"},
            start_new_session=True,  # Ctrl-C is for this process, which asks the others to end
        )
        self._running[number] = process
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line.startswith(READY):
            if process.returncode is None:
                process.kill()
            raise WorkerFailed(f"process {number} of {self._settings.workers} did not get ready")
        await process.stdout.readline()

    async def _keep(self, number: int, settings: Settings) -> None:
        """Start the process again whenever it ends, until all are to end."""
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            while not self._stop.is_set():
                ended = asyncio.ensure_future(self._running[number].wait())
                await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if self._stop.is_set():
                    return
                log.error("worker_ended", worker=number, code=self._running[number].returncode)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), RESTART_PAUSE_S)
                    return
                await self._start_again(number, settings, stopping)
        finally:
            stopping.cancel()

    async def _start_again(self, number: int, settings: Settings, stopping: asyncio.Future[Any]) -> None:
        """Start the process, unless all are to end before it is ready. One that cannot be started is tried again."""
        starting: asyncio.Future[Any] = asyncio.ensure_future(self._start(number, settings))
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, WorkerFailed, OSError):
            await starting

    async def _end(self) -> list[int | None]:
        """Ask all that run to end, and wait for them; their exit codes."""
        running = [process for process in self._running.values() if process.returncode is None]
        for process in running:
            process.terminate()
        waits = [asyncio.ensure_future(process.wait()) for process in running]
        if waits:
            await asyncio.wait(waits, timeout=STOP_S)
        for process in running:
            if process.returncode is None:
                process.kill()
                await process.wait()
        asked = -signal.SIGTERM  # how one ends that was asked before it could listen
        return [None if process.returncode == asked else process.returncode for process in running]


@contextlib.contextmanager
def held(host: str, port: int) -> Iterator[int]:
    """Hold the port (0: a free one) for processes that share it, while the block runs. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
        with socket.socket(family, kind, protocol) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)  # nobody listens there, sharing or not
            address = alone.getsockname()
        holder = socket.socket(family, kind, protocol)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    with holder:
        yield address[1]


def worker_command(settings: Settings) -> list[str]:
    """The command line of one of the processes; secrets are not on it."""
    arguments = []
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if value is None or name in SECRETS:
            continue
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            arguments.append(option if value else option.replace("--", "--no-", 1))
        else:
            arguments.append(f"{option}={value}")
    return [sys.executable, "-m", "headrace", "serve", *arguments]
