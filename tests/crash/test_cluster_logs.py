"""Processes and NATS servers that are killed and paused while logs are written: what was acknowledged is there, once.

`HEADRACE_CLUSTER_ROUNDS=20 HEADRACE_CLUSTER_SEED=3 pytest tests/crash/test_cluster_logs.py` goes on for longer.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest

from headrace.clock import SystemClock
from headrace.engines.nats.connection import Connection
from headrace.engines.nats.embedded import NatsServer, start_cluster
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.logs import NatsLogs
from headrace.engines.nats.mirror import Mirror
from headrace.engines.nats.options import Options
from headrace.primitives.logs import Record

ROUNDS = int(os.environ.get("HEADRACE_CLUSTER_ROUNDS", "1"))
SEED = int(os.environ.get("HEADRACE_CLUSTER_SEED", "1"))
NODE = Path(__file__).with_name("log_node.py")
PREFIX = "crash"
LEASE_MS = 3_000
PAUSE_S = 4.5
"""Longer than the lease, and than a silent server is waited for."""
SETTLE_S = 1.5
AVAILABLE_S = 10.0


class Node:
    """A process that appends, and what it has said; each start has a name of its own."""

    def __init__(self, urls: str, number: int) -> None:
        self._urls = urls
        self._number = number
        self._starts = 0
        self.said: list[tuple[float, dict]] = []
        self.start()

    def start(self) -> None:
        name = f"n{self._number}.{self._starts}"
        self._starts += 1
        command = [sys.executable, str(NODE), self._urls, PREFIX, name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        for line in process.stdout:
            if line.endswith(b"\n"):
                self.said.append((time.monotonic(), json.loads(line)))

    def kill(self) -> None:
        self._process.kill()
        self._ended()

    def stop(self) -> None:
        self._process.stdin.close()
        self._ended()

    def _ended(self) -> None:
        self._process.wait(60)
        self._reader.join(60)
        self._process.stdout.close()
        if not self._process.stdin.closed:
            self._process.stdin.close()

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)


def kill_server(server: NatsServer) -> None:
    server.kill()
    time.sleep(SETTLE_S)
    asyncio.run(server.start())


def pause(one: NatsServer | Node) -> None:
    one.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE_S)
    one.send_signal(signal.SIGCONT)


def kill_node(node: Node) -> None:
    node.kill()
    time.sleep(SETTLE_S)
    node.start()


async def all_records(urls: str) -> dict[str, list[Record]]:
    """Everything in the logs, read by a process that knew nothing of it."""
    connection = Connection(Options(urls=urls, prefix=PREFIX, replicas=3))
    await connection.start()
    mirror = Mirror(JetStream(connection))
    await mirror.start()
    logs = NatsLogs(mirror.jetstream, mirror.space("g"), SystemClock())
    names = [entry.key for entry in await mirror.space("g").list("")]
    found = {name: await logs.read(name, 0, max_records=10**9, max_bytes=1 << 60) for name in names}
    await logs.close()
    await mirror.close()
    await connection.close()
    return found


def check_logs(said: list[dict], records: dict[str, list[Record]]) -> None:
    acknowledged = 0
    for log, kept in records.items():
        assert [record.sequence for record in kept] == list(range(1, len(kept) + 1)), f"gaps in {log}"
        texts = [record.data.decode() for record in kept]
        assert len(texts) == len(set(texts)), f"records of {log} are there twice"
        for one in said:
            if one.get("log") == log:
                acknowledged += 1
                first = one["first"] - 1
                assert texts[first : first + len(one["texts"])] == one["texts"], f"{one} was acknowledged"
        by_writer = defaultdict(list)
        for text in texts:
            writer, number, place = text.rsplit("-", 2)
            by_writer[writer].append((int(number), int(place)))
        for writer, written in by_writer.items():
            assert written == sorted(written), f"records of {writer} in {log} are out of order"
    assert acknowledged > 100


def check_lease(said: list[dict]) -> None:
    """Tokens grow, and nobody begins to hold while another certainly still does."""
    held = sorted((one["held_ms"], one["token"]) for one in said if "token" in one)
    assert [token for _, token in held] == sorted(token for _, token in held)
    last: dict[int, int] = {}
    for at_ms, token in held:
        for other, other_ms in last.items():
            if other != token:
                assert at_ms >= other_ms, "two held it at once"
        last[token] = at_ms
    assert len(last) > 1, "it never moved on"


def check_gaps(nodes: list[Node], since: float) -> None:
    """No process that was left alone was without an acknowledgement for long."""
    for node in nodes:
        times = [since, *(at for at, one in node.said if at > since and "log" in one)]
        longest = max(later - earlier for earlier, later in itertools.pairwise(times))
        assert longest < AVAILABLE_S, f"no append for {longest:.1f} s"


@pytest.mark.timeout(120 + 120 * ROUNDS)
def test_what_was_acknowledged_is_there_once_and_in_order(tmp_path):
    rng = random.Random(SEED)
    servers = asyncio.run(start_cluster(tmp_path, 3))
    urls = ",".join(server.url for server in servers)
    nodes: list[Node] = []
    try:
        time.sleep(SETTLE_S)
        nodes += [Node(urls, number) for number in range(3)]
        wait_until_all_append(nodes)
        for _ in range(ROUNDS):
            faults = [(kill_server, one) for one in servers] + [(pause, rng.choice(servers))]
            faults += [(kill_node, rng.choice(nodes)), (pause, rng.choice(nodes))]
            rng.shuffle(faults)
            for fault, victim in faults:
                began = time.monotonic()
                fault(victim)
                wait_until_all_append(nodes)
                check_gaps([node for node in nodes if node is not victim], began)
        for node in nodes:
            node.stop()
        said = [one for node in nodes for _, one in node.said]
        check_logs(said, asyncio.run(all_records(urls)))
        check_lease(said)
    finally:
        for node in nodes:
            node.kill()
        for server in servers:
            server.kill()


def wait_until_all_append(nodes: list[Node]) -> None:
    """Return when every process has appended again; within what a fault may cost."""
    since = time.monotonic()
    for node in nodes:
        while not any(at > since and "log" in one for at, one in reversed(node.said)):
            assert time.monotonic() < since + 2 * AVAILABLE_S, "no append for too long"  # it may have to start first
            time.sleep(0.05)
