"""The streams of a resources file: how they are written there, and how they are made.

streams:
  clicks:
    shards: 4                 # without it the stream is in on-demand mode
    retention_hours: 48       # 24 unless given
    tags: {team: web}
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
import yaml

from headrace.errors import ServiceError
from headrace.resource_reader import Call, Place, Reader

WAIT_S: Final = 0.05
"""Between two looks at whether the streams are ready."""


AT_ONCE: Final = 5
"""Streams that are CREATING at a time. AWS: more are refused."""


class StreamSpec(msgspec.Struct, frozen=True):
    """A stream to be there. `shards` 0 is on-demand mode; `retention_h` 0 leaves the retention as it is."""

    name: str
    place: Place
    shards: int
    retention_h: int
    retention_place: Place
    tags: dict[str, str]


def read_stream(reader: Reader, name: yaml.ScalarNode, node: yaml.Node) -> StreamSpec:
    """One stream. Raises ResourcesError."""
    parts = reader.section(node, f"stream {name.value}", known=("retention_hours", "shards", "tags"))
    place = reader.place(name)
    return StreamSpec(
        name=name.value,
        place=place,
        shards=_whole(reader, parts, "shards"),
        retention_h=_whole(reader, parts, "retention_hours"),
        retention_place=reader.place(parts["retention_hours"]) if "retention_hours" in parts else place,
        tags=reader.tags(parts.get("tags")),
    )


def _whole(reader: Reader, parts: dict[str, yaml.Node], key: str) -> int:
    if key not in parts:
        return 0
    text = reader.value(parts[key])
    if not text.isdecimal() or not int(text):
        raise reader.place(parts[key]).error(f"{key} must be a whole number, not {text}")
    return int(text)


async def create_streams(streams: list[StreamSpec], call: Call) -> None:
    """Make what is not there, and give what is there the retention and tags of the file; shards stay as they are.

    Returns once all are ready to take records. Raises ResourcesError.
    """
    for first in range(0, len(streams), AT_ONCE):
        some = streams[first : first + AT_ONCE]
        for stream in some:
            await _create(stream, call)
        for stream in some:
            await _retain(stream, call)
            if stream.tags:
                await call(stream.place, "kinesis", "AddTagsToStream", {"StreamName": stream.name, "Tags": stream.tags})
    for stream in streams:
        await _ready(stream, call)


async def _create(stream: StreamSpec, call: Call) -> None:
    mode: dict[str, Any] = {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    params = {"StreamName": stream.name, **({"ShardCount": stream.shards} if stream.shards else mode)}
    try:
        await call(stream.place, "kinesis", "CreateStream", params)
    except Exception as error:
        cause = error.__cause__
        if not isinstance(cause, ServiceError) or cause.code != "ResourceInUseException":
            raise


async def _ready(stream: StreamSpec, call: Call) -> dict[str, Any]:
    """The stream's summary, once it is ACTIVE."""
    while True:
        described = await call(stream.place, "kinesis", "DescribeStreamSummary", {"StreamName": stream.name})
        summary: dict[str, Any] = described["StreamDescriptionSummary"]
        if summary["StreamStatus"] == "ACTIVE":
            return summary
        await asyncio.sleep(WAIT_S)


async def _retain(stream: StreamSpec, call: Call) -> None:
    summary = await _ready(stream, call)
    if not stream.retention_h or summary["RetentionPeriodHours"] == stream.retention_h:
        return
    longer = stream.retention_h > summary["RetentionPeriodHours"]
    operation = "IncreaseStreamRetentionPeriod" if longer else "DecreaseStreamRetentionPeriod"
    params = {"StreamName": stream.name, "RetentionPeriodHours": stream.retention_h}
    await call(stream.retention_place, "kinesis", operation, params)
