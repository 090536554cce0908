"""From a publication to its subscribers.

Everything a publication leads to is begun in one turn of the event loop (`together`): on the embedded engine the
messages in all its queues, and the rows of all deliveries that wait for something else, are one commit.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog

from headrace.errors import ServiceError
from headrace.services.sns import data_protection, dead_letters, deliveries, limits, queue_messages, status_log
from headrace.services.sns.records import Delivery, Publication
from headrace.services.sns.rules import FIFO_SUFFIX
from headrace.services.sns.together import Call, Calls, calls_of
from headrace.services.sns.transports import delivered, failed
from headrace.services.sns.wrapping import Wrapper

if TYPE_CHECKING:
    from headrace.services.sns.data_protection import Protection
    from headrace.services.sns.state import State, Subscription, Topic

log = structlog.get_logger()

Plan = dict["Subscription", list[Publication]]
"""What each subscription is to get, in the order of publishing."""


def plan(topic: Topic, publications: Iterable[Publication]) -> Plan:
    """Which of the topic's subscriptions the publications are for, and what of them each is to get."""
    found: Plan = {}
    for publication in publications:
        matching = topic.matching(publication)
        if topic.protection is not None and topic.protection.outbound:
            _plan_protected(found, topic.protection, publication, matching)
        else:
            for subscription in matching:
                found.setdefault(subscription, []).append(publication)
    return found


def _plan_protected(
    found: Plan, protection: Protection, publication: Publication, matching: Iterable[Subscription]
) -> None:
    """Plan what the topic's data protection policy lets each subscriber have; once for each principal."""
    let_out: dict[str, Publication | None] = {}
    for subscription in matching:
        principal = subscription.record.principal
        if principal not in let_out:
            let_out[principal] = data_protection.outbound(protection, publication, principal)
        if (changed := let_out[principal]) is not None:
            found.setdefault(subscription, []).append(changed)


class _Send:
    """What goes to one subscription: the call, and what it carries. `direct` goes to its queue, else to a worker."""

    __slots__ = ("call", "direct", "publications", "subscription")

    def __init__(
        self, subscription: Subscription, publications: Sequence[Publication], call: Call[Any], *, direct: bool
    ) -> None:
        self.subscription = subscription
        self.publications = publications
        self.call = call
        self.direct = direct

    @property
    def succeeded(self) -> bool:
        """Whether everything was taken, of a call that has ended."""
        return self.call.error is None and not (self.call.result and self.call.result.get("Failed"))

    def failures(self) -> list[tuple[Publication, ServiceError]]:
        """What a queue did not take, and why. When the store failed there is no answer of a queue's."""
        error = self.call.error
        if error is not None:
            return [(each, error) for each in self.publications] if isinstance(error, ServiceError) else []
        refused = self.call.result.get("Failed") if self.call.result else None
        if not refused:
            return []
        return [
            (self.publications[int(each["Id"])], ServiceError(each["Code"], each.get("Message", "")))
            for each in refused
        ]


