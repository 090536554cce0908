"""Firebase Cloud Messaging, HTTP v1, with an access token granted to a service account.

Follows Google's documentation of `projects.messages` and of OAuth 2.0 for service accounts, and AWS's of how payloads
of the former protocol are taken over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

from headrace.services.sns.transports.http_client import HttpRequest
from headrace.services.sns.transports.platforms import (
    BadMessage,
    Push,
    Result,
    gone,
    json_request,
    jwt,
    meaning,
    read_json,
)
from headrace.services.sns.transports.responses import Answer

PRODUCTION: Final = "https://fcm.googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_S: Final = 3_600
_REJECTED: Final = frozenset({"UNREGISTERED", "SENDER_ID_MISMATCH"})
_PLAIN_NOTIFICATION: Final = frozenset({"title", "body", "image"})


def request(push: Push) -> HttpRequest:
    """The message. Raises BadMessage."""
    account = service_account(push.application)
    if not account:
        raise BadMessage("Google takes no API keys any more: PlatformCredential has to be a service account's JSON")
    document = push.document() if push.own else {"data": {"default": push.text}}
    wrapped = document.get("fcmV1Message")
    message = _message_of(wrapped) if wrapped is not None else from_legacy(document)
    message["token"] = push.token
    ttl_s = push.ttl_s(family="FCM")
    if ttl_s is not None:
        message.setdefault("android", {})["ttl"] = f"{ttl_s}s"
    content: dict[str, Any] = {"message": message}
    if (wrapped or document).get("validate_only" if wrapped else "dry_run") is True:
        content["validate_only"] = True
    url = f"{push.base_url}/v1/projects/{quote(account.get('project_id', ''), safe='')}/messages:send"
    return json_request(url, {"Authorization": f"Bearer {push.access_token}"}, content)


def _message_of(wrapped: Any) -> dict[str, Any]:
    message = wrapped.get("message") if isinstance(wrapped, dict) else None
    if not isinstance(message, dict):
        raise BadMessage("fcmV1Message must be an object with a message")
    if message.get("android") is not None and not isinstance(message["android"], dict):
        raise BadMessage("fcmV1Message.message.android must be an object")
    return {name: value for name, value in message.items() if value is not None}


def from_legacy(document: Mapping[str, Any]) -> dict[str, Any]:
    """A payload of the former protocol as a message of HTTP v1. Raises BadMessage.

    AWS: publishers need not change theirs. Data has to be text in HTTP v1: other values become their JSON.
    """
    message: dict[str, Any] = {}
    android = _android(document)
    if data := _object(document, "data"):
        message["data"] = {name: value if isinstance(value, str) else json.dumps(value) for name, value in data.items()}
    if notification := _object(document, "notification"):
        message["notification"] = {name: notification[name] for name in _PLAIN_NOTIFICATION & notification.keys()}
        others = {name: value for name, value in notification.items() if name not in _PLAIN_NOTIFICATION}
        if others:
            android["notification"] = others
    if android:
        message["android"] = android
    return message


def _object(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadMessage(f"{name} must be an object")
    return value or {}


def _android(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the former protocol said of delivery, and what HTTP v1 has for Android devices alone."""
    android = {name: document[name] for name in ("collapse_key", "restricted_package_name") if name in document}
    if document.get("priority") in ("high", "normal"):
        android["priority"] = document["priority"]
    lifetime_s = document.get("time_to_live")
    if isinstance(lifetime_s, int) and not isinstance(lifetime_s, bool):
        android["ttl"] = f"{max(0, lifetime_s)}s"
    return android


def judge(answer: Answer, push: Push) -> Result:
    """What Google's answer means: its error names a code among the details."""
    problem = read_json(answer).get("error")
    error = problem if isinstance(problem, dict) else {}
    details = [each for each in error.get("details") or () if isinstance(each, dict)]
    codes = {str(each.get("errorCode", "")) for each in details} | {str(error.get("status", ""))}
    said = str(error.get("message", ""))[:200]
    if codes & _REJECTED or _token_is_invalid(error, details):
        return gone(answer, f"Google rejected the registration token: {said}")
    return Result(
        meaning(answer, push, f"Google refused the message: {said}" if said else ""),
        expired=answer.status == HTTPStatus.UNAUTHORIZED,
    )


def _token_is_invalid(error: Mapping[str, Any], details: list[dict[str, Any]]) -> bool:
    """Whether the argument that is not valid is the registration token."""
    if error.get("status") != "INVALID_ARGUMENT":
        return False
    violations = [
        violation for each in details for violation in each.get("fieldViolations") or () if isinstance(violation, dict)
    ]
    if violations:
        return any(violation.get("field") == "message.token" for violation in violations)
    return "registration token" in str(error.get("message", "")).lower()


# Access


def service_account(application: Mapping[str, str]) -> dict[str, str]:
    """The service account that is an application's credential; an empty one when that is an API key."""
    try:
        value = json.loads(application.get("PlatformCredential", ""))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict) or "private_key" not in value:
        return {}
    return {name: each for name, each in value.items() if isinstance(each, str)}


def grant(_base_url: str, application: Mapping[str, str], now_ms: int) -> HttpRequest:
    """The request for an access token: an assertion signed with the account's key. Raises BadMessage."""
    account = service_account(application)
    url = account.get("token_uri") or _TOKEN_URI
    now_s = now_ms // 1000
    claims = {
        "iss": account.get("client_email", ""),
        "scope": _SCOPE,
        "aud": url,
        "iat": now_s,
        "exp": now_s + _ASSERTION_S,
    }
    assertion = jwt.signed(claims, key_id=account.get("private_key_id", ""), key_pem=account.get("private_key", ""))
    form = urlencode({"grant_type": _GRANT, "assertion": assertion})
    return HttpRequest(url, {"Content-Type": "application/x-www-form-urlencoded"}, form.encode())
