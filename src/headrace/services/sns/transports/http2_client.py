"""Outgoing HTTP/2, which Apple demands: many notifications at once over one connection."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from headrace.services.sns import limits
from headrace.services.sns.transports.http_client import BadAddress, HttpRequest, NoAnswer, describe
from headrace.services.sns.transports.responses import Answer

if TYPE_CHECKING:
    import httpx


class Http2Client:
    """Makes requests to one service, with one set of credentials; opened with the first."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._client: httpx.AsyncClient | None = None

    async def send(self, request: HttpRequest) -> Answer:
        """The answer, whatever its status. Raises NoAnswer and BadAddress."""
        import httpx

        client = self._client
        if client is None:
            client = self._client = httpx.AsyncClient(
                http1=False,
                http2=True,
                verify=self._tls,
                timeout=httpx.Timeout(None),
                trust_env=False,
                follow_redirects=False,
            )
        try:
            response = await client.request(
                request.method, request.url, headers=dict(request.headers), content=request.body
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise BadAddress(f"The URL cannot be used: {error}") from error
        except (httpx.HTTPError, OSError) as error:
            raise NoAnswer(describe(error)) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, response.content[: limits.RESPONSE_READ_BYTES])

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
