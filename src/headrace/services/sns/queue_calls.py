"""Sends to SQS queues, through the server's own pipeline."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from headrace.context import Server
from headrace.services.sns import limits, queue_messages

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

    def send(self, subscription: Subscription, entry: dict[str, Any]) -> Answer:
        """Send a message to a subscription's queue. Awaiting it raises the ServiceError that the queue answers with."""
        return self._call("SendMessage", subscription)(entry)

    def send_batch(self, subscription: Subscription, entries: Sequence[dict[str, Any]]) -> Answer:
        """Send several messages (ten at most), with the ids 0, 1, … Awaiting it raises ServiceError, too."""
        for at, each in enumerate(entries):
            each["Id"] = str(at)
        params = {"QueueUrl": subscription.queue_url, "Entries": entries}
        return self._call("SendMessageBatch", subscription)(params)

    def send_together(self, topic: Topic, region: str, calls: Sequence[dict[str, Any]]) -> Coroutine[Any, Any, None]:
        """Send messages to queues of one region, each as SendMessage's parameters say; all, or none.

        Awaiting it raises the ServiceError that any of the queues answers with. For engines of one process.
        """
        return self._prepared_together(region, topic.account, topic.arn)(calls)

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
