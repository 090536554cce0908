"""A stream of events that many read: in order, complete, at their own pace, while shards are split under them.

    python examples/clickstream/run.py

starts a Headrace server of its own (or uses --endpoint-url), puts every event on a stream, has three consumers read it
by iterator and two by enhanced fan-out meanwhile, doubles the shards half-way, starts one more consumer when all is
over that replays everything, and ends by comparing what each of them read, aircraft by aircraft, with the events.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, MutableSequence
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import events
import workers
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

LOOK_EVERY_S = 0.1
START_TIMEOUT_S = 30
STALLED_S = 60
"""Nothing was put or read for so long: something is lost."""

ITERATORS = ["iterator-1", "iterator-2", "iterator-3"]
FAN_OUTS = ["fan-out-1", "fan-out-2"]
REPLAY = "replay"
SPAWN = multiprocessing.get_context("spawn")


@dataclass
class Reader:
    """A consumer process and how it is getting on."""

    name: str
    process: SpawnProcess
    bar: TaskID
    began: float = field(default_factory=time.monotonic)
    read: int = 0
    took_s: float = 0


class Readers:
    """All consumer processes; each counts in its slot of `counts`, without a lock that could die with it."""

    def __init__(self, task: workers.Task, names: list[str], progress: Progress) -> None:
        self.readers: list[Reader] = []
        self._task = task
        self._names = names
        self._counts: MutableSequence[int] = SPAWN.RawArray("q", len(names))
        self._progress = progress

    def start(self, name: str, work: Callable[..., None]) -> None:
        """Start a consumer."""
        slot = self._names.index(name)
        process = SPAWN.Process(target=work, args=(self._task, name, self._counts, slot), daemon=True)
        process.start()
        self.readers.append(Reader(name, process, self._progress.add_task(name, total=self._task.total, more="")))

    def look(self) -> int:
        """Show how far everyone is; how many events were read by all together."""
        for reader in self.readers:
            if (read := self._counts[self._names.index(reader.name)]) > reader.read:
                reader.read, reader.took_s = read, time.monotonic() - reader.began
                self._progress.update(reader.bar, completed=read, more=f"{read / reader.took_s:,.0f}/s")
        return sum(reader.read for reader in self.readers)

    @property
    def are_done(self) -> bool:
        """Whether all that were started have ended."""
        return not any(reader.process.is_alive() for reader in self.readers)

    def stop(self) -> None:
        """End those that still run."""
        for reader in self.readers:
            reader.process.terminate()
            reader.process.join()


@contextlib.contextmanager
def server(endpoint_url: str | None, directory: Path) -> Iterator[str]:
    """The endpoint to use: the given one, or a Headrace server, its data in `directory`, that ends with this."""
    if endpoint_url:
        yield endpoint_url
        return
    command = [sys.executable, "-m", "headrace", "serve", "--port", "0", "--data", str(directory / "headrace")]
    command += ["--quotas", "none"]
    log = (directory / "headrace.log").open("wb")
    with log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True) as process:
        try:
            yield _ready(process, directory / "headrace.log")
        finally:
            process.terminate()


def _ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for the line that tells where the server listens."""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if "headrace ready on " in line:
                return line.partition("headrace ready on ")[2].split()[0]
        time.sleep(0.05)
    sys.exit(f"the server did not start:\n{log.read_text(errors='replace')}")


@contextlib.contextmanager
def stream(client: Any, shards: int) -> Iterator[str]:
    """The ARN of a new stream, deleted at the end."""
    name = f"clickstream-{os.getpid()}"
    client.create_stream(StreamName=name, ShardCount=shards)
    _until_active(client, name)
    try:
        summary = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        yield summary["StreamARN"]
    finally:
        client.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def _until_active(client: Any, name: str) -> None:
    while client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
        time.sleep(LOOK_EVERY_S)


def run(client: Any, task: workers.Task, shards: int, progress: Progress) -> tuple[list[Reader], float]:
    """Put and read everything; the readers, and how long the putting took."""
    sent: MutableSequence[int] = SPAWN.RawArray("q", 1)
    producer = SPAWN.Process(target=workers.produce, args=(task, sent), daemon=True)
    readers = Readers(task, [*ITERATORS, *FAN_OUTS, REPLAY], progress)
    try:
        for name in ITERATORS:
            readers.start(name, workers.read_by_iterator)
        for name in FAN_OUTS:
            readers.start(name, workers.read_by_fan_out)
        bar = progress.add_task("put", total=task.total, more=f"{shards} shards")
        producer.start()
        took_s = _watch(client, task, readers, sent, (progress, bar), shards)
    finally:
        readers.stop()
        producer.terminate()
        producer.join()
    return readers.readers, took_s


