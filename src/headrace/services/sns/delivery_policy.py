"""Delivery policies: how often and how soon an endpoint is tried again, how fast, and as what it gets its body. Pure.

AWS: only HTTP(S) endpoints have policies of their own to set, on the topic (`http.default…`) and on the subscription;
for all other protocols AWS's fixed schedules hold.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from headrace.services.sns import limits

Fail = Callable[[str], Exception]
"""Makes the error for what is wrong with an attribute."""

_Judge = Callable[[str, Any], "str | None"]
"""Says what is wrong with the value of a member, by its path; None when nothing is."""

DEFAULT_CONTENT_TYPE: Final = "text/plain; charset=UTF-8"

_MAX_DELAY_S: Final = 3_600
_MAX_RETRIES: Final = 100
_MAX_TOTAL_S: Final = 3_600
"""AWS: all delays of an HTTP(S) policy together take an hour at most."""

_FUNCTIONS: Final = ("arithmetic", "exponential", "geometric", "linear")
_CONTENT_TYPES: Final = frozenset(
    {
        "application/atom+xml",
        "application/json",
        "application/octet-stream",
        "application/soap+xml",
        "application/x-www-form-urlencoded",
        "application/xhtml+xml",
        "application/xml",
        "text/css",
        "text/csv",
        "text/html",
        "text/plain",
        "text/xml",
    }
)

_DEFAULT_RETRY: Final[Mapping[str, Any]] = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
_REQUIRED: Final = ("minDelayTarget", "maxDelayTarget", "numRetries")
_COUNTS: Final = ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries")


# What is to be done


class Retries(msgspec.Struct, frozen=True):
    """When to try again: four phases one after another, each of so many retries, and the delays between them."""

    immediate: int
    pre_backoff: int
    backoff: int
    post_backoff: int
    min_delay_ms: int
    max_delay_ms: int
    function: str

    @property
    def count(self) -> int:
        """How often is tried again at most."""
        return self.immediate + self.pre_backoff + self.backoff + self.post_backoff

    def delay_ms(self, retry: int) -> int | None:
        """How long to wait before the retry of that number, the first being 1; None when there is none more."""
        position = retry - 1 - self.immediate
        if position < 0:
            return 0
        if position < self.pre_backoff:
            return self.min_delay_ms
        position -= self.pre_backoff
        if position < self.backoff:
            share = _GROWTH[self.function](position, self.backoff - 1, self.max_delay_ms / max(1, self.min_delay_ms))
            return round(self.min_delay_ms + share * (self.max_delay_ms - self.min_delay_ms))
        return self.max_delay_ms if position < self.backoff + self.post_backoff else None


def _linear(step: int, last: int, _ratio: float) -> float:
    return step / last if last else 0.0


def _arithmetic(step: int, last: int, _ratio: float) -> float:
    """Steps that grow by the same amount each time."""
    return step * (step + 1) / (last * (last + 1)) if last else 0.0


def _geometric(step: int, last: int, ratio: float) -> float:
    """Each delay is the one before times the same factor."""
    if not last or ratio <= 1:
        return 0.0
    return float((ratio ** (step / last) - 1) / (ratio - 1))


def _exponential(step: int, last: int, _ratio: float) -> float:
    """The distance from the shortest delay doubles each time."""
    return float((2.0**step - 1) / (2.0**last - 1)) if last else 0.0


_GROWTH: Final[Mapping[str, Callable[[int, int, float], float]]] = {
    "arithmetic": _arithmetic,
    "exponential": _exponential,
    "geometric": _geometric,
    "linear": _linear,
}
"""How far between the shortest and the longest delay a step of the backoff phase lies."""

MANAGED: Final = Retries(3, 2, 10, 100_000, 1_000, 20_000, "exponential")
"""AWS: for what AWS itself runs (SQS, Lambda, Firehose): 100,015 retries over 23 days."""

PEOPLE: Final = Retries(0, 2, 10, 38, 10_000, 600_000, "exponential")
"""AWS: for e-mail, SMS and mobile push: 50 retries over more than six hours."""


class Manner(msgspec.Struct, frozen=True):
    """How an endpoint is delivered to: its retries, its pace (0: as fast as can be) and the body's content type."""

    retries: Retries
    max_receives_per_second: int = 0
    content_type: str = DEFAULT_CONTENT_TYPE


