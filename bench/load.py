"""Load by `wrk`, and comparisons of two loads.

They are taken in turn, since no machine is equally fast from one minute to the next.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LUA = Path(__file__).parent / "lua"
CONNECTIONS = 32
MADE_UP_HANDLE = "AQEB" + "r" * 44


class LoadFailed(Exception):
    """The load could not be put on, or was not answered as it should be."""


@dataclass(frozen=True)
class Load:
    """What `wrk` measured. `counters` are the script's own (`received`, `deleted`, `empty`)."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    error_statuses: int
    broken: int
    cpu_s: float = 0
    """Processor time the server used meanwhile; see `Server.metered`."""
    behind_cpu_s: float = 0
    """Processor time of what stands behind the server."""
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def requests_per_s(self) -> float:
        """Answers a second, whatever they say."""
        return self.requests / self.seconds

    def per_s(self, counter: str) -> float:
        """What the script counted, a second."""
        return self.counters[counter] / self.seconds


def require_wrk() -> None:
    """Install `wrk` where apt can do it; otherwise end with what to do."""
    if shutil.which("wrk"):
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-q"], check=False)
        subprocess.run(["apt-get", "install", "-q", "-y", "wrk"], check=False)
    if not shutil.which("wrk"):
        sys.exit(
            "bench: `wrk` drives every scenario and is missing: `sudo apt-get install wrk` (or `brew install wrk`)"
        )


def wrk(script: str, url: str, *, seconds: float, connections: int = CONNECTIONS, **arguments: str | int) -> Load:
    """Run `lua/<script>` against `url` on one thread of `wrk`. Raises LoadFailed."""
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--timeout", "60"]
    command += ["--duration", f"{max(1, round(seconds))}", "--script", str(LUA / script), url, "--"]
    command += [f"{name}={value}" for name, value in arguments.items()]
    environment = {**os.environ, "LUA_PATH": f"{LUA}/?.lua;;"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    for line in ran.stdout.splitlines():
        if line.startswith("RESULT "):
            return _load(json.loads(line.removeprefix("RESULT ")))
    raise LoadFailed(f"wrk {script}: {ran.stdout}{ran.stderr}")


def _load(figures: dict[str, int]) -> Load:
    return Load(
        requests=figures.pop("requests"),
        seconds=figures.pop("duration_us") / 1e6,
        p50_ms=figures.pop("p50_us") / 1000,
        p99_ms=figures.pop("p99_us") / 1000,
        error_statuses=figures.pop("error_statuses"),
        broken=figures.pop("broken"),
        counters=figures,
    )


def sending(
    url: str,
    queue: str,
    *,
    seconds: float,
    action: str = "one",
    groups: int = 0,
    count: int = 0,
    connections: int = CONNECTIONS,
) -> Load:
    """SendMessage (`one`) or SendMessageBatch of 10 (`batch`). Raises LoadFailed when any is not answered with 200."""
    limit = {"count": count} if count else {}
    run = f"{time.time_ns() % 10**13}"
    chosen: dict[str, str | int] = {"queue": queue, "action": action, "groups": groups, "run": run, **limit}
    load = wrk("send.lua", url, seconds=seconds, connections=connections, **chosen)
    return answered(load)


def publishing(url: str, topic: str, *, seconds: float, action: str = "one", tenant: str = "") -> Load:
    """Publish (`one`) or PublishBatch of 10 (`batch`). Raises LoadFailed when any is not answered with 200."""
    chosen: dict[str, Any] = {"tenant": tenant} if tenant else {}
    return answered(wrk("publish.lua", url, seconds=seconds, topic=topic, action=action, **chosen))


def draining(url: str, queue: str, *, seconds: float) -> Load:
    """Receive and delete until the queue is dry or the time is up; counts `deleted`."""
    return answered(wrk("work.lua", url, seconds=seconds, queue=queue, mode="drain"))


def working(url: str, queue: str, *, seconds: float, groups: int = 0) -> Load:
    """Send 10, receive 10, delete 10 in turn, so that the depth stays; counts `deleted`."""
    run = f"{time.time_ns() % 10**13}"
    return answered(wrk("work.lua", url, seconds=seconds, queue=queue, mode="steady", groups=groups, run=run))


def echoed_draining(url: str, queue: str, *, seconds: float) -> Load:
    """The requests of `draining` at the floor."""
    return answered(wrk("work.lua", url, seconds=seconds, queue=queue, mode="drain", echo=1, handle=MADE_UP_HANDLE))


def answered(load: Load) -> Load:
    """The load, when all of it was answered with 200. Raises LoadFailed otherwise."""
    if not load.requests:
        raise LoadFailed(f"no answer within {load.seconds:.0f} s")
    if load.error_statuses or load.broken:
        raise LoadFailed(f"{load.error_statuses} error answers, {load.broken} broken of {load.requests}")
    return load


@dataclass(frozen=True)
class Comparison:
    """Medians over the rounds: both rates, the ratio within a round, 99th percentiles, processor time a unit."""

    rate: float
    base_rate: float
    ratio: float
    p99_ms: float
    base_p99_ms: float
    cpu_us: float
    base_cpu_us: float
    behind_cpu_us: float = 0


def compare(
    base: Callable[[], Load],
    subject: Callable[[], Load],
    rate: Callable[[Load], float],
    rounds: int,
    base_rate: Callable[[Load], float] | None = None,
) -> Comparison:
    """Base, subject, base, subject, …, base: each subject is held against the bases before and after it."""
    base_rate = base_rate or rate
    bases = [base()]
    subjects: list[Load] = []
    for _ in range(rounds):
        subjects.append(subject())
        bases.append(base())
    base_rates, rates = [base_rate(load) for load in bases], [rate(load) for load in subjects]
    ratios = [r / ((base_rates[i] + base_rates[i + 1]) / 2) for i, r in enumerate(rates)]
    return Comparison(
        statistics.median(rates),
        statistics.median(base_rates),
        statistics.median(ratios),
        statistics.median(load.p99_ms for load in subjects),
        statistics.median(load.p99_ms for load in bases),
        statistics.median(_cpu_us(load, load.cpu_s, rate) for load in subjects),
        statistics.median(_cpu_us(load, load.cpu_s, base_rate) for load in bases),
        statistics.median(_cpu_us(load, load.behind_cpu_s, rate) for load in subjects),
    )


def _cpu_us(load: Load, cpu_s: float, rate: Callable[[Load], float]) -> float:
    """Processor time for one of what `rate` counts."""
    return cpu_s * 1e6 / max(1.0, rate(load) * load.seconds)
