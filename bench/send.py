"""SendMessage: 200-byte bodies, 32 connections, acknowledged when durable."""

from collections.abc import Iterator

import api
import load
import report
import servers


def scenario(server: str, run: report.Run) -> Iterator[report.Figure]:
    """SendMessage against the floor."""
    with servers.floor() as floor, servers.running(server) as subject:
        sqs = api.Sqs(subject.url)
        queue = sqs.create("send")
        compared = load.compare(
            lambda: floor.metered(lambda: load.sending(floor.url, queue, seconds=run.seconds)),
            lambda: subject.metered(lambda: load.sending(subject.url, queue, seconds=run.seconds)),
            lambda measured: measured.requests_per_s,
            run.rounds,
        )
        yield report.rated("SendMessage", "requests/s", compared, at_least=0.30)
        yield report.processor("SendMessage", "µs/request", compared)
        yield from report.slowest("SendMessage", compared, at_most=10)


if __name__ == "__main__":
    report.main({"send": scenario})
