"""A FIFO queue of 1,000 message groups against a standard queue of the same server (`--quotas none`)."""

from collections.abc import Callable, Iterator

import api
import load
import report
import servers
from receive_delete import drained

GROUPS = 1000


def scenario(server: str, run: report.Run) -> Iterator[report.Figure]:
    """FIFO over 1,000 groups against standard: send, send in batches, receive and delete."""
    with servers.running(server) as subject:
        sqs = api.Sqs(subject.url)
        standard, fifo = sqs.create("plain"), sqs.create("ordered", fifo=True)

        def sending(queue: str, groups: int, action: str) -> Callable[[], load.Load]:
            return lambda: subject.metered(
                lambda: load.sending(subject.url, queue, action=action, groups=groups, seconds=run.seconds)
            )

        for action, metric, size in (("one", "SendMessage", 1), ("batch", "SendMessageBatch(10)", 10)):
            base, ours = sending(standard, 0, action), sending(fifo, GROUPS, action)
            compared = load.compare(base, ours, lambda measured, size=size: measured.requests_per_s * size, run.rounds)
            yield report.rated(f"FIFO {metric}, 1,000 groups", "messages/s", compared, base="standard", at_least=0.6)
            yield report.processor(f"FIFO {metric}, 1,000 groups", "µs/message", compared, base="standard")
        for queue in (standard, fifo):
            sqs.call("PurgeQueue", QueueUrl=queue)
        compared = load.compare(
            lambda: drained(subject, standard, run.seconds),
            lambda: drained(subject, fifo, run.seconds, GROUPS),
            lambda measured: measured.per_s("deleted"),
            run.rounds,
        )
        yield report.rated("FIFO receive + delete, 1,000 groups", "messages/s", compared, base="standard", at_least=0.6)
        yield report.processor("FIFO receive + delete, 1,000 groups", "µs/message", compared, base="standard")


if __name__ == "__main__":
    report.main({"fifo": scenario})
