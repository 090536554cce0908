"""Signing on threads of its own, while the event loop goes on.

A signature takes longer than everything else that is done for a message. Python's `ssl` module brings OpenSSL's
libcrypto with it; called there, and not through `cryptography`, it leaves the interpreter to others meanwhile. Where it
cannot be found, or does not sign alike, messages are signed on the loop.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, Final

from headrace.services.sns import limits

Sign = Callable[[bytes, str], bytes]
"""Makes the signature of some data in one of SNS's versions."""

_DIGESTS: Final = {"1": "EVP_sha1", "2": "EVP_sha256"}
_PROBE: Final = b"probe"

Waiting = tuple[bytes, str, "asyncio.Future[str]"]


class CannotSign(Exception):
    """OpenSSL is not to be had, or does not take the key."""


class NativeKey:
    """A key in OpenSSL's own hands. Raises CannotSign; `expected` makes the signatures that it has to make alike."""

    def __init__(self, der: bytes, signature_bytes: int, expected: Sign) -> None:
        import ctypes

        self._ctypes = ctypes
        self._crypto = _libcrypto()
        self._bytes = signature_bytes
        start = ctypes.c_char_p(der)
        self._key: int | None = self._crypto.d2i_AutoPrivateKey(None, ctypes.byref(start), len(der))
        if not self._key:
            raise CannotSign("the key is not one of OpenSSL's")
        self._digests = {version: getattr(self._crypto, name)() for version, name in _DIGESTS.items()}
        for version in _DIGESTS:
            if self.sign(_PROBE, version) != expected(_PROBE, version):
                raise CannotSign("OpenSSL signs in another way")

    def sign(self, data: bytes, version: str) -> bytes:
        """The signature of data; may be called on any thread. Raises CannotSign."""
        crypto = self._crypto
        context = crypto.EVP_MD_CTX_new()
        try:
            size = self._ctypes.c_size_t(self._bytes)
            made = self._ctypes.create_string_buffer(self._bytes)
            if (
                crypto.EVP_DigestSignInit(context, None, self._digests[version], None, self._key) != 1
                or crypto.EVP_DigestSign(context, made, self._ctypes.byref(size), data, len(data)) != 1
            ):
                raise CannotSign("OpenSSL did not sign")
            return made.raw[: size.value]
        finally:
            crypto.EVP_MD_CTX_free(context)

    def __del__(self) -> None:
        if key := getattr(self, "_key", None):
            self._crypto.EVP_PKEY_free(key)


def _libcrypto() -> SimpleNamespace:
    """Functions of the library that Python's `ssl` is linked with. Raises CannotSign.

    Only signing itself leaves the interpreter to others. The rest is done sooner than the interpreter would be got back
    from an event loop that is busy.
    """
    import ctypes

    try:
        import _ssl

        # What a library is linked with is found through it.
        alone, beside = ctypes.PyDLL(_ssl.__file__), ctypes.CDLL(_ssl.__file__)
        pointer, integer, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
        signatures: dict[str, tuple[Any, list[Any]]] = {
            "d2i_AutoPrivateKey": (pointer, [pointer, ctypes.POINTER(ctypes.c_char_p), ctypes.c_long]),
            "EVP_PKEY_free": (None, [pointer]),
            "EVP_MD_CTX_new": (pointer, []),
            "EVP_MD_CTX_free": (None, [pointer]),
            "EVP_DigestSignInit": (integer, [pointer] * 5),
            "EVP_DigestSign": (integer, [pointer, ctypes.c_char_p, ctypes.POINTER(size), ctypes.c_char_p, size]),
            **{name: (pointer, []) for name in _DIGESTS.values()},
        }
        crypto = SimpleNamespace()
        for name, (result, arguments) in signatures.items():
            function = getattr(beside if name == "EVP_DigestSign" else alone, name)
            function.restype, function.argtypes = result, arguments
            setattr(crypto, name, function)
    except (ImportError, AttributeError, OSError) as error:
        raise CannotSign(str(error)) from error
    return crypto


class SigningThreads:
    """Signs what is asked for in one turn of the event loop together, shared out among the threads."""

    def __init__(self, sign: Sign) -> None:
        self._sign = sign
        self._threads = min(limits.SIGNING_THREADS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="sns-signing")
        self._waiting: list[Waiting] = []

    def begin(self, data: bytes, version: str) -> asyncio.Future[str]:
        """Have data signed; the signature in base64, when it is made."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._share_out, loop)
        self._waiting.append((data, version, future))
        return future

    def close(self) -> None:
        """Let the threads end, once what was begun is signed."""
        self._pool.shutdown(wait=False)

    def _share_out(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []
        share = -(-len(waiting) // self._threads)
        for at in range(0, len(waiting), share):
            try:
                self._pool.submit(self._work, loop, waiting[at : at + share])
            except RuntimeError as error:  # it is closed
                _fail(waiting[at:], error)
                return

    def _work(self, loop: asyncio.AbstractEventLoop, waiting: list[Waiting]) -> None:
        """Sign, on a thread."""
        try:
            made = [base64.b64encode(self._sign(data, version)).decode() for data, version, _ in waiting]
            answer: Callable[[], None] = functools.partial(_answer, waiting, made)
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            answer = functools.partial(_fail, waiting, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(answer)


def _answer(waiting: list[Waiting], made: list[str]) -> None:
    for (_, _, future), signature in zip(waiting, made, strict=True):
        if not future.done():
            future.set_result(signature)


def _fail(waiting: list[Waiting], error: Exception) -> None:
    for _, _, future in waiting:
        if not future.done():
            future.set_exception(error)
