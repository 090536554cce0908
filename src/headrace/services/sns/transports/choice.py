"""Which transport delivers which protocol."""

from __future__ import annotations

from headrace.context import Server
from headrace.services.sns.transports import Transport


def make_transports(_server: Server) -> dict[str, Transport]:
    """The transports of a server by protocol (`http`, `https`, `email`, `email-json`, `sms`, `application`)."""
    return {}
