"""The cluster engine: Headrace processes in front of one NATS server, on this machine, beside the floor.

The server syncs every write before it acknowledges (`sync_interval: always`), as docs/CLUSTER.md has it, or every two
minutes, as it does by default. What both layers use of the processors is told apart.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import functools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import api
import load
import report
import servers
import streams
from headrace.engines.nats.embedded import NatsServer, start_cluster
from receive_delete import drained

SYNCED, UNSYNCED = "always", "2m"
GROUPS = 1_000
SHARDS = 64
PUT_CALLERS = 8
READERS = 4
READ_RECORDS = 10_000
FILL_S = 20
MEGABYTE = 1_000_000

Loading = Callable[[], load.Load]


@dataclasses.dataclass
class Cluster:
    """NATS servers, usually one, and the Headrace processes in front of them."""

    nats: list[NatsServer]
    processes: list[servers.Server]

    @property
    def url(self) -> str:
        """The first process's."""
        return self.processes[0].url

    def metered(self, measured: Loading) -> load.Load:
        """Put a load on, and note what processor time either layer used for it."""
        before_s = sum(process.cpu_s() for process in self.processes)
        behind_s = self._nats_cpu_s()
        found = measured()
        used_s = sum(process.cpu_s() for process in self.processes) - before_s
        return dataclasses.replace(found, cpu_s=used_s, behind_cpu_s=self._nats_cpu_s() - behind_s)

    @property
    def nats_urls(self) -> str:
        """All NATS servers."""
        return ",".join(server.url for server in self.nats)

    def nats_bytes(self) -> int:
        """Resident memory of the first NATS server."""
        return int(Path(f"/proc/{self.nats[0].pid}/statm").read_text().split()[1]) * 4096

    def _nats_cpu_s(self) -> float:
        return sum(servers.cpu_of(server.pid) for server in self.nats)


@contextlib.contextmanager
def clustered(processes: int = 1, sync_interval: str = SYNCED, nats_servers: int = 1) -> Iterator[Cluster]:
    """Fresh NATS servers, each with a copy of everything, and so many Headrace processes, all ended afterwards."""
    with servers.data_directory() as data, contextlib.ExitStack() as stack:
        nats = asyncio.run(start_cluster(data / "nats", nats_servers, sync_interval=sync_interval))
        for server in nats:
            stack.callback(server.kill)
        cluster = Cluster(nats, [])
        options = ("--engine", "nats", "--nats", cluster.nats_urls, "--replicas", str(nats_servers))
        for _ in range(processes):
            one = servers.start_headrace(data, *options)
            stack.callback(one.stop, signal.SIGKILL)
            cluster.processes.append(one)
        yield cluster


def _figures(
    metric: str, unit: str, compared: load.Comparison, *, base: str = "floor", at_least: float | None = None
) -> Iterator[report.Figure]:
    one = unit.partition("s/")[0]
    yield report.rated(metric, unit, compared, base=base, at_least=at_least)
    yield report.Figure(f"{metric}: processor, Headrace", compared.cpu_us, f"µs/{one}")
    yield report.Figure(f"{metric}: processor, NATS", compared.behind_cpu_us, f"µs/{one}")
    yield report.slowest(metric, compared)[0]


def _against_floor(
    run: report.Run,
    metric: str,
    base: Callable[[str, str], load.Load],
    subject: Callable[[Cluster, str], load.Load],
    rate: Callable[[load.Load], float],
    at_least: float,
) -> Iterator[report.Figure]:
    """A load on a queue against the floor's requests, on a NATS server that syncs and on one that does not."""
    unit = "requests/s" if metric.endswith("SendMessage") else "messages/s"
    for sync_interval, how in ((SYNCED, ""), (UNSYNCED, ", synced every 2 min")):
        with servers.floor() as floor, clustered(1, sync_interval) as cluster:
            queue = api.Sqs(cluster.url).create("measured")
            compared = load.compare(
                functools.partial(floor.metered, functools.partial(base, floor.url, queue)),
                functools.partial(subject, cluster, queue),
                rate,
                run.rounds,
                base_rate=lambda measured: measured.requests_per_s,
            )
            yield from _figures(metric + how, unit, compared, at_least=at_least)


def _sending(run: report.Run, metric: str, action: str, size: int, at_least: float) -> Iterator[report.Figure]:
    def sending(url: str, queue: str) -> load.Load:
        return load.sending(url, queue, action=action, seconds=run.seconds)

    def on(cluster: Cluster, queue: str) -> load.Load:
        return cluster.metered(lambda: sending(cluster.url, queue))

    def rate(measured: load.Load) -> float:
        return measured.requests_per_s * size

    yield from _against_floor(run, metric, sending, on, rate, at_least)


