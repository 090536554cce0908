"""The servers under test, each a process of its own: the echo floor, Headrace, and its peers."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import api
import load

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".cache" / "bench"
"""Data directories are made here, not under /tmp: that may be memory, and an fsync must cost what it costs."""

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
PEERS = {"moto": "bin/moto_server", "ministack": "bin/ministack", "kinesalite": "node_modules/kinesalite/index.js"}
"""The peers' programs, each in an environment of its own under `.cache/`."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ServerFailed(Exception):
    """A server did not start, or did not stop."""


@dataclass
class Server:
    """A started server."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    started_at: float
    """`time.monotonic()` just before the process was started."""
    log: IO[bytes]

    def pids(self) -> list[int]:
        """The process and all its descendants."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
        return found

    def resident_bytes(self) -> int:
        """Resident memory of all its processes."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids()) * _PAGE_BYTES

    def cpu_s(self) -> float:
        """Processor time all its processes have used, user and system."""
        return sum(map(cpu_of, self.pids()))

    def metered(self, measured: Callable[[], load.Load]) -> load.Load:
        """Put a load on, and note what processor time this server used for it."""
        before = self.cpu_s()
        found = measured()
        return dataclasses.replace(found, cpu_s=self.cpu_s() - before)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """End it and wait until it has ended; the seconds that took. Raises ServerFailed."""
        began = time.monotonic()
        pids = self.pids() if self.process.poll() is None else []
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"{self.name} did not stop within {STOP_TIMEOUT_S} s") from None
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.log.close()
        return time.monotonic() - began


def cpu_of(pid: int) -> float:
    """Processor time a process has used, user and system, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(
    name: str, command: list[str], port: int, environment: dict[str, str] | None = None, answer: bytes = b"HTTP/1.1 200"
) -> Server:
    """Start a server and return once it has answered a first request so."""
    WORK.mkdir(parents=True, exist_ok=True)
    log = (WORK / f"{name}.log").open("ab")
    url = f"http://127.0.0.1:{port}"
    started_at = time.monotonic()
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}, start_new_session=True
    )
    server = Server(name, url, process, started_at, log)
    while not _answers(url, answer):
        if process.poll() is not None or time.monotonic() - started_at > START_TIMEOUT_S:
            server.stop(signal.SIGKILL)
            raise ServerFailed(f"{name} did not start; see {WORK / f'{name}.log'}")
        time.sleep(0.002)
    return server


def _answers(url: str, answer: bytes) -> bool:
    """Whether an SQS request (ListQueues) is answered, and its answer begins so."""
    with contextlib.closing(socket.socket()) as probe:
        address = urlsplit(url)
        probe.settimeout(START_TIMEOUT_S)
        try:
            probe.connect((address.hostname, address.port))
            probe.sendall(api.raw_request(url, "ListQueues"))
            return probe.recv(64).startswith(answer)
        except OSError:
            return False


def start_floor() -> Server:
    """The echo application on one Granian worker."""
    port = free_port()
    granian = str(Path(sys.executable).parent / "granian")
    command = [granian, "--interface", "rsgi", "--workers", "1", "--loop", "uvloop", "--port", str(port), "--no-ws"]
    return _start("floor", [*command, "--working-dir", str(Path(__file__).parent), "echo:app"], port)


def start_headrace(data: Path, *options: str) -> Server:
    """Headrace in its default, durable mode, throughput quotas lifted, with these options besides."""
    port = free_port()
    command = [sys.executable, "-m", "headrace", "serve", "--port", str(port), "--data", str(data), "--quotas", "none"]
    return _start("headrace", [*command, *options], port)


def start_peer(name: str) -> Server:
    """`moto`, `ministack` or `kinesalite`, each from its own environment; they keep everything in memory."""
    port = free_port()
    program = ROOT / ".cache" / f"bench-{name}" / PEERS[name]
    if not program.exists():
        raise ServerFailed(f"{name} is not installed: run `make bench-peers`, which does that")
    if name == "moto":
        return _start(name, [str(program), "-H", "127.0.0.1", "-p", str(port)], port)
    if name == "kinesalite":
        script = f"require('{program}')({{shardLimit: 1000}}).listen({port}, '127.0.0.1')"
        return _start(name, ["node", "-e", script], port, answer=b"HTTP/1.1 ")  # it knows no SQS
    return _start(
        name, [str(program)], port, {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "LOG_LEVEL": "ERROR"}
    )


def start(name: str, data: Path) -> Server:
    """The server called `name`; Headrace keeps its data in `data`."""
    return start_headrace(data) if name == "headrace" else start_peer(name)


@contextlib.contextmanager
def data_directory() -> Iterator[Path]:
    """An empty directory, gone afterwards."""
    WORK.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="data-", dir=WORK))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def running(name: str) -> Iterator[Server]:
    """A fresh server, stopped afterwards."""
    with data_directory() as data:
        server = start(name, data)
        try:
            yield server
        finally:
            server.stop(signal.SIGKILL)


@contextlib.contextmanager
def floor() -> Iterator[Server]:
    """The floor, stopped afterwards."""
    server = start_floor()
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)


@contextlib.contextmanager
def sink() -> Iterator[Server]:
    """An HTTP endpoint that takes messages (`sink.py`), stopped afterwards."""
    port = free_port()
    server = _start("sink", [sys.executable, str(Path(__file__).parent / "sink.py"), str(port)], port)
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)
