"""What becomes of messages that cannot be delivered: they go to the queue that the subscription names, if it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from headrace.context import Server
from headrace.errors import ServiceError
from headrace.services.sns import envelopes, queue_messages, rules
from headrace.services.sns.records import Delivery

if TYPE_CHECKING:
    from headrace.services.sns.state import Subscription

log = structlog.get_logger()


async def send(server: Server, subscription: Subscription | None, delivery: Delivery) -> None:
    """Send what could not be delivered to the subscription's dead-letter queue; without one it is lost, as on AWS.

    AWS: the queue gets what a queue that had subscribed would have got: the text alone with raw delivery, with the
    attributes as the message's own, and the envelope else. A queue that does not take it loses it.
    Raises ServiceError when the queue may take it later.
    """
    if subscription is None or subscription.dead_letters is None or delivery.kind != "Notification":
        return
    queue = rules.parse_queue_arn(subscription.dead_letters)
    assert queue is not None  # it was checked when the policy was set
    region, account, name = queue
    body = await envelopes.queue_body(server, delivery)
    fifo = name.endswith(rules.FIFO_SUFFIX)
    params = queue_messages.entry(delivery.publication, body, raw=delivery.raw, fifo=fifo)
    params["QueueUrl"] = queue_messages.queue_url(account, name)
    topic = subscription.topic
    sender = queue_messages.principal(topic.account, topic.arn)
    try:
        await server.invoke("sqs", "SendMessage", params, principal=sender, region=region)
    except ServiceError as error:
        if queue_messages.is_retried(error):
            raise
        log.warning("a dead letter is lost", queue=subscription.dead_letters, code=error.code, error=error.message)
