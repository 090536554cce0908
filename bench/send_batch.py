"""SendMessageBatch: ten 200-byte bodies a call, 32 connections, acknowledged when durable."""

from collections.abc import Iterator

import api
import load
import report
import servers


def scenario(server: str, run: report.Run) -> Iterator[report.Figure]:
    """SendMessageBatch of 10 against the floor, in messages a second against requests a second."""
    with servers.floor() as floor, servers.running(server) as subject:
        sqs = api.Sqs(subject.url)
        queue = sqs.create("send-batch")
        compared = load.compare(
            lambda: floor.metered(lambda: load.sending(floor.url, queue, action="batch", seconds=run.seconds)),
            lambda: subject.metered(lambda: load.sending(subject.url, queue, action="batch", seconds=run.seconds)),
            lambda measured: measured.requests_per_s * 10,
            run.rounds,
            base_rate=lambda measured: measured.requests_per_s,
        )
        yield report.rated("SendMessageBatch(10)", "messages/s", compared, at_least=1.2)
        yield report.processor("SendMessageBatch(10)", "µs/message", compared)
        yield from report.slowest("SendMessageBatch(10)", compared)


if __name__ == "__main__":
    report.main({"send_batch": scenario})
