"""Subscribe, ConfirmSubscription and Unsubscribe."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict, Write
from headrace.services.sns import endpoints, limits, platform_store, records, replaying, rules
from headrace.services.sns import subscription_attributes as attributes
from headrace.services.sns.records import Delivery, Kind, Publication, SubscriptionRecord, TokenRecord
from headrace.services.sns.state import State, Subscription, Topic, counted
from headrace.services.sns.subscription_actions import check_filter_quota
from headrace.services.sns.subscription_writes import additions, removal, token_write

PENDING: Final = "pending confirmation"

_TOKEN: Final = re.compile(rf"[0-9a-f]{{{2 * limits.TOKEN_BYTES}}}").fullmatch


# Subscribe


async def subscribe(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Subscribe `Endpoint` by `Protocol` to `TopicArn`, with `Attributes`; the subscription's ARN out.

    AWS: an endpoint that may be somebody else's is asked to confirm first; until it has, the ARN is given only with
    `ReturnSubscriptionArn`. Subscribing again gives the same subscription, and asks for a pending confirmation anew.
    Raises InvalidParameter, NotFound, FilterPolicyLimitExceeded and SubscriptionLimitExceeded.
    """
    state: State = ctx.state
    protocol, endpoint = params["Protocol"], params.get("Endpoint") or ""
    for _ in range(limits.CONFLICT_RETRIES):
        topic = await state.find(ctx, params["TopicArn"])
        endpoints.check_endpoint(protocol, endpoint, fifo_topic=topic.fifo)
        if protocol == "application" and await platform_store.find_device(ctx.server, endpoint, "Endpoint") is None:
            raise rules.invalid_parameter(f"Endpoint Reason: Endpoint does not exist for endpoint {endpoint}")
        target = attributes.Target(protocol, endpoint, topic.arn, ctx.server.clock.now_ms())
        given = attributes.read_given(params.get("Attributes") or {}, target)
        known = topic.by_endpoint.get((protocol, endpoint))
        try:
            if known is not None and not known.expired(target.now_ms):
                record = await _subscribe_again(ctx, known, given)
            else:
                record = await _subscribe_new(ctx, topic, protocol, endpoint, given)
        except Conflict:
            continue
        if record.pending and not params.get("ReturnSubscriptionArn"):
            return {"SubscriptionArn": PENDING}
        return {"SubscriptionArn": record.arn}
    raise rules.too_busy()


async def _subscribe_again(ctx: Context, known: Subscription, given: Mapping[str, str]) -> SubscriptionRecord:
    """The subscription that the endpoint has. Raises InvalidParameter when its attributes differ from those given."""
    if attributes.differing(known.record.attributes, given) is not None:
        raise rules.invalid_parameter("Attributes Reason: Subscription already exists with different attributes")
    if known.record.pending:
        await ask_confirmation(ctx, known)
    return known.record


async def _subscribe_new(
    ctx: Context, topic: Topic, protocol: str, endpoint: str, given: dict[str, str]
) -> SubscriptionRecord:
    """Store a subscription that is not there yet. Raises Conflict when it is there after all."""
    state: State = ctx.state
    await _check_new(ctx, topic, protocol, given)
    confirmed = _is_own(ctx, protocol, endpoint)
    now_ms = ctx.server.clock.now_ms()
    expired = topic.by_endpoint.get((protocol, endpoint))
    record = SubscriptionRecord(
        id=str(uuid.uuid4()),
        topic_arn=topic.arn,
        protocol=protocol,
        endpoint=endpoint,
        owner=ctx.account,
        created_at_ms=now_ms,
        attributes=given,
        principal=ctx.principal.arn,
        token="" if confirmed else secrets.token_hex(limits.TOKEN_BYTES),
        token_expires_at_ms=0 if confirmed else now_ms + limits.TOKEN_MS,
    )
    if expired is not None:
        await ctx.server.engine.metadata.apply(removal(topic.region, topic.account, topic.name, expired.record))
    await ctx.server.engine.metadata.apply(additions(topic.region, topic.account, topic.name, record))
    stored = topic.subscriptions.get(record.id)
    if stored is None:
        return record
    if record.pending:
        await send_notice(ctx, stored, "SubscriptionConfirmation", record.token)
    if "ReplayPolicy" in given:
        await state.workers.replays.changed(stored)
    return record


