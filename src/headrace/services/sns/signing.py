"""The signatures of messages: an RSA key that all processes share, and the certificate that they are checked with.

The key is made when it is first needed and kept in metadata, unless the settings name one. Certificates stay where they
can be fetched for as long as the data does, so that what was signed before a change of keys can still be checked.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from pathlib import Path
from typing import Final

import msgspec

from headrace.context import Server
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict
from headrace.services.sns import limits
from headrace.services.sns.signing_pool import SigningPool
from headrace.services.sns.signing_process import Key, digest

KEY_KEY: Final = "sns/signing/key"
_KEPT: Final = "sns.signing"
_KEPT_LOCK: Final = "sns.signing.lock"
_PUBLIC_EXPONENT: Final = 65_537
_ID_CHARS: Final = 32


def certificate_key(certificate_id: str) -> str:
    """The metadata key that a certificate is kept under."""
    return f"sns/signing/certificate/{certificate_id}"


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """The key as it is stored: PEM, PKCS 8 without a passphrase, and its certificate."""

    key: bytes
    certificate: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(KeyRecord).decode


class Signer:
    """Signs texts. `certificate_id` names the certificate (PEM) that the signatures are checked with."""

    def __init__(self, record: KeyRecord) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.x509 import load_pem_x509_certificate

        key = serialization.load_pem_private_key(record.key, None)
        certificate = load_pem_x509_certificate(record.certificate)
        if not isinstance(key, rsa.RSAPrivateKey) or certificate.public_key() != key.public_key():
            raise ValueError("messages are signed with an RSA key, and its certificate")
        self.certificate = record.certificate
        der = certificate.public_bytes(serialization.Encoding.DER)
        self.certificate_id = hashlib.sha256(der).hexdigest()[:_ID_CHARS]
        self._made: dict[tuple[str, bytes], asyncio.Future[str]] = {}
        """Signatures made lately, by their version and the digest of what was signed."""
        self.pool = SigningPool(Key(key))

    def begin(self, text: str, version: str) -> asyncio.Future[str]:
        """Have a text signed; the signature, in base64. `version` "1" takes its SHA-1, "2" its SHA-256.

        What several endpoints get is signed once for all.
        """
        signed = digest(text.encode(errors="surrogatepass"), version)
        made = self._made.get((version, signed))
        if made is None or (made.done() and made.exception() is not None):
            if len(self._made) >= limits.SIGNATURES_KEPT:
                del self._made[next(iter(self._made))]
            made = self._made[version, signed] = self.pool.begin(signed, version)
        return asyncio.shield(made)  # whoever gives up waiting does so for itself


async def signer(server: Server) -> Signer:
    """The signer of a server's messages. Raises StorageError, and ServiceError for a key that cannot be read."""
    found: Signer | None = server.kept.get(_KEPT)
    if found is None:
        async with server.kept.setdefault(_KEPT_LOCK, asyncio.Lock()):
            found = server.kept.get(_KEPT)
            if found is None:
                found = server.kept[_KEPT] = await _load(server)
    return found


async def close(server: Server) -> None:
    """Let go of the server's signer; the next message has it loaded again."""
    found: Signer | None = server.kept.pop(_KEPT, None)
    if found is not None:
        await found.pool.close()


async def certificate(server: Server, certificate_id: str) -> bytes | None:
    """A certificate that messages were signed with, in PEM; None when there is none of that id."""
    found: Signer | None = server.kept.get(_KEPT)
    if found is not None and found.certificate_id == certificate_id:
        return found.certificate
    entry = await server.engine.metadata.get(certificate_key(certificate_id))
    return entry.value if entry is not None else None


async def _load(server: Server) -> Signer:
    """The signer of the settings' key, else of the stored one, else of one made now."""
    metadata = server.engine.metadata
    supplied = server.channels
    if supplied.signing_key:
        record = await asyncio.to_thread(_read_supplied, supplied.signing_key, supplied.signing_cert)
    else:
        entry = await metadata.get(KEY_KEY)
        record = _decode(entry.value) if entry is not None else await _make(server)
    found = await asyncio.to_thread(Signer, record)  # the library takes a while to be loaded
    key = certificate_key(found.certificate_id)
    if await metadata.get(key) is None:
        await metadata.put(key, record.certificate)
    return found


def read_files(key: str, certificate: str) -> KeyRecord:
    """The key and the certificate in these files. Raises ValueError when messages cannot be signed with them."""
    try:
        record = KeyRecord(key=Path(key).read_bytes(), certificate=Path(certificate).read_bytes())
        Signer(record)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"messages cannot be signed with {key} and {certificate}: {error}") from error
    return record


def _read_supplied(key: str, certificate: str) -> KeyRecord:
    try:
        return read_files(key, certificate)
    except ValueError as error:
        raise ServiceError("InternalError", str(error), status=500) from error


async def _make(server: Server) -> KeyRecord:
    """Make the key that all processes use; another may have been quicker."""
    record = await asyncio.to_thread(make_key, server.clock.now_ms())
    try:
        await server.engine.metadata.put(KEY_KEY, _encode(record), expected=0)
    except Conflict:
        entry = await server.engine.metadata.get(KEY_KEY)
        assert entry is not None
        return _decode(entry.value)
    return record


def make_key(now_ms: int) -> KeyRecord:
    """A new key, with a certificate for it that is signed by itself and holds for years from `now_ms` on."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=_PUBLIC_EXPONENT, key_size=limits.SIGNING_KEY_BITS)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.headrace")])
    begins = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC) - dt.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=limits.CERTIFICATE_DAYS))
        .sign(key, hashes.SHA256())
    )
    return KeyRecord(
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        certificate=made.public_bytes(serialization.Encoding.PEM),
    )
