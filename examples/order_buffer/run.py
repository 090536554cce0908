"""The spike buffer: producers outrun a database, the queue holds the surge, killed consumers lose nothing.

    python examples/order_buffer/run.py

starts a Headrace server of its own (or uses --endpoint-url), sends every order as fast as it is taken, has a group of
consumer processes write them to an SQLite file, kills some of them with SIGKILL on the way, and ends by comparing the
database with the orders: each must be there exactly once.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, MutableSequence
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import flights
import workers
from ledger import Ledger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

LOOK_EVERY_S = 0.1
START_TIMEOUT_S = 30
SPAWN = multiprocessing.get_context("spawn")


@dataclass
class Figures:
    """What the summary tells."""

    orders: int
    began: float = field(default_factory=time.monotonic)
    sent: int = 0
    sent_after_s: float = 0
    stored: int = 0
    stored_after_s: float = 0
    peak_depth: int = 0
    kills: int = 0

    def note(self, sent: int, stored: int, depth: int) -> None:
        """Take in how far things are."""
        elapsed_s = time.monotonic() - self.began
        if sent > self.sent:
            self.sent, self.sent_after_s = sent, elapsed_s
        if stored > self.stored:
            self.stored, self.stored_after_s = stored, elapsed_s
        self.peak_depth = max(self.peak_depth, depth)


class Group:
    """The consumer processes: some are killed, every one that ends is replaced."""

    def __init__(self, task: workers.Task, size: int) -> None:
        self._task = task
        self._size = size
        self._processes: list[SpawnProcess] = []

    def keep_up(self) -> None:
        """Start what is missing."""
        self._processes = [process for process in self._processes if process.is_alive()]
        while len(self._processes) < self._size:
            process = SPAWN.Process(target=workers.consume, args=(self._task,), daemon=True)
            process.start()
            self._processes.append(process)

    def kill_one(self) -> None:
        """SIGKILL: no handler, no clean-up, whatever it was doing."""
        victim = random.choice(self._processes)
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()

    def stop(self) -> None:
        """Let them finish what they have, and wait for it."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()


@contextlib.contextmanager
def server(endpoint_url: str | None, directory: Path) -> Iterator[str]:
    """The endpoint to use: the given one, or a Headrace server, its data in `directory`, that ends with this."""
    if endpoint_url:
        yield endpoint_url
        return
    command = [sys.executable, "-m", "headrace", "serve", "--port", "0", "--data", str(directory / "headrace")]
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