async def _check_new(ctx: Context, topic: Topic, protocol: str, given: Mapping[str, str]) -> None:
    """Raise what AWS raises when a topic takes no (such) subscription more."""
    most = limits.SUBSCRIPTIONS_PER_FIFO_TOPIC if topic.fifo else limits.SUBSCRIPTIONS_PER_TOPIC
    large = topic.max_bytes > limits.MESSAGE_BYTES[2]
    if large and protocol not in endpoints.LARGE:
        raise rules.invalid_parameter(
            f"Protocol Reason: A topic with a MaximumMessageSize above {limits.MESSAGE_BYTES[2]} bytes takes "
            f"subscriptions of sqs, firehose and lambda only, not {protocol}"
        )
    if large:
        most = min(most, limits.SUBSCRIPTIONS_PER_LARGE_TOPIC)
    if len(topic.subscriptions) >= most:
        raise ServiceError("SubscriptionLimitExceeded", f"Subscription limit of {most} for this topic exceeded")
    if "FilterPolicy" in given:
        await check_filter_quota(ctx, topic.region, topic.account, topic.name)
    if "ReplayPolicy" in given:
        replaying.check(topic)


def _is_own(ctx: Context, protocol: str, endpoint: str) -> bool:
    """Whether no confirmation is needed. AWS: who owns a queue may subscribe it, to topics of others, too."""
    if protocol in endpoints.CONFIRMED_BY_ENDPOINT:
        return False
    return protocol == "sms" or endpoint.split(":")[4] == ctx.account


# Confirmation


async def ask_confirmation(ctx: Context, subscription: Subscription) -> None:
    """Give a pending subscription a new token, good for three days, and send it to the endpoint."""
    state: State = ctx.state
    token = secrets.token_hex(limits.TOKEN_BYTES)
    expires_at_ms = ctx.server.clock.now_ms() + limits.TOKEN_MS
    asked = False

    def change(old: SubscriptionRecord) -> SubscriptionRecord:
        nonlocal asked
        asked = old.pending
        return msgspec.structs.replace(old, token=token, token_expires_at_ms=expires_at_ms) if asked else old

    await state.revise_subscription(subscription, change, lambda new: [token_write(subscription.key, new)])
    if asked:
        await send_notice(ctx, subscription, "SubscriptionConfirmation", token)


async def send_notice(ctx: Context, subscription: Subscription, kind: Kind, token: str) -> None:
    """Send a message that carries a token to a subscription's endpoint; durable when this returns."""
    state: State = ctx.state
    topic = subscription.topic
    if kind == "SubscriptionConfirmation":
        text = (
            f"You have chosen to subscribe to the topic {topic.arn}.\n"
            "To confirm the subscription, visit the SubscribeURL included in this message."
        )
    else:
        text = (
            f"You have chosen to deactivate subscription {subscription.arn}.\n"
            "To cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
        )
    publication = Publication(
        message_id=str(uuid.uuid4()),
        topic_arn=topic.arn,
        region=topic.region,
        account=topic.account,
        message=text,
        published_at_ms=ctx.server.clock.now_ms(),
        signature_version=topic.record.attributes.get("SignatureVersion", "1"),
    )
    record = subscription.record
    delivery = Delivery(
        kind=kind,
        publication=publication,
        protocol=record.protocol,
        endpoint=record.endpoint,
        subscription_arn=record.arn,
        token=token,
    )
    await state.deliveries.send_notice(delivery)


