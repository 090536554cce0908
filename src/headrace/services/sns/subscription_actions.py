"""The actions that describe, list and change subscriptions. Making and ending them is in `subscribing`."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.metadata import Entry, Write
from headrace.services.sns import delivery_policy, limits, records, replaying, rules
from headrace.services.sns import subscription_attributes as attributes
from headrace.services.sns.records import SubscriptionRecord
from headrace.services.sns.state import State
from headrace.services.sns.subscription_writes import replay_write


async def get_subscription_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A subscription's attributes. Raises NotFound and InvalidParameter."""
    state: State = ctx.state
    subscription = await state.require_subscription(params["SubscriptionArn"])
    record = subscription.record
    values = {
        "RawMessageDelivery": "false",
        **record.attributes,
        "SubscriptionArn": record.arn,
        "TopicArn": record.topic_arn,
        "Protocol": record.protocol,
        "Endpoint": record.endpoint,
        "Owner": record.owner,
        "PendingConfirmation": _word(record.pending),
        "ConfirmationWasAuthenticated": _word(record.authenticated and not record.pending),
        "SubscriptionPrincipal": record.principal,
    }
    # AWS: the scope is shown with a policy only, and then always.
    if "FilterPolicy" in values:
        values.setdefault("FilterPolicyScope", attributes.DEFAULT_SCOPE)
    else:
        values.pop("FilterPolicyScope", None)
    if record.protocol in ("http", "https"):
        topic_policy = subscription.topic.record.attributes.get("DeliveryPolicy")
        effective = delivery_policy.effective_subscription(topic_policy, record.attributes.get("DeliveryPolicy"))
        values["EffectiveDeliveryPolicy"] = json.dumps(effective)
    if "ReplayPolicy" in values:
        values["ReplayStatus"] = await replaying.status(ctx.server, subscription)
    return {"Attributes": values}


def _word(value: bool) -> str:
    return "true" if value else "false"


async def set_subscription_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change one attribute of a subscription, `AttributeName` to `AttributeValue`; "" takes a policy away.

    Raises InvalidParameter, FilterPolicyLimitExceeded and NotFound.
    """
    state: State = ctx.state
    subscription = await state.require_subscription(params["SubscriptionArn"])
    record, topic = subscription.record, subscription.topic
    target = attributes.Target(record.protocol, record.endpoint, record.topic_arn, ctx.server.clock.now_ms())
    name: str = params["AttributeName"]
    value: str = params.get("AttributeValue") or ""
    after = attributes.change(record.attributes, name, value, target)
    if "FilterPolicy" in after and not subscription.filtered:
        await check_filter_quota(ctx, topic.region, topic.account, topic.name)
    if name == "ReplayPolicy" and value:
        replaying.check(topic)

    def change(old: SubscriptionRecord) -> SubscriptionRecord:
        return msgspec.structs.replace(old, attributes=attributes.change(old.attributes, name, value, target))

    def also(new: SubscriptionRecord) -> list[Write]:
        writes = []
        if ("FilterPolicy" in new.attributes) != subscription.filtered:
            key = records.filtered_key(topic.region, topic.account, topic.name, new.id)
            writes.append(Write(key, b"" if "FilterPolicy" in new.attributes else None))
        if name == "ReplayPolicy":
            writes.append(replay_write(new))
        return writes

    await state.revise_subscription(subscription, change, also)
    if name == "ReplayPolicy":
        await state.workers.replays.changed(subscription)
    return {}


async def check_filter_quota(ctx: Context, region: str, account: str, topic: str) -> None:
    """Raise FilterPolicyLimitExceeded when the topic, or its account, has as many filter policies as it may."""
    if not ctx.server.quotas.throughput:
        return
    state: State = ctx.state
    loaded = await state.load(region, account, topic)
    here = sum(each.filtered for each in loaded.subscriptions.values()) if loaded is not None else 0
    if here >= limits.FILTER_POLICIES_PER_TOPIC:
        raise ServiceError("FilterPolicyLimitExceeded", "Filter policy limit exceeded for this topic")
    if await state.census.count(records.filtered_prefix(region, account)) >= limits.FILTER_POLICIES_PER_ACCOUNT:
        raise ServiceError("FilterPolicyLimitExceeded", "Filter policy limit exceeded for this account")


async def list_subscriptions_by_topic(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A topic's subscriptions, a hundred at a time. Raises NotFound and InvalidParameter."""
    state: State = ctx.state
    topic = await state.find(ctx, params["TopicArn"])
    prefix = records.subscription_key(topic.region, topic.account, topic.name, "")
    after = rules.decode_token(params.get("NextToken"))
    entries = await ctx.server.engine.metadata.list(
        prefix, after=prefix + after if after else "", max_entries=limits.PAGE + 1
    )
    result = _page(ctx, entries[: limits.PAGE])
    if len(entries) > limits.PAGE:
        result["NextToken"] = rules.encode_token(entries[limits.PAGE - 1].key.removeprefix(prefix))
    return result


async def list_subscriptions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """What the caller has subscribed to in this region, a hundred at a time: its own topics, then other accounts'."""
    metadata = ctx.server.engine.metadata
    after = rules.decode_token(params.get("NextToken"))
    abroad = records.abroad_key(ctx.region, ctx.account, "")
    found: list[Entry] = []
    last = after
    if not after.startswith(abroad):
        prefix = records.subscriptions_prefix(ctx.region, ctx.account)
        if after and not after.startswith(prefix):
            raise rules.invalid_parameter("NextToken")
        entries = await metadata.list(prefix, after=after, max_entries=limits.PAGE + 1)
        found, last = _own(ctx, entries), entries[limits.PAGE - 1].key if len(entries) > limits.PAGE else ""
        if last:
            return {**_page(ctx, found), "NextToken": rules.encode_token(last)}
    pointers = await metadata.list(abroad, after=last, max_entries=limits.PAGE + 1 - len(found))
    room = limits.PAGE - len(found)
    for pointer in pointers[:room]:
        entry = await metadata.get(pointer.value.decode())
        if entry is not None:
            found.append(entry)
    result = _page(ctx, found)
    if len(pointers) > room:
        result["NextToken"] = rules.encode_token(pointers[room - 1].key if room else abroad)
    return result


def _own(ctx: Context, entries: list[Entry]) -> list[Entry]:
    """Of a page of the subscriptions to the caller's topics, those that are the caller's."""
    return [each for each in entries[: limits.PAGE] if records.decode_subscription(each.value).owner == ctx.account]


def _page(ctx: Context, entries: list[Entry]) -> dict[str, Any]:
    """Subscriptions as they are listed. AWS: those that wait for their confirmation have no ARN yet."""
    now_ms = ctx.server.clock.now_ms()
    found = [records.decode_subscription(entry.value) for entry in entries]
    return {
        "Subscriptions": [
            {
                "SubscriptionArn": "PendingConfirmation" if each.pending else each.arn,
                "Owner": each.owner,
                "Protocol": each.protocol,
                "Endpoint": each.endpoint,
                "TopicArn": each.topic_arn,
            }
            for each in found
            if not (each.pending and now_ms >= each.token_expires_at_ms)
        ]
    }
