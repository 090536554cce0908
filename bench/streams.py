"""The Kinesis calls that scenarios make themselves, and the loads that `wrk` puts on streams."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

import api
import load

REGION = "us-east-1"
ACTIVE_TIMEOUT_S = 60
FILLED_BY = 500
HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": (
        f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/kinesis/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={'0' * 64}"
    ),
}


class Kinesis:
    """A connection to a Kinesis endpoint."""

    def __init__(self, url: str, *, timeout_s: float = 120) -> None:
        self.url = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout_s)
        self._used_at = 0.0

    def call(self, action: str, **params: Any) -> dict[str, Any]:
        """Call the action with its parameters; the decoded answer. Raises CallFailed."""
        if time.monotonic() - self._used_at > api.IDLE_S:
            self._connection.close()
        self._used_at = time.monotonic()
        headers = {**HEADERS, "X-Amz-Target": f"Kinesis_20131202.{action}"}
        self._connection.request("POST", "/", json.dumps(params), headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise api.CallFailed(f"{action}: {answer.status} {body.decode(errors='replace')[:300]}")
        return json.loads(body) if body else {}

    def create(self, name: str, shards: int) -> str:
        """Make a stream of so many shards, and wait until it is there; its name."""
        self.call("CreateStream", StreamName=name, ShardCount=shards)
        self.active(name)
        return name

    def active(self, name: str) -> None:
        """Return when the stream is ACTIVE. Raises CallFailed."""
        until = time.monotonic() + ACTIVE_TIMEOUT_S
        while time.monotonic() < until:
            described = self.call("DescribeStreamSummary", StreamName=name)["StreamDescriptionSummary"]
            if described["StreamStatus"] == "ACTIVE":
                return
            time.sleep(0.01)
        raise api.CallFailed(f"{name} was not ACTIVE within {ACTIVE_TIMEOUT_S} s")

    def shards(self, name: str) -> list[str]:
        """The ids of all its shards, open and closed."""
        found: list[str] = []
        answer = self.call("ListShards", StreamName=name)
        while True:
            found += [shard["ShardId"] for shard in answer["Shards"]]
            if not answer.get("NextToken"):
                return found
            answer = self.call("ListShards", NextToken=answer["NextToken"])

    def iterator(self, name: str, shard: str, **position: Any) -> str:
        """An iterator at the shard's oldest record, or at another position."""
        position = position or {"ShardIteratorType": "TRIM_HORIZON"}
        return str(self.call("GetShardIterator", StreamName=name, ShardId=shard, **position)["ShardIterator"])

    def count(self, name: str, shard: str) -> int:
        """Records in a shard, read from its beginning to where nothing follows now."""
        found = 0
        iterator: str | None = self.iterator(name, shard)
        while iterator:
            answer = self.call("GetRecords", ShardIterator=iterator, Limit=10_000)
            found += len(answer["Records"])
            if not answer["Records"] and not answer.get("MillisBehindLatest"):
                break
            iterator = answer.get("NextShardIterator")
        return found

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def putting(
    url: str,
    stream: str,
    *,
    seconds: float,
    count: int = 1,
    size: int = 200,
    connections: int = load.CONNECTIONS,
    calls: int = 0,
    failing: bool = False,
) -> load.Load:
    """PutRecord, or PutRecords of `count` records of `size` bytes; counts `put`, and `failed` of PutRecords.

    It ends after about `calls` of them, if that is given. Raises LoadFailed when any
    call is not answered with 200, unless that is looked at by the caller (`failing`).
    """
    mode = "records" if count > 1 else "record"
    found = load.wrk(
        "kinesis.lua",
        url,
        seconds=seconds,
        connections=connections,
        mode=mode,
        stream=stream,
        count=count,
        bytes=size,
        calls=calls,
    )
    return found if failing else load.answered(found)


def getting(url: str, start: str, *, seconds: float, limit: int, connections: int, echo: bool = False) -> load.Load:
    """GetRecords of `limit` records from the iterator `start` on, over and over; counts `got`. Raises LoadFailed."""
    mode = "echo_get" if echo else "get"
    found = load.wrk("kinesis.lua", url, seconds=seconds, connections=connections, mode=mode, start=start, limit=limit)
    return load.answered(found)


def fill(url: str, stream: str, records: int, limit_s: float) -> int:
    """Put records of 200 bytes until there are about so many, or the time is up; how many were put."""
    put, until = 0, time.monotonic() + limit_s
    while put < records and time.monotonic() < until:
        calls = max(1, (records - put) // FILLED_BY)  # wrk sleeps out its time though they are made: a second at once
        put += putting(url, stream, seconds=1, count=FILLED_BY, connections=4, calls=calls).counters["put"]
    return put
