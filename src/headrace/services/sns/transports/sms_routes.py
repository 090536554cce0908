"""The ways that short messages leave by: an SMPP message centre, or a gateway that is called over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec

from headrace.clock import sleep
from headrace.context import Channels, Server
from headrace.services.sns import limits, sms_store
from headrace.services.sns.transports import Outcome, delivered, failed, gsm, http_auth, responses, retry, smpp
from headrace.services.sns.transports.deadline import Within
from headrace.services.sns.transports.http_auth import Challenge
from headrace.services.sns.transports.http_client import BadAddress, HttpClient, HttpRequest, NoAnswer, trust
from headrace.services.sns.transports.smpp import Bind, Message, SmppError
from headrace.services.sns.transports.smpp_session import Centre, SmppRefused, SmppSession

_PORT: Final = 2775
_TLS_PORT: Final = 3550
_FIELDS: Final = ("to", "from", "text", "type", "id")


class Sms(msgspec.Struct, frozen=True):
    """A short message on its way out: to a number, from a number or a name ("" for whatever the route has)."""

    to: str
    sender: str
    text: str
    transactional: bool
    message_id: str


class Route(Protocol):
    """One way out."""

    async def send(self, sms: Sms) -> Outcome:
        """Make one attempt."""

    async def close(self) -> None:
        """Let go of connections."""


# SMPP


def read_centre(url: str) -> Centre:
    """The centre of `smpp://system_id:password@host:port?system_type=…` (`smpps` with TLS). Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("smpp", "smpps") or not parts.hostname:
        raise ValueError(f"{parts.scheme}://… is not smpp://system_id:password@host:port")
    tls = parts.scheme == "smpps"
    query = parse_qs(parts.query)
    bind = Bind(unquote(parts.username or ""), unquote(parts.password or ""), query.get("system_type", [""])[-1])
    try:
        smpp.bind_body(bind)
    except SmppError as error:
        raise ValueError(str(error)) from error
    return Centre(parts.hostname, parts.port or (_TLS_PORT if tls else _PORT), bind, tls)


