"""The fields of a query string or of a form (`application/x-www-form-urlencoded`)."""

from __future__ import annotations

import functools
from binascii import a2b_qp
from typing import Final

from headrace.errors import ServiceError

MAX_FIELDS: Final = 50_000
"""Fields of one query string or form. AWS: CloudWatch's PutMetricData is the widest call, and stays below."""

SHORT_CHARS: Final = 256
"""Names and values of up to this length are kept decoded."""
SHORT_KEPT: Final = 2_000


def parse_fields(form: bytes) -> dict[str, str]:
    """Names and values, decoded; of several with one name the last. Raises ServiceError `MalformedQueryString`."""
    if form.count(b"&") >= MAX_FIELDS:
        raise _malformed(f"there are more than {MAX_FIELDS} of them")
    fields = {}
    try:
        for field in form.decode().split("&"):
            if field:
                name, _, value = field.partition("=")
                if "%" in field or "+" in field:
                    name, value = _decode(name), _decode(value)
                fields[name] = value
    except UnicodeDecodeError as error:
        raise _malformed("they are not UTF-8") from error
    return fields


def _decode(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    # ARNs and URLs come again and again, in short texts.
    return _decode_short(text) if len(text) <= SHORT_CHARS else _decode_any(text)


def _decode_any(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return _unescape(text.encode()).decode() if "%" in text else text


_decode_short: Final = functools.lru_cache(maxsize=SHORT_KEPT)(_decode_any)


def _unescape(text: bytes) -> bytes:
    """Percent-decode. By way of quoted-printable, which differs in its escape sign and is decoded in compiled code:
    the standard library's `unquote` holds the event loop for a good part of a second for a megabyte.
    """
    quoted = text.replace(b"=", b"=3D").replace(b"%", b"=")
    decoded = a2b_qp(quoted)
    # Each escape of three bytes becomes one; what is none stays, but for quoted-printable's line break.
    escapes = text.count(b"%") + text.count(b"=")
    if len(quoted) - len(decoded) != 2 * escapes or b"%\n" in text or b"%\r" in text:
        raise _malformed("a % is not followed by two hexadecimal digits")
    return decoded


def _malformed(reason: str) -> ServiceError:
    message = f"The parameters cannot be read: {reason}."
    return ServiceError("MalformedQueryString", message, status=404)