def depth(client: Any, queue_url: str) -> int:
    """Orders in the queue, waiting or in a consumer's hands."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


def watch(
    client: Any, task: workers.Task, group: Group, sent: MutableSequence[int], figures: Figures, kills: int
) -> None:
    """Show how far things are and kill consumers on the way, until all orders are stored and the queue is empty."""
    columns: list[str | ProgressColumn] = [
        "{task.description:<8}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        "{task.fields[more]}",
    ]
    shown = Progress(*(TextColumn(c) if isinstance(c, str) else c for c in columns))
    with Ledger(task.database) as ledger, shown as progress:
        sending = progress.add_task("sent", total=figures.orders, more="")
        storing = progress.add_task("stored", total=figures.orders, more="")
        while True:
            group.keep_up()
            waiting = depth(client, task.queue_url)
            figures.note(sum(sent), ledger.count(), waiting)
            more = f"queue {waiting:,} (peak {figures.peak_depth:,})"
            progress.update(sending, completed=figures.sent, more=more)
            progress.update(storing, completed=figures.stored, more=f"consumers killed {figures.kills}")
            while figures.kills < kills and figures.stored >= figures.orders * (figures.kills + 1) / (kills + 1):
                group.kill_one()
                group.keep_up()
                figures.kills += 1
            if figures.stored >= figures.orders and waiting == 0:
                return
            time.sleep(LOOK_EVERY_S)


def buffer_orders(task: workers.Task, client: Any, given: argparse.Namespace, figures: Figures) -> None:
    """Run the producers and the consumers until every order is stored."""
    sent = SPAWN.RawArray("q", given.producers)  # a slot each and no lock: a lock could die with a killed process
    producing = [
        SPAWN.Process(target=workers.produce, args=(task, number, given.producers, sent), daemon=True)
        for number in range(given.producers)
    ]
    group = Group(task, given.consumers)
    try:
        for process in producing:
            process.start()
        watch(client, task, group, sent, figures, given.kills)
    finally:
        group.stop()
        for process in producing:
            process.terminate()
            process.join()


def verdict(task: workers.Task) -> list[str]:
    """What is wrong with the database, compared with the orders; nothing when each is there exactly once."""
    with Ledger(task.database) as ledger:
        stored = ledger.documents()
    wrong = []
    for key, document in flights.orders(task.flights, task.limit):
        found = stored.pop(key, None)
        if found != document:
            wrong.append(f"missing: {key}" if found is None else f"differs: {key}")
    return wrong + [f"not an order: {key}" for key in stored]


def summary(figures: Figures, duplicates: int, wrong: list[str]) -> Table:
    """The figures as a table."""
    shown = Table(title="Order buffer", show_header=False, title_justify="left")
    for name, value in (
        ("orders", f"{figures.orders:,}"),
        ("spike: sent in", f"{figures.sent_after_s:.1f} s, {figures.orders / figures.sent_after_s:,.0f} orders/s"),
        ("stored in", f"{figures.stored_after_s:.1f} s, {figures.orders / figures.stored_after_s:,.0f} orders/s"),
        ("peak depth of the queue", f"{figures.peak_depth:,}"),
        ("consumers killed", f"{figures.kills}"),
        ("duplicates absorbed", f"{duplicates:,}"),
        ("each order exactly once", "yes" if not wrong else f"NO: {len(wrong):,} wrong"),
    ):
        shown.add_row(name, value)
    return shown


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Hold a surge of orders in a queue for a database that is slower.")
    parser.add_argument("--orders", type=int, help="only the first so many")
    parser.add_argument("--flights", type=Path, help="a CSV file with flights; downloaded by default")
    parser.add_argument("--producers", type=int, default=2, help="producer processes")
    parser.add_argument("--consumers", type=int, default=3, help="consumer processes")
    parser.add_argument("--kills", type=int, default=5, help="consumers killed on the way")
    parser.add_argument("--visibility-timeout", type=int, default=10, help="seconds until a killed one's orders return")
    parser.add_argument("--endpoint-url", help="an SQS endpoint; a server of its own by default")
    parser.add_argument("--database", type=Path, help="keep the SQLite file, which must not exist yet")
    return parser.parse_args()


def main() -> None:
    """Run the example; exit status 1 when an order is missing, changed or made up."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # as Ctrl-C: the processes started here end too
    if given.database and given.database.exists():
        sys.exit(f"{given.database} exists: name another file")
    try:
        file = given.flights or flights.fetch()
    except flights.FetchFailed as failure:
        sys.exit(str(failure))
    orders = sum(1 for _ in flights.orders(file, given.orders))
    with tempfile.TemporaryDirectory(prefix="order-buffer-") as temporary:
        directory = Path(temporary)
        database = given.database or directory / "orders.db"
        with server(given.endpoint_url, directory) as endpoint_url:
            client = workers.sqs(endpoint_url)
            attributes = {"VisibilityTimeout": str(given.visibility_timeout)}
            queue_url = client.create_queue(QueueName=f"orders-{os.getpid()}", Attributes=attributes)["QueueUrl"]
            task = workers.Task(endpoint_url, queue_url, file, given.orders, database)
            figures = Figures(orders)
            buffer_orders(task, client, given, figures)
            client.delete_queue(QueueUrl=queue_url)
        wrong = verdict(task)
        with Ledger(database) as ledger:
            Console().print(summary(figures, ledger.duplicates(), wrong))
        for line in wrong[:10]:
            print(line)
        sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
