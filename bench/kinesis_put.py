"""PutRecords of 500 small and of 100 larger records, and PutRecord, acknowledged when durable."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import load
import report
import servers
import streams

SHARDS = 64
CALLERS = 8
"""Connections for PutRecords: its calls are large, and a few keep the server busy."""
BLOCK_BYTES = 1024 * 1024
MEGABYTE = 1_000_000


def records(server: str, run: report.Run) -> Iterator[report.Figure]:
    """PutRecords of 500 x 200 B and of 100 x 10 KiB, the floor and the disk beside them."""
    with servers.floor() as floor, servers.running(server) as subject:
        stream = streams.Kinesis(subject.url).create("put", SHARDS)

        def compared(count: int, size: int) -> load.Comparison:
            def on(measured: servers.Server) -> load.Load:
                url, seconds = measured.url, run.seconds
                return measured.metered(
                    lambda: streams.putting(url, stream, seconds=seconds, count=count, size=size, connections=CALLERS)
                )

            return load.compare(
                lambda: on(floor),
                lambda: on(subject),
                lambda measured: measured.per_s("put"),
                run.rounds,
                base_rate=lambda measured: measured.requests_per_s * count,
            )

        small = compared(500, 200)
        yield report.Figure("PutRecords, 500 x 200 B", small.rate, "records/s", at_least=100_000)
        yield report.Figure("PutRecords, 500 x 200 B: the floor", small.base_rate, "records/s")
        yield report.Figure("PutRecords, 500 x 200 B: processor", small.cpu_us, "µs/record")
        yield from report.slowest("PutRecords, 500 x 200 B", small)
        large = compared(100, 10 * 1024)
        yield report.Figure("PutRecords, 100 x 10 KiB", large.rate * 10 * 1024 / MEGABYTE, "MB/s", at_least=150)
        yield report.Figure("PutRecords, 100 x 10 KiB: the floor", large.base_rate * 10 * 1024 / MEGABYTE, "MB/s")
        yield report.Figure("PutRecords, 100 x 10 KiB: processor", large.cpu_us, "µs/record")
        yield from report.slowest("PutRecords, 100 x 10 KiB", large)
        yield report.Figure("written and synced by 1 MiB to a file: the disk", _disk_mb_per_s(run.seconds), "MB/s")


def _disk_mb_per_s(seconds: float) -> float:
    """What the disk under the data directories takes when each MiB is synced."""
    block, written = os.urandom(BLOCK_BYTES), 0
    with servers.data_directory() as data, (data / "file").open("wb", buffering=0) as file:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            if written and written % (64 * BLOCK_BYTES) == 0:
                file.seek(0)
            written += file.write(block)
            os.fdatasync(file.fileno())
    return written / passed / MEGABYTE


def record(server: str, run: report.Run) -> Iterator[report.Figure]:
    """PutRecord of 200 B against the floor."""
    with servers.floor() as floor, servers.running(server) as subject:
        stream = streams.Kinesis(subject.url).create("put", SHARDS)
        compared = load.compare(
            lambda: floor.metered(lambda: streams.putting(floor.url, stream, seconds=run.seconds)),
            lambda: subject.metered(lambda: streams.putting(subject.url, stream, seconds=run.seconds)),
            lambda measured: measured.requests_per_s,
            run.rounds,
        )
        yield report.rated("PutRecord", "requests/s", compared, at_least=0.30)
        yield report.processor("PutRecord", "µs/request", compared)
        yield from report.slowest("PutRecord", compared)


if __name__ == "__main__":
    report.main({"put_records": records, "put_record": record})
