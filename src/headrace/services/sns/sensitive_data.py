"""Finding sensitive data in text: AWS's managed data identifiers that patterns and checksums can tell. Pure.

A detector gives the places, from and to, of what it finds. What AWS finds with machine learning (names, addresses) is
not among them.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

Span = tuple[int, int]
Detector = Callable[[str], Iterator[Span]]


class _Pattern:
    """A pattern that is compiled when it is first looked for: all of them together would take a third of the start."""

    def __init__(self, text: str, flags: int = 0) -> None:
        self._text = text
        self._flags = flags

    @functools.cached_property
    def finditer(self) -> Callable[[str], Iterator[re.Match[str]]]:
        """See `re.Pattern.finditer`."""
        return re.compile(self._text, self._flags).finditer


_EMAIL: Final = _Pattern(
    r"(?<![\w.+-])[A-Za-z0-9][A-Za-z0-9._%+'-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24}(?![\w-])",
    re.ASCII,
)
_CARD: Final = _Pattern(
    r"(?<![\w-])(?:[2-6][0-9]{3}[ -]?(?:[0-9]{4}[ -]?){2}[0-9]{1,7}|3[0-9]{3}[ -]?[0-9]{6}[ -]?[0-9]{4,5})(?![\w-])"
)
_CARD_DIGITS: Final = (13, 19)
_IPV4: Final = _Pattern(
    r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)", re.ASCII
)
_IPV6: Final = _Pattern(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?:(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])", re.ASCII)
_IBAN: Final = _Pattern(r"(?<!\w)([A-Z]{2})[0-9]{2}(?: ?[A-Z0-9]){11,30}(?!\w)", re.ASCII)
_SSN: Final = _Pattern(r"(?<![\w-])(?!000|666|9\d\d)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])", re.ASCII)
_SSN_NAMED: Final = _Pattern(
    r"(?:ssns?|ss#|social[ _-]?security(?:[ _-]?(?:number|no\.?|#))?)\W{0,10}"
    r"((?!000|666|9\d\d)\d{3}(?!00)\d{2}(?!0000)\d{4})(?!\w)",
    re.ASCII | re.IGNORECASE,
)
_SECRET_KEY: Final = _Pattern(
    r"(?:aws[ _-]?secret[ _-]?(?:access[ _-]?)?key|secret[ _-]?access[ _-]?key|secret[ _-]?key|credentials|"
    r"set-awscredential)\W{0,20}(?<![A-Za-z0-9/+])([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    re.ASCII | re.IGNORECASE,
)
_IBAN_REST: Final = 97
_NUMBERS: Final[Mapping[str, str]] = {
    "BR": r"\+55[ -]?\(?\d{2}\)?[ -]?9?\d{4}[ -]?\d{4}",
    "DE": r"\+49[ /-]?\(?\d{2,5}\)?[ /-]?\d{3,8}(?:[ -]?\d{1,4})?",
    "ES": r"\+34[ -]?[6-9]\d{2}[ -]?\d{3}[ -]?\d{3}",
    "FR": r"(?:\+33[ .-]?|0)[1-9](?:[ .-]?\d{2}){4}",
    "GB": r"(?:\+44[ -]?\(?0?\)?|0)(?:7\d{3}[ -]?\d{6}|[12]\d{2,3}[ -]?\d{3}[ -]?\d{3,4})",
    "IT": r"\+39[ -]?\d{2,4}[ -]?\d{5,8}",
    "US": r"(?:\+?1[ .-]?)?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}|\+1[2-9]\d{2}[2-9]\d{6}",
}
_BANKS: Final = ("DE", "ES", "FR", "GB", "IT")
_KEYS: Final[Mapping[str, str]] = {
    "OpenSshPrivateKey": "OPENSSH PRIVATE KEY",
    "PgpPrivateKey": "PGP PRIVATE KEY BLOCK",
    "PkcsPrivateKey": "(?:RSA |EC |DSA |ENCRYPTED )?PRIVATE KEY",
}
_PUTTY: Final = _Pattern(r"PuTTY-User-Key-File-\d: (?:(?!PuTTY-User).)*?Private-MAC: [0-9a-f]+", re.DOTALL)


def _matches(pattern: _Pattern, group: int = 0) -> Detector:
    def detect(text: str) -> Iterator[Span]:
        return (match.span(group) for match in pattern.finditer(text))

    return detect


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        digits = [int(char) for char in match[0] if char.isdigit()]
        if _CARD_DIGITS[0] <= len(digits) <= _CARD_DIGITS[1] and luhn(digits):
            yield match.span()


def luhn(digits: list[int]) -> bool:
    """Whether the last digit is the check digit of the others."""
    doubled = [2 * digit - 9 if digit > 4 else 2 * digit for digit in digits[-2::-2]]  # noqa: PLR2004 - 2 * 5 has two digits
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _addresses(text: str) -> Iterator[Span]:
    yield from (match.span() for match in _IPV4.finditer(text))
    for match in _IPV6.finditer(text):
        if match[0].count(":") > 1 and _is_ipv6(match[0]):
            yield match.span()


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return text != "::"


def _accounts(country: str) -> Detector:
    def detect(text: str) -> Iterator[Span]:
        for match in _IBAN.finditer(text):
            if match[1] == country and (length := _iban_chars(match[0])):
                yield match.start(), match.start() + length

    return detect


def _iban_chars(text: str) -> int:
    """How much of the text is an account number by its check digits; 0 for none. What follows may look like more."""
    while text:
        compact = text.replace(" ", "")
        if is_iban(compact):
            return len(text)
        shorter = text.rpartition(" ")[0]
        text = shorter
    return 0


def is_iban(compact: str) -> bool:
    """Whether the check digits of an IBAN, written without spaces, are right."""
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % _IBAN_REST == 1


def _security_numbers(text: str) -> Iterator[Span]:
    yield from (match.span() for match in _SSN.finditer(text))
    yield from (match.span(1) for match in _SSN_NAMED.finditer(text))


def _private_key(name: str) -> Detector:
    # A key ends before the next begins: without that, many beginnings would each be followed to the end of the text.
    return _matches(_Pattern(rf"-----BEGIN {name}-----(?:(?!-----BEGIN).)*?-----END {name}-----", re.DOTALL))


DETECTORS: Final[Mapping[str, Detector]] = {
    "AwsSecretKey": _matches(_SECRET_KEY, 1),
    "CreditCardNumber": _cards,
    "EmailAddress": _matches(_EMAIL),
    "IpAddress": _addresses,
    "PuttyPrivateKey": _matches(_PUTTY),
    "Ssn-US": _security_numbers,
    **{name: _private_key(title) for name, title in _KEYS.items()},
    **{f"BankAccountNumber-{country}": _accounts(country) for country in _BANKS},
    **{
        f"PhoneNumber-{country}": _matches(_Pattern(rf"(?<![\w.+-]){pattern}(?![\w-]|\.\d)", re.ASCII))
        for country, pattern in ((name, f"(?:{each})") for name, each in _NUMBERS.items())
    },
}
"""What can be found, by the name that AWS gives it."""


def find(text: str, names: tuple[str, ...]) -> dict[str, list[Span]]:
    """Where each kind of data is in the text; kinds that are not there are left out."""
    found = {name: sorted(DETECTORS[name](text)) for name in names}
    return {name: spans for name, spans in found.items() if spans}


def replace(text: str, spans: list[Span], mask: str) -> str:
    """The text with `mask` for each character of the places; with an empty one what stands there is left out."""
    pieces, at = [], 0
    for start, end in sorted(spans):
        if end <= at:
            continue
        begin = max(start, at)
        pieces += [text[at:begin], mask * (end - begin)]
        at = end
    return "".join(pieces) + text[at:]
