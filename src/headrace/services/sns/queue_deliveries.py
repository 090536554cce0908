"""What subscribed queues are sent, and what becomes of what they refuse.

What a queue may take later waits for a worker, what it never takes goes to the subscription's dead-letter queue. Where
the order counts nothing overtakes what waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from headrace.context import Server
from headrace.errors import ServiceError
from headrace.services.sns import dead_letters, queue_messages, status_log
from headrace.services.sns.deliveries import Deliveries, delivery_of
from headrace.services.sns.queue_calls import QueueCalls
from headrace.services.sns.records import Publication
from headrace.services.sns.rules import FIFO_SUFFIX
from headrace.services.sns.together import Call, calls_of, raise_errors
from headrace.services.sns.transports import delivered, failed
from headrace.services.sns.wrapping import Wrapper

if TYPE_CHECKING:
    from headrace.services.sns.state import Subscription

_ABOUT_THE_QUEUE: Final = ("QueueDoesNotExist", "AccessDenied")
"""Errors that every message of a batch would meet with."""

Refused = list[ServiceError]
"""What queues have refused so far, as it comes."""


class QueueDeliveries:
    """Brings publications to queues."""

    def __init__(self, server: Server, calls: QueueCalls, deliveries: Deliveries) -> None:
        self._server = server
        self._calls = calls
        self._deliveries = deliveries

    async def deliver(
        self,
        subscription: Subscription,
        publications: Sequence[Publication],
        wrappers: dict[int, Wrapper],
        refused: Refused,
    ) -> None:
        """Send publications (ten at most) to a subscription's queue, or see to it that nothing of them is lost.

        What the queue refuses is added to `refused`: in the turn in which this is begun, where the engine makes a turn
        one commit. Raises StorageError.
        """
        messages = entries(subscription, publications, wrappers)
        as_one = len(messages) > 1 and not self._tells_too_late(subscription)
        if not (as_one and await self._send_batch(subscription, publications, messages, refused)):
            await self._send_each(subscription, publications, messages, refused)

    @staticmethod
    def _tells_too_late(subscription: Subscription) -> bool:
        """Whether the queue tells only with its answer what it does not take of a batch.

        Standard queues do. That is too late for what is stored on a FIFO topic, which is removed in the same turn.
        """
        assert subscription.queue is not None
        return subscription.topic.fifo and not subscription.queue[2].endswith(FIFO_SUFFIX)

    async def _send_batch(
        self,
        subscription: Subscription,
        publications: Sequence[Publication],
        messages: Sequence[dict[str, Any]],
        refused: Refused,
    ) -> bool:
        """Send them as one; whether that is the end of it: if not, nothing was sent.

        AWS: a FIFO queue takes all of a batch or nothing, and no queue a batch that is too long.
        """
        try:
            answer = await self._calls.send_batch(subscription, messages)
        except ServiceError as error:
            if error.code not in _ABOUT_THE_QUEUE and not queue_messages.is_retried(error):
                return False
            errors = dict.fromkeys(range(len(messages)), error)
        else:
            failed_ones = answer.get("Failed", ())
            errors = {int(each["Id"]): ServiceError(each["Code"], each.get("Message", "")) for each in failed_ones}
        refused += errors.values()
        await self._settle(subscription, publications, errors)
        return True

    async def _send_each(
        self,
        subscription: Subscription,
        publications: Sequence[Publication],
        messages: Sequence[dict[str, Any]],
        refused: Refused,
    ) -> None:
        """Send them one by one, in the same turn; on a FIFO topic no more than up to one that is to be tried again."""
        together, in_order = calls_of(self._server), subscription.topic.fifo
        calls: list[Call[Any]] = []
        for message in messages:
            calls.append(together.begin(self._calls.send(subscription, message)))
            if in_order and not together.at_once:
                await together.finish()
            if in_order and isinstance(error := calls[-1].error, ServiceError) and queue_messages.is_retried(error):
                break
        refused += [call.error for call in calls if isinstance(call.error, ServiceError)]
        await together.finish()
        errors: dict[int, ServiceError] = {}
        for at in range(len(messages)):
            failure = calls[min(at, len(calls) - 1)].error
            if isinstance(failure, ServiceError):
                errors[at] = failure
            elif failure is not None:
                raise failure
        await self._settle(subscription, publications, errors)

    async def _settle(
        self, subscription: Subscription, publications: Sequence[Publication], errors: dict[int, ServiceError]
    ) -> None:
        """See to what the queue did not take, by its place among the publications; the others are delivered."""
        log_delivered(subscription, [each for at, each in enumerate(publications) if at not in errors])
        if not errors:
            return
        subscription.warm = False
        together, retried = calls_of(self._server), []
        calls: list[Call[None]] = []
        for at, error in errors.items():
            if queue_messages.is_retried(error):
                retried.append(publications[at])
            else:
                calls.append(together.begin(self._give_up(subscription, publications[at], error)))
        if retried:
            calls.append(together.begin(self._deliveries.store(subscription, retried)))
        await together.finish()
        raise_errors(calls)

    async def _give_up(self, subscription: Subscription, publication: Publication, error: ServiceError) -> None:
        """AWS: what a queue refuses for good goes to the dead-letter queue at once, or is lost."""
        delivery = delivery_of(subscription, publication)
        outcome = failed(error.message, status=error.status or HTTPStatus.BAD_REQUEST, response=error.code)
        status_log.write(subscription, delivery, outcome, attempts=1, dwell_ms=0)
        try:
            await dead_letters.send(self._server, subscription, delivery)
        except ServiceError:
            await self._deliveries.store(subscription, [publication])


def entries(
    subscription: Subscription, publications: Sequence[Publication], wrappers: dict[int, Wrapper]
) -> list[dict[str, Any]]:
    """What a subscription's queue is sent: SendMessage's parameters for each publication."""
    assert subscription.queue is not None
    raw, fifo = subscription.raw, subscription.queue[2].endswith(FIFO_SUFFIX)
    found = []
    for each in publications:
        body = each.text_for("sqs") if raw else wrappers[id(each)].body(subscription.arn)
        entry = queue_messages.entry(each, body, raw=raw, fifo=fifo)
        entry["QueueUrl"] = subscription.queue_url
        found.append(entry)
    return found


def log_delivered(subscription: Subscription, publications: Sequence[Publication]) -> None:
    """Log that a queue has taken publications, if the topic asks for that."""
    if "SQSSuccessFeedbackRoleArn" not in subscription.topic.record.attributes:
        return
    for publication in publications:
        status_log.write(subscription, delivery_of(subscription, publication), delivered(200), attempts=1, dwell_ms=0)
