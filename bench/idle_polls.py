"""Long polls that wait for nothing: what 1,000 and 10,000 of them cost in processor and memory."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import api
import report
import servers

SETTLE_S = 3
WATCHED_S = 8
WAIT_S = 20


def raise_file_limit() -> int:
    """As many open files as this user may have; the number."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextlib.contextmanager
def waiting_polls(url: str, queue: str, count: int) -> Iterator[None]:
    """`count` connections, each with a long poll that waits."""
    address = urlsplit(url)
    request = api.raw_request(url, "ReceiveMessage", QueueUrl=queue, WaitTimeSeconds=WAIT_S)
    with contextlib.ExitStack() as sockets:
        for _ in range(count):
            connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=10)
            sockets.callback(connection.close)
            connection.sendall(request)
        yield


def scenario(server: str, run: report.Run) -> Iterator[report.Figure]:  # noqa: ARG001 - watched for a fixed time
    """Idle long polls."""
    limit = raise_file_limit()
    for count in (1000, 10_000):
        if count + 100 > limit:
            print(f"  skipped: {count:,} connections need more open files than {limit:,} (ulimit -n)")
            continue
        with servers.running(server) as subject:
            sqs = api.Sqs(subject.url)
            queue = sqs.create("idle")
            sqs.call("ReceiveMessage", QueueUrl=queue, WaitTimeSeconds=1)  # a first call compiles its model
            before = subject.resident_bytes()
            with waiting_polls(subject.url, queue, count):
                time.sleep(SETTLE_S)
                grown = subject.resident_bytes() - before
                used, began = subject.cpu_s(), time.monotonic()
                time.sleep(WATCHED_S)
                share = (subject.cpu_s() - used) / (time.monotonic() - began)
                goal = (2.0, 20.0) if count == 1000 else (None, None)
                yield report.Figure(f"{count:,} idle long polls: of a core", share * 100, "%", at_most=goal[0])
                yield report.Figure(f"{count:,} idle long polls: memory", grown / 1e6, "MB", at_most=goal[1])
            began = time.monotonic()
            sqs.waiting(queue)
            answered_ms = (time.monotonic() - began) * 1000
            yield report.Figure(f"{count:,} long polls hung up: next answer after", answered_ms, "ms")


if __name__ == "__main__":
    report.main({"idle_polls": scenario})
