"""Finding what an ARN names: a stream, a consumer or a queue, for tags and policies."""

from __future__ import annotations

from typing import NamedTuple

from headrace.context import Context
from headrace.services.kinesis import queue_records, records, rules
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
            key = records.consumer_key(region, account, stream_name, consumer.rpartition(":")[0])
            there = await metadata.get(key) is not None
    if not there:
        raise rules.not_found(f"Resource {arn} not found.")
    return Resource(region, account, path)
