"""Baidu Cloud Push, REST API 3.0: each call is signed with the application's secret.

Follows Baidu's documentation of the REST API, and AWS's of the message attributes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus, urlencode

from headrace.services.sns.transports import retry
from headrace.services.sns.transports.http_client import HttpRequest
from headrace.services.sns.transports.platforms import Push, Result, gone, meaning, read_json, refused
from headrace.services.sns.transports.responses import Answer

PRODUCTION: Final = "https://api.tuisong.baidu.com"
_PATH: Final = "/rest/3.0/push/single_device"
_REJECTED: Final = frozenset({30_605, 30_608})
"""The channel or the user is not known (any more)."""

_PASSING: Final = frozenset({30_600, 30_607, 30_699})
"""An error of the service's own, or too many calls."""

_DEPLOYMENTS: Final = {"1": "1", "2": "2"}


def request(push: Push) -> HttpRequest:
    """The message."""
    notification = push.attribute("MessageType") != "0"
    text = push.text
    if not push.own:
        text = json.dumps({"title": "Message", "description": push.text}, ensure_ascii=False)
    fields = {
        "apikey": push.application.get("PlatformPrincipal", ""),
        "timestamp": str(push.now_ms // 1000),
        "channel_id": push.device.get("ChannelId") or push.token,
        "msg_type": "1" if notification else "0",
        "msg": text,
        "device_type": "3",
    }
    ttl_s = push.ttl_s()
    if ttl_s is not None:
        fields["msg_expires"] = str(ttl_s)
    if deployment := _DEPLOYMENTS.get(push.attribute("DeployStatus")):
        fields["deploy_status"] = deployment
    url = f"{push.base_url}{_PATH}"
    fields["sign"] = sign("POST", url, fields, push.application.get("PlatformCredential", ""))
    headers = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8", "User-Agent": "BCCS_SDK/3.0"}
    return HttpRequest(url, headers, urlencode(fields).encode())


def sign(method: str, url: str, fields: Mapping[str, str], secret: str) -> str:
    """The signature of a call: method, URL, all fields in order of their names, and the secret, digested."""
    joined = "".join(f"{name}={fields[name]}" for name in sorted(fields))
    plain = quote_plus(f"{method}{url}{joined}{secret}")
    return hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest()


def judge(answer: Answer, push: Push) -> Result:
    """What Baidu's answer means: errors have numbers, and their HTTP status says little."""
    document = read_json(answer)
    code = document.get("error_code")
    said = str(document.get("error_msg", ""))[:200]
    if code in _REJECTED:
        return gone(answer, f"Baidu rejected the channel: {said}")
    if code in _PASSING:
        return Result(retry(f"Baidu could not take the message: {said}", status=answer.status, response=answer.text))
    if code:
        return refused(answer, f"Baidu refused the message: {said}")
    return Result(meaning(answer, push))
