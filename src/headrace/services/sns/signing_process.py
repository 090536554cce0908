"""A process that makes signatures and does nothing else: `python -m headrace.services.sns.signing_process`.

`SigningPool` starts it. It is given the key on its standard input (a length of four bytes, then DER), says on its
standard output that it is ready, and from then on is given requests of one size and answers each with a signature in
base64, in their order. It ends when its input does, and so with whoever has started it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

READY: Final = b"!"
_SHA1_BYTES: Final = 20
DIGEST_BYTES: Final = 32
REQUEST_BYTES: Final = 1 + DIGEST_BYTES
LENGTH_BYTES: Final = 4
_READ_REQUESTS: Final = 1_000
"""Requests that are taken from the pipe at once, at most."""
_ANSWERED_TOGETHER: Final = 8
"""Signatures that are told of together: whoever reads them is woken less often."""
NICENESS: Final = 4
"""What serves requests goes before what signs: there it takes turns of its own, and all signatures wait for them."""


def digest(data: bytes, version: str) -> bytes:
    """What of some data is signed. AWS: version 1 takes SHA-1, version 2 SHA-256."""
    return hashlib.sha1(data, usedforsecurity=False).digest() if version == "1" else hashlib.sha256(data).digest()


def request(digest: bytes, version: str) -> bytes:
    """A request for the signature of a digest."""
    return version.encode() + digest.ljust(DIGEST_BYTES, b"\0")


class Key:
    """An RSA key. `der` is the key itself, `signature_chars` the length of its signatures in base64."""

    def __init__(self, key: RSAPrivateKey) -> None:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, utils

        self._key = key
        self._padding = padding.PKCS1v15()
        # AWS: version 1 is SHA1, which whoever wants better leaves with the topic's SignatureVersion 2.
        self._hashes = {b"1": utils.Prehashed(hashes.SHA1()), b"2": utils.Prehashed(hashes.SHA256())}  # noqa: S303
        self.der = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.signature_chars = -(-(key.key_size // 8) // 3) * 4

    def answer(self, request: bytes) -> bytes:
        """The signature that is requested, in base64."""
        version = request[:1]
        size = DIGEST_BYTES if version == b"2" else _SHA1_BYTES
        return base64.b64encode(self._key.sign(request[1 : 1 + size], self._padding, self._hashes[version]))


def serve(source: int, target: int) -> None:
    """Answer the requests that are read from one descriptor on the other, until there are no more."""
    from cryptography.hazmat.primitives import serialization

    key = Key(serialization.load_der_private_key(_read(source, int.from_bytes(_read(source, LENGTH_BYTES))), None))  # type: ignore[arg-type] # it is an RSA key that was written
    os.write(target, READY)
    begun = b""
    while got := os.read(source, _READ_REQUESTS * REQUEST_BYTES):
        begun += got
        whole = len(begun) // REQUEST_BYTES * REQUEST_BYTES
        answers = []
        for at in range(0, whole, REQUEST_BYTES):
            answers.append(key.answer(begun[at : at + REQUEST_BYTES]))
            if len(answers) == _ANSWERED_TOGETHER:
                _write(target, b"".join(answers))
                answers = []
        _write(target, b"".join(answers))
        begun = begun[whole:]


def _read(source: int, size_bytes: int) -> bytes:
    read = b""
    while len(read) < size_bytes:
        got = os.read(source, size_bytes - len(read))
        if not got:
            raise EOFError("there is no key")
        read += got
    return read


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


def main() -> None:
    """Serve standard input and output. Whoever has started this is signalled to end, and this ends with it."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    os.nice(NICENESS)
    try:
        serve(0, 1)
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
