"""E-mails as they are sent: from a delivery's texts to a MIME message. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from headrace.services.sns.envelopes import Email

_PORT: Final = 25
_SUBMISSION_PORT: Final = 587
_TLS_PORT: Final = 465
_STARTTLS: Final = ("auto", "required", "never")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_ADDRESS: Final = re.compile(r"[^@\s<>\"(),:;\[\]\\]+@[A-Za-z0-9.-]+").fullmatch
DEFAULT_NAME: Final = "AWS Notifications"
"""AWS: who the message is from, unless the topic has a display name."""


class MailServer(msgspec.Struct, frozen=True):
    """Where e-mail is handed in, and as whom. `starttls` is auto (if it is offered), required or never."""

    host: str
    port: int
    user: str
    password: str
    tls: bool
    starttls: str


def read_server(url: str) -> MailServer:
    """The server of `smtp://user:password@host:port?starttls=required`, or `smtps://…` with TLS from the beginning.

    Without a port it is 587 with credentials, 25 without, and 465 for `smtps`. Raises ValueError.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError(f"{parts.scheme or url}://… is not smtp://user:password@host:port")
    tls = parts.scheme == "smtps"
    user = unquote(parts.username or "")
    starttls = parse_qs(parts.query).get("starttls", ["auto"])[-1]
    if starttls not in _STARTTLS:
        raise ValueError(f"starttls must be one of {', '.join(_STARTTLS)}, not {starttls}")
    usual = _TLS_PORT if tls else _SUBMISSION_PORT if user else _PORT
    return MailServer(parts.hostname, parts.port or usual, user, unquote(parts.password or ""), tls, starttls)


def is_address(text: str) -> bool:
    """Whether it can be an e-mail's sender."""
    return text.isascii() and _ADDRESS(text) is not None


def compose(mail: Email, *, to: str, sender: str, name: str, message_id: str, at_ms: int) -> EmailMessage:
    """The message to an address; `name` is shown as the sender's, `message_id` the publication's.

    Who has subscribed gets headers to end that by one click (RFC 2369, RFC 8058). What could end a header early is
    taken out of what goes into one.
    """
    message = EmailMessage(SMTP)
    user, _, domain = sender.rpartition("@")
    message["From"] = Address(_line(name) or DEFAULT_NAME, user, domain)
    message["To"] = Address(addr_spec=to) if to.isascii() else to
    message["Subject"] = _line(mail.subject)
    message["Date"] = format_datetime(datetime.fromtimestamp(at_ms / 1000, UTC))
    message["Message-ID"] = f"<{message_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if mail.unsubscribe_url:
        message["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(_text(mail.text), cte="quoted-printable")
    if mail.html:
        message.add_alternative(_text(mail.html), subtype="html", cte="quoted-printable")
    return message


def _line(text: str) -> str:
    return _CONTROL.sub(" ", _text(text)).strip()


def _text(text: str) -> str:
    """A text without the halves of surrogate pairs, which no encoding takes."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
