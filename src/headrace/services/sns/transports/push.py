"""Delivery to mobile devices, through the push service of their platform or to the outbox."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from headrace.context import Server
from headrace.errors import ServiceError
from headrace.services.sns import limits, platform_rules, platform_store, rules
from headrace.services.sns.platform_records import ApplicationRecord, EndpointRecord
from headrace.services.sns.platform_store import Device
from headrace.services.sns.records import Delivery
from headrace.services.sns.transports import Outcome, Verdict, failed, retry, status
from headrace.services.sns.transports.deadline import Within
from headrace.services.sns.transports.http2_client import Http2Client
from headrace.services.sns.transports.http_client import BadAddress, HttpClient, NoAnswer, trust
from headrace.services.sns.transports.outbox import Outbox
from headrace.services.sns.transports.platforms import (
    BadMessage,
    Grant,
    Platform,
    Push,
    Result,
    adm,
    apns,
    baidu,
    fcm,
    mpns,
    read_json,
    wns,
)

if TYPE_CHECKING:
    from headrace.services.sns.transports.responses import Answer

_OK: Final = 200
_SPARE_MS: Final = 60_000
"""How long before its end an access token is not used any more."""

_DEFAULT_TOKEN_S: Final = 3_600
PROVIDERS: Final = "providers"

log = structlog.get_logger()


class _Service(msgspec.Struct, frozen=True):
    """A push service: its module, its address, and how access to it is granted, if it is."""

    module: Platform
    url: str
    grant: Grant | None = None


def _services() -> dict[str, _Service]:
    apple = {each: _Service(apns, apns.SANDBOX if each.endswith("SANDBOX") else apns.PRODUCTION) for each in _APPLE}
    return {
        **apple,
        "ADM": _Service(adm, adm.PRODUCTION, adm.grant),
        "BAIDU": _Service(baidu, baidu.PRODUCTION),
        "GCM": _Service(fcm, fcm.PRODUCTION, fcm.grant),
        "MPNS": _Service(mpns, mpns.PRODUCTION),
        "WNS": _Service(wns, wns.PRODUCTION, wns.grant),
    }


_APPLE: Final = sorted(platform_rules.APPLE)
_SERVICES: Final = _services()


def read_setting(text: str) -> dict[str, str]:
    """The addresses of the push services that are to be called, by platform. Raises ValueError that says what is wrong.

    `providers` stands for all of them; `PLATFORM=URL` for one, at that address.
    """
    urls: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        platform, equals, url = part.partition("=")
        if part == PROVIDERS:
            urls = {name: service.url for name, service in _SERVICES.items()} | urls
        elif not equals or platform not in _SERVICES or not url.startswith(("http://", "https://")):
            known = ", ".join(_SERVICES)
            raise ValueError(f"{part} is neither {PROVIDERS} nor PLATFORM=URL, with one of the platforms {known}")
        else:
            urls[platform] = url.rstrip("/")
    return urls


class PushTransport:
    """Puts messages to push services, keeps their access tokens, and disables devices that they know no more."""

    def __init__(self, server: Server, client: HttpClient, outbox: Outbox) -> None:
        self._server = server
        self._client = client
        self._outbox = outbox
        self._urls = read_setting(server.channels.push)
        self._http2: dict[str, tuple[int, Http2Client]] = {}
        """The connections to Apple by application, and the revision of its credentials."""
        self._contexts: dict[str, tuple[int, ssl.SSLContext]] = {}
        """TLS with an application's certificate, which takes a while to set up, and the revision that it is of."""
        self._granting: dict[str, asyncio.Lock] = {}
        """Held while an application's access token is asked for, so that it is asked for once."""
        self._access: dict[str, tuple[int, str, int]] = {}
        """Access tokens by application: the revision of its credentials, the token, and until when it is used."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Make one attempt. A device that its service knows no more is disabled, as on AWS."""
        device = await platform_store.find_device(self._server, delivery.endpoint)
        found = None if device is None else await platform_store.find_application(self._server, device.application)
        if device is None or found is None:
            return failed("The endpoint was deleted")
        outcome = await self._deliver(delivery, device, *found)
        status.write(delivery, outcome, found[0].attributes, status.APPLICATION)
        if outcome.verdict is Verdict.FAILED and not delivery.subscription_arn:
            await self._tell(delivery, device, outcome)
        return outcome

    async def close(self) -> None:
        """Let go of connections."""
        clients = [client for _, client in self._http2.values()]
        self._http2.clear()
        self._contexts.clear()
        self._access.clear()
        for client in clients:
            await client.close()
        await self._client.close()

    async def _deliver(
        self, delivery: Delivery, device: Device, application: ApplicationRecord, revision: int
    ) -> Outcome:
        if not device.record.enabled:
            return failed("Endpoint is disabled")
        if application.attributes.get("Enabled") == "false":
            return failed("Platform application is disabled")
        platform = device.application.platform
        push = make_push(delivery, device, application, self._urls.get(platform, ""), self._server.clock.now_ms())
        if push is None:
            return failed(f"The message has no text for {platform}, and no default")
        if platform not in self._urls:
            return await self._keep(delivery, device, push)
        return await self._attempt(push, device, revision)

    async def _attempt(self, push: Push, device: Device, revision: int) -> Outcome:
        try:
            async with Within(self._server.clock, limits.PUSH_ATTEMPT_MS):
                result = await self._put(push, device, revision)
        except TimeoutError:
            return retry("The push service did not answer in time")
        except NoAnswer as error:
            return retry(str(error))
        except (BadAddress, BadMessage) as error:
            return failed(str(error))
        await self._learn(device, result)
        return result.outcome

    async def _put(self, push: Push, device: Device, revision: int) -> Result:
        """Put a message to its service; once more when the access token turns out to be too old."""
        service = _SERVICES[push.platform]
        key = device.application.key
        for last in (False, True):
            token = await self._token(service, push, key, revision)
            ready = msgspec.structs.replace(push, access_token=token)
            result = service.module.judge(await self._send(service, ready, key, revision), ready)
            if not result.expired:
                return result
            known = self._access.get(key)
            if known is not None and known[1] == token:
                del self._access[key]
            if last and result.outcome.verdict is Verdict.FAILED:
                return Result(failed("Platform credentials are invalid", status=result.outcome.status))
        return result

    async def _send(self, service: _Service, push: Push, key: str, revision: int) -> Answer:
        request = service.module.request(push)
        if service.module is not apns:
            return await self._client.send(request, self._tls(push, key, revision))
        known = self._http2.get(key)
        if known is None or known[0] != revision:
            if known is not None:
                await known[1].close()
            if len(self._http2) >= limits.PUSH_CLIENTS:
                _, oldest = self._http2.pop(next(iter(self._http2)))
                await oldest.close()
            known = self._http2[key] = (revision, Http2Client(self._apple_tls(push.application)))
        return await known[1].send(request)

    def _apple_tls(self, application: Mapping[str, str]) -> ssl.SSLContext:
        own = not apns.uses_token(application)
        return self._with_certificate(application) if own else trust(self._server.channels.ca_file)

    def _tls(self, push: Push, key: str, revision: int) -> ssl.SSLContext | None:
        """AWS: MPNS calls are authenticated by the application's certificate."""
        if push.platform != "MPNS":
            return None
        known = self._contexts.get(key)
        if known is None or known[0] != revision:
            if len(self._contexts) >= limits.PUSH_CLIENTS:
                self._contexts.clear()
            known = self._contexts[key] = (revision, self._with_certificate(push.application))
        return known[1]

    def _with_certificate(self, application: Mapping[str, str]) -> ssl.SSLContext:
        """TLS with the application's certificate and key. Raises BadMessage for ones that cannot be used.

        The ssl module reads them from a file only; it is there for a moment, and for its owner alone.
        """
        context = trust(self._server.channels.ca_file)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "certificate.pem"
            file.touch(0o600)
            parts = (application.get("PlatformPrincipal", ""), application.get("PlatformCredential", ""))
            file.write_text("\n".join(parts))
            try:
                context.load_cert_chain(file)
            except (ssl.SSLError, ValueError) as error:
                raise BadMessage(f"The certificate with its key cannot be used: {error}") from error
        return context

    async def _token(self, service: _Service, push: Push, key: str, revision: int) -> str:
        """What to call the service with; "" where a certificate or a signature does."""
        known = self._access.get(key)
        if known is not None and known[0] == revision and self._server.clock.now_ms() < known[2]:
            return known[1]
        if service.grant is None and not (service.module is apns and apns.uses_token(push.application)):
            return ""
        first = key not in self._granting
        lock = self._granting.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                known = self._access.get(key)
                if known is None or known[0] != revision or self._server.clock.now_ms() >= known[2]:
                    known = await self._grant(service, push, revision)
                    if len(self._access) >= limits.PUSH_CLIENTS:
                        self._access.clear()
                    self._access[key] = known
                return known[1]
        finally:
            if first:
                self._granting.pop(key, None)

    async def _grant(self, service: _Service, push: Push, revision: int) -> tuple[int, str, int]:
        """A new access token, and until when to use it. Raises NoAnswer, BadAddress and BadMessage."""
        now_ms = self._server.clock.now_ms()
        if service.grant is None:
            return revision, apns.signed_token(push.application, now_ms), now_ms + apns.TOKEN_MS
        answer = await self._client.send(service.grant(push.base_url, push.application, now_ms))
        return revision, *_read_access(answer, now_ms)

    async def _learn(self, device: Device, result: Result) -> None:
        """Take up what a service said of a device: that its token is no good any more, or is another now."""

        def change(record: EndpointRecord) -> dict[str, str]:
            if record.token != device.record.token:  # it has a new one already
                return record.attributes
            changed = {"Enabled": "false"} if result.rejected else {"Token": result.new_token}
            return {**record.attributes, **changed}

        if not result.rejected and not result.new_token:
            return
        try:
            await platform_store.revise_device(self._server, device.arn, change)
        except ServiceError as error:
            log.warning("an endpoint could not be brought up to date", endpoint=device.arn, error=error.message)

    async def _tell(self, delivery: Delivery, device: Device, outcome: Outcome) -> None:
        """AWS: that a message published to the endpoint itself cannot be delivered is an event of the application."""
        disabled = not device.record.enabled
        await platform_store.announce(
            self._server,
            device.application,
            "DeliveryFailure",
            device.arn,
            FailureType="EndpointDisabled" if disabled else "PermanentFailure",
            FailureMessage=outcome.reason,
            MessageId=delivery.publication.message_id,
        )

    async def _keep(self, delivery: Delivery, device: Device, push: Push) -> Outcome:
        await self._outbox.put(
            {
                "protocol": delivery.protocol,
                "kind": delivery.kind,
                "to": device.arn,
                "platform": push.platform,
                "token": push.token,
                "account": device.application.account,
                "region": device.application.region,
                "topic_arn": delivery.publication.topic_arn,
                "subscription_arn": delivery.subscription_arn,
                "message_id": delivery.publication.message_id,
                "message": push.text,
                "attributes": {name: each.text for name, each in push.attributes.items()},
            }
        )
        return Outcome(Verdict.DELIVERED)


