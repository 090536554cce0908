"""Microsoft Push Notification Service for Windows Phone: a device's token is the channel to post to.

Follows Microsoft's documentation of MPNS headers and response codes, and AWS's of the message attributes.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from xml.sax.saxutils import escape

from headrace.services.sns.transports import retry
from headrace.services.sns.transports.http_client import HttpRequest
from headrace.services.sns.transports.platforms import Push, Result, channel_url, gone, meaning
from headrace.services.sns.transports.responses import Answer

PRODUCTION: Final = "https://notify.live.net"
_HOSTS: Final = ("notify.live.net", "notify.windows.com")
_CLASSES: Final = {"token": "1", "toast": "2", "raw": "3"}
"""What X-NotificationClass says for delivery at once, by type."""

_HOUR_MS: Final = 3_600_000


def request(push: Push) -> HttpRequest:
    """The notification. Raises BadMessage for a channel that is none of Microsoft's."""
    kind = push.attribute("Type") or "toast"
    text = push.text
    if not push.own and kind == "toast":
        text = (
            '<?xml version="1.0" encoding="utf-8"?><wp:Notification xmlns:wp="WPNotification"><wp:Toast>'
            f"<wp:Text1>{escape(push.text)}</wp:Text1></wp:Toast></wp:Notification>"
        )
    headers = {
        "Content-Type": "text/xml",
        "X-NotificationClass": push.attribute("NotificationClass") or _CLASSES.get(kind, "2"),
    }
    if kind != "raw":
        headers["X-WindowsPhone-Target"] = kind
    return HttpRequest(channel_url(push, _HOSTS, PRODUCTION), headers, text.encode("utf-8", "replace"))


def judge(answer: Answer, push: Push) -> Result:
    """What Microsoft's answer means, by the states that it names."""
    state = answer.headers.get("x-notificationstatus", "").lower()
    if answer.status == HTTPStatus.NOT_FOUND or answer.headers.get("x-subscriptionstatus", "").lower() == "expired":
        return gone(answer, "Microsoft rejected the channel: it has expired")
    if answer.status == HTTPStatus.PRECONDITION_FAILED:
        reason = "The device is not connected to Microsoft"
        return Result(retry(reason, status=answer.status, response=answer.text, retry_after_ms=_HOUR_MS))
    if answer.status == HTTPStatus.NOT_ACCEPTABLE or state == "queuefull":
        return Result(retry("Microsoft takes no more for now", status=answer.status, response=answer.text))
    return Result(meaning(answer, push))
