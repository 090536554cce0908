"""Keys of all kinds as one token of a subject, and back.

A token holds no space, dot or wildcard. Bytes of the key's UTF-8 that are none of these and printable stand for
themselves; every other is `=` and two hexadecimal digits.
"""

from __future__ import annotations

import re
from typing import Final

from headrace.errors import StorageError

MAX_TOKEN_BYTES: Final = 3_000
"""Longest token: the server takes lines of 4,096 bytes."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9/_:@-]*")
_ESCAPED: Final = re.compile(rb"[^A-Za-z0-9/_:@-]")
_ESCAPE: Final = re.compile(rb"=([0-9A-F]{2})")
_EMPTY: Final = "="
"""The token of the empty key: a subject has no empty tokens."""


def token(key: str) -> str:
    """The token that stands for the key. Raises StorageError for a key that is too long."""
    if not _PLAIN.fullmatch(key):
        key = _ESCAPED.sub(lambda found: b"=%02X" % found.group()[0], key.encode()).decode()
    if len(key) > MAX_TOKEN_BYTES:
        raise StorageError(f"A key of {len(key)} characters is too long for NATS.")
    return key or _EMPTY


def key_of(token: bytes) -> str:
    """The key that a token stands for."""
    if token == _EMPTY.encode():
        return ""
    if b"=" in token:
        token = _ESCAPE.sub(lambda found: bytes([int(found.group(1), 16)]), token)
    return token.decode()
