"""The actions on queues themselves: make, find, list, describe, change, empty and delete them."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict, Write
from headrace.primitives.queues import QueueMissing
from headrace.services.sqs import attributes, limits, records, redrive, rules
from headrace.services.sqs.records import DeletedQueue, QueueRecord
from headrace.services.sqs.state import Queue, State


async def create_queue(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make a queue, or find the one of this name with these attributes: `QueueName`, `Attributes`, `tags` in, URL out.

    Raises QueueNameExists when an attribute differs, QueueDeletedRecently within 60 seconds of a deletion, and
    InvalidAttributeName, InvalidAttributeValue and InvalidParameterValue for what SQS does not take.
    """
    state: State = ctx.state
    name: str = params["QueueName"]
    given: dict[str, str] = params.get("Attributes") or {}
    tags: dict[str, str] = params.get("tags") or {}
    fifo = attributes.wants_fifo(given)
    rules.check_queue_name(name, fifo=fifo)
    changes = attributes.normalise(given, fifo=fifo, creating=True)
    stored = attributes.merge({}, changes)
    rules.check_tags(tags, name)
    for _ in range(limits.CONFLICT_RETRIES):
        queue = await state.load(ctx.region, ctx.account, name)
        if queue is None:
            try:
                await _store_new(ctx, name, stored, tags)
            except Conflict:
                continue
        elif differing := attributes.conflict(queue.record.attributes, changes, fifo=fifo):
            raise ServiceError(
                "QueueNameExists",
                f"A queue already exists with the same name and a different value for attribute {differing}",
            )
        await state.get(ctx.region, ctx.account, name)
        return {"QueueUrl": f"{ctx.base_url}/{ctx.account}/{name}"}
    raise ServiceError("ServiceUnavailable", "Others keep making and deleting this queue; try again.", status=503)


async def _store_new(ctx: Context, name: str, stored: dict[str, str], tags: dict[str, str]) -> None:
    """Store a queue that is not there yet. Raises QueueDeletedRecently, and Conflict when it is there after all."""
    metadata = ctx.server.engine.metadata
    now_ms = ctx.server.clock.now_ms()
    deleted_key = records.deleted_key(ctx.region, ctx.account, name)
    deleted = await metadata.get(deleted_key)
    if deleted and now_ms < records.decode_deleted(deleted.value).deleted_at_ms + limits.DELETED_NAME_MS:
        raise ServiceError(
            "QueueDeletedRecently",
            "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
        )
    await _check_dead_letter_target(ctx.state, ctx.region, ctx.account, name, stored)
    record = QueueRecord(name=name, created_at_ms=now_ms, modified_at_ms=now_ms, attributes=stored, tags=tags)
    writes = [Write(records.queue_key(ctx.region, ctx.account, name), records.encode(record), 0)]
    if deleted:
        writes.append(Write(deleted_key, None))
    target = redrive.target_name(stored.get("RedrivePolicy"), ctx.region, ctx.account)
    if target:
        writes.append(Write(records.source_key(ctx.region, ctx.account, target, name), b""))
    await metadata.apply(writes)


async def _check_dead_letter_target(state: State, region: str, account: str, name: str, stored: dict[str, str]) -> None:
    """Raise InvalidParameterValue unless the queue that RedrivePolicy names is there, fits, and allows it."""
    policy = stored.get("RedrivePolicy")
    if not policy:
        return
    redrive.check_redrive(policy, region, account, name)
    target_name = redrive.target_name(policy, region, account)
    target = await state.load(region, account, target_name) if target_name else None
    if target is None:
        raise redrive.no_target(policy)
    allow = target.record.attributes.get("RedriveAllowPolicy")
    source_arn = rules.arn_of(region, account, name)
    if allow and not redrive.parse_redrive_allow(allow).allows(source_arn):
        raise redrive.denied(policy, source_arn)