def _watch(
    client: Any,
    task: workers.Task,
    readers: Readers,
    sent: MutableSequence[int],
    shown: tuple[Progress, TaskID],
    shards: int,
) -> float:
    """Double the shards half-way, start the replay once all is put and read, and see it end; how long putting took."""
    progress, bar = shown
    began = moved = time.monotonic()
    resharded = replaying = False
    put_s, far = 0.0, -1
    while not (replaying and readers.are_done):
        put, read = sent[0], readers.look()
        progress.update(bar, completed=put)
        now = time.monotonic()
        if put + read > far:
            far, moved = put + read, now
        if put >= task.total and not put_s:
            put_s = now - began
        if put >= task.total // 2 and not resharded:
            client.update_shard_count(
                StreamARN=task.stream_arn, TargetShardCount=2 * shards, ScalingType="UNIFORM_SCALING"
            )
            progress.update(bar, more=f"{shards} shards, {2 * shards} from {put:,} on")
            resharded = True
        if put_s and readers.are_done and not replaying:
            readers.start(REPLAY, workers.read_by_iterator)
            replaying = True
        if now - moved > STALLED_S:
            break
        time.sleep(LOOK_EVERY_S)
    readers.look()
    return put_s or time.monotonic() - began


def verdict(task: workers.Task, expected: dict[str, int], name: str) -> list[str]:
    """What is wrong with what a consumer read, compared with the events; nothing when all is well."""
    report = task.results / f"{name}.json"
    if not report.exists():
        return ["it did not come to the end"]
    found = json.loads(report.read_text())
    wrong: list[str] = found["wrong"]
    for aircraft in expected.keys() | found["events_of"].keys():
        wanted, read = expected.get(aircraft, 0), found["events_of"].get(aircraft, 0)
        if wanted != read:
            wrong.append(f"{aircraft}: {read} events read, {wanted} put")
    return wrong


def summary(task: workers.Task, expected: dict[str, int], readers: list[Reader], put_s: float) -> tuple[Table, bool]:
    """The figures as a table, and whether all is well."""
    shown = Table(title="Clickstream", title_justify="left")
    for column in ("", "events", "aircraft", "took", "events/s", "each aircraft's events complete and in order"):
        shown.add_column(column)
    aircraft = f"{len(expected):,}"
    shown.add_row("put", f"{task.total:,}", aircraft, f"{put_s:.1f} s", f"{task.total / put_s:,.0f}", "")
    well = True
    for reader in readers:
        wrong = verdict(task, expected, reader.name)
        well = well and not wrong
        rate = f"{reader.read / reader.took_s:,.0f}" if reader.took_s else ""
        told = "yes" if not wrong else f"NO: {len(wrong):,} wrong, such as {wrong[0]}"
        shown.add_row(reader.name, f"{reader.read:,}", aircraft, f"{reader.took_s:.1f} s", rate, told)
    return shown, well


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Have many consumers read a stream, in order and complete.")
    parser.add_argument("--events", type=int, help="only the first so many")
    parser.add_argument("--flights", type=Path, help="a CSV file with flights; downloaded by default")
    parser.add_argument("--shards", type=int, default=4, help="shards at the start; twice as many from half-way on")
    parser.add_argument("--endpoint-url", help="a Kinesis endpoint; a server of its own by default")
    return parser.parse_args()


def main() -> None:
    """Run the example; exit status 1 when a consumer missed an event, or got one twice or out of order."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # as Ctrl-C: the processes started here end too
    try:
        file = given.flights or events.fetch()
    except events.FetchFailed as failure:
        sys.exit(str(failure))
    expected = dict(Counter(event.aircraft for event in events.events(file, given.events)))
    console = Console()
    name, more = TextColumn("{task.description:<12}"), TextColumn("{task.fields[more]}")
    progress = Progress(name, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), more, console=console)
    with tempfile.TemporaryDirectory(prefix="clickstream-") as temporary:
        directory = Path(temporary)
        with server(given.endpoint_url, directory) as endpoint_url:
            client = workers.kinesis(endpoint_url)
            with stream(client, given.shards) as stream_arn, progress:
                total = sum(expected.values())
                task = workers.Task(endpoint_url, stream_arn, file, given.events, total, directory)
                readers, put_s = run(client, task, given.shards, progress)
        shown, well = summary(task, expected, readers, put_s)
        console.print(shown)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
