"""Headrace's own endpoints, under `/_headrace/`: its health, and what tests need of a server."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec

from headrace.errors import ServiceError
from headrace.wire.messages import Request, Response

PREFIX: Final = "/_headrace/"
MS_PER_S: Final = 1000

MAX_ADVANCE_S: Final = 100 * 366 * 86_400
"""How far a clock is moved at once: a hundred years."""

GREETING: Final = {
    "message": "This is Headrace. AWS SDKs, the AWS CLI and Terraform take this URL as their endpoint URL.",
    "health": f"{PREFIX}health",
}
"""What somebody who looks at `/` is told."""

CERTIFICATE: Final = re.compile(r"/SimpleNotificationService-([0-9a-f]{32})\.pem").fullmatch
"""AWS: where the certificates are that notifications are signed with."""

_READS: Final = frozenset({"GET", "HEAD"})

_encode: Final = msgspec.json.Encoder().encode


class _Advance(msgspec.Struct):
    advance_s: Annotated[float, msgspec.Meta(ge=0, le=MAX_ADVANCE_S)]


class _Sms(msgspec.Struct):
    number: Annotated[str, msgspec.Meta(max_length=32)] = msgspec.field(name="from")
    text: Annotated[str, msgspec.Meta(max_length=2000)]


def is_for_headrace(request: Request) -> bool:
    """Whether a request is for Headrace itself: for its endpoints, or a look at `/` that calls no AWS action."""
    if request.path.startswith((PREFIX, "/SimpleNotificationService-")):
        return True
    looks = request.method in _READS and request.path == "/" and not request.query_string
    return looks and request.headers.get("authorization") is None and request.headers.get("x-amz-target") is None


class Control:
    """Answers what is for Headrace itself.

    `health` says how the server is, with a `status` other than ok where it can serve nobody; `reset` forgets everything
    stored (None where test endpoints are off); `advance` moves the clock on by milliseconds and says what it shows then
    (None where the clock is not virtual). `outbox` shows messages that wait for somebody to look at them (None where
    test endpoints are off). `answered` takes what a person has answered to an SMS (None where nobody may say so), with
    `answers_key` as the Authorization header if there is one. `certificate` gives the certificate of an id, in PEM,
    that notifications are signed with.
    """

    def __init__(
        self,
        *,
        health: Callable[[], dict[str, Any]],
        reset: Callable[[], Awaitable[None]] | None,
        advance: Callable[[int], Awaitable[int]] | None,
        outbox: Callable[[dict[str, str]], Awaitable[dict[str, Any]]] | None = None,
        answered: Callable[[str, str], Awaitable[None]] | None = None,
        answers_key: str = "",
        certificate: Callable[[str], Awaitable[bytes | None]] | None = None,
    ) -> None:
        self._health = health
        self._reset = reset
        self._advance = advance
        self._outbox = outbox
        self._answered = answered
        self._answers_key = answers_key
        self._certificate = certificate
        self._answers: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "reset": self._forget,
            "clock": self._move_clock,
            "outbox": self._show_outbox,
            "sms": self._take_sms,
        }

    async def answer(self, request: Request) -> Response:
        """The answer to `GET health`, `POST reset`, `POST clock {"advance_s": 3600}`, `GET outbox?protocol=sms` or
        `POST sms {"from": "+15550100", "text": "STOP"}`, in JSON; to `GET /` a greeting.

        Raises ServiceError for an endpoint that there is not or that is off, and for what it cannot read.
        """
        if request.path == "/":
            return _answer(request, GREETING)
        if not request.path.startswith(PREFIX):
            return await self._show_certificate(request)
        name = request.path.removeprefix(PREFIX).rstrip("/")
        method = _METHODS.get(name)
        if method is None:
            raise ServiceError("NotFound", f"There is no {request.path}; there are {_ENDPOINTS}.", status=404)
        if request.method != method:
            raise ServiceError("MethodNotAllowed", f"{request.path} takes {method} only.", status=405)
        if name == "health":
            health = self._health()
            return _answer(request, health, 200 if health["status"] == "ok" else 503)
        return await self._answers[name](request)

    async def _show_certificate(self, request: Request) -> Response:
        """A certificate for whoever asks, as checking a signature takes no permission."""
        if request.method not in _READS:
            raise ServiceError("MethodNotAllowed", f"{request.path} takes GET only.", status=405)
        named = CERTIFICATE(request.path)
        found = await self._certificate(named[1]) if named is not None and self._certificate is not None else None
        if found is None:
            raise ServiceError("NotFound", f"There is no certificate {request.path}.", status=404)
        return Response(200, [("content-type", "application/x-pem-file"), ("x-amzn-requestid", request.id)], found)

    async def _forget(self, request: Request) -> Response:
        if self._reset is None:
            raise _off()
        await self._reset()
        return _answer(request, {"status": "ok"})

    async def _move_clock(self, request: Request) -> Response:
        if self._advance is None:
            raise ServiceError(
                "NotFound",
                "The clock is the machine's own, or the test endpoints are off; --clock virtual and "
                "--test-endpoints make it one that can be moved.",
                status=404,
            )
        try:
            wanted = msgspec.json.decode(request.body, type=_Advance)
        except msgspec.MsgspecError as error:
            raise ServiceError("InvalidRequest", f'The body must be like {{"advance_s": 3600}}: {error}.') from error
        return _answer(request, {"now_ms": await self._advance(round(wanted.advance_s * MS_PER_S))})

    async def _show_outbox(self, request: Request) -> Response:
        if self._outbox is None:
            raise _off()
        return _answer(request, await self._outbox(request.fields()))

    async def _take_sms(self, request: Request) -> Response:
        if self._answered is None:
            raise _off()
        if self._answers_key and not hmac.compare_digest(
            str(request.headers.get("authorization") or "").encode(), self._answers_key.encode()
        ):
            raise ServiceError("AccessDenied", "The credentials are not those of --sms-url.", status=403)
        try:
            sms = msgspec.json.decode(request.body, type=_Sms)
        except msgspec.MsgspecError as error:
            example = '{"from": "+15550100", "text": "STOP"}'
            raise ServiceError("InvalidRequest", f"The body must be like {example}: {error}.") from error
        await self._answered(sms.number, sms.text)
        return _answer(request, {"status": "ok"})


def _off() -> ServiceError:
    return ServiceError("NotFound", "The test endpoints are off; --test-endpoints turns them on.", status=404)


_METHODS: Final = {"health": "GET", "reset": "POST", "clock": "POST", "outbox": "GET", "sms": "POST"}
_ENDPOINTS: Final = ", ".join(f"{method} {PREFIX}{name}" for name, method in _METHODS.items())


def _answer(request: Request, value: dict[str, Any], status: int = 200) -> Response:
    headers = [("content-type", "application/json"), ("x-amzn-requestid", request.id)]
    return Response(status, headers, _encode(value))
