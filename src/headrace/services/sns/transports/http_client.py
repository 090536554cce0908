"""Outgoing HTTP/1.1 for all transports: one pool of connections, bounded answers, and a CA of one's own."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from headrace.services.sns import limits
from headrace.services.sns.transports.responses import Answer

if TYPE_CHECKING:
    import aiohttp

_IDLE_S: Final = 30
"""How long a connection that nobody uses is kept."""


class NoAnswer(Exception):
    """The endpoint could not be reached, or its answer did not come through whole. It may later."""


class BadAddress(Exception):
    """What the request should go to is no URL that it could go to."""


class HttpRequest(msgspec.Struct, frozen=True):
    """A request as it goes out."""

    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    method: str = "POST"


class HttpClient:
    """Makes requests; nothing is opened before the first. Redirects and credentials are the callers' business."""

    def __init__(self, ca_file: str = "") -> None:
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: HttpRequest, tls: ssl.SSLContext | None = None) -> Answer:
        """The answer, whatever its status. `tls` replaces the usual verification. Raises NoAnswer and BadAddress."""
        import aiohttp
        from yarl import URL

        session = self._session
        if session is None:
            session = self._session = self._open()
        try:
            async with session.request(
                request.method,
                URL(request.url),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                ssl=True if tls is None else tls,
            ) as response:
                body = await _read(response)
                challenges = tuple(response.headers.getall("WWW-Authenticate", ()))
                return Answer(response.status, response.headers, body, challenges)
        except aiohttp.InvalidURL as error:
            raise BadAddress(f"The URL cannot be used: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(describe(error)) from error
        except ValueError as error:  # a certificate's fault is one too, and was caught before
            raise BadAddress(f"The URL cannot be used: {error}") from error

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        connector = aiohttp.TCPConnector(
            limit=limits.HTTP_CONNECTIONS,
            limit_per_host=limits.HTTP_CONNECTIONS_PER_HOST,
            keepalive_timeout=_IDLE_S,
            ssl=trust(self._ca_file),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
            auto_decompress=False,
            max_line_size=limits.RESPONSE_READ_BYTES,
            max_field_size=limits.RESPONSE_READ_BYTES,
        )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of a body. A longer one is left alone, and its connection with it."""
    kept = bytearray()
    async for chunk in response.content.iter_any():
        kept += chunk
        if len(kept) > limits.RESPONSE_READ_BYTES:
            response.close()
            break
    return bytes(kept[: limits.RESPONSE_READ_BYTES])


def trust(ca_file: str) -> ssl.SSLContext:
    """Verifies certificates against the machine's authorities and, if there is one, those of a PEM file besides."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def describe(error: BaseException) -> str:
    """What kept an answer from coming, in one line."""
    fault = getattr(error, "certificate_error", error)
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"The endpoint did not show a certificate that is trusted: {fault.verify_message}"
    return f"The endpoint did not answer: {str(error) or type(error).__name__}"
