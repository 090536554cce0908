"""A request as it came and a response as it goes out, whatever protocol they speak."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from headrace import limits
from headrace.errors import ServiceError
from headrace.wire.fields import parse_fields

if TYPE_CHECKING:
    from headrace.wire.auth.sigv4 import Caller

MAX_DRAINED_BYTES: Final = 4 * limits.MAX_REQUEST_BYTES
"""How much of a body that is too large is read on, so that its sender comes to read the answer."""

FORM_TYPES: Final = frozenset({"application/x-www-form-urlencoded", ""})
"""The media types of a body that is a form; one that names none is taken for it."""

_SURELY_SMALL_DIGITS: Final = len(str(limits.MAX_REQUEST_BYTES)) - 1


class Headers(Protocol):
    """A request's headers, by lower-case name."""

    def get(self, key: str, default: Any = None) -> Any:
        """The header's first value."""


class Scope(Protocol):
    """What the server says of a request (RSGI's HTTP scope)."""

    proto: str
    http_version: str
    scheme: str
    method: str
    path: str
    query_string: str
    authority: str | None

    @property
    def headers(self) -> Headers:
        """The request's headers."""


class Exchange(Protocol):
    """The server's end of one request and its response (RSGI's HTTP protocol)."""

    async def __call__(self) -> bytes:
        """The whole body; raises RuntimeError when it ends early or is not well formed."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces."""

    async def client_disconnect(self) -> None:
        """Return when the client has hung up."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer."""

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None:
        """Answer with what is read of a file."""


class Request:
    """One request: its head, its whole body (once read), and the id it is known by."""

    __slots__ = ("_content_type", "_fields", "_scope", "body", "caller", "headers", "id", "method", "path")

    def __init__(self, scope: Scope, request_id: str) -> None:
        self._scope = scope
        self.id = request_id
        self.method = scope.method
        self.path = scope.path
        self.headers = scope.headers
        self.body = b""
        self.caller: Caller | None = None
        """Who sent it, once that was asked (`sigv4.authenticate`)."""
        self._content_type: str | None = None
        self._fields: dict[str, str] | None = None

    @property
    def authority(self) -> str:
        """Host and port as the client named them: `:authority` of HTTP/2, the Host header of HTTP/1.1."""
        authority: str = self._scope.authority or self.headers.get("host") or "localhost"
        return authority

    @property
    def base_url(self) -> str:
        """Scheme and authority the client used, without a slash at the end."""
        return f"{self._scope.scheme}://{self.authority}"

    @property
    def query_string(self) -> str:
        """What stands after the question mark."""
        return self._scope.query_string

    @property
    def content_type(self) -> str:
        """The media type of the body, in lower case and without parameters; "" when none is named."""
        if self._content_type is None:
            self._content_type = media_type(self.headers.get("content-type") or "")
        return self._content_type

    def fields(self) -> dict[str, str]:
        """The parameters after the question mark and, over them, those of a form in the body; of one name the last.

        Raises ServiceError `MalformedQueryString`.
        """
        if self._fields is None:
            query_string = self.query_string
            self._fields = parse_fields(query_string.encode()) if query_string else {}
            if self.body and self.content_type in FORM_TYPES:
                self._fields |= parse_fields(self.body)
        return self._fields


class Response:
    """One answer: a body of bytes, or an async iterator of them for an answer that streams."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes | AsyncIterator[bytes]) -> None:
        self.status = status
        self.headers = headers
        self.body = body


@functools.lru_cache(maxsize=limits.MAX_MEDIA_TYPES)
def media_type(given: str) -> str:
    """The media type that a Content-Type header names, in lower case and without parameters."""
    return given.partition(";")[0].strip().lower()


async def read_body(request: Request, exchange: Exchange) -> bytes:
    """The request's whole body, at most `limits.MAX_REQUEST_BYTES` long.

    Raises ServiceError: `RequestEntityTooLarge` (413) for a longer one, `IncompleteBody` for one that ends early or
    whose chunks are not well formed.
    """
    length = request.headers.get("content-length")
    if length is None:
        return await _read_chunks(request, exchange)
    if len(length) > _SURELY_SMALL_DIGITS and int(length) > limits.MAX_REQUEST_BYTES:
        await _drain(request, exchange, int(length))
        raise _too_large()
    try:
        return await exchange()
    except RuntimeError as error:
        raise _incomplete() from error


async def _read_chunks(request: Request, exchange: Exchange) -> bytes:
    """A body whose length is not announced."""
    pieces: list[bytes] = []
    size = empty = 0
    async for piece in exchange:
        size += len(piece)
        empty += not piece
        if size <= limits.MAX_REQUEST_BYTES:
            pieces.append(piece)
        elif size > MAX_DRAINED_BYTES:
            break
    if size > limits.MAX_REQUEST_BYTES:
        raise _too_large()
    if empty > 1 and request.headers.get("trailer") is None:
        # Granian yields an empty piece at the end, one for each part it cannot read, and one for trailers.
        raise _incomplete()
    return b"".join(pieces)


async def _drain(request: Request, exchange: Exchange, length: int) -> None:
    """Read on what the client is sending anyway; a client that waits to be asked (`Expect`) is not asked."""
    if length > MAX_DRAINED_BYTES or request.headers.get("expect") is not None:
        return
    async for _ in exchange:
        pass


def _too_large() -> ServiceError:
    return ServiceError(
        "RequestEntityTooLarge", f"The request body is larger than {limits.MAX_REQUEST_BYTES} bytes.", status=413
    )


def _incomplete() -> ServiceError:
    return ServiceError("IncompleteBody", "The request body ends early or is not well formed.")
