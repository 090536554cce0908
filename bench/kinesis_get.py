"""GetRecords in batches of 10,000, and what a million records that are kept cost: memory, and a seek by time."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator

import load
import report
import servers
import streams

LIMIT = 10_000
READERS = 4
FILL_LIMIT_S = 60
"""A server too slow to take the records in this time is measured with what it has taken."""
SHARDS = 16
BEFORE = 20_000
"""Records that are there before memory is first looked at."""
KEPT = 1_000_000
SEEKS = 300
MEGABYTE = 1_000_000


def records(server: str, run: report.Run) -> Iterator[report.Figure]:
    """GetRecords in batches of 10,000 of 200 B, over and over through one shard."""
    with servers.floor() as floor, servers.running(server) as subject:
        kinesis = streams.Kinesis(subject.url)
        stream = kinesis.create("get", 1)
        streams.fill(subject.url, stream, run.messages // 2, FILL_LIMIT_S)
        shard = kinesis.shards(stream)[0]
        for readers in (1, READERS):

            def on(measured: servers.Server, *, echo: bool, readers: int = readers) -> load.Load:
                start, url, seconds = kinesis.iterator(stream, shard), measured.url, run.seconds
                return measured.metered(
                    lambda: streams.getting(url, start, seconds=seconds, limit=LIMIT, connections=readers, echo=echo)
                )

            compared = load.compare(
                lambda on=on: on(floor, echo=True),
                lambda on=on: on(subject, echo=False),
                lambda measured: measured.per_s("got"),
                run.rounds,
                base_rate=lambda measured: measured.requests_per_s,
            )
            metric = f"GetRecords(10,000), {readers} reader{'s'[: readers - 1]}"
            yield report.Figure(metric, compared.rate, "records/s", at_least=250_000)
            yield report.Figure(f"{metric}: the floor", compared.base_rate, "requests/s")
            yield report.Figure(f"{metric}: processor", compared.cpu_us, "µs/record")
            yield from report.slowest(metric, compared)


def kept(server: str, run: report.Run) -> Iterator[report.Figure]:
    """What memory grows by with a million records kept and read, and how long a seek by time takes among them."""
    with servers.floor() as floor, servers.running(server) as subject:
        kinesis = streams.Kinesis(subject.url)
        stream = kinesis.create("kept", SHARDS)
        streams.fill(subject.url, stream, BEFORE, FILL_LIMIT_S)
        before, began_at = subject.resident_bytes(), time.time()
        put = streams.fill(subject.url, stream, run.messages, FILL_LIMIT_S)
        yield report.Figure("records kept", put, "records")
        grown = (subject.resident_bytes() - before) / MEGABYTE
        yield report.Figure("records kept: memory grown by", grown, "MB", at_most=50)
        shards = kinesis.shards(stream)
        found = sum(kinesis.count(stream, shard) for shard in shards)
        if found < put:
            raise load.LoadFailed(f"{put - found} of {put} records are not there")
        grown = (subject.resident_bytes() - before) / MEGABYTE
        yield report.Figure("records kept: memory grown by, all read once", grown, "MB")
        taken = [_seek_ms(kinesis, stream, random.choice(shards), began_at) for _ in range(SEEKS)]
        yield report.Figure("seek by time, median", statistics.median(taken), "ms", at_most=5)
        yield report.Figure("seek by time, p99", statistics.quantiles(taken, n=100)[98], "ms")
        echoes = [_echo_ms(streams.Kinesis(floor.url), stream) for _ in range(SEEKS)]
        yield report.Figure("seek by time: a round trip at the floor, median", statistics.median(echoes), "ms")
        yield report.Figure(
            "seek by time: a round trip at the floor, p99", statistics.quantiles(echoes, n=100)[98], "ms"
        )


def _seek_ms(kinesis: streams.Kinesis, stream: str, shard: str, began_at: float) -> float:
    """An iterator at a moment at random since `began_at`."""
    at = random.uniform(began_at, time.time())
    began = time.perf_counter()
    kinesis.iterator(stream, shard, ShardIteratorType="AT_TIMESTAMP", Timestamp=at)
    return (time.perf_counter() - began) * 1000


def _echo_ms(kinesis: streams.Kinesis, stream: str) -> float:
    began = time.perf_counter()
    kinesis.call("GetShardIterator", StreamName=stream, ShardId="shardId-000000000000", Timestamp=time.time())
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    report.main({"get_records": records, "records_kept": kept})
