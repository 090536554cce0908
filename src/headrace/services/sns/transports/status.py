"""Delivery status that is asked for on a platform application or on an account's SMS settings.

What AWS writes to CloudWatch Logs are lines of the server's own log; a topic's own wishes are `status_log`'s.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from headrace.services.sns.records import Delivery
from headrace.services.sns.transports import Outcome, Verdict

_PERCENT: Final = 100

log = structlog.get_logger()


class Names(msgspec.Struct, frozen=True):
    """What the attributes are called that ask for it: for success, for failure, and how large a sample of success."""

    success: str
    failure: str
    rate: str


APPLICATION: Final = Names("SuccessFeedbackRoleArn", "FailureFeedbackRoleArn", "SuccessFeedbackSampleRate")
SMS: Final = Names("DeliveryStatusIAMRole", "DeliveryStatusIAMRole", "DeliveryStatusSuccessSamplingRate")


def wanted(delivery: Delivery, verdict: Verdict, attributes: Mapping[str, str], names: Names) -> bool:
    """Whether an attempt's outcome is to be logged. The sample is drawn by the message's id. Pure."""
    if verdict is not Verdict.DELIVERED:
        return names.failure in attributes
    rate = int(attributes.get(names.rate, "0"))
    return names.success in attributes and zlib.crc32(delivery.publication.message_id.encode()) % _PERCENT < rate


def write(delivery: Delivery, outcome: Outcome, attributes: Mapping[str, str], names: Names) -> None:
    """Log how an attempt ended, if it is to be."""
    if not wanted(delivery, outcome.verdict, attributes, names):
        return
    log.info(
        "delivered" if outcome.verdict is Verdict.DELIVERED else "not delivered",
        message_id=delivery.publication.message_id,
        topic=delivery.publication.topic_arn,
        protocol=delivery.protocol,
        destination=delivery.endpoint,
        tried_again=outcome.verdict is Verdict.RETRY,
        status=outcome.status,
        response=outcome.response,
        reason=outcome.reason,
    )
