"""Which protocols there are, and what each demands of a subscription's endpoint. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from headrace.errors import ServiceError
from headrace.services.sns.rules import FIFO_SUFFIX, invalid_parameter, parse_queue_arn

PROTOCOLS: Final = ("application", "email", "email-json", "firehose", "http", "https", "lambda", "sms", "sqs")
CONFIRMED_BY_ENDPOINT: Final = frozenset({"email", "email-json", "http", "https"})
"""Protocols whose endpoints have to confirm what somebody else subscribed them to."""

RAW: Final = frozenset({"firehose", "http", "https", "sqs"})
"""Protocols that RawMessageDelivery means something to."""

LARGE: Final = frozenset({"firehose", "lambda", "sqs"})
"""AWS: only these are delivered messages over 256 KiB."""

_PHONE: Final = re.compile(r"\+[1-9][0-9]{1,14}").fullmatch
_EMAIL: Final = re.compile(r"[^@\s<>\"(),:;\[\]\\]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*").fullmatch
_EMAIL_CHARS: Final = 320
_APPLICATION: Final = re.compile(r"arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:endpoint/[A-Z_]+/[^/]+/[^/]+").fullmatch
_URL: Final = re.compile(r"https?://[^\s/?#]+(?:[/?#]\S*)?").fullmatch
_URL_CHARS: Final = 2048


def is_phone_number(text: str) -> bool:
    """Whether it is a number in the form E.164."""
    return _PHONE(text) is not None


def check_endpoint(protocol: str, endpoint: str, *, fifo_topic: bool) -> None:
    """Raise InvalidParameter unless an endpoint of that kind may subscribe to a topic of that type."""
    if protocol not in PROTOCOLS:
        raise invalid_parameter(f"Amazon SNS does not support this protocol string: {protocol}")
    if not endpoint:
        raise invalid_parameter("Endpoint Reason: no value for required parameter")
    if fifo_topic and protocol != "sqs":
        raise invalid_parameter(f"Protocol Reason: {protocol} is not supported on FIFO topics; only sqs is")
    _CHECKS[protocol](protocol, endpoint)
    if protocol == "sqs" and endpoint.endswith(FIFO_SUFFIX) and not fifo_topic:
        # AWS: says so twice.
        raise invalid_parameter(
            "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"
        )


def _check_queue(_protocol: str, endpoint: str) -> None:
    if parse_queue_arn(endpoint) is None:
        raise invalid_parameter("SQS endpoint ARN")


def _check_url(protocol: str, endpoint: str) -> None:
    if not endpoint.startswith(f"{protocol}://"):
        raise invalid_parameter("Endpoint must match the specified protocol")
    if not _URL(endpoint) or len(endpoint) > _URL_CHARS:
        raise invalid_parameter("Endpoint Reason: It is not a URL that messages can be sent to")


def _check_email(_protocol: str, endpoint: str) -> None:
    if len(endpoint) > _EMAIL_CHARS or not _EMAIL(endpoint):
        raise invalid_parameter("Email address")


def _check_phone(_protocol: str, endpoint: str) -> None:
    if not is_phone_number(endpoint):
        raise invalid_parameter(f"Invalid SMS endpoint: {endpoint}")


def _check_application(_protocol: str, endpoint: str) -> None:
    if not _APPLICATION(endpoint):
        raise invalid_parameter("ApplicationEndpoint ARN")


def _refuse(protocol: str, _endpoint: str) -> None:
    """A subscription that nothing could be delivered to must not look as if it worked."""
    name = {"lambda": "AWS Lambda", "firehose": "Amazon Data Firehose"}[protocol]
    raise ServiceError(
        "InvalidParameter",
        f"Invalid parameter: Protocol Reason: Headrace does not serve {name} yet, so that nothing could be delivered "
        f"to {protocol} endpoints",
    )


_CHECKS: Final[Mapping[str, Callable[[str, str], None]]] = {
    "application": _check_application,
    "email": _check_email,
    "email-json": _check_email,
    "firehose": _refuse,
    "http": _check_url,
    "https": _check_url,
    "lambda": _refuse,
    "sms": _check_phone,
    "sqs": _check_queue,
}
