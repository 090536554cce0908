"""A queue with 1,000,000 messages waiting against a queue with 1,000, standard and FIFO: rates, memory, restart."""

from __future__ import annotations

import contextlib
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import api
import load
import report
import servers

FEW = 1000
SHRINKING_PASSES = 10

FILL_LIMIT_S = 150
"""A server too slow to take the backlog in this time is measured with what it has taken."""


@dataclass(frozen=True)
class Backlog:
    """A server with one queue that holds something."""

    server: servers.Server
    queue: str
    groups: int
    data: Path


def fill(sqs: api.Sqs, queue: str, groups: int, messages: int) -> int:
    """Send batches until about `messages` wait, or the time is up; how many do."""
    until = time.monotonic() + FILL_LIMIT_S
    while (waiting := sqs.waiting(queue)) < messages and time.monotonic() < until:
        count = max(1, (messages - waiting) // 10)
        load.sending(sqs.url, queue, action="batch", groups=groups, seconds=min(20, FILL_LIMIT_S), count=count)
    return waiting


@contextlib.contextmanager
def _backlog(name: str, groups: int) -> Iterator[Backlog]:
    with servers.data_directory() as data:
        server = servers.start(name, data)
        try:
            queue = api.Sqs(server.url).create("backlog", fifo=groups > 0)
            yield Backlog(server, queue, groups, data)
        finally:
            server.stop(signal.SIGKILL)


def _rates(kind: str, few: Backlog, many: Backlog, waiting: int, run: report.Run) -> Iterator[report.Figure]:
    """Each rate with many messages waiting against the same with few.

    Sending, receiving and deleting in turn keeps the depth; a queue that was only sent to is brought back to its few.
    """
    base = f"{FEW:,} waiting"

    def working(backlog: Backlog) -> load.Load:
        if backlog.groups:
            api.Sqs(backlog.server.url).settled(backlog.queue)
        return load.working(backlog.server.url, backlog.queue, seconds=run.seconds, groups=backlog.groups)

    compared = load.compare(
        lambda: working(few), lambda: working(many), lambda measured: measured.per_s("deleted"), run.rounds
    )
    yield report.rated(
        f"{kind}, {waiting:,}: send+receive+delete by 10", "messages/s", compared, base=base, at_least=0.9
    )
    for action, metric, size in (("one", "SendMessage", 1), ("batch", "SendMessageBatch(10)", 10)):

        def sending(backlog: Backlog, action: str = action) -> load.Load:
            url, queue, groups = backlog.server.url, backlog.queue, backlog.groups
            sent = load.sending(url, queue, action=action, groups=groups, seconds=run.seconds)
            if backlog is few:
                _shrink(backlog, run)
            return sent

        compared = load.compare(
            lambda s=sending: s(few),
            lambda s=sending: s(many),
            lambda measured, size=size: measured.requests_per_s * size,
            run.rounds,
        )
        yield report.rated(f"{kind}, {waiting:,}: {metric}", "messages/s", compared, base=base, at_least=0.9)


def _shrink(backlog: Backlog, run: report.Run) -> None:
    """Bring the small queue back to its size."""
    sqs = api.Sqs(backlog.server.url)
    for _ in range(SHRINKING_PASSES):
        if backlog.groups:
            sqs.settled(backlog.queue)
        if sqs.waiting(backlog.queue) <= FEW:
            break
        load.draining(backlog.server.url, backlog.queue, seconds=run.seconds)
    fill(sqs, backlog.queue, backlog.groups, FEW)
    sqs.close()


def _restarts(kind: str, name: str, many: Backlog, waiting: int) -> Iterator[report.Figure]:
    """Restart to the first answer, after an orderly stop and after kill -9."""
    server = many.server
    for how, words in ((signal.SIGTERM, "stop"), (signal.SIGKILL, "kill -9")):
        server.stop(how)
        began = time.monotonic()
        server = servers.start(name, many.data)
        yield report.Figure(f"{kind}: ready again after {words}", time.monotonic() - began, "s", at_most=2)
        sqs = api.Sqs(server.url)
        found = sqs.waiting(many.queue)
        yield report.Figure(f"{kind}: and its depth known after {words}", time.monotonic() - began, "s", at_most=2)
        if found < waiting:
            raise load.LoadFailed(f"{waiting - found} of {waiting} messages are gone after {words}")
    server.stop(signal.SIGKILL)


def _measure(kind: str, name: str, run: report.Run, groups: int) -> Iterator[report.Figure]:
    with _backlog(name, groups) as few, _backlog(name, groups) as many:
        sqs = api.Sqs(many.server.url)
        fill(api.Sqs(few.server.url), few.queue, few.groups, FEW)
        fill(sqs, many.queue, many.groups, FEW)
        before = many.server.resident_bytes()
        waiting = fill(sqs, many.queue, many.groups, run.messages)
        grown = many.server.resident_bytes() - before
        yield report.Figure(f"{kind}: messages waiting", waiting, "messages")
        yield report.Figure(f"{kind}: memory grown by", grown / 1e6, "MB", at_most=100)
        yield from _rates(kind, few, many, waiting, run)
        after = many.server.resident_bytes() - before
        yield report.Figure(f"{kind}: memory grown by, after all that", after / 1e6, "MB", at_most=100)
        asked = [_depth_ms(sqs, many.queue) for _ in range(20)]
        yield report.Figure(f"{kind}: asking for the depth", statistics.median(asked), "ms")
        sqs.settled(many.queue)
        waiting = sqs.waiting(many.queue)
        if name == "headrace":  # the peers forget everything
            yield from _restarts(kind, name, many, waiting)


def _depth_ms(sqs: api.Sqs, queue: str) -> float:
    began = time.perf_counter()
    sqs.waiting(queue)
    return (time.perf_counter() - began) * 1000


def standard(server: str, run: report.Run) -> Iterator[report.Figure]:
    """1,000,000 messages waiting in a standard queue."""
    yield from _measure("backlog", server, run, 0)


def fifo(server: str, run: report.Run) -> Iterator[report.Figure]:
    """1,000,000 messages waiting in 100,000 message groups of a FIFO queue; what is sent to either is of as many."""
    yield from _measure("FIFO backlog", server, run, run.groups)


if __name__ == "__main__":
    report.main({"backlog": standard, "backlog_fifo": fifo})
