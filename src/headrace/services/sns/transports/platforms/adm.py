"""Amazon Device Messaging, with an access token granted to a client id and secret.

Follows Amazon's documentation of the ADM API.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

from headrace.services.sns.transports import Verdict
from headrace.services.sns.transports.http_client import HttpRequest
from headrace.services.sns.transports.platforms import (
    BadMessage,
    Push,
    Result,
    gone,
    json_request,
    meaning,
    read_json,
)
from headrace.services.sns.transports.responses import Answer

PRODUCTION: Final = "https://api.amazon.com"
_REJECTED: Final = frozenset({"Unregistered", "InvalidRegistrationId"})
_TYPES: Final = {
    "X-Amzn-Type-Version": "com.amazon.device.messaging.ADMMessage@1.0",
    "X-Amzn-Accept-Type": "com.amazon.device.messaging.ADMSendResult@1.0",
}


def request(push: Push) -> HttpRequest:
    """The message. Raises BadMessage."""
    message: dict[str, Any] = push.document() if push.own else {"data": {"default": push.text}}
    data = message.get("data")
    if data is not None:
        if not isinstance(data, dict):
            raise BadMessage("data must be an object")
        # Amazon takes text only.
        texts = {name: each if isinstance(each, str) else json.dumps(each) for name, each in data.items()}
        message = {**message, "data": texts}
    ttl_s = push.ttl_s()
    if ttl_s is not None:
        message = {**message, "expiresAfter": ttl_s}
    url = f"{push.base_url}/messaging/registrations/{quote(push.token, safe='')}/messages"
    return json_request(url, {"Authorization": f"Bearer {push.access_token}", **_TYPES}, message)


def judge(answer: Answer, push: Push) -> Result:
    """What Amazon's answer means; one that is good may say what the device is to be known by from now on."""
    document = read_json(answer)
    reason = str(document.get("reason", ""))
    if reason in _REJECTED:
        return gone(answer, f"Amazon rejected the registration id: {reason}")
    outcome = meaning(answer, push, f"Amazon refused the message: {reason}" if reason else "")
    if outcome.verdict is not Verdict.DELIVERED:
        return Result(outcome, expired=answer.status == HTTPStatus.UNAUTHORIZED)
    current = document.get("registrationID")
    return Result(outcome, new_token=current if isinstance(current, str) and current != push.token else "")


def grant(base_url: str, application: Mapping[str, str], _now_ms: int) -> HttpRequest:
    """The request for an access token."""
    form = urlencode(
        {
            "grant_type": "client_credentials",
            "scope": "messaging:push",
            "client_id": application.get("PlatformPrincipal", ""),
            "client_secret": application.get("PlatformCredential", ""),
        }
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return HttpRequest(f"{base_url}/auth/O2/token", headers, form.encode())
