"""The text of an SMS: which alphabet it takes, and how a long one is cut into parts. Pure.

Follows GSM 03.38 (the 7-bit default alphabet, with its extension table) and UCS-2 for everything else. AWS: a part
holds 140 bytes, so 160 characters of the default alphabet or 70 others, fewer when there are several parts.
"""

from __future__ import annotations

from typing import Final

import msgspec

from headrace.services.sns import limits

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE: Final = 0x1B
_CODES: Final = {character: bytes([code]) for code, character in enumerate(_BASIC) if code != _ESCAPE} | {
    character: bytes([_ESCAPE, code])
    for character, code in {
        "\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F, "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40, "€": 0x65,
    }.items()
}  # fmt: skip

SINGLE: Final = (160, 140)
"""Octets of a message in one part: of the default alphabet (an octet a character), and of UCS-2."""

PART: Final = (153, 134)
"""Octets of each part of several: a header of six octets tells which part it is."""


class Text(msgspec.Struct, frozen=True):
    """A text as it is sent: `parts` in octets, of the default alphabet (unpacked) or, with `ucs2`, of UCS-2."""

    parts: tuple[bytes, ...]
    ucs2: bool


def encode(text: str) -> Text:
    """A text cut into parts; no character is cut in two."""
    codes = [_CODES.get(character) for character in text]
    if None not in codes:
        return Text(_cut([code for code in codes if code is not None], SINGLE[0], PART[0]), ucs2=False)
    # Characters outside of the basic plane are surrogate pairs, as all phones read them.
    return Text(_cut([character.encode("utf-16-be", "replace") for character in text], SINGLE[1], PART[1]), ucs2=True)


def _cut(pieces: list[bytes], single: int, part: int) -> tuple[bytes, ...]:
    whole = b"".join(pieces)
    if len(whole) <= single:
        return (whole,)
    parts, current = [], bytearray()
    for piece in pieces:
        if len(current) + len(piece) > part:
            parts.append(bytes(current))
            current.clear()
        current += piece
    return (*parts, bytes(current))


def is_too_long(text: str) -> bool:
    """Whether a text is longer than SNS sends. AWS: 1,600 characters, in as many parts as that takes."""
    return len(text) > limits.SMS_CHARS


def decode(octets: bytes, *, ucs2: bool) -> str:
    """What a phone has sent: octets of the default alphabet, or of UCS-2. What cannot be read becomes a mark."""
    if ucs2:
        return octets.decode("utf-16-be", "replace")
    characters, escaped = [], False
    for code in octets:
        if code == _ESCAPE:
            escaped = True
            continue
        key = bytes([_ESCAPE, code]) if escaped else bytes([code])
        characters.append(_CHARACTERS.get(key, "?"))
        escaped = False
    return "".join(characters)


_CHARACTERS: Final = {code: character for character, code in _CODES.items()}