async def get_queue_url(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The URL of a queue by `QueueName`, of another account with `QueueOwnerAWSAccountId`.

    Raises QueueDoesNotExist.
    """
    state: State = ctx.state
    name: str = params["QueueName"]
    if not name:
        raise rules.invalid_parameter("Value for parameter QueueName is invalid. Reason: Must specify a queue name.")
    owner = params.get("QueueOwnerAWSAccountId") or ctx.account
    queue = await state.load(ctx.region, owner, name)
    if queue is None:
        raise rules.no_such_queue()
    return {"QueueUrl": ctx.base_url + queue.path}


async def list_queues(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The caller's queues in this region by name, those that start with `QueueNamePrefix`, a page at a time.

    AWS: up to 1,000 of them, with a NextToken only when `MaxResults` is given.
    """
    prefix: str = params.get("QueueNamePrefix") or ""
    names, token = await page_of_names(ctx, records.queue_key(ctx.region, ctx.account, ""), prefix, params)
    result: dict[str, Any] = {}
    if names:
        result["QueueUrls"] = [f"{ctx.base_url}/{ctx.account}/{name}" for name in names]
    if token:
        result["NextToken"] = token
    return result


async def page_of_names(
    ctx: Context, key_prefix: str, prefix: str, params: dict[str, Any]
) -> tuple[list[str], str | None]:
    """The names that follow `key_prefix`, by `MaxResults` and `NextToken`; and the next token, if there is more."""
    max_results: int | None = params.get("MaxResults")
    size = rules.page_size(max_results)
    after = rules.decode_token(params.get("NextToken"))
    entries = await ctx.server.engine.metadata.list(
        key_prefix + prefix, after=key_prefix + after if after else "", max_entries=size + 1
    )
    names = [entry.key.removeprefix(key_prefix) for entry in entries[:size]]
    more = max_results is not None and len(entries) > size
    return names, rules.encode_token(names[-1]) if more else None


async def get_queue_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The attributes that `AttributeNames` lists, or `All`. Raises InvalidAttributeName, QueueDoesNotExist."""
    state: State = ctx.state
    queue = await state.find(ctx, params["QueueUrl"])
    names: list[str] = params.get("AttributeNames") or []
    for name in names:
        if name != "All" and name not in attributes.KNOWN:
            raise attributes.unknown_attribute(name)
    everything = "All" in names
    values = attributes.effective(queue.record.attributes, fifo=queue.fifo)
    values["QueueArn"] = queue.arn
    values["CreatedTimestamp"] = str(queue.record.created_at_ms // 1000)
    values["LastModifiedTimestamp"] = str(queue.record.modified_at_ms // 1000)
    if everything or any(name in attributes.DEPTH for name in names):
        values.update(await _counts(ctx, queue))
    if not everything:
        values = {name: values[name] for name in names if name in values}
    return {"Attributes": values} if values else {}


async def _counts(ctx: Context, queue: Queue) -> dict[str, str]:
    try:
        depth = await ctx.server.engine.queues.depth(queue.arn)
    except QueueMissing:
        raise rules.no_such_queue() from None
    return {name: str(getattr(depth, state)) for name, state in attributes.DEPTH.items()}


async def set_queue_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change `Attributes` of a queue, all or none; an empty policy takes it away. In force when this returns.

    Raises InvalidAttributeName, InvalidAttributeValue, InvalidParameterValue, OverLimit, QueueDoesNotExist.
    """
    state: State = ctx.state
    queue = await state.find(ctx, params["QueueUrl"])
    given: dict[str, str] = params.get("Attributes") or {}
    if not given:
        raise rules.missing_parameter("Attribute.Name")
    changes = attributes.normalise(given, fifo=queue.fifo, creating=False)
    await _check_dead_letter_target(state, queue.region, queue.account, queue.name, changes)
    now_ms = ctx.server.clock.now_ms()

    def change(old: QueueRecord) -> QueueRecord:
        merged = attributes.merge(old.attributes, changes)
        return msgspec.structs.replace(old, attributes=merged, modified_at_ms=now_ms)

    await state.revise(queue, change, lambda old, new: _source_writes(queue, old, new))
    return {}


def _source_writes(queue: Queue, old: QueueRecord, new: QueueRecord) -> list[Write]:
    """What tells a dead-letter queue's sources, when a record changes from old to new."""
    before, after = (
        redrive.target_name(record.attributes.get("RedrivePolicy"), queue.region, queue.account)
        for record in (old, new)
    )
    if before == after:
        return []
    writes = []
    if before:
        writes.append(Write(records.source_key(queue.region, queue.account, before, queue.name), None))
    if after:
        writes.append(Write(records.source_key(queue.region, queue.account, after, queue.name), b""))
    return writes


async def delete_queue(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete a queue with all it holds. AWS: its name is not free for 60 seconds. Raises QueueDoesNotExist."""
    state: State = ctx.state
    queue = await state.find(ctx, params["QueueUrl"])
    metadata = ctx.server.engine.metadata
    now_ms = ctx.server.clock.now_ms()
    # The messages go first: a record without messages can be deleted again, messages without a record could not.
    await ctx.server.engine.queues.drop(queue.arn)
    target = queue.dead_letter_name()
    writes = [
        Write(queue.key, None),
        Write(records.moving_key(queue.arn), None),
        *[
            Write(task.key, None)
            for task in await metadata.list(records.move_prefix(queue.region, queue.account, queue.name))
        ],
        *await _forgotten_names(ctx, queue, now_ms),
        Write(
            records.deleted_key(queue.region, queue.account, queue.name),
            records.encode(DeletedQueue(deleted_at_ms=now_ms)),
        ),
    ]
    if target:
        writes.append(Write(records.source_key(queue.region, queue.account, target, queue.name), None))
    await metadata.apply(writes)
    # Once more, should a call in between have opened it again; from here on nothing can.
    await ctx.server.engine.queues.drop(queue.arn)
    return {}


async def _forgotten_names(ctx: Context, queue: Queue, now_ms: int) -> list[Write]:
    """Deletes what tells of deletions longer ago than it matters, so that it does not pile up."""
    prefix = records.deleted_key(queue.region, queue.account, "")
    entries = await ctx.server.engine.metadata.list(prefix, max_entries=limits.NAMES_FORGOTTEN)
    return [
        Write(entry.key, None)
        for entry in entries
        if records.decode_deleted(entry.value).deleted_at_ms + limits.DELETED_NAME_MS <= now_ms
    ]


async def purge_queue(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete all messages of a queue, those in flight too. Raises PurgeQueueInProgress within 60 seconds of another."""
    state: State = ctx.state
    queue = await state.find(ctx, params["QueueUrl"])
    now_ms = ctx.server.clock.now_ms()

    def change(old: QueueRecord) -> QueueRecord:
        if old.purged_at_ms and now_ms < old.purged_at_ms + limits.PURGE_INTERVAL_MS:
            raise ServiceError(
                "PurgeQueueInProgress",
                f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds.",
            )
        return msgspec.structs.replace(old, purged_at_ms=now_ms)

    await state.revise(queue, change)
    try:
        await ctx.server.engine.queues.purge(queue.arn)
    except QueueMissing:
        raise rules.no_such_queue() from None
    return {}