def manner(protocol: str, topic_policy: str | None, subscription_policy: str | None) -> Manner:
    """How to deliver over a protocol under the DeliveryPolicy attributes (JSON, checked) of topic and subscription."""
    if protocol in ("sqs", "lambda", "firehose"):
        return Manner(MANAGED)
    if protocol not in ("http", "https"):
        return Manner(PEOPLE)
    return _http_manner(topic_policy, subscription_policy)


@functools.lru_cache(maxsize=limits.MANNERS_CACHED)
def _http_manner(topic_policy: str | None, subscription_policy: str | None) -> Manner:
    effective = effective_subscription(topic_policy, subscription_policy)
    throttle = effective["throttlePolicy"] or {}
    request = effective["requestPolicy"] or {}
    return Manner(
        _retries(effective["healthyRetryPolicy"]),
        throttle.get("maxReceivesPerSecond") or 0,
        request.get("headerContentType") or DEFAULT_CONTENT_TYPE,
    )


def _retries(policy: Mapping[str, Any]) -> Retries:
    none, least, most = (policy[name] for name in _COUNTS)
    between = policy["numRetries"] - none - least - most
    shortest, longest = policy["minDelayTarget"] * 1000, policy["maxDelayTarget"] * 1000
    return Retries(none, least, between, most, shortest, longest, policy["backoffFunction"])


# What is shown


def effective_topic(topic_policy: str | None) -> dict[str, Any]:
    """A topic's EffectiveDeliveryPolicy: what is set, and AWS's defaults for the rest."""
    given = _http(topic_policy)
    result: dict[str, Any] = {
        "defaultHealthyRetryPolicy": {**_DEFAULT_RETRY, **_set(given.get("defaultHealthyRetryPolicy"))},
        "disableSubscriptionOverrides": bool(given.get("disableSubscriptionOverrides")),
        "defaultRequestPolicy": {
            "headerContentType": DEFAULT_CONTENT_TYPE,
            **_set(given.get("defaultRequestPolicy")),
        },
    }
    throttle = _set(given.get("defaultThrottlePolicy"))
    if throttle:
        result["defaultThrottlePolicy"] = throttle
    return {"http": result}


def effective_subscription(topic_policy: str | None, subscription_policy: str | None) -> dict[str, Any]:
    """A subscription's EffectiveDeliveryPolicy: its own, else its topic's, else AWS's default, member by member.

    AWS: `disableSubscriptionOverrides` on the topic makes its policy hold for all subscriptions.
    """
    defaults = effective_topic(topic_policy)["http"]
    own = {} if defaults["disableSubscriptionOverrides"] or not subscription_policy else json.loads(subscription_policy)
    healthy = _set(own.get("healthyRetryPolicy"))
    return {
        "healthyRetryPolicy": {**_DEFAULT_RETRY, **healthy} if healthy else defaults["defaultHealthyRetryPolicy"],
        "sicklyRetryPolicy": None,
        "throttlePolicy": _set(own.get("throttlePolicy")) or defaults.get("defaultThrottlePolicy"),
        "requestPolicy": _set(own.get("requestPolicy")) or defaults["defaultRequestPolicy"],
        "guaranteed": False,
    }


def _http(topic_policy: str | None) -> dict[str, Any]:
    return (json.loads(topic_policy).get("http") or {}) if topic_policy else {}


def _set(policy: Mapping[str, Any] | None) -> dict[str, Any]:
    """The members that have a value. AWS: null is as good as absent."""
    return {name: value for name, value in (policy or {}).items() if value is not None}


# What is wrong


def check_topic(value: str, fail: Fail) -> str:
    """A topic's DeliveryPolicy as it is stored: `{"http": {…}}`. Raises what `fail` makes of what is wrong."""
    policy = _read(value, fail)
    problem = _problem(policy, "", {"http": _http_problem})
    if problem:
        raise fail(f"DeliveryPolicy: {problem}")
    return value


def check_subscription(value: str, fail: Fail) -> str:
    """A subscription's DeliveryPolicy as it is stored. Raises what `fail` makes of what is wrong."""
    policy = _read(value, fail)
    problem = _problem(policy, "", _SUBSCRIPTION)
    if problem:
        raise fail(f"DeliveryPolicy: {problem}")
    return value


def _read(value: str, fail: Fail) -> Any:
    try:
        policy = json.loads(value)
    except (ValueError, RecursionError):
        policy = None
    if not isinstance(policy, dict):
        raise fail("DeliveryPolicy: failed to parse JSON.")
    return policy


