"""The actions on stream queues themselves: make, describe, list, change and delete them."""

from __future__ import annotations

import functools
import uuid
from typing import Any

import msgspec

from headrace.context import Context
from headrace.primitives.metadata import Conflict, Entry, Write
from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis import queue_records, queue_rules, records, rules, tagging
from headrace.services.kinesis.accounts import commitment
from headrace.services.kinesis.limits import HOUR_MS
from headrace.services.kinesis.queue_records import Due, QueueRecord
from headrace.services.kinesis.queue_state import StreamQueue, StreamQueues
from headrace.services.kinesis.records import Status, TagsRecord
from headrace.services.kinesis.state import Stream


async def create_queue(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make a queue on a stream: `QueueName`, `StreamConfigurationList` of one, `QueueAttributes`, `Tags`.

    LATEST, the default, is the stream's end as it is now, not when the queue is ACTIVE. Raises ValidationException,
    InvalidArgumentException, ResourceNotFoundException, ResourceInUseException and LimitExceededException.
    """
    queues: StreamQueues = ctx.state.stream_queues
    name: str = params["QueueName"]
    configuration = queue_rules.stream_configuration(params["StreamConfigurationList"])
    kind, timestamp_ms = queue_rules.starting_position(configuration)
    attributes = queue_rules.change(queue_rules.DEFAULTS, params.get("QueueAttributes") or {})
    tags: dict[str, str] = params.get("Tags") or {}
    tagging.check_tags(tags)
    stream = await _stream_for_queue(ctx, configuration["StreamARN"])
    await _make_way(ctx, name)
    await _check_limits(ctx, stream)
    now_ms = ctx.server.clock.now_ms()
    oldest_ms = max(stream.record.created_at_ms, now_ms - stream.record.retention_h * HOUR_MS)
    record = QueueRecord(
        name=name,
        id=uuid.uuid4().hex,
        created_at_ms=now_ms,
        stream_name=stream.record.name,
        stream_created_at_ms=stream.record.created_at_ms,
        position=kind,
        timestamp_ms=timestamp_ms,
        starts_at_ms=queue_rules.effective_start_ms(kind, timestamp_ms, now_ms, oldest_ms),
        attributes=attributes,
        phase_ends_ms=now_ms + limits.TRANSITION_MS,
    )
    await _store_start(ctx, stream, record)
    try:
        await ctx.server.engine.metadata.apply(_new_queue(ctx, record, tags))
    except Conflict:
        await queues.clear(queue_records.fed_key(record.id, None))
        raise _name_in_use(name) from None
    queue = await queues.by_name(ctx.region, ctx.account, name)
    if queue is not None:
        await _check_still(ctx, stream, queue)
        await queues.open(queue)
    return {"QueueDescription": queue_rules.describe(record, ctx.region, ctx.account, now_ms)}


async def _stream_for_queue(ctx: Context, stream_arn: str) -> Stream:
    """The stream that a queue may be made on."""
    region, account, name = rules.parse_stream_arn(stream_arn)
    # AWS: a queue is on a stream of its own account and region.
    own = (region, account) == (ctx.region, ctx.account)
    stream: Stream | None = await ctx.state.get(region, account, name) if own else None
    if stream is None:
        raise rules.no_such_stream(name, account)
    status = stream.status(ctx.server.clock.now_ms())
    if status in (Status.CREATING, Status.DELETING):
        raise rules.in_use(f"Stream {name} under account {account} not ACTIVE, instead in state {status.value}")
    if not stream.record.on_demand:
        raise rules.validation(
            f"Queues are supported only on streams in on-demand capacity mode; stream {name} is in provisioned mode."
        )
    return stream


async def _check_still(ctx: Context, stream: Stream, queue: StreamQueue) -> None:
    """Take a new queue back when its stream was deleted, or left on-demand mode, while it was made."""
    deleting = stream.status(ctx.server.clock.now_ms()) is Status.DELETING
    if stream.gone or deleting or not stream.record.on_demand:
        await ctx.state.stream_queues.remove(queue)
        raise rules.in_use(f"Stream {stream.name} under account {stream.account} was changed meanwhile; try again.")


async def _make_way(ctx: Context, name: str) -> None:
    """Raise ResourceInUseException when there is a queue of this name; one that is deleted is removed first."""
    queues: StreamQueues = ctx.state.stream_queues
    queue = await queues.by_name(ctx.region, ctx.account, name)
    if queue is None:
        return
    if not queue_rules.is_gone(queue.record, ctx.server.clock.now_ms()):
        raise _name_in_use(name)
    await queues.remove(queue)


def _name_in_use(name: str) -> Exception:
    return rules.in_use(f"A queue named {name} already exists in this account and Region.")


async def _check_limits(ctx: Context, stream: Stream) -> None:
    """Raise LimitExceededException when the stream has all consumers it may, or too many queues come and go."""
    count = await ctx.state.stream_queues.count(ctx.region, ctx.account, stream.record.name)
    count += len(await ctx.state.fan_out.consumers(stream))
    advantage = (await commitment(ctx))["Status"] != "DISABLED"
    most = limits.CONSUMERS_ADVANTAGE if advantage else limits.CONSUMERS
    if count >= most:
        raise rules.limit_exceeded(
            f"Stream {stream.record.name} has {count} registered consumers, queues included; {most} are the most."
        )
    await _check_changing(ctx)


async def _check_changing(ctx: Context) -> None:
    """AWS: few queues of an account may be created or deleted at the same time. `--quotas none` lifts that."""
    if not ctx.server.quotas.throughput:
        return
    now_ms = ctx.server.clock.now_ms()
    changing = 0
    after = ""
    while entries := await _page(ctx, after):
        after = entries[-1].key
        states = [queue_rules.status(queue_records.decode_queue(entry.value), now_ms) for entry in entries]
        changing += sum(state in (queue_rules.CREATING, queue_rules.DELETING) for state in states)
    if changing >= limits.QUEUES_CHANGING:
        raise rules.limit_exceeded(
            f"{changing} queues of this account are being created or deleted; up to {limits.QUEUES_CHANGING} may be."
        )


async def _page(ctx: Context, after: str) -> list[Entry]:
    prefix = records.queue_key(ctx.region, ctx.account, "")
    return await ctx.server.engine.metadata.list(prefix, after=after)


async def _store_start(ctx: Context, stream: Stream, record: QueueRecord) -> None:
    """Store where in each shard the queue begins; shards it has nothing stored of are fed from their first record."""
    engine = ctx.server.engine
    if record.position == "TRIM_HORIZON":
        return
    writes = []
    for shard in list(stream.shards.values()):
        await ctx.state.open(stream, shard)
        if record.position == "LATEST":
            after = (await engine.logs.tip(shard.log)).last
        else:
            after = await engine.logs.seek(shard.log, record.starts_at_ms)
        writes.append(Write(queue_records.fed_key(record.id, shard.number), str(after).encode()))
    for first in range(0, len(writes), limits.CLEAR_SLICE):
        await engine.metadata.apply(writes[first : first + limits.CLEAR_SLICE])


def _new_queue(ctx: Context, record: QueueRecord, tags: dict[str, str]) -> list[Write]:
    place = (ctx.region, ctx.account)
    writes = [
        Write(records.queue_key(*place, record.name), queue_records.encode(record), 0),
        Write(queue_records.id_key(*place, record.id), record.name.encode()),
        Write(records.stream_queue_key(*place, record.stream_name, record.name), b""),
    ]
    if tags:
        key = records.tags_key(*place, queue_rules.resource_of(record.id))
        writes.append(Write(key, records.encode(TagsRecord(tags=tags))))
    return writes


async def describe_queue(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The description of a queue by `QueueARN`. Raises ResourceNotFoundException, InvalidArgumentException."""
    queue = await ctx.state.stream_queues.find(params["QueueARN"])
    return {"QueueDescription": _describe(ctx, queue)}


def _describe(ctx: Context, queue: StreamQueue) -> dict[str, Any]:
    return queue_rules.describe(queue.record, queue.region, queue.account, ctx.server.clock.now_ms())


async def list_queues(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Summaries of the caller's queues in this region by name, those on the streams of `StreamFilter`, in pages.

    Raises InvalidArgumentException and ExpiredNextTokenException for a `NextToken` that will not do.
    """
    now_ms = ctx.server.clock.now_ms()
    prefix = records.queue_key(ctx.region, ctx.account, "")
    last_name = queue_rules.read_token(params.get("NextToken"), now_ms)
    size: int = params.get("MaxResults", limits.LIST_RESULTS)
    filters: list[dict[str, Any]] = params.get("StreamFilter") or []
    found: list[QueueRecord] = []
    after = prefix + last_name if last_name else ""
    while len(found) <= size and (entries := await _page(ctx, after)):
        after = entries[-1].key
        listed = [queue_records.decode_queue(entry.value) for entry in entries]
        found += [
            record
            for record in listed
            if queue_rules.matches(record, ctx.region, ctx.account, filters) and not queue_rules.is_gone(record, now_ms)
        ]
    result: dict[str, Any] = {
        "QueueSummaries": [queue_rules.summarise(record, ctx.region, ctx.account, now_ms) for record in found[:size]]
    }
    if len(found) > size:
        result["NextToken"] = queue_rules.write_token(found[size - 1].name, now_ms)
    return result


async def update_queue(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change `QueueAttributes` of a queue; those not given stay. In force once the queue is ACTIVE again.

    Raises ResourceInUseException unless the queue is ACTIVE, ResourceNotFoundException, ValidationException and
    InvalidArgumentException.
    """
    queues: StreamQueues = ctx.state.stream_queues
    queue = await queues.find(params["QueueARN"])
    now_ms = ctx.server.clock.now_ms()

    def change(old: QueueRecord) -> QueueRecord:
        state = queue_rules.status(old, now_ms)
        if state != queue_rules.ACTIVE:
            raise rules.in_use(f"Queue {queue.arn} is not ACTIVE but {state}.")
        return msgspec.structs.replace(
            old,
            attributes=queue_rules.change(old.attributes, params["QueueAttributes"]),
            before=old.attributes,
            phase=queue_rules.UPDATING,
            phase_ends_ms=now_ms + limits.TRANSITION_MS,
        )

    await queues.revise(queue, change)
    return {"QueueDescription": _describe(ctx, queue)}


async def delete_queue(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete a queue; it delivers nothing from now on, and its receipt handles are void. The stream keeps its records.

    AWS: it is DELETING for a while; deleting it again meanwhile changes nothing. Raises ResourceNotFoundException,
    LimitExceededException, InvalidArgumentException.
    """
    queues: StreamQueues = ctx.state.stream_queues
    queue = await queues.find(params["QueueARN"])
    if queue.record.phase == queue_rules.DELETING:
        return {}
    await _check_changing(ctx)
    ends_ms = ctx.server.clock.now_ms() + limits.TRANSITION_MS

    def change(old: QueueRecord) -> QueueRecord:
        if old.phase == queue_rules.DELETING:
            return old
        return msgspec.structs.replace(old, phase=queue_rules.DELETING, phase_ends_ms=ends_ms)

    await queues.revise(queue, change, functools.partial(_to_be_removed, queue))
    # Who waits for its records is answered now.
    await queues.drop(queue)
    return {}


def _to_be_removed(queue: StreamQueue, record: QueueRecord) -> list[Write]:
    due = Due(record.phase_ends_ms, queue.region, queue.account, record.id)
    return [Write(queue_records.due_key(due), b"")]
