"""Windows Push Notification Services: a device's token is the channel to post to.

Follows Microsoft's documentation of WNS request and response headers, and AWS's of the message attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from headrace.services.sns.transports import retry
from headrace.services.sns.transports.http_client import HttpRequest
from headrace.services.sns.transports.platforms import Push, Result, channel_url, gone, meaning, refused
from headrace.services.sns.transports.responses import Answer

PRODUCTION: Final = "https://login.live.com"
_HOSTS: Final = ("notify.windows.com", "wns.windows.com")
_RAW: Final = "wns/raw"
_HEADERS: Final = {
    "X-WNS-Cache-Policy": "CachePolicy",
    "X-WNS-Group": "Group",
    "X-WNS-Match": "Match",
    "X-WNS-SuppressPopup": "SuppressPopup",
    "X-WNS-Tag": "Tag",
    "X-WNS-TTL": "TTL",
}


def request(push: Push) -> HttpRequest:
    """The notification. Raises BadMessage for a channel that is none of Microsoft's."""
    url = channel_url(push, _HOSTS, PRODUCTION)
    kind = push.attribute("Type") or "wns/toast"
    text = push.text
    if not push.own and kind == "wns/toast":
        text = (
            '<toast><visual><binding template="ToastText01">'
            f'<text id="1">{escape(push.text)}</text></binding></visual></toast>'
        )
    headers = {
        "Authorization": f"Bearer {push.access_token}",
        "Content-Type": "application/octet-stream" if kind == _RAW else "text/xml",
        "X-WNS-Type": kind,
        "X-WNS-RequestForStatus": "true",
    }
    headers |= {header: value for header, name in _HEADERS.items() if (value := push.attribute(name))}
    return HttpRequest(url, headers, text.encode("utf-8", "replace"))


def judge(answer: Answer, push: Push) -> Result:
    """What Microsoft's answer means."""
    said = answer.headers.get("x-wns-error-description", "")
    if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return gone(answer, f"Microsoft rejected the channel: {said or 'it is no more'}")
    state = answer.headers.get("x-wns-status", "").lower()
    if answer.status == HTTPStatus.NOT_ACCEPTABLE or state == "channelthrottled":
        return Result(retry("Microsoft throttles the channel", status=answer.status, response=answer.text))
    if answer.status == HTTPStatus.OK and state == "dropped":
        return refused(answer, "Microsoft dropped the notification")
    return Result(meaning(answer, push, said), expired=answer.status == HTTPStatus.UNAUTHORIZED)


def grant(base_url: str, application: Mapping[str, str], _now_ms: int) -> HttpRequest:
    """The request for an access token."""
    form = urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": application.get("PlatformPrincipal", ""),
            "client_secret": application.get("PlatformCredential", ""),
            "scope": "notify.windows.com",
        }
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return HttpRequest(f"{base_url}/accesstoken.srf", headers, form.encode())
