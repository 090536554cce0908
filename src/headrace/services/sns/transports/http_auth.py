"""Credentials for an HTTP endpoint: `Authorization` in answer to the challenge that it makes. Pure.

Follows RFC 7617 (Basic) and RFC 7616 (Digest). AWS: the credentials stand in the endpoint's URL, and are sent only
once the endpoint has answered 401 with a challenge.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)(?=\s|$)")
_PARAMETER: Final = re.compile(r'[\s,]*([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_ALGORITHMS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),
    "SHA-256": hashlib.sha256,
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data),
}
MAX_CHALLENGE_CHARS: Final = 4_096


class Credentials(msgspec.Struct, frozen=True):
    """A user's name and password."""

    user: str
    password: str


class Challenge(msgspec.Struct, frozen=True):
    """What an endpoint asks for: a scheme in lower case, and its parameters by lower-case name."""

    scheme: str
    parameters: dict[str, str]


def split_credentials(url: str) -> tuple[str, Credentials | None]:
    """A URL without its credentials, and these."""
    parts = urlsplit(url)
    userinfo, at, address = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=address)), Credentials(unquote(user), unquote(password))


def choose(headers: Iterable[str]) -> Challenge | None:
    """The strongest challenge of `WWW-Authenticate` headers that can be met: a digest before plain credentials."""
    found = [each for header in headers for each in parse(header[:MAX_CHALLENGE_CHARS])]
    digests = [each for each in found if each.scheme == "digest" and _usable(each)]
    # SHA-256 and SHA-512/256 before MD5
    digests.sort(key=lambda each: _algorithm(each) == "MD5")
    return next(iter(digests), None) or next((each for each in found if each.scheme == "basic"), None)


def parse(header: str) -> list[Challenge]:
    """The challenges of one header; what is no challenge is passed over."""
    found: list[Challenge] = []
    at = 0
    while at < len(header):
        parameter = _PARAMETER.match(header, at)
        if parameter and found:
            name, quoted, token = parameter.groups()
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token
            found[-1].parameters.setdefault(name.lower(), value)
            at = parameter.end()
        elif scheme := _SCHEME.match(header, at):
            found.append(Challenge(scheme[1].lower(), {}))
            at = scheme.end()
        else:
            at += 1
    return found


def authorization(
    challenge: Challenge, credentials: Credentials, *, method: str, target: str, cnonce: str, count: int
) -> str:
    """The `Authorization` header that meets a challenge for a request of that method and target (path and query).

    `cnonce` is a random text of ours; `count` says how often the challenge's nonce was used, this time included.
    """
    if challenge.scheme == "basic":
        plain = f"{credentials.user}:{credentials.password}".encode()
        return f"Basic {base64.b64encode(plain).decode()}"
    asked = challenge.parameters
    algorithm = _algorithm(challenge)
    hashed = _ALGORITHMS[algorithm]

    def digest(*parts: str) -> str:
        return str(hashed(":".join(parts).encode()).hexdigest())

    realm, nonce = asked.get("realm", ""), asked["nonce"]
    secret = digest(credentials.user, realm, credentials.password)
    if asked.get("algorithm", "").lower().endswith("-sess"):
        secret = digest(secret, nonce, cnonce)
    request = digest(method, target)
    fields = {"username": credentials.user, "realm": realm, "nonce": nonce, "uri": target}
    plain_fields: dict[str, str] = {}
    if "qop" in asked:
        number = f"{count:08x}"
        fields |= {"response": digest(secret, nonce, number, cnonce, "auth", request), "cnonce": cnonce}
        plain_fields |= {"nc": number, "qop": "auth"}
    else:
        fields["response"] = digest(secret, nonce, request)
    if "opaque" in asked:
        fields["opaque"] = asked["opaque"]
    if "algorithm" in asked:
        plain_fields["algorithm"] = asked["algorithm"]
    quoted = [f'{name}="{_quote(value)}"' for name, value in fields.items()]
    return "Digest " + ", ".join([*quoted, *(f"{name}={value}" for name, value in plain_fields.items())])


def _algorithm(challenge: Challenge) -> str:
    name = challenge.parameters.get("algorithm", "MD5").upper()
    return name.removesuffix("-SESS")


def _usable(challenge: Challenge) -> bool:
    """Whether the digest is of a kind that is known: `auth-int`, which covers the body too, nobody asks for alone."""
    qops = [each.strip() for each in challenge.parameters.get("qop", "auth").split(",")]
    return "nonce" in challenge.parameters and _algorithm(challenge) in _ALGORITHMS and "auth" in qops


def _quote(value: str) -> str:
    clean = "".join(character for character in value if character.isprintable())
    return clean.replace("\\", "\\\\").replace('"', '\\"')
