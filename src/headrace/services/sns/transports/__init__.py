"""How a message gets to an endpoint outside: one transport a protocol, one protocol a module.

A transport makes one attempt and says how it went. When to try again, how often, and what becomes of what cannot be
delivered is for the deliveries (`deliveries.py`), which own the queues that messages wait in.
"""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec

from headrace.services.sns.records import Delivery


class Verdict(enum.Enum):
    """How an attempt ended, as far as it matters for what comes next."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """The endpoint could not take it now: a server error, a timeout, too many requests, no connection."""
    FAILED = "failed"
    """It never will: a client error, an endpoint that is disabled or not allowed."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of an attempt.

    `status` and `response` (short) are the endpoint's, for the delivery status log; `reason` says in a sentence what
    went wrong. `retry_after_ms` is how long the endpoint asked to be left alone.
    """

    verdict: Verdict
    reason: str = ""
    status: int | None = None
    response: str = ""
    retry_after_ms: int | None = None


def delivered(status: int | None = None, response: str = "") -> Outcome:
    """The endpoint took the message."""
    return Outcome(Verdict.DELIVERED, status=status, response=response)


def retry(reason: str, *, status: int | None = None, response: str = "", retry_after_ms: int | None = None) -> Outcome:
    """The endpoint may take the message later."""
    return Outcome(Verdict.RETRY, reason, status, response, retry_after_ms)


def failed(reason: str, *, status: int | None = None, response: str = "") -> Outcome:
    """The endpoint will not take the message."""
    return Outcome(Verdict.FAILED, reason, status, response)


class Transport(Protocol):
    """Delivers over one protocol. Built once per process, from the server; opens connections when first needed."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Make one attempt, bounded in time, and say how it went. Raises nothing but CancelledError.

        An exception that comes out all the same is logged, and counts as `retry`.
        """

    async def close(self) -> None:
        """Let go of connections."""
