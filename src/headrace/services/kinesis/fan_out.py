"""What a process keeps for enhanced fan-out: consumers that are to be removed, and subscriptions.

Which subscription of a consumer to a shard counts is stored, so that one takes over from another in whatever process
that is; a subscription that is not the stored one any more ends when it is told of the change.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from headrace.context import Event
from headrace.errors import ServiceError
from headrace.primitives.metadata import Change, Conflict, Write
from headrace.services.kinesis import consumer_limits, consumer_records, records, rules
from headrace.services.kinesis.consumer_records import ConsumerRecord, SubscriptionRecord
from headrace.services.kinesis.limits import LIST_PAGE, TRANSITION_MS
from headrace.services.kinesis.workers import Alarms

if TYPE_CHECKING:
    from headrace.services.kinesis.shards import Batch
    from headrace.services.kinesis.state import Shard, State, Stream

_CONSUMER_KEY_PARTS = 6
_SUBSCRIPTION_KEY_PARTS = 7


class Consumer(NamedTuple):
    """A consumer of a stream."""

    stream: Stream
    record: ConsumerRecord


class Ticket:
    """A subscription as others see it: `ended` is done, with the error to tell if there is one, once it has to end."""

    __slots__ = ("consumer", "ended", "id", "key", "shard")

    def __init__(self, consumer: Consumer, shard: Shard) -> None:
        self.consumer = consumer
        self.shard = shard
        stream, name = consumer.stream, consumer.record.name
        self.key = records.subscription_key(stream.region, stream.account, stream.name, name, shard.number)
        self.id = uuid.uuid4().hex
        self.ended: asyncio.Future[ServiceError | None] = asyncio.get_running_loop().create_future()

    def end(self, error: ServiceError | None = None) -> None:
        """Have the subscription end."""
        if not self.ended.done():
            self.ended.set_result(error)

    def in_use(self) -> ServiceError:
        """What is answered while another subscription stands, and told to one that another took over from."""
        stream = self.consumer.stream
        named = f"{stream.account}:{stream.name}:{self.shard.id}:{self.consumer.record.name}"
        return rules.in_use(f"Another active subscription exists for this consumer: {named}")


class FanOut:
    """Consumers and subscriptions of a process."""

    def __init__(self, state: State) -> None:
        self.server = state.server
        self.shared = Shared()
        self._tickets: dict[str, Ticket] = {}
        """The subscriptions of this process that count, by key."""
        self._alarms = Alarms(self.server, self._remove, consumer_records.DUE_PREFIX)
        self._unwatch: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Follow what changes in metadata, and see to what is due."""
        watch = self.server.engine.metadata.watch
        self._unwatch = [
            watch("kinesis/", self._changed),
            watch(consumer_records.DUE_PREFIX, self._alarms.changed),
        ]
        await self._alarms.start()

    async def close(self) -> None:
        """Stop the background work, and end all subscriptions."""
        for unwatch in self._unwatch:
            unwatch()
        await self._alarms.close()
        for ticket in list(self._tickets.values()):
            ticket.end()
        self._tickets.clear()
        self.shared.clear()

    # --- consumers ---

    async def consumers(self, stream: Stream) -> dict[str, ConsumerRecord]:
        """The consumers of a stream, by name and in its order. Those whose time has come are removed first."""
        prefix = records.consumer_key(stream.region, stream.account, stream.name, "")
        now_ms = self.server.clock.now_ms()
        found = {}
        for entry in await self.server.engine.metadata.list(prefix, max_entries=LIST_PAGE):
            record = consumer_records.decode_consumer(entry.value)
            if record.status(now_ms):
                found[record.name] = record
            else:
                await self._remove(stream.region, stream.account, stream.name, record.name)
        return found

    async def deregister(self, consumer: Consumer) -> None:
        """Note that a consumer is to go. Harmless when that is noted already, or when it is gone."""
        stream, name = consumer.stream, consumer.record.name
        place = (stream.region, stream.account, stream.name, name)
        key = records.consumer_key(*place)
        entry = await self.server.engine.metadata.get(key)
        record = consumer_records.decode_consumer(entry.value) if entry else consumer.record
        if entry is None or record.deleted_at_ms or record.created_at_ms != consumer.record.created_at_ms:
            return
        now_ms = self.server.clock.now_ms()
        deleted = msgspec.structs.replace(record, deleted_at_ms=now_ms)
        writes = [
            Write(key, consumer_records.encode(deleted), entry.revision),
            Write(consumer_records.due_key(*place), str(now_ms + TRANSITION_MS).encode()),
        ]
        try:
            await self.server.engine.metadata.apply(writes)
        except Conflict:
            return  # somebody else did just that

    async def _remove(self, region: str, account: str, stream_name: str, name: str) -> None:
        """Remove a consumer whose time has come, with all that belongs to it."""
        metadata = self.server.engine.metadata
        place = (region, account, stream_name, name)
        entry = await metadata.get(records.consumer_key(*place))
        if entry is None:
            await metadata.delete(consumer_records.due_key(*place))
            return
        record = consumer_records.decode_consumer(entry.value)
        if record.status(self.server.clock.now_ms()):
            return
        resource = consumer_records.resource_of(stream_name, record)
        prefix = records.subscription_key(*place)
        subscriptions = await metadata.list(prefix, max_entries=LIST_PAGE)
        while len(subscriptions) == LIST_PAGE:
            await metadata.apply([Write(each.key, None) for each in subscriptions])
            subscriptions = await metadata.list(prefix, max_entries=LIST_PAGE)
        writes = [
            Write(entry.key, None, entry.revision),
            Write(consumer_records.due_key(*place), None),
            Write(records.tags_key(region, account, resource), None),
            Write(records.policy_key(region, account, resource), None),
            *[Write(each.key, None) for each in subscriptions],
        ]
        try:
            await metadata.apply(writes)
        except Conflict:
            return  # somebody else did just that

    # --- subscriptions ---

    async def check_free(self, ticket: Ticket) -> int:
        """The revision of the subscription that this one may take over from, 0 for none.

        Raises ResourceInUseException when it began less than 5 seconds ago, LimitExceededException when this process
        has all the subscriptions it may.
        """
        if len(self._tickets) >= consumer_limits.SUBSCRIPTIONS and ticket.key not in self._tickets:
            raise rules.limit_exceeded(f"This server has {len(self._tickets)} subscriptions; it cannot have more.")
        entry = await self.server.engine.metadata.get(ticket.key)
        if entry is None:
            return 0
        began_at_ms = consumer_records.decode_subscription(entry.value).began_at_ms
        if self.server.clock.now_ms() < began_at_ms + consumer_limits.TAKEOVER_MS:
            raise ticket.in_use()
        return entry.revision

    async def admit(self, ticket: Ticket, expected: int) -> None:
        """Make this the subscription that counts. Raises ResourceInUseException when another has just become that."""
        record = SubscriptionRecord(began_at_ms=self.server.clock.now_ms(), id=ticket.id)
        try:
            await self.server.engine.metadata.put(ticket.key, consumer_records.encode(record), expected=expected)
        except Conflict:
            raise ticket.in_use() from None
        self._tickets[ticket.key] = ticket

    async def leave(self, ticket: Ticket, *, for_good: bool) -> None:
        """A subscription has ended; `for_good` when the shard has, so that there will be no other."""
        ticket.end()
        if self._tickets.get(ticket.key) is ticket:
            del self._tickets[ticket.key]
            if for_good:
                await self.server.engine.metadata.delete(ticket.key)
        if not self._tickets:
            self.shared.clear()

    def _changed(self, change: Change) -> None:
        """A consumer or a subscription changed, here or in another process."""
        parts = change.key.split("/")
        if len(parts) == _SUBSCRIPTION_KEY_PARTS and parts[3] == "subscription":
            ticket = self._tickets.get(change.key)
            if ticket is None or change.entry is None:
                return
            if consumer_records.decode_subscription(change.entry.value).id != ticket.id:
                ticket.end(ticket.in_use())
        elif len(parts) == _CONSUMER_KEY_PARTS and parts[3] == "consumer":
            there = change.entry and consumer_records.decode_consumer(change.entry.value)
            if there and not there.deleted_at_ms:
                return
            _, region, account, _, stream_name, name = parts
            prefix = records.subscription_key(region, account, stream_name, name)
            for key, ticket in list(self._tickets.items()):
                if key.startswith(prefix):
                    ticket.end(rules.not_found(f"Consumer {name} of stream {stream_name} was deregistered."))


class Made(NamedTuple):
    """An event, what was read for it, and when that was."""

    batch: Batch
    event: Event
    at_ms: int


class Shared:
    """Events that were just made, by log and place: consumers that are at the same place are given the same event.

    So what one has read, and what was made of it on the wire, serves all.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, int], Made] = OrderedDict()
        self._bytes = 0

    def get(self, log: str, after: int, now_ms: int) -> Made | None:
        """What was made for this place, if it is recent."""
        made = self._made.get((log, after))
        return made if made is not None and now_ms - made.at_ms <= consumer_limits.SHARED_MS else None

    def keep(self, log: str, after: int, made: Made) -> None:
        """Keep an event for others, and no more of those before than there is room for."""
        self._forget((log, after))
        self._made[log, after] = made
        self._bytes += made.batch.size_bytes
        while self._made and self._bytes > consumer_limits.SHARED_BYTES:
            self._forget(next(iter(self._made)))

    def clear(self) -> None:
        """Keep none."""
        self._made.clear()
        self._bytes = 0

    def _forget(self, key: tuple[str, int]) -> None:
        made: Any = self._made.pop(key, None)
        if made is not None:
            self._bytes -= made.batch.size_bytes