def make_push(
    delivery: Delivery, device: Device, application: ApplicationRecord, base_url: str, now_ms: int
) -> Push | None:
    """The message as a push service is given it; None when there is no text for the platform."""
    publication, platform = delivery.publication, device.application.platform
    own = bool(publication.bodies.get(platform))
    if not own and publication.bodies and "default" not in publication.bodies:
        return None
    return Push(
        platform=platform,
        base_url=base_url,
        token=device.record.token,
        text=publication.text_for(platform),
        own=own,
        application=application.attributes,
        device=device.record.attributes,
        attributes=publication.attributes,
        now_ms=now_ms,
    )


def _read_access(answer: Answer, now_ms: int) -> tuple[str, int]:
    """The access token that was granted, and until when to use it. Raises NoAnswer and BadMessage."""
    document: dict[str, Any] = read_json(answer)
    token = document.get("access_token")
    if answer.status != _OK or not isinstance(token, str) or not token.isprintable():
        said = str(document.get("error_description") or document.get("error") or answer.status)[:200]
        if answer.status >= 500 or answer.status == 429:  # noqa: PLR2004 - HTTP's
            raise NoAnswer(f"The push service gave no access: {said}")
        raise BadMessage(f"Platform credentials are invalid: {said}")
    lifetime_s = document.get("expires_in")
    if not isinstance(lifetime_s, int) or isinstance(lifetime_s, bool):
        lifetime_s = _DEFAULT_TOKEN_S
    return token, now_ms + max(0, lifetime_s * 1000 - _SPARE_MS)


# What the actions ask


def check_credentials(server: Server, platform: str, attributes: Mapping[str, str]) -> None:
    """Raise InvalidParameter when the platform's service is called and these credentials are not of its form."""
    if platform not in read_setting(server.channels.push):
        return
    try:
        if platform == "GCM":
            if fcm.service_account(attributes):
                fcm.grant("", attributes, 0)
        elif platform in platform_rules.APPLE and apns.uses_token(attributes):
            apns.signed_token(attributes, 0)
        elif platform in platform_rules.APPLE:
            apns.certificate_bundle(attributes)
    except BadMessage as error:
        raise rules.invalid_parameter(f"Attributes Reason: Platform credentials are invalid: {error}") from error


def certificate_expiry(platform: str, attributes: Mapping[str, str]) -> str:
    """Until when an application's certificate holds, as SNS writes times; "" where it has none."""
    if platform not in platform_rules.APPLE or apns.uses_token(attributes):
        return ""
    if "-----BEGIN CERTIFICATE" not in attributes.get("PlatformPrincipal", ""):
        return ""
    try:
        ends = apns.certificate(attributes).not_valid_after_utc
    except BadMessage:
        return ""
    return ends.strftime("%Y-%m-%dT%H:%M:%SZ")
