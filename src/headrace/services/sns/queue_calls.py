"""Sends to SQS queues, through the server's own pipeline."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from headrace.context import Server
from headrace.errors import ServiceError
from headrace.services.sns import limits, queue_messages
from headrace.services.sns.together import calls_of

if TYPE_CHECKING:
    from headrace.services.sns.state import Subscription, Topic

Answer = Coroutine[Any, Any, dict[str, Any]]


class QueueCalls:
    """SendMessage and SendMessageBatch on behalf of topics; each call that is made often is made ready once."""

    def __init__(self, server: Server) -> None:
        self._server = server
        kept = functools.lru_cache(maxsize=limits.CALLS_PREPARED)
        self._prepared = kept(self._prepare)
        self._prepared_together = kept(self._prepare_together)

    def send(self, subscription: Subscription, entries: Sequence[dict[str, Any]]) -> Answer:
        """Send messages to a subscription's queue: one by itself, several (ten at most) as a batch with the ids 0, 1, …

        Awaiting it raises the ServiceError that the queue answers with.
        """
        if len(entries) == 1:
            return self._call("SendMessage", subscription)(entries[0])
        return self._send_batch(subscription, entries)

    def send_together(self, topic: Topic, region: str, calls: Sequence[dict[str, Any]]) -> Coroutine[Any, Any, None]:
        """Send messages to queues of one region, each as SendMessage's parameters say; all, or none.

        Awaiting it raises the ServiceError that any of the queues answers with. For engines of one process.
        """
        return self._prepared_together(region, topic.account, topic.arn)(calls)

    async def _send_batch(self, subscription: Subscription, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        for at, each in enumerate(entries):
            each["Id"] = str(at)
        params = {"QueueUrl": subscription.queue_url, "Entries": entries}
        try:
            return await self._call("SendMessageBatch", subscription)(params)
        except ServiceError as error:
            if error.code in ("QueueDoesNotExist", "AccessDenied") or queue_messages.is_retried(error):
                raise
        # AWS: a FIFO queue takes all of a batch or nothing, and no queue a batch that is too long. By themselves:
        if subscription.topic.fifo:
            return await self._send_in_order(subscription, entries)
        return await self._send_each(subscription, entries)

    async def _send_each(self, subscription: Subscription, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Send messages one by one, in the same turn, and tell what failed as a batch would."""
        together = calls_of(self._server)
        calls = [together.begin(self.send(subscription, [each])) for each in entries]
        await together.finish()
        failed = []
        for at, call in enumerate(calls):
            if isinstance(call.error, ServiceError):
                failed.append(_failure(at, call.error))
            elif call.error is not None:
                raise call.error
        return {"Failed": failed}

    async def _send_in_order(self, subscription: Subscription, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The same, one after the other: when one is to be tried again, so are all behind it."""
        failed = []
        for at, each in enumerate(entries):
            try:
                await self.send(subscription, [each])
            except ServiceError as error:
                failed.append(_failure(at, error))
                if queue_messages.is_retried(error):
                    failed += [_failure(behind, error) for behind in range(at + 1, len(entries))]
                    break
        return {"Failed": failed}

    def _call(self, operation: str, subscription: Subscription) -> Callable[[dict[str, Any]], Answer]:
        """The operation, ready to be called as SNS for the topic, where the queue is."""
        assert subscription.queue is not None
        topic = subscription.topic
        return self._prepared(operation, subscription.queue[0], topic.account, topic.arn)

    def _prepare(self, operation: str, region: str, *topic: str) -> Callable[[dict[str, Any]], Answer]:
        return self._server.prepare("sqs", operation, principal=queue_messages.principal(*topic), region=region)

    def _prepare_together(
        self, region: str, *topic: str
    ) -> Callable[[Sequence[dict[str, Any]]], Coroutine[Any, Any, None]]:
        sender = queue_messages.principal(*topic)
        return self._server.prepare_together("sqs", "SendMessage", principal=sender, region=region)


def _failure(at: int, error: ServiceError) -> dict[str, str]:
    """An entry of a batch's answer."""
    return {"Id": str(at), "Code": error.code, "Message": error.message}
