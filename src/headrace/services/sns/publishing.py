"""Publish and PublishBatch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.ids import random_uuid
from headrace.services.sns import (
    data_protection,
    deliveries,
    endpoints,
    fanout,
    limits,
    messages,
    platform_store,
    rules,
    stored,
)
from headrace.services.sns.records import Delivery, Publication
from headrace.services.sns.state import State, Topic


async def publish(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Publish `Message` to a topic (`TopicArn` or `TargetArn`), an endpoint (`TargetArn`) or a `PhoneNumber`.

    Everything it leads to is stored when this returns: its MessageId, and the SequenceNumber of a FIFO topic. Raises
    InvalidParameter, ParameterValueInvalid, NotFound, EndpointDisabled and PlatformApplicationDisabled.
    """
    phone: str | None = params.get("PhoneNumber")
    topic_arn: str | None = params.get("TopicArn")
    target: str | None = params.get("TargetArn")
    if (phone is None) + (topic_arn is None) + (target is None) != 2:  # noqa: PLR2004 - one of three is given
        raise rules.invalid_parameter("TopicArn or TargetArn or PhoneNumber Reason: exactly one must be given")
    if phone is not None:
        return await _publish_to_phone(ctx, phone, params)
    if target is not None and ":endpoint/" in target:
        return await _publish_to_endpoint(ctx, target, params)
    state: State = ctx.state
    topic = await state.find(ctx, topic_arn or target or "", "TopicArn" if target is None else "TargetArn")
    publication, _ = _read(ctx, topic, params)
    if topic.stores_first:
        sent = (await state.workers.stored.send(topic, [publication]))[0]
        if topic.fifo:
            return {"MessageId": sent.message_id, "SequenceNumber": stored.sequence_number(sent.sequence)}
    else:
        await state.fanout.run(fanout.plan(topic, [publication]))
    return {"MessageId": publication.message_id}


def _read(ctx: Context, topic: Topic, given: dict[str, Any]) -> tuple[Publication, int]:
    """The publication to a topic that parameters make, as its data protection policy lets it through; its size."""
    publication, size_bytes = messages.read(
        given, topic.place, message_id=random_uuid(), now_ms=ctx.server.clock.now_ms(), trace=ctx.trace
    )
    if topic.protection is not None:
        publication = data_protection.inbound(topic.protection, publication, ctx.principal)
    return publication, size_bytes


async def publish_batch(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Publish up to ten messages to `TopicArn`, each as Publish does; what became of each out.

    AWS: an entry that is not in order fails the whole request. Raises EmptyBatchRequest, TooManyEntriesInBatchRequest,
    BatchEntryIdsNotDistinct, InvalidBatchEntryId, BatchRequestTooLong, and what Publish raises.
    """
    state: State = ctx.state
    entries: Sequence[dict[str, Any]] = params.get("PublishBatchRequestEntries") or ()
    rules.check_batch(entries)
    topic = await state.find(ctx, params["TopicArn"])
    read = [_read(ctx, topic, entry) for entry in entries]
    if sum(size_bytes for _, size_bytes in read) > max(topic.max_bytes, limits.MESSAGE_BYTES[2]):
        raise ServiceError("BatchRequestTooLong", "The length of all the messages put together is more than the limit.")
    publications = [publication for publication, _ in read]
    if topic.stores_first:
        sent = await state.workers.stored.send(topic, publications)
        if topic.fifo:
            successful = [
                {
                    "Id": entry["Id"],
                    "MessageId": each.message_id,
                    "SequenceNumber": stored.sequence_number(each.sequence),
                }
                for entry, each in zip(entries, sent, strict=True)
            ]
            return {"Successful": successful, "Failed": []}
    else:
        await state.fanout.run(fanout.plan(topic, publications))
    successful = [
        {"Id": entry["Id"], "MessageId": each.message_id} for entry, each in zip(entries, publications, strict=True)
    ]
    return {"Successful": successful, "Failed": []}


# Without a topic


async def _publish_to_phone(ctx: Context, phone: str, params: dict[str, Any]) -> dict[str, Any]:
    if not endpoints.is_phone_number(phone):
        raise rules.invalid_parameter(f"PhoneNumber Reason: {phone} is not valid to publish to")
    place = messages.Place(region=ctx.region, account=ctx.account)
    return await _publish_directly(ctx, "sms", phone, place, params)


async def _publish_to_endpoint(ctx: Context, endpoint: str, params: dict[str, Any]) -> dict[str, Any]:
    parts = rules.split_arn(endpoint, "TargetArn")
    await platform_store.check_target(ctx.server, endpoint)
    place = messages.Place(region=parts[3], account=parts[4], needs_default=False)
    return await _publish_directly(ctx, "application", endpoint, place, params)


async def _publish_directly(
    ctx: Context, protocol: str, endpoint: str, place: messages.Place, params: dict[str, Any]
) -> dict[str, Any]:
    """Store a message to one endpoint. AWS: it is delivered later, and how that went is not told here."""
    state: State = ctx.state
    publication, _ = messages.read(
        params, place, message_id=random_uuid(), now_ms=ctx.server.clock.now_ms(), trace=ctx.trace
    )
    delivery = Delivery(kind="Notification", publication=publication, protocol=protocol, endpoint=endpoint)
    await state.deliveries.send(deliveries.direct_queue(delivery), [delivery])
    return {"MessageId": publication.message_id}
