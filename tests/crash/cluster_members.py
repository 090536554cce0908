"""NATS servers and Headrace processes as members of a cluster under test: each can be killed, paused and cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO

from headrace.engines.nats.embedded import MAX_PAYLOAD_BYTES, binary

from .cluster_network import CLIENTS, Network, answers

START_S = 40.0
POLL_S = 0.05
NOWHERE = "127.0.0.1:1"
"""What a server tells its cluster as its address, so that nobody goes there past the network of the test."""


class Member(ABC):
    """A process of the cluster, by its `name`, at `port` of its own address."""

    def __init__(self, name: str, network: Network, folder: Path) -> None:
        self.name = name
        self.network = network
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.host = network.host(name)
        self.port = network.port(name)
        self.paused = False
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def arguments(self) -> list[str]:
        """The command line."""

    def start(self) -> None:
        """Start the process, without waiting for it."""
        log: IO[bytes] = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [*self.network.command(self.name), *self.arguments()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
            )  # fmt: skip

    @property
    def running(self) -> bool:
        return self.process is not None and not self.paused

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers."""

    def wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + START_S
        while not self.ready():
            assert self.process is not None
            assert self.process.poll() is None, f"{self.name} ended by itself:\n{self.log()}"
            assert time.monotonic() < deadline_s, f"{self.name} is not ready:\n{self.log()}"
            time.sleep(POLL_S)

    def kill(self) -> None:
        """SIGKILL."""
        process, self.process = self.process, None
        self.paused = False
        if process is not None:
            process.kill()
            process.wait(30)

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]


class NatsMember(Member):
    """A nats-server; `join` it before it is started."""

    def __init__(self, name: str, network: Network, folder: Path) -> None:
        super().__init__(name, network, folder)
        self.cluster_port = network.port(name)
        self._place = network.place(CLIENTS, name, self.port)

    def join(self, members: list[NatsMember]) -> None:
        others = [member for member in members if member is not self]
        routes = [f"nats://{self.network.place(self.name, each.name, each.cluster_port)}" for each in others]
        config = {
            "server_name": self.name,
            "host": self.host,
            "port": self.port,
            "max_payload": MAX_PAYLOAD_BYTES,
            "jetstream": {"store_dir": str(self.folder / "jetstream"), "sync_interval": "1h"},
            "cluster": {
                "name": "headrace",
                "host": self.host,
                "port": self.cluster_port,
                "routes": routes,
                "no_advertise": True,
                "advertise": NOWHERE,
            },
        }
        (self.folder / "nats.conf").write_text(json.dumps(config)[1:-1])

    def arguments(self) -> list[str]:
        return [binary(), "--config", str(self.folder / "nats.conf")]

    def ready(self) -> bool:
        return answers(self._place)


class HeadraceMember(Member):
    """A `headrace serve` on the NATS servers."""

    def __init__(self, name: str, network: Network, folder: Path, servers: list[NatsMember]) -> None:
        super().__init__(name, network, folder)
        urls = [f"nats://{network.place(name, server.name, server.port)}" for server in servers]
        self._urls = ",".join(urls)
        self.endpoint_url = f"http://{network.place(CLIENTS, name, self.port)}"

    def arguments(self) -> list[str]:
        options = {"host": self.host, "port": self.port, "engine": "nats", "nats": self._urls, "replicas": 3}
        command = [sys.executable, "-m", "headrace", "serve", "--quotas=none"]
        return command + [f"--{name}={value}" for name, value in options.items()]

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint_url}/_headrace/health", timeout=1):
                return True
        except (OSError, urllib.error.URLError):
            return False


class Cluster:
    """Three NATS servers and three Headrace processes on them."""

    def __init__(self, network: Network, folder: Path, size: int = 3) -> None:
        self.network = network
        self.servers = [NatsMember(f"nats{number}", network, folder / f"nats{number}") for number in range(size)]
        for server in self.servers:
            server.join(self.servers)
        self.processes = [
            HeadraceMember(f"headrace{number}", network, folder / f"headrace{number}", self.servers)
            for number in range(size)
        ]

    @property
    def members(self) -> list[Member]:
        return [*self.servers, *self.processes]

    @property
    def endpoints(self) -> list[str]:
        return [process.endpoint_url for process in self.processes]

    def start(self) -> None:
        for tier in (self.servers, self.processes):
            for member in tier:
                member.start()
            for member in tier:
                member.wait_until_ready()

    def close(self) -> None:
        for member in self.members:
            member.kill()
