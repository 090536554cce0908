"""Mobile push services, one a module: how a message is put to each, and what its answer means. All of it is pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from headrace.services.sns import limits
from headrace.services.sns.records import MessageAttribute
from headrace.services.sns.transports import Outcome, Verdict, failed, responses
from headrace.services.sns.transports.http_client import HttpRequest
from headrace.services.sns.transports.responses import Answer

_WHOLE: Final = re.compile(r"[0-9]{1,10}").fullmatch
_TEXT: Final = re.compile(r"[\x20-\x7e]+").fullmatch
_ATTRIBUTE_PREFIX: Final = "AWS.SNS.MOBILE."


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one device: `application` and `device` are their attributes, `text` what was published.

    `own` tells that the text was written for this platform (MessageStructure json); else it is plain. `base_url` is
    the service's, without a slash at its end; `access_token` what it has given us to call it with, if it does.
    """

    platform: str
    base_url: str
    token: str
    text: str
    own: bool
    application: Mapping[str, str]
    device: Mapping[str, str]
    attributes: Mapping[str, MessageAttribute]
    now_ms: int
    access_token: str = ""

    def attribute(self, name: str, *, family: str = "") -> str:
        """A message attribute such as TTL, of this platform, or of the family that it belongs to; "" without one."""
        for group in (self.platform, family):
            found = self.attributes.get(f"{_ATTRIBUTE_PREFIX}{group}.{name}")
            if group and found is not None and _TEXT(found.text):
                return found.text
        return ""

    def ttl_s(self, *, family: str = "") -> int | None:
        """For how long the message is worth delivering, if the publisher says so."""
        value = self.attribute("TTL", family=family)
        return int(value) if _WHOLE(value) else None

    def document(self) -> dict[str, Any]:
        """The text as the JSON object that it has to be. Raises BadMessage."""
        try:
            value = json.loads(self.text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise BadMessage(f"The text for {self.platform} is not a JSON object")
        return value


class Result(msgspec.Struct, frozen=True):
    """What an answer means: `rejected` that the device's token is no good any more, `expired` that our access token
    is, and `new_token` what the service wants the device to be known by from now on.
    """

    outcome: Outcome
    rejected: bool = False
    expired: bool = False
    new_token: str = ""


class BadMessage(Exception):
    """The message cannot be put to the service as it is; it never can."""


class Platform(Protocol):
    """A push service's module."""

    def request(self, push: Push) -> HttpRequest:
        """The request that puts a message to the service. Raises BadMessage."""

    def judge(self, answer: Answer, push: Push) -> Result:
        """What the service's answer means."""


Grant = Callable[[str, Mapping[str, str], int], HttpRequest]
"""From a base URL, an application's attributes and the time: the request for an access token."""


def json_request(url: str, headers: Mapping[str, str], document: Any) -> HttpRequest:
    """A request that carries a JSON document."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return HttpRequest(url, {"Content-Type": "application/json", **headers}, body)


def read_json(answer: Answer) -> dict[str, Any]:
    """The object in an answer's body; an empty one when there is none."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def meaning(answer: Answer, push: Push, said: str = "") -> Outcome:
    """What an answer means as far as its HTTP status says; `said` is the service's reason when it is an error."""
    outcome = responses.judge(answer, push.now_ms)
    wordless = not said or outcome.verdict is Verdict.DELIVERED
    return outcome if wordless else msgspec.structs.replace(outcome, reason=said)


def refused(answer: Answer, reason: str) -> Result:
    """The service will not take this message."""
    return Result(failed(reason, status=answer.status, response=answer.text))


def gone(answer: Answer, reason: str) -> Result:
    """The service knows the device's token no more."""
    return Result(failed(reason, status=answer.status, response=answer.text), rejected=True)


def channel_url(push: Push, hosts: tuple[str, ...], own_base: str) -> str:
    """A device's token that is the URL to post to. Raises BadMessage unless it is the service's own.

    A URL that anybody may register must not make this server post to whatever it can reach.
    """
    parts = urlsplit(push.token)
    host = parts.hostname or ""
    known = parts.scheme == "https" and any(host == each or host.endswith(f".{each}") for each in hosts)
    if push.base_url == own_base and known:
        return push.token
    if push.base_url != own_base and responses.same_origin(push.token, push.base_url):
        return push.token
    raise BadMessage(f"The channel {push.token[: limits.RESPONSE_KEPT_BYTES]} is not one of {push.platform}")