async def confirm_subscription(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Confirm the subscription that `Token` was sent for; its ARN out. Anyone who has the token may.

    With `AuthenticateOnUnsubscribe` true, from a caller who signs, only the owner can end the subscription.
    AWS: the token tells which subscription is meant; the topic's ARN has to be one, no more.
    Raises InvalidParameter for a token that there is not, or that has run out.
    """
    rules.split_arn(params["TopicArn"], "TopicArn")
    token: str = params["Token"]
    if not _TOKEN(token):
        raise ServiceError("InvalidParameter", "Invalid token")
    state: State = ctx.state
    now_ms = ctx.server.clock.now_ms()
    entry = await ctx.server.engine.metadata.get(records.token_key(token))
    known = records.decode_token(entry.value) if entry is not None else None
    if known is None or now_ms >= known.expires_at_ms:
        raise rules.invalid_parameter("Token")
    signed = bool(ctx.principal.access_key_id)
    guarded = signed and rules.read_boolean(params.get("AuthenticateOnUnsubscribe") or "") == "true"
    _, region, account, _, name, subscription_id = known.subscription_key.split("/")
    topic = await state.load(region, account, name)
    if topic is None:
        raise rules.invalid_parameter("Token")
    if known.restores is not None and subscription_id not in topic.subscriptions:
        return await _restore(ctx, topic, known.restores)
    subscription = topic.subscriptions.get(subscription_id)
    if subscription is None:
        raise rules.invalid_parameter("Token")

    def change(old: SubscriptionRecord) -> SubscriptionRecord:
        if not old.pending:  # AWS: confirming once more changes nothing.
            return old
        return msgspec.structs.replace(old, token="", authenticated=signed, authenticate_unsubscribe=guarded)

    await state.revise_subscription(subscription, change)
    return {"SubscriptionArn": subscription.arn}


async def _restore(ctx: Context, topic: Topic, record: SubscriptionRecord) -> dict[str, Any]:
    """Bring back a subscription that was ended by a link."""
    try:
        await ctx.server.engine.metadata.apply(additions(topic.region, topic.account, topic.name, record))
    except Conflict:  # its endpoint has subscribed anew meanwhile
        raise rules.invalid_parameter("Token") from None
    return {"SubscriptionArn": record.arn}


# Unsubscribe


async def unsubscribe(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """End a subscription. Anyone may who knows its ARN, unless it was confirmed with AuthenticateOnUnsubscribe.

    AWS: an endpoint whose owner was not the caller is told, with a link that brings the subscription back. One that
    is not there is no error. Raises AuthorizationError and InvalidParameter.
    """
    state: State = ctx.state
    subscription = await state.find_subscription(params["SubscriptionArn"])
    if subscription is None:
        return {}
    record, topic = subscription.record, subscription.topic
    owned = bool(ctx.principal.access_key_id) and ctx.account in (record.owner, topic.account)
    if record.authenticate_unsubscribe and not owned:
        raise ServiceError("AuthorizationError", "The subscription can be ended by its owner only", status=403)
    tells = not owned and not record.pending and record.protocol in endpoints.CONFIRMED_BY_ENDPOINT
    writes = removal(topic.region, topic.account, topic.name, record)
    token = ""
    if tells:
        token = secrets.token_hex(limits.TOKEN_BYTES)
        expires_at_ms = ctx.server.clock.now_ms() + limits.TOKEN_MS
        restoring = TokenRecord(subscription_key=subscription.key, expires_at_ms=expires_at_ms, restores=record)
        writes.append(Write(records.token_key(token), records.encode(restoring)))
    await ctx.server.engine.metadata.apply(writes)
    await state.deliveries.forget(subscription.arn)
    if tells:
        await send_notice(ctx, subscription, "UnsubscribeConfirmation", token)
    if state.arns.get(topic.arn) is topic:
        await state.revise_topic(topic, counted)
    return {}
