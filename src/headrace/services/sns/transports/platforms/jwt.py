"""JSON Web Tokens, signed: what Apple and Google take as a proof of who calls. Pure.

Follows RFC 7515, with ES256 for keys on the curve P-256 and RS256 for RSA keys (RFC 7518).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from headrace.services.sns.transports.platforms import BadMessage

_NUMBER_BYTES: Final = 32
_CURVE: Final = "secp256r1"


def signed(claims: Mapping[str, Any], *, key_id: str, key_pem: str) -> str:
    """A token of these claims, signed with a private key (PEM). Raises BadMessage for a key that cannot be used."""
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(key_pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise BadMessage("The private key cannot be read") from error
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == _CURVE:
        text = _unsigned("ES256", key_id, claims)
        numbers = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(SHA256())))
        signature = b"".join(number.to_bytes(_NUMBER_BYTES, "big") for number in numbers)
    elif isinstance(key, rsa.RSAPrivateKey):
        text = _unsigned("RS256", key_id, claims)
        signature = key.sign(text.encode(), padding.PKCS1v15(), SHA256())
    else:
        raise BadMessage("The private key is neither one for the curve P-256 nor an RSA key")
    return f"{text}.{_base64(signature)}"


def _unsigned(algorithm: str, key_id: str, claims: Mapping[str, Any]) -> str:
    head = {"alg": algorithm, "typ": "JWT", "kid": key_id}
    return ".".join(_base64(json.dumps(each, separators=(",", ":")).encode()) for each in (head, claims))


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
