"""Who a connection says it is: a user and password, a token, an nkey seed, or a credentials file with a JWT.

An nkey seed is base32 text (`SU…`) of two prefix bytes, 32 bytes of Ed25519 seed and a checksum; the server sends a
nonce that is signed with it. A credentials file holds a JWT and a seed between marked lines.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Any, Final

from headrace.errors import StorageError

_SEED_BYTES: Final = 36
_PREFIX_SEED: Final = 18 << 3
_SECTION: Final = re.compile(r"-{3,}BEGIN ([A-Z ]+)-{3,}\s*(\S+)\s*-{3,}END [A-Z ]+-{3,}")


class CredentialsWrong(StorageError):
    """A seed or credentials file that is not one; the message names it."""


class Signer:
    """Signs the server's nonce with an nkey seed. Raises CredentialsWrong for text that is no seed."""

    def __init__(self, seed: str) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
        except binascii.Error:
            raw = b""
        if (
            len(raw) != _SEED_BYTES
            or raw[0] & 0xF8 != _PREFIX_SEED
            or crc16(raw[:-2]) != int.from_bytes(raw[-2:], "little")
        ):
            raise CredentialsWrong("The NATS nkey is not a seed: it begins with SU and comes from `nk -gen user`.")
        self._key = Ed25519PrivateKey.from_private_bytes(raw[2:34])
        self._prefix = (raw[0] & 7) << 5 | raw[1] >> 3

    @property
    def public(self) -> str:
        """The public nkey (`U…`)."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        raw = bytes([self._prefix]) + self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.b32encode(raw + crc16(raw).to_bytes(2, "little")).rstrip(b"=").decode()

    def sign(self, nonce: str) -> str:
        """The signature as CONNECT carries it."""
        return base64.urlsafe_b64encode(self._key.sign(nonce.encode())).rstrip(b"=").decode()


class Credentials:
    """What is given with CONNECT. `nkey` is a seed or a file that holds one, `creds` a credentials file.

    Raises CredentialsWrong.
    """

    def __init__(
        self,
        *,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        nkey: str | None = None,
        creds: str | None = None,
    ) -> None:
        self._fixed: dict[str, Any] = {}
        self._signer: Signer | None = None
        if token is not None:
            self._fixed["auth_token"] = token
        if user is not None:
            self._fixed |= {"user": user, "pass": password or ""}
        if creds is not None:
            jwt, seed = read_creds(creds)
            self._fixed["jwt"] = jwt
            self._signer = Signer(seed)
        elif nkey is not None:
            self._signer = Signer(read_seed(nkey))
            self._fixed["nkey"] = self._signer.public

    def fields(self, nonce: str | None) -> dict[str, Any]:
        """The members of CONNECT that prove who this is."""
        if self._signer is None or nonce is None:
            return self._fixed
        return self._fixed | {"sig": self._signer.sign(nonce)}


def read_seed(nkey: str) -> str:
    """The seed itself, or the first line that looks like one in the file of that name. Raises CredentialsWrong."""
    if re.fullmatch(r"S[A-Z2-7]{57}", nkey):
        return nkey
    for line in _text(nkey).splitlines():
        if re.fullmatch(r"S[A-Z2-7]{57}", line.strip()):
            return line.strip()
    raise CredentialsWrong(f"There is no nkey seed in {nkey}.")


def read_creds(path: str) -> tuple[str, str]:
    """The JWT and the seed of a credentials file. Raises CredentialsWrong."""
    sections = dict(_SECTION.findall(_text(path)))
    try:
        return sections["NATS USER JWT"], sections["USER NKEY SEED"]
    except KeyError:
        raise CredentialsWrong(f"{path} is no NATS credentials file: it has no JWT and seed.") from None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise CredentialsWrong(f"The NATS credentials {path} cannot be read: {cause}.") from cause


def crc16(data: bytes) -> int:
    """The checksum of nkeys: CRC-16/XMODEM."""
    return binascii.crc_hqx(data, 0)
