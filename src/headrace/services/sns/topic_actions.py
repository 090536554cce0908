"""The actions on topics themselves: make, list, describe, change and delete them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict
from headrace.services.sns import archive, data_protection, delivery_policy, endpoints, limits, records, rules
from headrace.services.sns import topic_attributes as attributes
from headrace.services.sns.records import TopicRecord
from headrace.services.sns.state import State, Topic
from headrace.services.sns.subscription_writes import removal


async def create_topic(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make a topic, or find the one of this name with these attributes and tags: its ARN out.

    Takes `Name`, `Attributes`, `Tags`, `DataProtectionPolicy`. Raises InvalidParameter for what SNS does not take and
    for a topic that is there with different attributes or tags, TagLimitExceeded and TopicLimitExceeded.
    """
    state: State = ctx.state
    name: str = params["Name"]
    stored, fifo = _read_attributes(name, params.get("Attributes") or {})
    tags = rules.read_tags(params.get("Tags") or ())
    rules.check_tags(tags)
    protection: str = params.get("DataProtectionPolicy") or ""
    if protection:
        _check_protection(protection, fifo=fifo)
    arn = rules.topic_arn(ctx.region, ctx.account, name)
    for _ in range(limits.CONFLICT_RETRIES):
        topic = await state.load(ctx.region, ctx.account, name)
        if topic is not None:
            _check_same(topic, stored, params.get("Tags"), tags)
            return {"TopicArn": arn}
        record = TopicRecord(
            name=name,
            created_at_ms=ctx.server.clock.now_ms(),
            attributes={key: value for key, value in stored.items() if value},
            tags=tags,
            data_protection=protection,
        )
        try:
            await _store_new(ctx, record, fifo=fifo)
        except Conflict:
            continue
        return {"TopicArn": arn}
    raise rules.too_busy()


