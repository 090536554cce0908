"""SubscribeToShard: from a write to its push, what many consumers are given together, and readers that read nothing."""

from __future__ import annotations

import base64
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import api
import load
import report
import servers
import streams

CONSUMERS = 20
"""As many as a stream may have."""
SAMPLES = 300
PAUSE_S = 0.01
"""Between two writes, so that each is pushed by itself."""
SETTLE_S = 0.5
READERS = 2
"""Processes that share the consumers; where there are but two cores, they share them with the server."""
KEPT = 200_000
FILL_LIMIT_S = 60
READY_TIMEOUT_S = 30
TAKEOVER_S = 5
"""AWS: how long a consumer's subscription to a shard cannot be taken over by another."""
MEGABYTE = 1_000_000
LATEST = {"Type": "LATEST"}
OLDEST = {"Type": "TRIM_HORIZON"}


class Subscriber:
    """A process that takes the events of some consumers (`subscriber.py`)."""

    def __init__(self, url: str, consumers: list[str], shard: str, position: dict[str, str], **how: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "subscriber.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        asked = {"url": url, "consumers": consumers, "shard": shard, "position": position, "expected": 0, "aged": False}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked | how) + "\n")
        self._process.stdin.flush()

    def ready(self) -> None:
        """Return once every consumer has had its first event. Raises LoadFailed."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise load.LoadFailed("the subscriptions did not begin")

    def result(self) -> dict[str, Any]:
        """What it got, once it has ended. Raises LoadFailed."""
        printed, _ = self._process.communicate()
        if self._process.returncode:
            raise load.LoadFailed("a subscriber failed")
        found: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return found

    def stop(self) -> None:
        """End it, however far it is."""
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def subscribed(*given: Any, **how: Any) -> Iterator[Subscriber]:
    """A subscriber, stopped afterwards."""
    subscriber = Subscriber(*given, **how)
    try:
        yield subscriber
    finally:
        subscriber.stop()


def consumers(kinesis: streams.Kinesis, stream: str, count: int) -> list[str]:
    """Register consumers of the stream, and wait until they are ACTIVE; their ARNs."""
    summary = kinesis.call("DescribeStreamSummary", StreamName=stream)["StreamDescriptionSummary"]
    found = []
    for number in range(count):
        made = kinesis.call("RegisterStreamConsumer", StreamARN=summary["StreamARN"], ConsumerName=f"c-{number}")
        arn = made["Consumer"]["ConsumerARN"]
        until = time.monotonic() + READY_TIMEOUT_S
        while _status(kinesis, arn) != "ACTIVE":
            if time.monotonic() > until:
                raise api.CallFailed(f"{arn} was not ACTIVE within {READY_TIMEOUT_S} s")
            time.sleep(0.01)
        found.append(arn)
    return found


def _status(kinesis: streams.Kinesis, arn: str) -> str:
    described = kinesis.call("DescribeStreamConsumer", ConsumerARN=arn)
    return str(described["ConsumerDescription"]["ConsumerStatus"])


def pushed(server: str, run: report.Run) -> Iterator[report.Figure]:  # noqa: ARG001 - the number of samples is fixed
    """From a PutRecord to the event that brings it, with 1 consumer and with 20 on one shard."""
    with servers.floor() as floor:
        for count, at_most in ((1, 5), (CONSUMERS, 20)):
            with servers.running(server) as subject:
                ages = _ages_ms(subject.url, count)
                if len(ages) < SAMPLES * count:
                    raise load.LoadFailed(f"{len(ages)} of {SAMPLES * count} records were pushed")
            metric = f"write to push, {count} consumer{'s'[: count - 1]}"
            yield report.Figure(f"{metric}: median", statistics.median(ages), "ms", at_most=at_most)
            yield report.Figure(f"{metric}: p99", statistics.quantiles(ages, n=100)[98], "ms")
        yield report.Figure("write to push: one round trip at the floor, median", _echo_ms(floor.url), "ms")


def _ages_ms(url: str, count: int) -> list[float]:
    """How old records are when their events have come, from just before their PutRecord leaves."""
    kinesis = streams.Kinesis(url)
    stream = kinesis.create("pushed", 1)
    arns, shard = consumers(kinesis, stream, count), kinesis.shards(stream)[0]
    with subscribed(url, arns, shard, LATEST, seconds=60, expected=SAMPLES, aged=True) as subscriber:
        subscriber.ready()
        time.sleep(SETTLE_S)
        for _ in range(SAMPLES):
            _put_time(kinesis, stream)
            time.sleep(PAUSE_S)
        ages: list[float] = subscriber.result()["ages_ms"]
        return ages


def _put_time(kinesis: streams.Kinesis, stream: str) -> None:
    data = base64.b64encode(b"%0200d" % time.monotonic_ns()).decode()
    kinesis.call("PutRecord", StreamName=stream, PartitionKey="key", Data=data)


def _echo_ms(url: str) -> float:
    """The median round trip of a PutRecord at the floor."""
    kinesis, taken = streams.Kinesis(url), []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        _put_time(kinesis, "pushed")
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def together(server: str, run: report.Run) -> Iterator[report.Figure]:
    """What 20 consumers of one shard are given together, each of them all that is kept."""
    rates, cpu_us = [], []
    for _ in range(run.rounds):
        with servers.running(server) as subject:
            kinesis = streams.Kinesis(subject.url)
            stream = kinesis.create("together", 1)
            kept = streams.fill(subject.url, stream, min(KEPT, run.messages), FILL_LIMIT_S)
            arns, shard = consumers(kinesis, stream, CONSUMERS), kinesis.shards(stream)[0]
            cpu_s = subject.cpu_s()
            found = _read_all(subject.url, arns, shard, seconds=run.seconds * 5, expected=kept)
            records = sum(each["records"] for each in found)
            rates.append(records / max(each["seconds"] for each in found))
            cpu_us.append((subject.cpu_s() - cpu_s) * 1e6 / records)
    yield report.Figure(
        f"SubscribeToShard, {CONSUMERS} consumers", statistics.median(rates), "records/s", at_least=300_000
    )
    yield report.Figure(f"SubscribeToShard, {CONSUMERS} consumers: processor", statistics.median(cpu_us), "µs/record")


def _read_all(url: str, arns: list[str], shard: str, *, seconds: float, expected: int) -> list[dict[str, Any]]:
    """What some subscribers that share the consumers have got."""
    with contextlib.ExitStack() as stack:
        found = [
            stack.enter_context(
                subscribed(url, arns[number::READERS], shard, OLDEST, seconds=seconds, expected=expected)
            )
            for number in range(READERS)
        ]
        return [subscriber.result() for subscriber in found]


def idle(server: str, run: report.Run) -> Iterator[report.Figure]:
    """19 consumers that read nothing of a full shard: what they cost in memory, and what they cost one that reads."""
    with servers.running(server) as subject:
        kinesis = streams.Kinesis(subject.url)
        stream = kinesis.create("idle", 1)
        arns, shard = consumers(kinesis, stream, CONSUMERS), kinesis.shards(stream)[0]
        kept = streams.fill(subject.url, stream, min(KEPT, run.messages), FILL_LIMIT_S)
        alone = _alone(subject.url, arns[0], shard, kept, run)
        before = subject.resident_bytes()
        with subscribed(subject.url, arns[1:], shard, OLDEST, seconds=600, idle=True) as idlers:
            idlers.ready()
            time.sleep(SETTLE_S)
            streams.fill(subject.url, stream, min(KEPT, run.messages), FILL_LIMIT_S)
            grown = (subject.resident_bytes() - before) / MEGABYTE
            yield report.Figure(f"{CONSUMERS - 1} consumers that read nothing: memory", grown, "MB", at_most=50)
            time.sleep(TAKEOVER_S)
            beside = _alone(subject.url, arns[0], shard, kept, run)
        yield report.Figure(
            "a consumer beside 19 that read nothing", beside, "records/s", "alone", alone, beside / alone
        )


def _alone(url: str, arn: str, shard: str, kept: int, run: report.Run) -> float:
    """Records a second that one consumer is given."""
    with subscribed(url, [arn], shard, OLDEST, seconds=run.seconds * 5, expected=kept) as subscriber:
        found = subscriber.result()
    return float(found["records"] / found["seconds"])


if __name__ == "__main__":
    report.main({"fan_out_pushed": pushed, "fan_out_together": together, "fan_out_idle": idle})
