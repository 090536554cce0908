"""Deliveries over HTTP: to an endpoint that is fast, beside others that are slow or dead, and what retries take."""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
from collections.abc import Iterator

import load
import report
import servers
import topics

MESSAGES = 12_000
WAITING = 100_000
TIMEOUT_S = 120
MEGABYTE = 1_000_000


def deliver(server: str, run: report.Run) -> Iterator[report.Figure]:
    """Deliveries a second to a fast endpoint, alone and beside a slow and a dead one."""
    with servers.sink() as sink, servers.running(server) as subject:
        sns = topics.Sns(subject.url)
        alone, beside, raw = [], [], []
        for number in range(run.rounds):
            topic = _subscribed(sns, f"raw-{number}", sink.url, RawMessageDelivery="true")
            raw.append(_rate(subject.url, sink.url, topic, f"/raw-{number}"))
            topic = _subscribed(sns, f"alone-{number}", sink.url)
            alone.append(_rate(subject.url, sink.url, topic, f"/alone-{number}"))
            topic = _subscribed(sns, f"beside-{number}", sink.url)
            _add(sns, topic, f"{sink.url}/slow", 2)
            with servers.sink() as dying:
                _add(sns, topic, f"{dying.url}/", 3)
            beside.append(_rate(subject.url, sink.url, topic, f"/beside-{number}"))
        yield report.Figure("HTTP to a fast endpoint, raw", statistics.median(raw), "deliveries/s", at_least=3_000)
        yield report.Figure("HTTP to a fast endpoint", statistics.median(alone), "deliveries/s", at_least=3_000)
        ratio = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
        metric = "HTTP to a fast endpoint, beside a slow and a dead one"
        base = statistics.median(alone)
        yield report.Figure(metric, statistics.median(beside), "deliveries/s", "alone", base, ratio, at_least=0.9)


def _subscribed(sns: topics.Sns, name: str, sink_url: str, **attributes: str) -> str:
    """A topic that the sink's path of the same name is subscribed to; its ARN."""
    topic = sns.create(name)
    _add(sns, topic, f"{sink_url}/{name}", 1, **attributes)
    return topic


def _add(sns: topics.Sns, topic: str, endpoint: str, number: int, **attributes: str) -> None:
    """Subscribe an endpoint, the topic's `number`-th, and wait until it has confirmed."""
    sns.subscribe(topic, "http", endpoint, **attributes)
    sns.confirmed(topic, number)


def _rate(url: str, sink_url: str, topic: str, path: str) -> float:
    """Deliveries a second, from the first publish until the endpoint has got everything."""
    began = time.monotonic()
    topics.publish(url, topic, MESSAGES)
    wanted = MESSAGES
    while (got := _got(sink_url, path)) < wanted:
        if time.monotonic() - began > TIMEOUT_S:
            raise load.LoadFailed(f"only {got} of {wanted} messages were delivered within {TIMEOUT_S} s")
        time.sleep(0.02)
    return got / (time.monotonic() - began)


def _got(sink_url: str, path: str) -> int:
    with urllib.request.urlopen(sink_url, timeout=30) as answer:
        return int(json.load(answer).get(path, 0))


def retries(server: str, run: report.Run) -> Iterator[report.Figure]:  # noqa: ARG001 - the number is fixed
    """What memory grows by when a hundred thousand deliveries wait for an endpoint that is gone."""
    with servers.running(server) as subject:
        sns = topics.Sns(subject.url)
        topic = sns.create("waiting")
        with servers.sink() as dying:
            _add(sns, topic, f"{dying.url}/", 1)
        topics.publish(subject.url, topic, 1_000)
        before = subject.resident_bytes()
        topics.publish(subject.url, topic, WAITING)
        grown = (subject.resident_bytes() - before) / MEGABYTE
        yield report.Figure(f"{WAITING:,} deliveries that wait: memory", grown, "MB", at_most=100)


if __name__ == "__main__":
    report.main({"sns_http": deliver, "sns_retries": retries})
