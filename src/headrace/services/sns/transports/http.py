"""Delivery to HTTP and HTTPS endpoints."""

from __future__ import annotations

import secrets
from typing import Final
from urllib.parse import urlsplit

from headrace.context import Server
from headrace.services.sns import envelopes, limits
from headrace.services.sns.records import Delivery
from headrace.services.sns.transports import Outcome, failed, http_auth, responses, retry
from headrace.services.sns.transports.deadline import Within
from headrace.services.sns.transports.http_auth import Challenge, Credentials
from headrace.services.sns.transports.http_client import BadAddress, HttpClient, HttpRequest, NoAnswer
from headrace.services.sns.transports.responses import Answer

_UNAUTHORIZED: Final = 401


class HttpTransport:
    """Posts messages to endpoints, follows redirects, and meets challenges with the credentials of the URL."""

    def __init__(self, server: Server, client: HttpClient) -> None:
        self._server = server
        self._client = client
        self._challenges: dict[str, tuple[Challenge, int]] = {}
        """How an endpoint wants its credentials, and how often its nonce was used."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Make one attempt. AWS: an answer takes 15 seconds at most, redirects and credentials included."""
        request = await envelopes.http_request(self._server, delivery)
        clock = self._server.clock
        try:
            async with Within(clock, limits.HTTP_ATTEMPT_MS):
                answer = await self._follow(HttpRequest(delivery.endpoint, request.headers, request.body))
        except TimeoutError:
            return retry(f"The endpoint did not answer within {limits.HTTP_ATTEMPT_MS // 1000} seconds")
        except NoAnswer as error:
            return retry(str(error))
        except BadAddress as error:
            return failed(str(error))
        return responses.judge(answer, clock.now_ms())

    async def close(self) -> None:
        """Let go of connections."""
        self._challenges.clear()
        await self._client.close()

    async def _follow(self, request: HttpRequest) -> Answer:
        """The answer at the end of all redirects; one too many is an answer like others, and no success."""
        try:
            url, credentials = http_auth.split_credentials(request.url)
        except ValueError as error:
            raise BadAddress(f"The URL cannot be used: {error}") from error
        for _ in range(limits.REDIRECTS):
            answer = await self._authorised(HttpRequest(url, request.headers, request.body), credentials)
            target = responses.redirect(answer, url)
            if target is None:
                return answer
            target, _ = http_auth.split_credentials(target)
            if not responses.same_origin(url, target):
                credentials = None
            url = target
        return answer

    async def _authorised(self, request: HttpRequest, credentials: Credentials | None) -> Answer:
        """The answer to a request, made again with credentials when the endpoint asks for them."""
        if credentials is None:
            return await self._client.send(request)
        known, used = self._challenges.get(request.url, (None, 0))
        headers = self._with_credentials(request, credentials, known, used + 1) if known else request.headers
        answer = await self._client.send(HttpRequest(request.url, headers, request.body))
        challenge = http_auth.choose(answer.challenges) if answer.status == _UNAUTHORIZED else None
        if challenge is None or (known is not None and known.scheme == challenge.scheme == "basic"):
            return answer
        headers = self._with_credentials(request, credentials, challenge, 1)
        return await self._client.send(HttpRequest(request.url, headers, request.body))

    def _with_credentials(
        self, request: HttpRequest, credentials: Credentials, challenge: Challenge, count: int
    ) -> dict[str, str]:
        if len(self._challenges) >= limits.CHALLENGES_CACHED:
            self._challenges.clear()
        self._challenges[request.url] = (challenge, count)
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        header = http_auth.authorization(
            challenge, credentials, method=request.method, target=target, cnonce=secrets.token_hex(8), count=count
        )
        return {**request.headers, "Authorization": header}
