"""Apple Push Notification service over HTTP/2, with a token signed for each team or with a certificate.

Follows Apple's documentation of sending notification requests and of responses, and AWS's of the message attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

PRODUCTION: Final = "https://api.push.apple.com"
SANDBOX: Final = "https://api.sandbox.push.apple.com"
TOKEN_MS: Final = 40 * 60_000
"""How long a signed token is used. Apple takes none that is older than an hour, and wants no new one too often."""

PLATFORMS: Final = frozenset({"APNS", "APNS_SANDBOX", "APNS_VOIP", "APNS_VOIP_SANDBOX", "MACOS", "MACOS_SANDBOX"})
_FAMILY: Final = "APNS"
_REJECTED: Final = frozenset({"BadDeviceToken", "Unregistered", "DeviceTokenNotForTopic", "ExpiredToken"})
_EXPIRED: Final = frozenset({"ExpiredProviderToken"})
_PUSH_TYPES: Final = frozenset(
    {"alert", "background", "voip", "complication", "fileprovider", "mdm", "location", "liveactivity", "pushtotalk"}
)
_USER_ID: Final = "0.9.2342.19200300.100.1.1"


def uses_token(application: Mapping[str, str]) -> bool:
    """Whether an application's credentials are a signing key, not a certificate."""
    return "ApplePlatformTeamID" in application or "ApplePlatformBundleID" in application


def request(push: Push) -> HttpRequest:
    """The notification. Raises BadMessage."""
    payload = push.document() if push.own else {"aps": {"alert": push.text}}
    kind = _push_type(push, payload)
    headers = {
        "apns-topic": _topic(push, kind),
        "apns-push-type": kind,
        "apns-priority": push.attribute("PRIORITY", family=_FAMILY) or ("5" if kind == "background" else "10"),
    }
    ttl_s = push.ttl_s(family=_FAMILY)
    if ttl_s is not None:
        # AWS: a TTL of zero is Apple's own: now or never.
        headers["apns-expiration"] = str(push.now_ms // 1000 + ttl_s if ttl_s else 0)
    if collapse := push.attribute("COLLAPSE_ID", family=_FAMILY):
        headers["apns-collapse-id"] = collapse
    if push.access_token:
        headers["authorization"] = f"bearer {push.access_token}"
    return json_request(f"{push.base_url}/3/device/{push.token}", headers, payload)


def _push_type(push: Push, payload: Mapping[str, Any]) -> str:
    """What kind of notification it is, as the publisher says or as its content tells."""
    given = push.attribute("PUSH_TYPE", family=_FAMILY)
    if given:
        if given not in _PUSH_TYPES:
            raise BadMessage(f"{given} is no push type of Apple's")
        return given
    if "VOIP" in push.platform:
        return "voip"
    content = payload.get("aps")
    if not isinstance(content, dict) or content.get("content-available") != 1:
        return "alert"
    return "alert" if {"alert", "badge", "sound"} & content.keys() else "background"


def _topic(push: Push, kind: str) -> str:
    """The app that the notification is for: its bundle, which a certificate names in its subject."""
    given = push.attribute("TOPIC", family=_FAMILY)
    if given:
        return given
    bundle = push.application.get("ApplePlatformBundleID") or certificate_bundle(push.application)
    return f"{bundle}.voip" if kind == "voip" and not bundle.endswith(".voip") else bundle


def judge(answer: Answer, push: Push) -> Result:
    """What Apple's answer means: it gives a reason in JSON with every error."""
    reason = str(read_json(answer).get("reason", ""))
    if reason in _REJECTED or answer.status == HTTPStatus.GONE:
        return gone(answer, f"Apple rejected the device token: {reason or 'Unregistered'}")
    said = f"Apple refused the notification: {reason}" if reason else ""
    return Result(meaning(answer, push, said), expired=reason in _EXPIRED)


# Credentials


def signed_token(application: Mapping[str, str], now_ms: int) -> str:
    """A token for the team, signed with its key. Raises BadMessage for a key that cannot be used."""
    claims = {"iss": application.get("ApplePlatformTeamID", ""), "iat": now_ms // 1000}
    return jwt.signed(
        claims,
        key_id=application.get("PlatformPrincipal", ""),
        key_pem=application.get("PlatformCredential", ""),
    )


def certificate_bundle(application: Mapping[str, str]) -> str:
    """The bundle that an application's certificate is for. Raises BadMessage for one that cannot be read."""
    from cryptography.x509 import ObjectIdentifier

    names = certificate(application).subject.get_attributes_for_oid(ObjectIdentifier(_USER_ID))
    if not names:
        raise BadMessage("The certificate names no bundle")
    return str(names[0].value)


def certificate(application: Mapping[str, str]) -> Certificate:
    """An application's certificate. Raises BadMessage for one that cannot be read."""
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(application.get("PlatformPrincipal", "").encode())
    except ValueError as error:
        raise BadMessage(f"The certificate cannot be read: {error}") from error
