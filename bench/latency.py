"""How long a message takes from SendMessage to a long poll that waits for it, with nothing else going on."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator

import api
import report
import servers

SAMPLES = 300
SETTLE_S = 0.01
"""Between the poll's leaving and the send, so that the poll waits."""


def samples_ms(url: str, queue: str, samples: int) -> list[float]:
    """From just before the send leaves to the moment the receiver has the message."""
    polls, sends = api.Sqs(url), api.Sqs(url)
    taken: list[float] = []
    for _ in range(samples):
        arrived: list[float] = []
        receipts: list[str] = []

        def poll(arrived: list[float] = arrived, receipts: list[str] = receipts) -> None:
            answer = polls.call("ReceiveMessage", QueueUrl=queue, WaitTimeSeconds=20)
            arrived.append(time.perf_counter())
            receipts.append(answer["Messages"][0]["ReceiptHandle"])

        waiting = threading.Thread(target=poll)
        waiting.start()
        time.sleep(SETTLE_S)
        began = time.perf_counter()
        sends.call("SendMessage", QueueUrl=queue, MessageBody="x" * 200)
        waiting.join()
        taken.append((arrived[0] - began) * 1000)
        sends.call("DeleteMessage", QueueUrl=queue, ReceiptHandle=receipts[0])
    return taken


def echo_ms(url: str, samples: int) -> float:
    """The median round trip of one request at the floor, by the same client."""
    sqs = api.Sqs(url)
    taken = []
    for _ in range(samples):
        began = time.perf_counter()
        sqs.call("SendMessage", QueueUrl=url, MessageBody="x" * 200)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def scenario(server: str, run: report.Run) -> Iterator[report.Figure]:  # noqa: ARG001 - the number of samples is fixed
    """From send to a waiting receive."""
    with servers.floor() as floor, servers.running(server) as subject:
        queue = api.Sqs(subject.url).create("latency")
        taken = samples_ms(subject.url, queue, SAMPLES)
        yield report.Figure("send to waiting receive, median", statistics.median(taken), "ms", at_most=3)
        yield report.Figure("send to waiting receive, p99", statistics.quantiles(taken, n=100)[98], "ms")
        yield report.Figure("one round trip at the floor, median", echo_ms(floor.url, SAMPLES), "ms")


if __name__ == "__main__":
    report.main({"latency": scenario})
