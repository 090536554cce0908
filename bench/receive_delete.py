"""ReceiveMessage(10) and DeleteMessageBatch(10) of what was received, 32 connections, from a filled queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import api
import load
import report
import servers

FILL_REQUESTS = 30_000
"""At most this many batches are put in before each measurement."""


class Metered(Protocol):
    """A server, or several that are used as one."""

    @property
    def url(self) -> str:
        """Where it is asked."""

    def metered(self, measured: Callable[[], load.Load]) -> load.Load:
        """See `Server.metered`."""


def drained(server: Metered, queue: str, seconds: float, groups: int = 0) -> load.Load:
    """Fill the queue, for as long as it will then be drained, and drain it."""
    if groups:
        api.Sqs(server.url).settled(queue)
    load.sending(server.url, queue, action="batch", groups=groups, seconds=seconds, count=FILL_REQUESTS)
    return server.metered(lambda: load.draining(server.url, queue, seconds=seconds))


def scenario(server: str, run: report.Run) -> Iterator[report.Figure]:
    """Receive and delete against the floor, in messages a second against requests a second."""
    with servers.floor() as floor, servers.running(server) as subject:
        queue = api.Sqs(subject.url).create("receive")
        compared = load.compare(
            lambda: floor.metered(lambda: load.echoed_draining(floor.url, queue, seconds=run.seconds)),
            lambda: drained(subject, queue, run.seconds),
            lambda measured: measured.per_s("deleted"),
            run.rounds,
            base_rate=lambda measured: measured.requests_per_s,
        )
        yield report.rated("ReceiveMessage(10) + DeleteMessageBatch(10)", "messages/s", compared, at_least=1.0)
        yield report.processor("ReceiveMessage(10) + DeleteMessageBatch(10)", "µs/message", compared)
        yield from report.slowest("ReceiveMessage(10) + DeleteMessageBatch(10)", compared)


if __name__ == "__main__":
    report.main({"receive_delete": scenario})