class Fanout:
    """Brings publications to subscriptions, in one go."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._server = state.server
        self._one_process = state.server.engine.name in limits.ENGINES_OF_ONE_PROCESS

    async def run(self, plan: Plan, *also: Coroutine[Any, Any, Any]) -> None:
        """Carry out a plan, with what else (`also`) is to be part of it; all is stored when this returns.

        Where the engine cannot make it one commit, what else there is comes after the plan, one after the other: it
        says that the plan was carried out. Raises StorageError when the engine could not do its part: then the caller
        is to try again.
        """
        in_one = also if self._one_process else ()
        straight = self._send_alone if len(plan) == 1 else self._send_together
        try:
            if in_one or not await straight(plan):
                await self._carry_out(plan, in_one)
            if not self._one_process:
                for each in also:
                    await each
        finally:
            for each in also:
                each.close()  # harmless when it has ended

    async def _send_alone(self, plan: Plan) -> bool:
        """Carry out a plan of one message for one queue, in a straight line; whether it was such a one, and went well.

        If not, nothing has happened yet.
        """
        [(subscription, publications)] = plan.items()
        if not subscription.warm or subscription.queue is None or len(publications) != 1:
            return False
        if self._goes_behind(subscription):
            return False
        wrappers = {} if subscription.raw else await self._wrap(plan)
        try:
            await self._state.queue_calls.send(subscription, _entries(subscription, publications, wrappers))
        except ServiceError:
            return False
        _log_delivered(subscription, publications)
        return True

    async def _send_together(self, plan: Plan) -> bool:
        """Carry out a plan that is for known queues alone as one call; whether it was such a one, and went well.

        If not, nothing has happened yet.
        """
        region = _one_region(plan) if self._one_process else ""
        if not region:
            return False
        wrappers = await self._wrap(plan)
        calls = [entry for each in plan.items() for entry in _entries(*each, wrappers)]
        try:
            await self._state.queue_calls.send_together(next(iter(plan)).topic, region, calls)
        except ServiceError:
            return False
        for each in plan.items():
            _log_delivered(*each)
        return True

    async def _carry_out(self, plan: Plan, also: Sequence[Coroutine[Any, Any, Any]]) -> None:
        together = calls_of(self._server)
        cold = [subscription for subscription in plan if not subscription.warm]
        if cold:
            await self._warm(cold)
        wrappers = await self._wrap(plan)
        sends = [self._begin(together, *each, wrappers) for each in plan.items()]
        others = [together.begin(each) for each in also]
        # What a queue refused at once goes elsewhere in the same turn.
        at_once = [send for send in sends if send.call.done]
        later = [send for send in sends if not send.call.done] if at_once else sends
        others += [call for send in at_once for call in self._redirect(together, send)]
        await together.finish()
        others += [call for send in later for call in self._redirect(together, send)]
        if not together.finished:
            await together.finish()
        for call in (*(send.call for send in sends), *others):
            if call.error is not None and not isinstance(call.error, ServiceError):
                raise call.error

    # --- before the turn ---

    async def _warm(self, cold: Iterable[Subscription]) -> None:
        """Look up the ways that were not taken yet, so that the turn has to wait for nothing.

        A queue that is not there shows when it is sent to.
        """
        for subscription in cold:
            if subscription.queue is None:
                await self._state.deliveries.open(deliveries.queue_of(subscription.arn))
            else:
                await self._look_at(subscription)
            subscription.warm = True

    async def _look_at(self, subscription: Subscription) -> None:
        assert subscription.queue is not None
        params = {
            "QueueUrl": subscription.queue_url,
            "AttributeNames": ["ApproximateNumberOfMessages"],
        }
        topic = subscription.topic
        sender = queue_messages.principal(topic.account, topic.arn)
        try:
            await self._server.invoke(
                "sqs", "GetQueueAttributes", params, principal=sender, region=subscription.queue[0]
            )
        except ServiceError:
            return

    async def _wrap(self, plan: Plan) -> dict[int, Wrapper]:
        """An envelope for each publication that some queue is to get in one, by the object's identity.

        Data protection may have made several of one publication, all of the same MessageId.
        """
        wrapped = {
            id(publication): publication
            for subscription, publications in plan.items()
            if subscription.queue is not None and not subscription.raw
            for publication in publications
        }
        if not wrapped:
            return {}
        return dict(zip(wrapped, await Wrapper.make_all(self._server, list(wrapped.values())), strict=True))

    # --- in the turn ---

    def _begin(
        self,
        together: Calls,
        subscription: Subscription,
        publications: Sequence[Publication],
        wrappers: dict[int, Wrapper],
    ) -> _Send:
        if subscription.queue is None or self._goes_behind(subscription):
            # Failing to store is failing to publish: the call is looked at with the others.
            stored = together.begin(self._store(subscription, publications))
            return _Send(subscription, publications, stored, direct=False)
        call = self._state.queue_calls.send(subscription, _entries(subscription, publications, wrappers))
        return _Send(subscription, publications, together.begin(call), direct=True)

    def _goes_behind(self, subscription: Subscription) -> bool:
        """Whether earlier messages wait for the queue, on a FIFO topic: later ones must not overtake them."""
        return subscription.topic.fifo and self._state.deliveries.is_busy(deliveries.queue_of(subscription.arn))

    async def _store(self, subscription: Subscription, publications: Sequence[Publication]) -> None:
        """Have the publications wait for a worker."""
        waiting = [_delivery(subscription, publication) for publication in publications]
        await self._state.deliveries.send(deliveries.queue_of(subscription.arn), waiting, fifo=subscription.topic.fifo)

    def _redirect(self, together: Calls, send: _Send) -> list[Call[Any]]:
        """Begin what is to become of messages that a queue did not take."""
        if send.succeeded:
            if send.direct:
                _log_delivered(send.subscription, send.publications)
            return []
        subscription = send.subscription
        calls: list[Call[Any]] = []
        retried: list[Publication] = []
        for publication, error in send.failures():
            subscription.warm = False
            if queue_messages.is_retried(error):
                retried.append(publication)
            else:
                calls.append(together.begin(self._give_up(subscription, publication, error)))
        if retried:
            calls.append(together.begin(self._store(subscription, retried)))
        return calls

    async def _give_up(self, subscription: Subscription, publication: Publication, error: ServiceError) -> None:
        """AWS: what a queue refuses for good goes to the dead-letter queue at once, or is lost."""
        delivery = _delivery(subscription, publication)
        outcome = failed(error.message, status=error.status or HTTPStatus.BAD_REQUEST, response=error.code)
        status_log.write(subscription, delivery, outcome, attempts=1, dwell_ms=0)
        try:
            await dead_letters.send(self._server, subscription, delivery)
        except ServiceError:
            await self._store(subscription, [publication])


def _one_region(plan: Plan) -> str:
    """The region of all queues that a plan of a standard topic is for; "" if there is anything else to it."""
    region = ""
    for subscription in plan:
        queue = subscription.queue
        if queue is None or not subscription.warm or subscription.topic.fifo:
            return ""
        if queue[0] != region:
            if region:
                return ""
            region = queue[0]
    return region


def _entries(
    subscription: Subscription, publications: Sequence[Publication], wrappers: dict[int, Wrapper]
) -> list[dict[str, Any]]:
    """What a subscription's queue is sent: SendMessage's parameters for each publication."""
    assert subscription.queue is not None
    raw, fifo = subscription.raw, subscription.queue[2].endswith(FIFO_SUFFIX)
    entries = []
    for each in publications:
        body = each.text_for("sqs") if raw else wrappers[id(each)].body(subscription.arn)
        entry = queue_messages.entry(each, body, raw=raw, fifo=fifo)
        entry["QueueUrl"] = subscription.queue_url
        entries.append(entry)
    return entries


def _log_delivered(subscription: Subscription, publications: Sequence[Publication]) -> None:
    if "SQSSuccessFeedbackRoleArn" not in subscription.topic.record.attributes:
        return
    for publication in publications:
        delivery = _delivery(subscription, publication)
        status_log.write(subscription, delivery, delivered(200), attempts=1, dwell_ms=0)


def _delivery(subscription: Subscription, publication: Publication) -> Delivery:
    record = subscription.record
    return Delivery(
        kind="Notification",
        publication=publication,
        protocol=record.protocol,
        endpoint=record.endpoint,
        subscription_arn=record.arn,
        raw=subscription.raw,
    )
