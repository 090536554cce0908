"""From a publication to its subscribers.

Everything a publication leads to is begun in one turn of the event loop (`together`): on the embedded engine the
messages in all its queues, and the rows of all deliveries that wait for something else, are one commit.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import ServiceError
from headrace.services.sns import data_protection, deliveries, limits, queue_messages
from headrace.services.sns.queue_deliveries import Refused, entries, log_delivered
from headrace.services.sns.records import Publication
from headrace.services.sns.together import calls_of, raise_errors
from headrace.services.sns.wrapping import Wrapper

if TYPE_CHECKING:
    from headrace.services.sns.data_protection import Protection
    from headrace.services.sns.state import State, Subscription, Topic

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


class Fanout:
    """Brings publications to subscriptions, in one go."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._server = state.server
        self._one_process = state.server.engine.name in limits.ENGINES_OF_ONE_PROCESS

    async def run(self, plan: Plan, *also: Coroutine[Any, Any, Any]) -> None:
        """Carry out a plan, with what else (`also`) is to be part of it; all is stored when this returns.

        Where the engine cannot make it one commit, or a queue refuses something, what else there is comes after the
        plan, one after the other: it says that the plan was carried out. Raises StorageError when the engine could not
        do its part: then the caller is to try again.
        """
        left: Sequence[Coroutine[Any, Any, Any]] = also
        straight = self._send_alone if len(plan) == 1 else self._send_together
        try:
            if (also and self._one_process) or not await straight(plan):
                left = await self._carry_out(plan, also)
            for each in left:
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
            await self._state.queue_calls.send(subscription, *entries(subscription, publications, wrappers))
        except ServiceError:
            return False
        log_delivered(subscription, publications)
        return True

    async def _send_together(self, plan: Plan) -> bool:
        """Carry out a plan that is for known queues alone as one call; whether it was such a one, and went well.

        If not, nothing has happened yet.
        """
        region = _one_region(plan) if self._one_process else ""
        if not region:
            return False
        wrappers = await self._wrap(plan)
        calls = [entry for each in plan.items() for entry in entries(*each, wrappers)]
        try:
            await self._state.queue_calls.send_together(next(iter(plan)).topic, region, calls)
        except ServiceError:
            return False
        for each in plan.items():
            log_delivered(*each)
        return True

    async def _carry_out(
        self, plan: Plan, also: Sequence[Coroutine[Any, Any, Any]]
    ) -> Sequence[Coroutine[Any, Any, Any]]:
        """Carry out any plan; what is still to be done of what else there is."""
        together = calls_of(self._server)
        cold = [subscription for subscription in plan if not subscription.warm or self._goes_behind(subscription)]
        if cold:
            await self._warm(cold)
        wrappers = await self._wrap(plan)
        refused: Refused = []
        calls = [together.begin(self._bring(*each, wrappers, refused)) for each in plan.items()]
        # What a queue refuses goes elsewhere, which may take longer than this turn: the rest has to wait for that.
        in_one = self._one_process and not refused
        if in_one:
            calls += [together.begin(each) for each in also]
        await together.finish()
        raise_errors(calls)
        return () if in_one else also

    # --- before the turn ---

    async def _warm(self, cold: Iterable[Subscription]) -> None:
        """Look up the ways that were not taken yet, so that the turn has to wait for nothing.

        A queue that is not there shows when it is sent to.
        """
        for subscription in cold:
            if subscription.queue is None or self._goes_behind(subscription):
                await self._state.deliveries.open(deliveries.queue_of(subscription.arn), fifo=subscription.topic.fifo)
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

    async def _bring(
        self,
        subscription: Subscription,
        publications: Sequence[Publication],
        wrappers: dict[int, Wrapper],
        refused: Refused,
    ) -> None:
        if subscription.queue is None or self._goes_behind(subscription):
            await self._state.deliveries.store(subscription, publications)
        else:
            await self._state.queue_deliveries.deliver(subscription, publications, wrappers, refused)

    def _goes_behind(self, subscription: Subscription) -> bool:
        """Whether earlier messages wait for the queue, on a FIFO topic: later ones must not overtake them."""
        return subscription.topic.fifo and self._state.deliveries.is_busy(deliveries.queue_of(subscription.arn))


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
