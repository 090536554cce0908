"""SubscribeToShard: a shard's records, pushed as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

from headrace import clock
from headrace.context import Context, Event
from headrace.services.kinesis import consumer_limits, consumers, getting, rules, shards
from headrace.services.kinesis.fan_out import FanOut, Made, Ticket
from headrace.services.kinesis.shards import Batch
from headrace.services.kinesis.state import Shard, State
from headrace.services.kinesis.throughput import Bucket


async def subscribe_to_shard(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The records of the shard `ShardId` from `StartingPosition` on, as events for the consumer `ConsumerARN`.

    Where LATEST and AT_TIMESTAMP lie is settled now. Raises ResourceNotFoundException, ResourceInUseException when the
    consumer is not ACTIVE or has subscribed less than 5 seconds ago, InvalidArgumentException, LimitExceededException,
    DryRunOperationException.
    """
    state: State = ctx.state
    fan_out: FanOut = state.fan_out
    consumer = await consumers.find(ctx, params)
    record, stream = consumer.record, consumer.stream
    if record.status(ctx.server.clock.now_ms()) != "ACTIVE":
        raise rules.in_use(
            f"Consumer {record.name} with creation timestamp {record.created_s} under stream: {stream.name} , "
            f"account {stream.account} is not in ACTIVE status."
        )
    await state.ready(ctx, {"StreamARN": stream.arn})
    shard = await state.shard(stream, params["ShardId"])
    after = await shards.start_of(state, stream, shard, params["StartingPosition"])
    ticket = Ticket(consumer, shard)
    expected = await fan_out.check_free(ticket)
    if params.get("DryRun"):
        raise rules.dry_run()
    await fan_out.admit(ticket, expected)
    return {"EventStream": Subscription(state, ticket, after)}


class Subscription:
    """The events of a subscription, made as they are asked for: who does not take them keeps nothing waiting.

    It ends after 5 minutes, or with the shard. Raises ResourceInUseException when another has taken over, and
    ResourceNotFoundException when the consumer or the stream is gone.
    """

    def __init__(self, state: State, ticket: Ticket, after: int) -> None:
        self._state = state
        self._clock = state.server.clock
        self._ticket = ticket
        self._stream = ticket.consumer.stream
        self._shard: Shard = ticket.shard
        self._after = after
        self._until_ms = self._clock.now_ms() + consumer_limits.SUBSCRIPTION_LIFE_MS
        self._given = Bucket(consumer_limits.BYTES_PER_S) if state.server.quotas.throughput else None
        self._begun = False
        self._shard_ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        begun, self._begun = self._begun, True
        while not self._is_over():
            if self._given is not None and (left := self._given.left(self._clock.now_ms())) <= 0:
                await self._pause(1 + int(-left * 1000 / consumer_limits.BYTES_PER_S))
                continue
            made = await self._make()
            if made.batch.records or made.batch.ended or not begun:
                return self._give(made)
            if not await self._wait():
                return self._give(made)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Nobody takes events any more."""
        await self._state.fan_out.leave(self._ticket, for_good=self._shard_ended)

    def _is_over(self) -> bool:
        if self._ticket.ended.done():
            error = self._ticket.ended.result()
            if error is not None:
                raise error
            return True
        return self._shard_ended or self._clock.now_ms() >= self._until_ms

    async def _make(self) -> Made:
        """The event for the place that is reached. What another consumer was just given there will do."""
        shared, log, now_ms = self._state.fan_out.shared, self._shard.log, self._clock.now_ms()
        made = shared.get(log, self._after, now_ms)
        if made is None:
            batch = await shards.read(
                self._state,
                self._stream,
                self._shard,
                self._after,
                max_records=consumer_limits.EVENT_RECORDS,
                max_bytes=consumer_limits.EVENT_BYTES,
            )
            made = Made(batch, self._event(batch), now_ms)
            if batch.records and not batch.ended:
                shared.keep(log, self._after, made)
        return made

    def _event(self, batch: Batch) -> Event:
        event: dict[str, Any] = {
            "Records": getting.render(self._shard, batch.records),
            "MillisBehindLatest": batch.behind_ms,
        }
        if batch.ended:
            # AWS: the end of a shard shows in that there is nothing to continue from.
            event["ChildShards"] = getting.child_shards(self._stream, self._shard)
        else:
            event["ContinuationSequenceNumber"] = self._shard.position(batch.after)
        return Event({"SubscribeToShardEvent": event})

    def _give(self, made: Made) -> Event:
        self._after = made.batch.after
        self._shard_ended = made.batch.ended
        if self._given is not None:
            self._given.use(made.batch.size_bytes, self._clock.now_ms())
        return made.event

    async def _wait(self) -> bool:
        """Whether there may be something to give; False when it is time for a heartbeat."""
        now_ms = self._clock.now_ms()
        wait_ms = min(consumer_limits.HEARTBEAT_MS, self._until_ms - now_ms)
        waiting = shards.wait(self._state, self._stream, self._shard, self._after, wait_ms=wait_ms)
        if await self._unless_ended(waiting):
            return True
        waited_ms = self._clock.now_ms() - now_ms
        if waited_ms < wait_ms / 2:
            # No wait is that short unless the process is stopping; or it was ended, which shows.
            self._ticket.end()
        return self._ticket.ended.done() or waited_ms < wait_ms / 2 or self._clock.now_ms() >= self._until_ms

    async def _pause(self, duration_ms: int) -> None:
        await self._unless_ended(_sleep(self._clock, duration_ms))

    async def _unless_ended(self, doing: Coroutine[Any, Any, bool]) -> bool:
        """What is done gives, or False when the subscription is ended meanwhile."""
        task = asyncio.ensure_future(doing)
        try:
            either: set[asyncio.Future[Any]] = {task, self._ticket.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return task.done() and task.result()
        finally:
            task.cancel()


async def _sleep(on: clock.Clock, duration_ms: int) -> bool:
    await clock.sleep(on, duration_ms)
    return True
