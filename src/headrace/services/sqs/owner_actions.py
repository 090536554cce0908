"""What a queue's owner says about it: its tags, and who else may use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from headrace.context import Context
from headrace.services.sqs import policies, rules
from headrace.services.sqs.records import QueueRecord
from headrace.services.sqs.state import State


async def tag_queue(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add `Tags` to a queue, over those of the same keys. Raises InvalidParameterValue, QueueDoesNotExist."""
    state: State = ctx.state
    queue = await state.find(ctx, params["QueueUrl"])
    tags: dict[str, str] = params.get("Tags") or {}
    if not tags:
        raise rules.missing_parameter("Tags")

    def change(old: QueueRecord) -> QueueRecord:
        merged = {**old.tags, **tags}
        rules.check_tags(merged, queue.name)
        return msgspec.structs.replace(old, tags=merged)

    await state.revise(queue, change)
    return {}


async def untag_queue(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take the tags of `TagKeys` away; keys that it does not have are no error. Raises QueueDoesNotExist."""
    state: State = ctx.state
    queue = await state.find(ctx, params["QueueUrl"])
    keys = set(params.get("TagKeys") or ())
    if not keys:
        raise rules.invalid_parameter("Tag keys must be between 1 and 128 characters in length.")

    def change(old: QueueRecord) -> QueueRecord:
        return msgspec.structs.replace(old, tags={key: value for key, value in old.tags.items() if key not in keys})

    await state.revise(queue, change)
    return {}


async def list_queue_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A queue's `Tags`. Raises QueueDoesNotExist."""
    state: State = ctx.state
    queue = await state.find(ctx, params["QueueUrl"])
    return {"Tags": dict(queue.record.tags)} if queue.record.tags else {}


async def add_permission(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add a statement to the queue's policy: `Label`, `AWSAccountIds`, `Actions`. Stored, not yet enforced.

    Raises InvalidParameterValue (a label that is taken, too), OverLimit, QueueDoesNotExist.
    """
    label: str = params["Label"]
    accounts: list[str] = params["AWSAccountIds"]
    actions: list[str] = params["Actions"]
    policies.check_permission(label, accounts, actions)
    await _change_policy(
        ctx, params["QueueUrl"], lambda policy, arn: policies.add_permission(policy, arn, label, accounts, actions)
    )
    return {}


async def remove_permission(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take the statement of a `Label` out of the queue's policy. Raises InvalidParameterValue, QueueDoesNotExist."""
    label: str = params["Label"]
    await _change_policy(ctx, params["QueueUrl"], lambda policy, arn: policies.remove_permission(policy, arn, label))
    return {}


async def _change_policy(ctx: Context, url: str, edit: Callable[[str | None, str], str]) -> None:
    """Store what `edit` makes of the queue's policy and ARN; an empty policy is none."""
    state: State = ctx.state
    queue = await state.find(ctx, url)
    now_ms = ctx.server.clock.now_ms()

    def change(old: QueueRecord) -> QueueRecord:
        values = {**old.attributes, "Policy": edit(old.attributes.get("Policy"), queue.arn)}
        values = {name: value for name, value in values.items() if value}
        return msgspec.structs.replace(old, attributes=values, modified_at_ms=now_ms)

    await state.revise(queue, change)
