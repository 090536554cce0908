"""Delivery by e-mail, to people (`email`) and to programs (`email-json`)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from email.message import EmailMessage
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from headrace.context import Server
from headrace.services.sns import envelopes, limits, wrapping
from headrace.services.sns.envelopes import Email
from headrace.services.sns.records import Delivery
from headrace.services.sns.transports import Outcome, delivered, failed, mail, retry
from headrace.services.sns.transports.deadline import Within
from headrace.services.sns.transports.http_client import trust
from headrace.services.sns.transports.outbox import Outbox
from headrace.services.sns.transports.topics import display_name

if TYPE_CHECKING:
    import aiosmtplib

_PERMANENT: Final = 500
"""SMTP: replies from here on are for good, those below may be other ones later."""

_AUTHENTICATION_CODES: Final = frozenset({530, 534, 535, 538})
_STARTTLS: Final = {"auto": None, "required": True, "never": False}


class EmailTransport:
    """Hands e-mail in to a mail server over connections that are kept, or puts it into the outbox."""

    def __init__(self, server: Server, outbox: Outbox) -> None:
        self._server = server
        self._outbox = outbox
        url = server.channels.smtp_url
        self._mail_server = mail.read_server(url) if url else None
        self._tls: ssl.SSLContext | None = None
        self._idle: list[aiosmtplib.SMTP] = []
        self._room = asyncio.Semaphore(limits.SMTP_CONNECTIONS)

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Make one attempt. AWS: what the mail server refuses for good is not tried again."""
        content = await envelopes.email(self._server, delivery)
        if self._mail_server is None:
            return await self._keep(delivery, content)
        try:
            message = mail.compose(
                content,
                to=delivery.endpoint,
                sender=self._server.channels.smtp_from,
                name=await display_name(self._server, delivery.publication.topic_arn),
                message_id=delivery.publication.message_id,
                at_ms=self._server.clock.now_ms(),
            )
        except ValueError as error:  # what the email package takes for no address, though SNS did
            return failed(f"The e-mail cannot be written: {error}")
        try:
            async with Within(self._server.clock, limits.SMTP_ATTEMPT_MS), self._room:
                return await self._hand_in(message, delivery.endpoint)
        except TimeoutError:
            return retry("The mail server did not answer in time")

    async def close(self) -> None:
        """Let go of connections."""
        while self._idle:
            await _quit(self._idle.pop())

    async def _hand_in(self, message: EmailMessage, to: str) -> Outcome:
        """Send a message over a connection that is there, or a new one. One that has gone stale is no failure."""
        import aiosmtplib

        while self._idle:
            client = self._idle.pop()
            try:
                return await self._send(client, message, to)
            except (aiosmtplib.SMTPServerDisconnected, OSError):
                client.close()
        try:
            return await self._send(await self._connect(), message, to)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # Whatever keeps us from the server, credentials included, is put right there: the messages wait for it.
            return retry(f"The mail server cannot be used: {error}", status=getattr(error, "code", None))

    async def _send(self, client: aiosmtplib.SMTP, message: EmailMessage, to: str) -> Outcome:
        """Send over a connection, and keep it if it is still good. Raises what the connection dies of."""
        import aiosmtplib

        try:
            _, said = await client.send_message(message, sender=self._server.channels.smtp_from, recipients=[to])
        except aiosmtplib.SMTPRecipientsRefused as error:
            outcome = _refused(error.recipients[0].code, error.recipients[0].message)
        except aiosmtplib.SMTPNotSupported as error:
            outcome = failed(f"The mail server does not take such an address: {error}")
        except aiosmtplib.SMTPResponseException as error:
            if isinstance(error, aiosmtplib.SMTPServerDisconnected):
                raise
            outcome = _refused(error.code, error.message)
        except BaseException:
            client.close()
            raise
        else:
            outcome = delivered(HTTPStatus.OK, said[: limits.RESPONSE_KEPT_BYTES])
        if client.is_connected and len(self._idle) < limits.SMTP_CONNECTIONS:
            self._idle.append(client)
        else:
            client.close()
        return outcome

    async def _connect(self) -> aiosmtplib.SMTP:
        """A connection that is ready to send. Raises SMTPException and OSError."""
        import aiosmtplib

        server = self._mail_server
        assert server is not None
        if self._tls is None:
            self._tls = trust(self._server.channels.ca_file)
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password or None,
            use_tls=server.tls,
            start_tls=None if server.tls else _STARTTLS[server.starttls],
            tls_context=self._tls,
            timeout=None,
        )
        try:
            await client.connect()
        except BaseException:
            client.close()
            raise
        return client

    async def _keep(self, delivery: Delivery, content: Email) -> Outcome:
        publication = delivery.publication
        entry = {
            "protocol": delivery.protocol,
            "kind": delivery.kind,
            "to": delivery.endpoint,
            "from": self._server.channels.smtp_from,
            "account": publication.account,
            "region": publication.region,
            "topic_arn": publication.topic_arn,
            "subscription_arn": delivery.subscription_arn,
            "message_id": publication.message_id,
            "subject": content.subject,
            "message": content.text,
        }
        if delivery.token:
            entry["token"] = delivery.token
            base = wrapping.base_url(self._server)
            entry["confirm_url"] = wrapping.subscribe_url(base, publication.topic_arn, delivery.token)
        if content.unsubscribe_url:
            entry["unsubscribe_url"] = content.unsubscribe_url
        await self._outbox.put(entry)
        return delivered()


def _refused(code: int, message: str) -> Outcome:
    """What a mail server's refusal means."""
    text = message[: limits.RESPONSE_KEPT_BYTES]
    reason = f"The mail server refused: {code} {text}"
    lasting = code >= _PERMANENT and code not in _AUTHENTICATION_CODES
    return (failed if lasting else retry)(reason, status=code, response=text)


async def _quit(client: aiosmtplib.SMTP) -> None:
    import aiosmtplib

    with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        await client.quit(timeout=1)
    client.close()