def send(_server: str, run: report.Run) -> Iterator[report.Figure]:
    """SendMessage on the cluster engine against the floor."""
    yield from _sending(run, "cluster: SendMessage", "one", 1, 0.25)


def send_batch(_server: str, run: report.Run) -> Iterator[report.Figure]:
    """SendMessageBatch of 10 on the cluster engine, in messages a second against requests a second."""
    yield from _sending(run, "cluster: SendMessageBatch(10)", "batch", 10, 0.7)


def receive_delete(_server: str, run: report.Run) -> Iterator[report.Figure]:
    """Receive and delete on the cluster engine, in messages a second against requests a second."""
    metric = "cluster: ReceiveMessage(10) + DeleteMessageBatch(10)"

    def draining(url: str, queue: str) -> load.Load:
        return load.echoed_draining(url, queue, seconds=run.seconds)

    def on(cluster: Cluster, queue: str) -> load.Load:
        return drained(cluster, queue, run.seconds)

    yield from _against_floor(run, metric, draining, on, lambda measured: measured.per_s("deleted"), 0.5)


def fifo(_server: str, run: report.Run) -> Iterator[report.Figure]:
    """FIFO over 1,000 groups on the cluster engine: each connection sends, receives and deletes ten in turn."""
    with servers.floor() as floor, clustered() as cluster:
        sqs = api.Sqs(cluster.url)
        queue = sqs.create("ordered", fifo=True)
        compared = load.compare(
            lambda: floor.metered(lambda: load.echoed_draining(floor.url, queue, seconds=run.seconds)),
            lambda: cluster.metered(lambda: load.working(cluster.url, queue, groups=GROUPS, seconds=run.seconds)),
            lambda measured: measured.per_s("deleted"),
            run.rounds,
            base_rate=lambda measured: measured.requests_per_s,
        )
        metric = "cluster: FIFO send + receive + delete, 1,000 groups"
        yield report.Figure(metric, compared.rate, "messages/s", at_least=3_000)
        yield report.Figure(f"{metric}: the floor", compared.base_rate, "requests/s")
        yield report.Figure(f"{metric}: processor, Headrace", compared.cpu_us, "µs/message")
        yield report.Figure(f"{metric}: processor, NATS", compared.behind_cpu_us, "µs/message")


def put_records(_server: str, run: report.Run) -> Iterator[report.Figure]:
    """PutRecords of 500 x 200 B on the cluster engine."""
    with servers.floor() as floor, clustered() as cluster:
        stream = streams.Kinesis(cluster.url).create("put", SHARDS)

        def putting(url: str) -> load.Load:
            return streams.putting(url, stream, seconds=run.seconds, count=500, size=200, connections=PUT_CALLERS)

        compared = load.compare(
            lambda: floor.metered(lambda: putting(floor.url)),
            lambda: cluster.metered(lambda: putting(cluster.url)),
            lambda measured: measured.per_s("put"),
            run.rounds,
            base_rate=lambda measured: measured.requests_per_s * 500,
        )
        yield from _records("cluster: PutRecords, 500 x 200 B", compared, 60_000, "records/s")


