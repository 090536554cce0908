"""Delivery status logging: what AWS writes to CloudWatch Logs, as lines of the server's own log.

A topic asks for it with `…SuccessFeedbackRoleArn` (and a sample rate) and `…FailureFeedbackRoleArn` for each kind of
endpoint. What could not be delivered and has no dead-letter queue is always told of, as a warning.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog

from headrace.services.sns.records import Delivery
from headrace.services.sns.transports import Outcome, Verdict

if TYPE_CHECKING:
    from headrace.services.sns.state import Subscription

_KINDS: Final = {"http": "HTTP", "https": "HTTP", "application": "Application", "sqs": "SQS"}
_PERCENT: Final = 100

log = structlog.get_logger()


def wanted(attributes: Mapping[str, str], delivery: Delivery, verdict: Verdict) -> bool:
    """Whether the topic's attributes ask for a delivery's outcome to be logged. Pure."""
    kind = _KINDS.get(delivery.protocol)
    if kind is None:
        return False
    if verdict is not Verdict.DELIVERED:
        return f"{kind}FailureFeedbackRoleArn" in attributes
    if f"{kind}SuccessFeedbackRoleArn" not in attributes:
        return False
    # The sample is drawn by the message's id, so that a message is in it for all subscriptions or for none.
    rate = int(attributes.get(f"{kind}SuccessFeedbackSampleRate", "0"))
    return zlib.crc32(delivery.publication.message_id.encode()) % _PERCENT < rate


def write(
    subscription: Subscription | None, delivery: Delivery, outcome: Outcome, *, attempts: int, dwell_ms: int
) -> None:
    """Log how a delivery ended, if it is to be."""
    lost = outcome.verdict is not Verdict.DELIVERED and (subscription is None or subscription.dead_letters is None)
    attributes = subscription.topic.record.attributes if subscription is not None else {}
    if not lost and not wanted(attributes, delivery, outcome.verdict):
        return
    event = "delivered" if outcome.verdict is Verdict.DELIVERED else "not delivered"
    tell = log.warning if lost else log.info
    tell(
        event,
        message_id=delivery.publication.message_id,
        topic=delivery.publication.topic_arn,
        protocol=delivery.protocol,
        destination=delivery.endpoint,
        attempts=attempts,
        dwell_ms=dwell_ms,
        status=outcome.status,
        response=outcome.response,
        reason=outcome.reason,
    )
