"""A stream that goes from 64 shards to 128 while it is written to: no call may fail, and nothing be lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import load
import report
import servers
import streams

SHARDS = 64
CALLERS = 8
BATCH = 100


def scenario(server: str, run: report.Run) -> Iterator[report.Figure]:
    """UpdateShardCount from 64 to 128 under PutRecords and under PutRecord."""
    with servers.running(server) as subject:
        for count, metric in ((BATCH, f"PutRecords({BATCH})"), (1, "PutRecord")):
            yield from _reshard(subject, metric, count, run)


def _reshard(subject: servers.Server, metric: str, count: int, run: report.Run) -> Iterator[report.Figure]:
    kinesis = streams.Kinesis(subject.url)
    stream = kinesis.create(f"reshard-{count}", SHARDS)

    def put() -> load.Load:
        return streams.putting(subject.url, stream, seconds=run.seconds, count=count, connections=CALLERS, failing=True)

    calm = load.answered(put())
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(put)
        time.sleep(run.seconds / 3)
        took = _timed(lambda: _double(kinesis, stream))
        during = busy.result()
    if took > run.seconds * 2 / 3:
        raise load.LoadFailed(f"resharding took {took:.1f} s, longer than the load; measure with more --seconds")
    name = f"64 to 128 shards under {metric}"
    failed = during.error_statuses + during.broken + during.counters["failed"]
    yield report.Figure(f"{name}: failed", failed, "calls", at_most=0)
    yield report.Figure(f"{name}: took", took * 1000, "ms")
    ratio = during.per_s("put") / calm.per_s("put")
    yield report.Figure(name, during.per_s("put"), "records/s", "before", calm.per_s("put"), ratio)
    yield report.Figure(f"{name}: p99", during.p99_ms, "ms")
    yield report.Figure(f"{name}: p99 before", calm.p99_ms, "ms")
    put_in_all = calm.counters["put"] + during.counters["put"]
    found = sum(kinesis.count(stream, shard) for shard in kinesis.shards(stream))
    yield report.Figure(f"{name}: acknowledged and lost", max(0, put_in_all - found), "records", at_most=0)


def _double(kinesis: streams.Kinesis, stream: str) -> None:
    kinesis.call("UpdateShardCount", StreamName=stream, TargetShardCount=2 * SHARDS, ScalingType="UNIFORM_SCALING")
    kinesis.active(stream)


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    report.main({"reshard": scenario})