def get_records(_server: str, run: report.Run) -> Iterator[report.Figure]:
    """GetRecords in batches of 10,000 of 200 B on the cluster engine, over and over through one shard."""
    with servers.floor() as floor, clustered() as cluster:
        kinesis = streams.Kinesis(cluster.url)
        stream = kinesis.create("get", 1)
        streams.fill(cluster.url, stream, run.messages // 2, FILL_S)
        shard = kinesis.shards(stream)[0]

        def getting(url: str, *, echo: bool) -> load.Load:
            start = kinesis.iterator(stream, shard)
            return streams.getting(url, start, seconds=run.seconds, limit=READ_RECORDS, connections=READERS, echo=echo)

        compared = load.compare(
            lambda: floor.metered(lambda: getting(floor.url, echo=True)),
            lambda: cluster.metered(lambda: getting(cluster.url, echo=False)),
            lambda measured: measured.per_s("got"),
            run.rounds,
            base_rate=lambda measured: measured.requests_per_s,
        )
        yield from _records("cluster: GetRecords(10,000)", compared, 100_000, "requests/s")


def _records(metric: str, compared: load.Comparison, at_least: float, base_unit: str) -> Iterator[report.Figure]:
    yield report.Figure(metric, compared.rate, "records/s", at_least=at_least)
    yield report.Figure(f"{metric}: the floor", compared.base_rate, base_unit)
    yield report.Figure(f"{metric}: processor, Headrace", compared.cpu_us, "µs/record")
    yield report.Figure(f"{metric}: processor, NATS", compared.behind_cpu_us, "µs/record")


def two(_server: str, run: report.Run) -> Iterator[report.Figure]:
    """Two Headrace processes against one: each asked for the queue that it keeps, and for the other's."""
    with clustered(1) as one, clustered(2) as both:
        alone = [api.Sqs(one.url).create(name) for name in ("a", "b")]
        pair = [api.Sqs(process.url).create(name) for process, name in zip(both.processes, "ab", strict=True)]
        for process, queue in zip(both.processes, pair, strict=True):
            api.Sqs(process.url).call("SendMessage", QueueUrl=queue, MessageBody="the first to ask keeps it")

        def base() -> load.Load:
            return one.metered(lambda: _together([(one.url, queue) for queue in alone], run.seconds))

        for how, queues in (("own queue", pair), ("the other's queue", pair[::-1])):
            targets = [(process.url, queue) for process, queue in zip(both.processes, queues, strict=True)]
            compared = load.compare(
                base,
                lambda targets=targets: both.metered(lambda: _together(targets, run.seconds)),
                lambda measured: measured.requests_per_s,
                run.rounds,
            )
            metric = f"cluster: SendMessage by two processes, {how}"
            yield from _figures(metric, "requests/s", compared, base="one process")
            yield report.Figure(f"{metric}: one process's processor", compared.base_cpu_us, "µs/request")


def _together(targets: list[tuple[str, str]], seconds: float) -> load.Load:
    """SendMessage to several queues at once, by a wrk each with half of the connections."""
    connections = load.CONNECTIONS // len(targets)
    with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
        found = list(
            pool.map(
                lambda target: load.sending(*target, seconds=seconds, connections=connections),
                targets,
            )
        )
    return dataclasses.replace(
        found[0],
        requests=sum(one.requests for one in found),
        p99_ms=max(one.p99_ms for one in found),
    )


def replicas(_server: str, run: report.Run) -> Iterator[report.Figure]:
    """Three NATS servers that each keep a copy, against one: what the copies cost; all of them share this machine."""
    with clustered() as one, clustered(nats_servers=3) as three:
        queues = [api.Sqs(cluster.url).create("copied") for cluster in (one, three)]
        for action, metric, size in (("one", "SendMessage", 1), ("batch", "SendMessageBatch(10)", 10)):
            base, subject = (
                functools.partial(
                    cluster.metered,
                    functools.partial(load.sending, cluster.url, queue, action=action, seconds=run.seconds),
                )
                for cluster, queue in zip((one, three), queues, strict=True)
            )
            compared = load.compare(
                base, subject, lambda measured, size=size: measured.requests_per_s * size, run.rounds
            )
            unit = "requests/s" if size == 1 else "messages/s"
            yield from _figures(f"cluster: {metric}, three copies", unit, compared, base="one copy")


def backlog(_server: str, run: report.Run) -> Iterator[report.Figure]:
    """What waiting messages cost on the cluster engine: memory of both layers, and the time to take the queue up."""
    for fifo_groups in (0, GROUPS):
        with clustered() as cluster:
            sqs = api.Sqs(cluster.url)
            queue = sqs.create("waiting", fifo=bool(fifo_groups))
            load.sending(cluster.url, queue, action="batch", seconds=1, groups=fifo_groups)
            first, before = sqs.waiting(queue), cluster.processes[0].resident_bytes()
            count = run.messages // 10
            load.sending(cluster.url, queue, action="batch", seconds=FILL_S, groups=fifo_groups, count=count)
            there = sqs.waiting(queue) - first
            kind = "FIFO" if fifo_groups else "standard"
            grown = cluster.processes[0].resident_bytes() - before
            yield report.Figure(f"cluster: waiting messages, {kind}", there, "messages")
            yield report.Figure(f"cluster: memory of Headrace, {kind}", grown / there, "bytes/message")
            yield report.Figure(f"cluster: memory of NATS, {kind}, in all", cluster.nats_bytes() / MEGABYTE, "MB")
            yield report.Figure(f"cluster: time to take it up, {kind}", _taken_up_s(cluster, queue), "s")


def _taken_up_s(cluster: Cluster, queue: str) -> float:
    """Processor time until a second process has read the queue's journal, after the first was killed."""
    with servers.data_directory() as data:
        cluster.processes[0].stop(signal.SIGKILL)
        second = servers.start_headrace(data, "--engine", "nats", "--nats", cluster.nats_urls)
        try:
            began_s = second.cpu_s()
            api.Sqs(second.url).waiting(queue)
            return second.cpu_s() - began_s
        finally:
            second.stop(signal.SIGKILL)


SCENARIOS: dict[str, report.Scenario] = {
    "cluster_send": send,
    "cluster_send_batch": send_batch,
    "cluster_receive_delete": receive_delete,
    "cluster_fifo": fifo,
    "cluster_put_records": put_records,
    "cluster_get_records": get_records,
    "cluster_two": two,
    "cluster_replicas": replicas,
    "cluster_backlog": backlog,
}

if __name__ == "__main__":
    report.main(SCENARIOS)