def _read_attributes(name: str, given: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """CreateTopic's attributes as they are stored, and whether the topic is a FIFO topic. Raises InvalidParameter."""
    wanted = given.get("FifoTopic", "false")
    fifo = rules.read_boolean(wanted) == "true"
    if rules.read_boolean(wanted) is None:
        raise attributes.creating_failed(f"FifoTopic: Invalid value [{wanted}]. Must be true or false.")
    rules.check_topic_name(name, fifo=fifo)
    stored = {}
    for key, value in given.items():
        if key == "FifoTopic":
            continue
        if not attributes.is_settable(key, fifo=fifo):
            raise attributes.creating_failed(f"Unknown attribute {key}")
        stored[key] = attributes.normalise(key, value, fail=attributes.creating_failed)
    return stored, fifo


def _check_same(topic: Topic, given: Mapping[str, str], tags_given: object, tags: Mapping[str, str]) -> None:
    """Raise InvalidParameter unless a topic that is there has the attributes and tags that were given.

    AWS: tags that are not given are not compared.
    """
    if attributes.differing(topic.record.attributes, given) is not None:
        raise attributes.creating_failed("Topic already exists with different attributes")
    if tags_given and not tags.items() <= topic.record.tags.items():
        raise rules.invalid_parameter("Tags Reason: Topic already exists with different tags")


async def _store_new(ctx: Context, record: TopicRecord, *, fifo: bool) -> None:
    """Store a topic that is not there yet. Raises TopicLimitExceeded, and Conflict when it is there after all."""
    state: State = ctx.state
    if ctx.server.quotas.throughput:
        most = limits.FIFO_TOPICS_PER_ACCOUNT if fifo else limits.TOPICS_PER_ACCOUNT
        if await state.census.count(records.topic_key(ctx.region, ctx.account, ""), fifo=fifo) >= most:
            raise ServiceError("TopicLimitExceeded", "Topic limit exceeded")
    metadata = ctx.server.engine.metadata
    # What a deletion that was cut short has left behind must not come back.
    await _delete_subscriptions(ctx, ctx.region, ctx.account, record.name)
    await metadata.put(records.topic_key(ctx.region, ctx.account, record.name), records.encode(record), expected=0)


async def list_topics(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The caller's topics in this region by name, a hundred at a time."""
    prefix = records.topic_key(ctx.region, ctx.account, "")
    after = rules.decode_token(params.get("NextToken"))
    entries = await ctx.server.engine.metadata.list(
        prefix, after=prefix + after if after else "", max_entries=limits.PAGE + 1
    )
    names = [entry.key.removeprefix(prefix) for entry in entries[: limits.PAGE]]
    result: dict[str, Any] = {
        "Topics": [{"TopicArn": rules.topic_arn(ctx.region, ctx.account, name)} for name in names]
    }
    if len(entries) > limits.PAGE:
        result["NextToken"] = rules.encode_token(names[-1])
    return result


async def get_topic_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A topic's attributes, the counts of its subscriptions among them. Raises NotFound and InvalidParameter."""
    state: State = ctx.state
    topic = await state.find(ctx, params["TopicArn"])
    stored = topic.record.attributes
    values = attributes.shown(stored, arn=topic.arn, account=topic.account, fifo=topic.fifo)
    values["EffectiveDeliveryPolicy"] = json.dumps(delivery_policy.effective_topic(stored.get("DeliveryPolicy")))
    now_ms = ctx.server.clock.now_ms()
    waiting = [each for each in topic.subscriptions.values() if each.record.pending]
    values["SubscriptionsConfirmed"] = str(len(topic.subscriptions) - len(waiting))
    values["SubscriptionsPending"] = str(sum(not each.expired(now_ms) for each in waiting))
    values["SubscriptionsDeleted"] = str(topic.record.subscriptions_deleted)
    if topic.archive_days:
        values["BeginningArchiveTime"] = await archive.beginning(ctx.server, topic)
    return {"Attributes": values}


async def set_topic_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change one attribute of a topic, `AttributeName` to `AttributeValue`; without a value it has its default again.

    Raises InvalidParameter and NotFound.
    """
    state: State = ctx.state
    topic = await state.find(ctx, params["TopicArn"])
    name: str = params["AttributeName"]
    if not attributes.is_settable(name, fifo=topic.fifo):
        raise rules.invalid_parameter("AttributeName")
    value = attributes.normalise(name, params.get("AttributeValue") or "", fail=rules.invalid_parameter)
    if name == "MaximumMessageSize" and value:
        _check_large(topic, int(value))

    def change(old: TopicRecord) -> TopicRecord:
        values = {**old.attributes, name: value}
        return msgspec.structs.replace(old, attributes={key: each for key, each in values.items() if each})

    if name == "ArchivePolicy":
        await archive.prepare(ctx.server, topic, attributes.archive_days({name: value}))
    await state.revise_topic(topic, change)
    return {}


def _check_large(topic: Topic, size_bytes: int) -> None:
    """Raise InvalidParameter when the topic's subscriptions do not let it take messages of that size.

    AWS: above 256 KiB a topic has at most 100 subscriptions, each of SQS, Firehose or Lambda.
    """
    if size_bytes <= limits.MESSAGE_BYTES[2]:
        return
    others = {each.record.protocol for each in topic.subscriptions.values()} - endpoints.LARGE
    if others or len(topic.subscriptions) > limits.SUBSCRIPTIONS_PER_LARGE_TOPIC:
        raise rules.invalid_parameter(
            f"MaximumMessageSize Reason: A topic with more than {limits.MESSAGE_BYTES[2]} bytes must have "
            f"{limits.SUBSCRIPTIONS_PER_LARGE_TOPIC} or fewer subscriptions, each of sqs, firehose or lambda"
        )


async def delete_topic(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete a topic with its subscriptions and what waits for them. AWS: one that is not there is no error.

    Raises InvalidParameter, and InvalidState for a topic that archives its messages.
    """
    state: State = ctx.state
    region, account, name = rules.parse_topic_arn(params["TopicArn"])
    if region != ctx.region and ctx.principal.access_key_id:
        raise rules.invalid_parameter("TopicArn")
    topic = await state.load(region, account, name)
    if topic is None:
        return {}
    if topic.archive_days:
        raise ServiceError("InvalidState", "The topic archives its messages: remove its ArchivePolicy first")
    await _delete_subscriptions(ctx, region, account, name)
    await ctx.server.engine.metadata.delete(topic.key)
    await state.workers.forget_topic(topic)
    # Once more, should somebody have subscribed meanwhile; from here on nobody can.
    await _delete_subscriptions(ctx, region, account, name)
    return {}


async def _delete_subscriptions(ctx: Context, region: str, account: str, name: str) -> None:
    """Delete all subscriptions of a topic, and what waits to be delivered to them."""
    state: State = ctx.state
    metadata = ctx.server.engine.metadata
    prefix = records.subscription_key(region, account, name, "")
    while entries := await metadata.list(prefix, max_entries=limits.DELETED_AT_ONCE):
        found = [records.decode_subscription(entry.value) for entry in entries]
        await metadata.apply([write for each in found for write in removal(region, account, name, each)])
        for each in found:
            await state.deliveries.forget(each.arn)


# Data protection


async def put_data_protection_policy(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Give a topic the `DataProtectionPolicy`; an empty one takes it away. Raises InvalidParameter and NotFound."""
    state: State = ctx.state
    topic = await state.find(ctx, params["ResourceArn"], "ResourceArn")
    policy: str = params["DataProtectionPolicy"]
    if policy:
        _check_protection(policy, fifo=topic.fifo)
    await state.revise_topic(topic, lambda old: msgspec.structs.replace(old, data_protection=policy))
    return {}


def _check_protection(policy: str, *, fifo: bool) -> None:
    """Raise InvalidParameter unless a topic of that type takes the policy."""
    if fifo:
        # AWS: message data protection is a feature of standard topics.
        raise rules.invalid_parameter("DataProtectionPolicy Reason: FIFO topics do not support data protection")
    data_protection.compile_policy(policy)


async def get_data_protection_policy(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A topic's `DataProtectionPolicy`, nothing when it has none. Raises NotFound and InvalidParameter."""
    state: State = ctx.state
    topic = await state.find(ctx, params["ResourceArn"], "ResourceArn")
    policy = topic.record.data_protection
    return {"DataProtectionPolicy": policy} if policy else {}
