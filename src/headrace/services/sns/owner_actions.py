"""What a topic's owner says about it: its tags, and who else may use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.services.sns import policies, rules
from headrace.services.sns.records import TopicRecord
from headrace.services.sns.state import State, Topic


async def tag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add `Tags` to a topic, over those of the same keys.

    Raises InvalidParameter, ResourceNotFound and TagLimitExceeded.
    """
    topic = await _resource(ctx, params["ResourceArn"])
    tags = rules.read_tags(params["Tags"])

    def change(old: TopicRecord) -> TopicRecord:
        merged = {**old.tags, **tags}
        rules.check_tags(merged)
        return msgspec.structs.replace(old, tags=merged)

    state: State = ctx.state
    await state.revise_topic(topic, change)
    return {}


async def untag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take the tags of `TagKeys` away; keys that it does not have are no error. Raises ResourceNotFound."""
    topic = await _resource(ctx, params["ResourceArn"])
    keys = set(params["TagKeys"])

    def change(old: TopicRecord) -> TopicRecord:
        return msgspec.structs.replace(old, tags={key: value for key, value in old.tags.items() if key not in keys})

    state: State = ctx.state
    await state.revise_topic(topic, change)
    return {}


async def list_tags_for_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A topic's `Tags`. Raises ResourceNotFound."""
    topic = await _resource(ctx, params["ResourceArn"])
    return {"Tags": rules.list_tags(topic.record.tags)}


async def _resource(ctx: Context, arn: str) -> Topic:
    """The topic that is to be tagged. AWS: these actions have an error of their own for one that is not there."""
    state: State = ctx.state
    try:
        return await state.find(ctx, arn, "ResourceArn")
    except ServiceError as error:
        if error.code == "NotFound":
            raise ServiceError("ResourceNotFound", "Resource does not exist") from None
        raise


async def add_permission(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add a statement to the topic's policy: `Label`, `AWSAccountId`, `ActionName`. Stored, not yet enforced.

    Raises InvalidParameter (a label that is taken, too) and NotFound.
    """
    label: str = params["Label"]
    accounts: list[str] = params["AWSAccountId"]
    actions: list[str] = params["ActionName"]
    await _change_policy(
        ctx, params["TopicArn"], lambda policy, arn: policies.add_permission(policy, arn, label, accounts, actions)
    )
    return {}


async def remove_permission(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take the statement of a `Label` out of the topic's policy, if it has it. Raises NotFound."""
    label: str = params["Label"]
    await _change_policy(ctx, params["TopicArn"], lambda policy, _arn: policies.remove_permission(policy, label))
    return {}


async def _change_policy(ctx: Context, arn: str, edit: Callable[[str, str], str]) -> None:
    """Store what `edit` makes of the topic's policy and ARN."""
    state: State = ctx.state
    topic = await state.find(ctx, arn)

    def change(old: TopicRecord) -> TopicRecord:
        policy = old.attributes.get("Policy") or policies.default_policy(topic.arn, topic.account)
        return msgspec.structs.replace(old, attributes={**old.attributes, "Policy": edit(policy, topic.arn)})

    await state.revise_topic(topic, change)
