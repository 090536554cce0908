"""Subscription attributes: which protocol has which, what they must be, and how they are stored. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from headrace.errors import ServiceError
from headrace.services.sns import delivery_policy, endpoints, filters, replay_policy
from headrace.services.sns.rules import FIFO_SUFFIX, invalid_parameter, parse_queue_arn, read_boolean

_SCOPES: Final = ("MessageAttributes", "MessageBody")
DEFAULT_SCOPE: Final = _SCOPES[0]


class Target(msgspec.Struct, frozen=True):
    """What an attribute is judged by: the subscription's protocol and endpoint, and its topic."""

    protocol: str
    endpoint: str
    topic_arn: str
    now_ms: int

    @property
    def fifo_topic(self) -> bool:
        """Whether the topic is a FIFO topic."""
        return self.topic_arn.endswith(FIFO_SUFFIX)


Fail = Callable[[str], ServiceError]


def _subscribing_failed(problem: str) -> ServiceError:
    return invalid_parameter(f"Attributes Reason: {problem}")


def read_given(given: Mapping[str, str], target: Target) -> dict[str, str]:
    """Subscribe's attributes as they are stored. Raises InvalidParameter."""
    result = {name: normalise(name, value, target, _subscribing_failed) for name, value in given.items()}
    check_filter(result, _subscribing_failed)
    return {name: value for name, value in result.items() if value}


def change(stored: Mapping[str, str], name: str, value: str, target: Target) -> dict[str, str]:
    """What is stored after SetSubscriptionAttributes; an empty value takes a policy away. Raises InvalidParameter."""
    changed = {**stored, name: normalise(name, value, target, invalid_parameter)}
    check_filter(changed, invalid_parameter)
    return {name: value for name, value in changed.items() if value}


def normalise(name: str, value: str, target: Target, fail: Fail) -> str:
    """One attribute's value as it is stored; "" takes it away. Raises what `fail` makes of what is wrong."""
    read = _READERS.get(name)
    if read is None:
        raise fail("AttributeName")
    return read(value, target, fail)


def check_filter(values: Mapping[str, str], fail: Fail) -> None:
    """Raise InvalidParameter unless the filter policy, if there is one, holds in its scope."""
    text = values.get("FilterPolicy")
    if not text:
        return
    try:
        filters.compile_policy(text, values.get("FilterPolicyScope") or DEFAULT_SCOPE)
    except ServiceError as error:
        # AWS: what is wrong with a policy is said as of any other attribute.
        if error.code != "InvalidParameter":
            raise
        raise fail(error.message.removeprefix("Invalid parameter: ")) from None


def _raw(value: str, target: Target, fail: Fail) -> str:
    read = read_boolean(value)
    if read is None:
        raise fail(f"RawMessageDelivery: Invalid value [{value}]. Must be true or false.")
    if target.protocol not in endpoints.RAW:
        raise fail(f"Delivery protocol [{target.protocol}] does not support raw message delivery.")
    return read


def _scope(value: str, _target: Target, fail: Fail) -> str:
    if value not in _SCOPES:
        raise fail(f"FilterPolicyScope: Invalid value [{value}]. Please use either MessageBody or MessageAttributes")
    return value


def _filter(value: str, _target: Target, _fail: Fail) -> str:
    """The policy itself is checked with its scope (`check_filter`). AWS: an empty object filters nothing."""
    return "" if value.strip() in ("", "{}") else value


def _redrive(value: str, target: Target, fail: Fail) -> str:
    if not value:
        return ""
    policy = _object("RedrivePolicy", value, fail)
    arn = policy.get("deadLetterTargetArn")
    queue = parse_queue_arn(arn) if isinstance(arn, str) else None
    if queue is None:
        raise fail("RedrivePolicy: deadLetterTargetArn is an invalid arn")
    fifo = target.endpoint.endswith(FIFO_SUFFIX)
    if target.fifo_topic and fifo != queue[2].endswith(FIFO_SUFFIX):
        if fifo:
            raise fail("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")
        raise fail("RedrivePolicy: must use a standard queue as DLQ for a standard Subscription to a FIFO Topic.")
    if not target.fifo_topic and queue[2].endswith(FIFO_SUFFIX):
        raise fail("RedrivePolicy: must use a standard queue as DLQ for a Subscription to a standard Topic.")
    # AWS: the queue must be in the account and region of the subscription.
    if queue[0] != target.topic_arn.split(":")[3]:
        raise fail("RedrivePolicy: deadLetterTargetArn must be a queue in the same region as the subscription")
    return value


def _delivery(value: str, target: Target, fail: Fail) -> str:
    if not value:
        return ""
    if target.protocol not in ("http", "https"):
        raise fail(f"DeliveryPolicy: Delivery protocol [{target.protocol}] does not support a delivery policy.")
    return delivery_policy.check_subscription(value, fail)


def _role(value: str, target: Target, fail: Fail) -> str:
    if target.protocol != "firehose":
        raise fail(f"SubscriptionRoleArn: Delivery protocol [{target.protocol}] does not take a role.")
    return value


def _replay(value: str, target: Target, fail: Fail) -> str:
    if not value:
        return ""
    if not target.fifo_topic:
        raise fail("ReplayPolicy: is supported by subscriptions to FIFO topics only")
    if problem := replay_policy.problem(value, target.now_ms):
        raise fail(f"ReplayPolicy: {problem}")
    return value


def _object(name: str, text: str, fail: Fail) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise fail(f"{name}: failed to parse JSON.")
    return value


_READERS: Final[Mapping[str, Callable[[str, Target, Fail], str]]] = {
    "DeliveryPolicy": _delivery,
    "FilterPolicy": _filter,
    "FilterPolicyScope": _scope,
    "RawMessageDelivery": _raw,
    "RedrivePolicy": _redrive,
    "ReplayPolicy": _replay,
    "SubscriptionRoleArn": _role,
}


def dead_letter_queue(stored: Mapping[str, str]) -> str | None:
    """The ARN of the queue that takes what cannot be delivered."""
    policy = stored.get("RedrivePolicy")
    return str(json.loads(policy)["deadLetterTargetArn"]) if policy else None


def differing(stored: Mapping[str, str], given: Mapping[str, str]) -> str | None:
    """The first of the (normalised) attributes given to Subscribe that an existing subscription has otherwise."""
    for name, value in given.items():
        default = {"RawMessageDelivery": "false", "FilterPolicyScope": DEFAULT_SCOPE}.get(name, "")
        current = stored.get(name, default)
        if current != value and not (current[:1] == value[:1] == "{" and json.loads(current) == json.loads(value)):
            return name
    return None
