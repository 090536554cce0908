"""Finding what an ARN names: a stream, a consumer or a queue, for tags and policies."""

from __future__ import annotations

from typing import NamedTuple

from headrace.context import Context
from headrace.services.kinesis import consumer_records, queue_records, records, rules
from headrace.services.kinesis.state import State


class Resource(NamedTuple):
    """Where a resource is, and the last part of its ARN."""

    region: str
    account: str
    path: str


async def find(ctx: Context, arn: str) -> Resource:
    """The resource of an ARN, which is there. Raises InvalidArgumentException, ResourceNotFoundException."""
    region, account, path = rules.parse_resource_arn(arn)
    kind, _, name = path.partition("/")
    metadata = ctx.server.engine.metadata
    if kind == "queue":
        there = await metadata.get(queue_records.id_key(region, account, name)) is not None
    else:
        state: State = ctx.state
        stream_name, _, consumer = name.partition("/consumer/")
        there = await state.get(region, account, stream_name) is not None
        if there and consumer:
            entry = await metadata.get(records.consumer_key(region, account, stream_name, consumer.rpartition(":")[0]))
            there = entry is not None and _names(path, stream_name, entry.value, ctx.server.clock.now_ms())
    if not there:
        raise rules.not_found(f"Resource {arn} not found.")
    return Resource(region, account, path)


def _names(path: str, stream_name: str, value: bytes, now_ms: int) -> bool:
    """Whether a path is that of the stored consumer, and not of an earlier one of its name."""
    record = consumer_records.decode_consumer(value)
    return bool(record.status(now_ms)) and path == consumer_records.resource_of(stream_name, record)