def _problem(value: Any, path: str, members: Mapping[str, _Judge]) -> str | None:
    """What is wrong with an object of these members."""
    if not isinstance(value, dict):
        return f"{path.rstrip('.')} must be a JSON object"
    for name, member in value.items():
        judge = members.get(name)
        if judge is None:
            return f"Unexpected JSON member: {path}{name}"
        problem = judge(f"{path}{name}", member) if member is not None else None
        if problem:
            return problem
    return None


def _http_problem(path: str, value: Any) -> str | None:
    return _problem(value, f"{path}.", _TOPIC)


def _healthy_problem(path: str, value: Any) -> str | None:
    """AWS: the number of retries and both delays have to be given, and all must fit into an hour."""
    problem = _problem(value, f"{path}.", _RETRY)
    if problem:
        return problem
    missing = next((name for name in _REQUIRED if value.get(name) is None), None)
    if missing:
        return f"{path}.{missing} must be specified"
    if value["maxDelayTarget"] < value["minDelayTarget"]:
        return f"{path}.maxDelayTarget must be greater than or equal to minDelayTarget"
    if sum(value.get(name) or 0 for name in _COUNTS) > value["numRetries"]:
        return f"{path}.numRetries must be greater than or equal to the sum of {', '.join(_COUNTS)}"
    retries = _retries({**_DEFAULT_RETRY, **_set(value)})
    if sum(retries.delay_ms(retry) or 0 for retry in range(1, retries.count + 1)) > _MAX_TOTAL_S * 1000:
        return f"{path} must not take more than {_MAX_TOTAL_S} seconds in all"
    return None


def _whole(low: int, high: int | None = None) -> _Judge:
    """Demands a whole number in a range."""

    def judge(path: str, value: Any) -> str | None:
        if not isinstance(value, int) or isinstance(value, bool):
            return f"{path} must be an integer"
        if value < low:
            return f"{path} must be greater than or equal to {low}"
        if high is not None and value > high:
            return f"{path} must be less than or equal to {high}"
        return None

    return judge


def _function_problem(path: str, value: Any) -> str | None:
    return None if value in _FUNCTIONS else f"{path} must be one of {', '.join(_FUNCTIONS)}"


def _boolean_problem(path: str, value: Any) -> str | None:
    return None if isinstance(value, bool) else f"{path} must be true or false"


def _throttle_problem(path: str, value: Any) -> str | None:
    return _problem(value, f"{path}.", {"maxReceivesPerSecond": _whole(1)})


def _request_problem(path: str, value: Any) -> str | None:
    return _problem(value, f"{path}.", {"headerContentType": _content_type_problem})


def _content_type_problem(path: str, value: Any) -> str | None:
    media_type = value.partition(";")[0].strip().lower() if isinstance(value, str) else ""
    if media_type not in _CONTENT_TYPES or not value.isprintable() or not value.isascii():
        return f"{path} must be one of {', '.join(sorted(_CONTENT_TYPES))}"
    return None


def _sickly_problem(path: str, _value: Any) -> str | None:
    """AWS: shown, but not (or no longer) to be set."""
    return f"{path} must be null"


_RETRY: Final[Mapping[str, _Judge]] = {
    "minDelayTarget": _whole(1, _MAX_DELAY_S),
    "maxDelayTarget": _whole(1, _MAX_DELAY_S),
    "numRetries": _whole(0, _MAX_RETRIES),
    "numMaxDelayRetries": _whole(0),
    "numNoDelayRetries": _whole(0),
    "numMinDelayRetries": _whole(0),
    "backoffFunction": _function_problem,
}
_TOPIC: Final[Mapping[str, _Judge]] = {
    "defaultHealthyRetryPolicy": _healthy_problem,
    "defaultSicklyRetryPolicy": _sickly_problem,
    "disableSubscriptionOverrides": _boolean_problem,
    "defaultThrottlePolicy": _throttle_problem,
    "defaultRequestPolicy": _request_problem,
}
_SUBSCRIPTION: Final[Mapping[str, _Judge]] = {
    "healthyRetryPolicy": _healthy_problem,
    "sicklyRetryPolicy": _sickly_problem,
    "throttlePolicy": _throttle_problem,
    "requestPolicy": _request_problem,
    "guaranteed": _boolean_problem,
}
