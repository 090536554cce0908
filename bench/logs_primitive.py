"""The Logs primitive in this process, without a server: appends, reads, and how long either holds the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvloop

import report
import servers
from headrace.clock import SystemClock
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.primitives.logs import Appending, Logs, LogSettings

BATCH = [Appending(f"key-{number % 97}", b"x" * 200) for number in range(500)]
READ_RECORDS = 10_000
LARGE_READ_BYTES = 10 * 1024 * 1024
WRITERS = 8
WHOLE = 1 << 40


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Logs]:
    """The logs of an engine on a real disk, with one log open."""
    servers.WORK.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(dir=servers.WORK))
    engine = SqliteEngine(str(data), SystemClock())
    await engine.start()
    await engine.logs.open("log", LogSettings(retention_ms=86_400_000))
    try:
        yield engine.logs
    finally:
        await engine.close()
        shutil.rmtree(data)


async def append(logs: Logs, seconds: float, batch: list[Appending], writers: int) -> float:
    """Records a second that `writers` append together, each one batch after the other."""
    began, appended = time.perf_counter(), 0

    async def write() -> None:
        nonlocal appended
        while time.perf_counter() - began < seconds:
            await logs.append("log", batch)
            appended += len(batch)

    await asyncio.gather(*(write() for _ in range(writers)))
    return appended / (time.perf_counter() - began)


async def read(logs: Logs) -> float:
    """Records a second, from the log's beginning to its end."""
    tip = await logs.tip("log")
    began, after = time.perf_counter(), 0
    while after < tip.last:
        records = await logs.read("log", after, max_records=READ_RECORDS, max_bytes=WHOLE)
        after = records[-1].sequence
    return tip.last / (time.perf_counter() - began)


@contextlib.asynccontextmanager
async def held_ms() -> AsyncIterator[list[float]]:
    """How long the loop took for each of its turns in the meantime."""
    turns: list[float] = []

    async def beat() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0)
            turns.append((time.perf_counter() - began) * 1000)

    beating = asyncio.ensure_future(beat())
    await asyncio.sleep(0)
    yield turns
    beating.cancel()


async def read_large(logs: Logs) -> float:
    async with held_ms() as turns:
        await logs.read("log", 0, max_records=1_000_000, max_bytes=LARGE_READ_BYTES)
    return max(turns)


async def trim(logs: Logs) -> float:
    """Trim most of the log; the longest turn until a second after its chunks began to be removed."""
    async with held_ms() as turns:
        await logs.trim("log", (await logs.tip("log")).last - 1000)
        await asyncio.sleep(2)
    return max(turns)


async def measure(run: report.Run) -> list[report.Figure]:
    found: dict[str, list[float]] = {}
    for _ in range(run.rounds):
        async with opened() as logs:
            for name, value in (
                ("append, 500 a call, one writer", await append(logs, run.seconds / 2, BATCH, 1)),
                (f"append, 500 a call, {WRITERS} writers", await append(logs, run.seconds / 2, BATCH, WRITERS)),
                ("read, 10,000 a call", await read(logs)),
                ("append, 1 a call, 32 writers", await append(logs, run.seconds / 2, BATCH[:1], 32)),
                ("longest turn during a read of 10 MiB", await read_large(logs)),
                ("longest turn after trimming", await trim(logs)),
            ):
                found.setdefault(name, []).append(value)
    goals = {"append, 500 a call, one writer": 100_000, "read, 10,000 a call": 250_000}
    return [figure(name, statistics.median(values), goals.get(name)) for name, values in found.items()]


def figure(name: str, value: float, goal: float | None) -> report.Figure:
    return report.Figure(name, value, "ms" if "turn" in name else "records/s", at_least=goal)


def scenario(server: str, run: report.Run) -> Iterator[report.Figure]:
    """Records of 200 bytes through the Logs primitive; Headrace only."""
    if server == "headrace":
        yield from uvloop.run(measure(run))


if __name__ == "__main__":
    report.main({"logs_primitive": scenario})
