"""Sends to SQS queues, through the server's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.context import Principal, Server
from headrace.errors import ServiceError
from headrace.services.sns import queue_messages
from headrace.services.sns.together import Together

if TYPE_CHECKING:
    from headrace.services.sns.state import Subscription


class QueueCalls:
    """SendMessage and SendMessageBatch on behalf of topics."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def send(self, subscription: Subscription, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Send messages to a subscription's queue: one by itself, several (ten at most) as a batch with the ids 0, 1, …

        Raises the ServiceError that the queue answers with.
        """
        assert subscription.queue is not None
        region, account, name = subscription.queue
        url = queue_messages.queue_url(account, name)
        sender = queue_messages.principal(subscription.topic.account)
        if len(entries) == 1:
            return await self._send_one(url, entries[0], sender, region)
        batch = [{"Id": str(at), **each} for at, each in enumerate(entries)]
        params = {"QueueUrl": url, "Entries": batch}
        try:
            return await self._server.invoke("sqs", "SendMessageBatch", params, principal=sender, region=region)
        except ServiceError as error:
            if error.code == "QueueDoesNotExist" or queue_messages.is_retried(error):
                raise
        # AWS: a FIFO queue takes all of a batch or nothing, and no queue a batch that is too long. By themselves:
        return await self._send_each(url, entries, sender, region)

    async def _send_one(self, url: str, entry: dict[str, Any], sender: Principal, region: str) -> dict[str, Any]:
        params = {"QueueUrl": url, **entry}
        return await self._server.invoke("sqs", "SendMessage", params, principal=sender, region=region)

    async def _send_each(
        self, url: str, entries: Sequence[dict[str, Any]], sender: Principal, region: str
    ) -> dict[str, Any]:
        """Send messages one by one, in the same turn, and tell what failed as a batch would."""
        together = Together()
        calls = [together.begin(self._send_one(url, each, sender, region)) for each in entries]
        await together.finish()
        failed = []
        for at, call in enumerate(calls):
            if isinstance(call.error, ServiceError):
                failed.append({"Id": str(at), "Code": call.error.code, "Message": call.error.message})
            elif call.error is not None:
                raise call.error
        return {"Failed": failed}
