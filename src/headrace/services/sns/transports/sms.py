"""Delivery to phones by SMS: who may be sent what, from whom, and by which way."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.context import Server
from headrace.services.sns import endpoints, sms_rules, sms_store
from headrace.services.sns.records import Delivery
from headrace.services.sns.sms_rules import Manner
from headrace.services.sns.transports import Outcome, Verdict, delivered, failed, gsm, status
from headrace.services.sns.transports.http_client import HttpClient
from headrace.services.sns.transports.outbox import Outbox
from headrace.services.sns.transports.sms_routes import GatewayRoute, Route, SmppRoute, Sms
from headrace.services.sns.transports.topics import display_name


class SmsTransport:
    """Sends short messages by the way that the server was given, or to the outbox."""

    def __init__(self, server: Server, client: HttpClient, outbox: Outbox) -> None:
        self._server = server
        self._outbox = outbox
        self._route: Route | None = None
        url = server.channels.sms_url
        if url.startswith(("smpp:", "smpps:")):
            self._route = SmppRoute(server)
        elif url:
            self._route = GatewayRoute(server, client)

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Make one attempt. AWS: numbers that opted out, and such as the sandbox does not know, get nothing."""
        region, account = delivery.publication.region, delivery.publication.account
        settings = await sms_store.settings(self._server, region, account)
        outcome = await self._deliver(delivery, settings)
        status.write(delivery, outcome, settings, status.SMS)
        return outcome

    async def _deliver(self, delivery: Delivery, settings: Mapping[str, str]) -> Outcome:
        publication = delivery.publication
        name = await display_name(self._server, publication.topic_arn)
        # AWS: what comes from a topic begins with the topic's display name.
        text = publication.text_for("sms")
        text = f"{name}> {text}" if name else text
        manner = sms_rules.manner(settings, publication.attributes)
        cost = sms_rules.PRICE * len(gsm.encode(text).parts)
        refusal = await self._refusal(delivery) or await self._price_refusal(delivery, manner, cost)
        if refusal or gsm.is_too_long(text):
            return failed(refusal or "Message is too long for SMS")
        sender = manner.sender or self._server.channels.sms_number
        sms = Sms(delivery.endpoint, sender, text, manner.transactional, publication.message_id)
        outcome = await (self._keep(delivery, sms) if self._route is None else self._route.send(sms))
        if outcome.verdict is Verdict.DELIVERED:
            await sms_store.spend(self._server, publication.region, publication.account, cost)
        return outcome

    async def _price_refusal(self, delivery: Delivery, manner: Manner, cost: int) -> str:
        """Why a message is too dear; "" when it is not."""
        if manner.max_price is not None and cost > manner.max_price:
            return "Message price exceeds max price"
        publication = delivery.publication
        within_limit = await sms_store.may_spend(self._server, publication.region, publication.account, cost)
        return "" if within_limit else "No quota left for account"

    async def close(self) -> None:
        """Let go of connections."""
        if self._route is not None:
            await self._route.close()

    async def _refusal(self, delivery: Delivery) -> str:
        """Why a number gets nothing; "" when it does."""
        publication = delivery.publication
        if not endpoints.is_phone_number(delivery.endpoint):
            return "Invalid phone number"
        if await sms_store.has_opted_out(self._server, delivery.endpoint):
            return "Phone number is opted out"
        if not self._server.channels.sms_sandbox or delivery.token:
            return ""
        known = await sms_store.sandboxed(self._server, publication.region, publication.account, delivery.endpoint)
        return "" if known is not None and known[0].verified else "Phone number is not verified in the SMS sandbox"

    async def _keep(self, delivery: Delivery, sms: Sms) -> Outcome:
        publication = delivery.publication
        await self._outbox.put(
            {
                "protocol": "sms",
                "kind": delivery.kind,
                "to": sms.to,
                "from": sms.sender,
                "sms_type": sms_rules.TYPES[sms.transactional],
                "account": publication.account,
                "region": publication.region,
                "topic_arn": publication.topic_arn,
                "subscription_arn": delivery.subscription_arn,
                "message_id": publication.message_id,
                "message": sms.text,
            }
        )
        return delivered()
