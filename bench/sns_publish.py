"""Publish to topics that queues are subscribed to: one queue, many queues, and many with a filter each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import load
import report
import servers
import topics

QUEUES = 100
BATCH_QUEUES = 10
BATCH = 10
POLICIES = 1_000


def publish(server: str, run: report.Run) -> Iterator[report.Figure]:
    """Publish to a topic with one queue, raw and in the envelope that is signed, against the floor."""
    with servers.floor() as floor, servers.running(server) as subject:
        for metric, name, raw in (("Publish to a queue, raw", "raw", True), ("Publish to a queue", "wrapped", False)):
            topic = topics.with_queues(subject.url, name, 1, raw=raw)
            compared = load.compare(
                lambda topic=topic: floor.metered(lambda: load.publishing(floor.url, topic, seconds=run.seconds)),
                lambda topic=topic: subject.metered(lambda: load.publishing(subject.url, topic, seconds=run.seconds)),
                lambda measured: measured.requests_per_s,
                run.rounds,
            )
            yield report.rated(metric, "requests/s", compared, at_least=0.30)
            yield report.processor(metric, "µs/request", compared)
            yield from report.slowest(metric, compared)


def fanout(server: str, run: report.Run) -> Iterator[report.Figure]:
    """Deliveries to a hundred queues a message, and of ten messages a call to ten queues."""
    with servers.running(server) as subject:
        topic = topics.with_queues(subject.url, "many", QUEUES, raw=False)
        rate = _best(subject, topic, run, "one") * QUEUES
        yield report.Figure(f"Publish to {QUEUES} queues", rate, "deliveries/s", at_least=30_000)
        topic = topics.with_queues(subject.url, "some", BATCH_QUEUES, raw=False)
        rate = _best(subject, topic, run, "batch") * BATCH * BATCH_QUEUES
        yield report.Figure(f"PublishBatch(10) to {BATCH_QUEUES} queues", rate, "deliveries/s", at_least=40_000)
        topic = topics.with_queues(subject.url, "some-raw", BATCH_QUEUES, raw=True)
        rate = _best(subject, topic, run, "batch") * BATCH * BATCH_QUEUES
        yield report.Figure(f"PublishBatch(10) to {BATCH_QUEUES} queues, raw", rate, "deliveries/s", at_least=40_000)


def _best(subject: servers.Server, topic: str, run: report.Run, action: str, tenant: str = "") -> float:
    """Requests a second, the median of the rounds."""
    found = [
        load.publishing(subject.url, topic, seconds=run.seconds, action=action, tenant=tenant).requests_per_s
        for _ in range(run.rounds)
    ]
    return sorted(found)[len(found) // 2]


def filters(server: str, run: report.Run) -> Iterator[report.Figure]:
    """Publish to a topic with a thousand subscriptions of distinct policies, one of which matches."""
    policies: dict[str, list[dict[str, Any]]] = {
        "names": [{"tenant": [f"tenant-{at}"]} for at in range(POLICIES)],
        "prefixes and ranges": [
            {"tenant": [{"prefix": f"tenant-{at}"}], "price": [{"exists": False}, {"numeric": [">", at]}]}
            for at in range(POLICIES)
        ],
    }
    with servers.running(server) as subject:
        for kind, chosen in policies.items():
            topic = topics.with_filters(subject.url, kind.split()[0], chosen)
            rate = _best(subject, topic, run, "one", tenant=f"tenant-{POLICIES // 2}")
            metric = f"Publish, {POLICIES:,} policies on {kind}"
            yield report.Figure(metric, rate, "requests/s", at_least=1_500)


if __name__ == "__main__":
    report.main({"sns_publish": publish, "sns_fanout": fanout, "sns_filters": filters})
