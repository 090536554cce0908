"""What an HTTP answer means for a delivery. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin, urlsplit

import msgspec

from headrace.services.sns import limits
from headrace.services.sns.transports import Outcome, delivered, failed, retry

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Answer(msgspec.Struct, frozen=True):
    """An endpoint's answer: its status, its headers by lower-case name and its body's beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    challenges: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The body's beginning, as a log may show it."""
        return self.body[: limits.RESPONSE_KEPT_BYTES].decode("utf-8", "replace")


def judge(answer: Answer, now_ms: int) -> Outcome:
    """What an answer means. AWS: 2xx is delivered; 5xx and 429 are tried again; every other status is for good."""
    status, text = answer.status, answer.text
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return delivered(status, text)
    reason = f"The endpoint answered {status}"
    if status == HTTPStatus.TOO_MANY_REQUESTS or not HTTPStatus.OK <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return retry(reason, status=status, response=text, retry_after_ms=retry_after_ms(answer, now_ms))
    return failed(reason, status=status, response=text)


def retry_after_ms(answer: Answer, now_ms: int) -> int | None:
    """How long the endpoint asks to be left alone (seconds, or a date), at most a day; None when it does not ask."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        wait_ms = int(value[:9]) * 1000
    else:
        try:
            wait_ms = round(parsedate_to_datetime(value).timestamp() * 1000) - now_ms
        except (ValueError, OverflowError):
            return None
    return min(max(0, wait_ms), limits.RETRY_AFTER_MS)


def redirect(answer: Answer, url: str) -> str | None:
    """Where an answer sends the request on to, when it is one that does: an HTTP(S) URL."""
    if answer.status not in _REDIRECTS:
        return None
    try:
        target = urljoin(url, answer.headers.get("location", ""))
        parts = urlsplit(target)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return None
    # From encrypted to plain would show the message to whoever listens.
    downgraded = urlsplit(url).scheme == "https" and parts.scheme == "http"
    return target if known and not downgraded and target != url else None


def same_origin(first: str, second: str) -> bool:
    """Whether two URLs are of the same scheme, host and port: credentials go nowhere else."""
    return _origin(first) == _origin(second)


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