class SmppRoute:
    """Through a message centre, over one session that is opened when it is first needed.

    When it ends it is opened anew, for the next message, or after a while for what people may have answered meanwhile.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._centre = read_centre(server.channels.sms_url)
        self._session: SmppSession | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._references = itertools.count(1)

    async def send(self, sms: Sms) -> Outcome:
        """Submit all parts. When one is not taken, all are sent again: a phone shows what is whole."""
        text = gsm.encode(sms.text)
        parts = list(text.parts)
        if len(parts) > 1:
            parts = smpp.concatenated(text.parts, next(self._references))
        messages = [
            Message(
                source=sms.sender,
                destination=sms.to,
                octets=part,
                esm_class=smpp.UDHI if len(parts) > 1 else 0,
                data_coding=smpp.UCS2 if text.ucs2 else smpp.DEFAULT_ALPHABET,
                priority=1 if sms.transactional else 0,
            )
            for part in parts
        ]
        try:
            async with Within(self._server.clock, limits.SMS_ATTEMPT_MS):
                session = await self._open()
                for each in messages:
                    message_id = await session.submit(each)
        except TimeoutError:
            return retry("The message centre did not answer in time")
        except NoAnswer as error:
            return retry(str(error))
        except SmppError as error:
            return failed(str(error))
        except SmppRefused as error:
            passing = error.status in smpp.PASSING
            return (retry if passing else failed)(str(error), status=error.status)
        return delivered(smpp.OK, message_id)

    async def close(self) -> None:
        """Unbind."""
        if self._reopening is not None:
            self._reopening.cancel()
            await asyncio.wait({self._reopening})
        session, self._session = self._session, None  # from here on it may end without being opened anew
        if session is not None:
            await session.close()

    async def _open(self) -> SmppSession:
        async with self._opening:
            if self._session is not None and self._session.closed:
                await self._session.close()
                self._session = None
            if self._session is None:
                tls = trust(self._server.channels.ca_file) if self._centre.tls else None
                try:
                    async with Within(self._server.clock, limits.SMPP_ANSWER_MS):
                        self._session = await SmppSession.open(
                            self._server.clock, self._centre, self._take, self._ended, tls
                        )
                except TimeoutError:
                    raise NoAnswer("The message centre did not answer in time") from None
                except SmppRefused as error:
                    # What is wrong with the credentials is put right outside: the messages wait for it.
                    raise NoAnswer(f"The message centre does not let us bind: {error}") from error
            return self._session

    def _ended(self) -> None:
        """The session is over, though nobody has closed the route."""
        if self._session is not None and (self._reopening is None or self._reopening.done()):
            self._reopening = asyncio.get_running_loop().create_task(self._reopen())

    async def _reopen(self) -> None:
        """Open the session anew, as often as it takes."""
        while self._session is None or self._session.closed:
            await sleep(self._server.clock, limits.SMPP_REOPEN_MS)
            with contextlib.suppress(NoAnswer, SmppError):
                await self._open()

    async def _take(self, message: Message) -> None:
        octets = smpp.plain_octets(message)
        text = gsm.decode(octets, ucs2=message.data_coding == smpp.UCS2)
        await sms_store.answered(self._server, message.source, text)


# A gateway over HTTP


def gateway_request(url: str, body: str, sms: Sms) -> HttpRequest:
    """The call of a gateway: its URL, and its body if it takes one, with `{to}`, `{from}`, `{text}`, … filled in.

    Values are escaped as the place demands: in a URL or a form percent-encoded, in JSON as in a JSON text.
    """
    kind = "transactional" if sms.transactional else "promotional"
    values = dict(zip(_FIELDS, (sms.to, sms.sender, sms.text, kind, sms.message_id), strict=True))
    target = _fill(url, {name: quote(value, safe="") for name, value in values.items()})
    headers = {"User-Agent": "Headrace"}
    if not body:
        return HttpRequest(target, headers, method="GET")
    if body.lstrip().startswith(("{", "[")):
        filled = _fill(body, {name: json.dumps(value)[1:-1] for name, value in values.items()})
        headers["Content-Type"] = "application/json"
    else:
        filled = _fill(body, {name: quote(value, safe="") for name, value in values.items()})
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    return HttpRequest(target, headers, filled.encode("utf-8", "replace"))


def _fill(template: str, values: dict[str, str]) -> str:
    """A template with its fields filled in, each once: what is filled in is not looked at again."""
    pieces = template.split("{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, brace, rest = piece.partition("}")
        filled.append(values[name] + rest if brace and name in values else "{" + piece)
    return "".join(filled)


def gateway_key(channels: Channels) -> str:
    """The Authorization header of the credentials in a gateway's URL; "" where there are none."""
    if not channels.sms_url.startswith(("http://", "https://")):
        return ""
    _, credentials = http_auth.split_credentials(channels.sms_url)
    if credentials is None:
        return ""
    return http_auth.authorization(Challenge("basic", {}), credentials, method="", target="", cnonce="", count=1)


class GatewayRoute:
    """Through a gateway that is called over HTTP; credentials in its URL are sent with each call (Basic)."""

    def __init__(self, server: Server, client: HttpClient) -> None:
        self._server = server
        self._client = client
        self._url, _ = http_auth.split_credentials(server.channels.sms_url)
        self._key = gateway_key(server.channels)

    async def send(self, sms: Sms) -> Outcome:
        """Call the gateway; what its status means for an HTTP endpoint it means here."""
        request = gateway_request(self._url, self._server.channels.sms_body, sms)
        if self._key:
            request = msgspec.structs.replace(request, headers={**request.headers, "Authorization": self._key})
        try:
            async with Within(self._server.clock, limits.HTTP_ATTEMPT_MS):
                answer = await self._client.send(request)
        except TimeoutError:
            return retry("The gateway did not answer in time")
        except NoAnswer as error:
            return retry(str(error))
        except BadAddress as error:
            return failed(str(error))
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return retry("The gateway does not let us in", status=answer.status, response=answer.text)
        return responses.judge(answer, self._server.clock.now_ms())

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()
