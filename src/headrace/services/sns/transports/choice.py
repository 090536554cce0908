"""Which transport delivers which protocol."""

from __future__ import annotations

from headrace.context import Channels, Server
from headrace.services.sns import signing
from headrace.services.sns.endpoints import is_phone_number
from headrace.services.sns.transports import Transport, mail
from headrace.services.sns.transports.email import EmailTransport
from headrace.services.sns.transports.http import HttpTransport
from headrace.services.sns.transports.http_client import HttpClient
from headrace.services.sns.transports.outbox import Outbox
from headrace.services.sns.transports.push import PushTransport, read_setting
from headrace.services.sns.transports.sms import SmsTransport
from headrace.services.sns.transports.sms_routes import read_centre
from headrace.services.sns.transports.sqs import SqsTransport


def check_channels(channels: Channels) -> None:
    """Raise ValueError, with what to change, for ways out that cannot be used."""
    if channels.smtp_url:
        mail.read_server(channels.smtp_url)
    if not mail.is_address(channels.smtp_from):
        raise ValueError(f"smtp_from must be an e-mail address, not {channels.smtp_from}")
    if channels.sms_url.startswith(("smpp:", "smpps:")):
        read_centre(channels.sms_url)
    elif channels.sms_url and not channels.sms_url.startswith(("http://", "https://")):
        raise ValueError("sms_url must begin with smpp://, smpps://, http:// or https://")
    if channels.sms_number and not is_phone_number(channels.sms_number):
        raise ValueError(f"sms_number must be a number in the form E.164 like +15550100, not {channels.sms_number}")
    read_setting(channels.push)
    if channels.signing_key:
        signing.read_files(channels.signing_key, channels.signing_cert)


def make_transports(server: Server) -> dict[str, Transport]:
    """The transports of a server by protocol. Those to people go to the outbox where there is no way to send."""
    client = HttpClient(server.channels.ca_file)
    outbox = Outbox(server)
    http = HttpTransport(server, client)
    email = EmailTransport(server, outbox)
    return {
        "application": PushTransport(server, client, outbox),
        "email": email,
        "email-json": email,
        "http": http,
        "https": http,
        "sms": SmsTransport(server, client, outbox),
        "sqs": SqsTransport(server),
    }
