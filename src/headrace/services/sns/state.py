"""The topics a process knows, each with its subscriptions, kept coherent by watching metadata.

A topic is read whole on its first use. What the watch tells of later, here or in another process, is taken up in place.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headrace.context import Context, Server
from headrace.primitives.metadata import Change, Conflict, Entry, Write
from headrace.services.sns import (
    data_protection,
    filters,
    limits,
    messages,
    queue_messages,
    records,
    rules,
    signing,
    subscription_attributes,
    topic_attributes,
)
from headrace.services.sns.census import Census
from headrace.services.sns.deliveries import Deliveries
from headrace.services.sns.fanout import Fanout
from headrace.services.sns.presence import Presence
from headrace.services.sns.queue_calls import QueueCalls
from headrace.services.sns.queue_deliveries import QueueDeliveries
from headrace.services.sns.records import Publication, SubscriptionRecord, TopicRecord
from headrace.services.sns.transports.choice import make_transports
from headrace.services.sns.transports.sqs import SqsTransport
from headrace.services.sns.workers import Workers


class Subscription:
    """A subscription as this process knows it. `warm` tells that the way to its endpoint was looked up."""

    __slots__ = (
        "arn",
        "dead_letters",
        "filtered",
        "key",
        "queue",
        "queue_url",
        "raw",
        "record",
        "revision",
        "topic",
        "warm",
    )

    def __init__(self, topic: Topic, key: str, record: SubscriptionRecord, revision: int) -> None:
        self.topic = topic
        self.key = key
        self.arn = record.arn
        self.warm = False
        self.queue = rules.parse_queue_arn(record.endpoint) if record.protocol == "sqs" else None
        self.queue_url = queue_messages.queue_url(*self.queue[1:]) if self.queue is not None else ""
        self.take(record, revision)

    def take(self, record: SubscriptionRecord, revision: int) -> None:
        """Take up a record that was stored."""
        self.record = record
        self.revision = revision
        self.raw = record.attributes.get("RawMessageDelivery") == "true"
        self.filtered = "FilterPolicy" in record.attributes
        self.dead_letters = subscription_attributes.dead_letter_queue(record.attributes)

    def expired(self, now_ms: int) -> bool:
        """Whether it was not confirmed in time. AWS: it is gone then."""
        return self.record.pending and now_ms >= self.record.token_expires_at_ms


class Topic:
    """A topic as this process knows it, with all its subscriptions by id.

    `open` are those that get every message, `matcher` knows those with filter policies; neither holds subscriptions
    that wait for their confirmation.
    """

    __slots__ = (
        "account",
        "archive_days",
        "arn",
        "by_endpoint",
        "content_dedup",
        "fifo",
        "gone",
        "key",
        "matcher",
        "max_bytes",
        "name",
        "open",
        "per_group",
        "place",
        "protection",
        "record",
        "region",
        "revision",
        "stores_first",
        "subscriptions",
    )

    def __init__(
        self, region: str, account: str, record: TopicRecord, revision: int, *, one_process: bool = True
    ) -> None:
        self.region = region
        self.account = account
        self.name = record.name
        self.arn = rules.topic_arn(region, account, record.name)
        self.key = records.topic_key(region, account, record.name)
        self.fifo = record.name.endswith(rules.FIFO_SUFFIX)
        self.stores_first = self.fifo or not one_process
        """Whether publications are stored by themselves, and brought to the subscribers later (`stored`)."""
        self.gone = False
        self.subscriptions: dict[str, Subscription] = {}
        self.by_endpoint: dict[tuple[str, str], Subscription] = {}
        self.open: dict[str, Subscription] = {}
        self.matcher = filters.TopicMatcher()
        self.take(record, revision)

    def take(self, record: TopicRecord, revision: int) -> None:
        """Take up a record that was stored."""
        values = record.attributes
        self.record = record
        self.revision = revision
        self.max_bytes = topic_attributes.max_bytes(values)
        self.content_dedup = values.get("ContentBasedDeduplication") == "true"
        self.per_group = values.get("FifoThroughputScope") == "MessageGroup"
        self.archive_days = topic_attributes.archive_days(values)
        self.protection = data_protection.compile_policy(record.data_protection) if record.data_protection else None
        self.place = messages.Place(
            region=self.region,
            account=self.account,
            topic_arn=self.arn,
            fifo=self.fifo,
            content_dedup=self.content_dedup,
            max_bytes=self.max_bytes,
            signature_version=values.get("SignatureVersion", "1"),
        )

    def take_subscription(self, entry: Entry) -> None:
        """Take up a subscription that was stored."""
        record = records.decode_subscription(entry.value)
        known = self.subscriptions.get(record.id)
        if known is None:
            known = self.subscriptions[record.id] = Subscription(self, entry.key, record, entry.revision)
        elif entry.revision > known.revision:
            self._let_go(known)
            known.take(record, entry.revision)
        else:
            return
        self.by_endpoint[record.protocol, record.endpoint] = known
        if record.pending:
            return
        if known.filtered:
            scope = record.attributes.get("FilterPolicyScope", subscription_attributes.DEFAULT_SCOPE)
            policy = filters.compile_policy(record.attributes["FilterPolicy"], scope)
            self.matcher.add(record.id, policy, record.protocol)
        else:
            self.open[record.id] = known

    def forget_subscription(self, subscription_id: str) -> None:
        """A subscription is no more."""
        known = self.subscriptions.pop(subscription_id, None)
        if known is not None:
            self._let_go(known)
            self.by_endpoint.pop((known.record.protocol, known.record.endpoint), None)

    def _let_go(self, known: Subscription) -> None:
        if self.open.pop(known.record.id, None) is None and known.filtered:
            self.matcher.remove(known.record.id)

    def matching(self, publication: Publication) -> list[Subscription]:
        """The subscriptions that a message is for."""
        found = list(self.open.values())
        if len(found) != len(self.subscriptions):
            matching = self.matcher.matching(filters.prepare(publication))
            found.extend(self.subscriptions[each] for each in matching)
        return found


class State:
    """What the process keeps for SNS."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.arns: dict[str, Topic] = {}
        """Loaded topics by their ARN."""
        self.census = Census(server.engine.metadata)
        self.queue_calls = QueueCalls(server)
        transports = {**make_transports(server), "sqs": SqsTransport(server)}
        self.presence = Presence(server)
        self.deliveries = Deliveries(server, transports, self.find_subscription, self.presence)
        self.queue_deliveries = QueueDeliveries(server, self.queue_calls, self.deliveries)
        self.fanout = Fanout(self)
        self.workers = Workers(self)
        self._subscriptions = 0
        """How many subscriptions the loaded topics had when they were read."""
        self._changes = 0
        """How often the watch has told of a topic or a subscription."""
        self._unwatch: Callable[[], None] | None = None

    async def start(self) -> None:
        """Follow what changes in metadata, and go on with what waits to be delivered."""
        self._unwatch = self.server.engine.metadata.watch(records.PREFIX, self._changed)
        await self.presence.start()
        await self.deliveries.start()
        await self.workers.start()

    async def close(self) -> None:
        """Stop the background work and forget everything."""
        if self._unwatch is not None:
            self._unwatch()
        await self.workers.close()
        await self.deliveries.close()
        await self.presence.close()
        await signing.close(self.server)
        self.census.clear()
        self.arns.clear()

    # --- finding topics and subscriptions ---

    async def find(self, ctx: Context, arn: str, parameter: str = "TopicArn") -> Topic:
        """The topic of an ARN. Raises NotFound, and InvalidParameter for an ARN of another region than the call's."""
        topic = self.arns.get(arn)
        if topic is None:
            topic = await self.load(*rules.parse_topic_arn(arn, parameter))
        if topic is None:
            raise rules.no_such_topic()
        if topic.region != ctx.region and ctx.principal.access_key_id:
            raise rules.invalid_parameter(parameter)
        return topic

    async def load(self, region: str, account: str, name: str) -> Topic | None:
        """The topic with its subscriptions; None when there is no such topic."""
        arn = rules.topic_arn(region, account, name)
        while (topic := self.arns.get(arn)) is None:
            changes = self._changes
            topic = await self._read(region, account, name)
            if topic is None:
                return None
            if changes != self._changes or arn in self.arns:
                continue  # what was read may be older than what the watch has told meanwhile
            self._make_room(len(topic.subscriptions))
            self.arns[arn] = topic
        return topic

    async def find_subscription(self, arn: str) -> Subscription | None:
        """The subscription of an ARN, or None. Raises InvalidParameter for what is no such ARN."""
        topic_arn, _, subscription_id = arn.rpartition(":")
        topic = self.arns.get(topic_arn)
        if topic is None or subscription_id not in topic.subscriptions:
            region, account, name, subscription_id = rules.parse_subscription_arn(arn)
            topic = await self.load(region, account, name)
        found = topic.subscriptions.get(subscription_id) if topic is not None else None
        return None if found is None or found.expired(self.server.clock.now_ms()) else found

    async def require_subscription(self, arn: str) -> Subscription:
        """The subscription of an ARN. Raises NotFound and InvalidParameter."""
        found = await self.find_subscription(arn)
        if found is None:
            raise rules.no_such_subscription()
        return found

    def _make_room(self, coming: int) -> None:
        """Let go of all topics when too much is held: what is used is soon read again."""
        self._subscriptions += coming
        if self._subscriptions > limits.SUBSCRIPTIONS_CACHED or len(self.arns) >= limits.TOPICS_CACHED:
            self.arns.clear()
            self._subscriptions = coming

    async def _read(self, region: str, account: str, name: str) -> Topic | None:
        metadata = self.server.engine.metadata
        entry = await metadata.get(records.topic_key(region, account, name))
        if entry is None:
            return None
        one_process = self.server.engine.name in limits.ENGINES_OF_ONE_PROCESS
        topic = Topic(region, account, records.decode_topic(entry.value), entry.revision, one_process=one_process)
        prefix, after = records.subscription_key(region, account, name, ""), ""
        while entries := await metadata.list(prefix, after=after):
            for each in entries:
                topic.take_subscription(each)
            after = entries[-1].key
        return topic

    # --- changing them ---

    async def revise_topic(self, topic: Topic, change: Callable[[TopicRecord], TopicRecord]) -> None:
        """Store what `change` makes of a topic's record. Raises what `change` raises, and NotFound."""
        metadata = self.server.engine.metadata
        for _ in range(limits.CONFLICT_RETRIES):
            old = topic.record
            new = change(old)
            if new == old:
                return
            try:
                await metadata.put(topic.key, records.encode(new), expected=topic.revision)
            except Conflict:
                entry = await metadata.get(topic.key)
                if entry is None:
                    raise rules.no_such_topic() from None
                if entry.revision > topic.revision:
                    topic.take(records.decode_topic(entry.value), entry.revision)
            else:
                return
        raise rules.too_busy()

    async def revise_subscription(
        self,
        subscription: Subscription,
        change: Callable[[SubscriptionRecord], SubscriptionRecord],
        also: Callable[[SubscriptionRecord], list[Write]] | None = None,
    ) -> None:
        """Store what `change` makes of a subscription's record, with what `also` adds, all or nothing.

        Raises what `change` raises, and NotFound.
        """
        metadata = self.server.engine.metadata
        for _ in range(limits.CONFLICT_RETRIES):
            old = subscription.record
            new = change(old)
            if new == old:
                return
            write = Write(subscription.key, records.encode(new), subscription.revision)
            try:
                await metadata.apply([write, *(also(new) if also is not None else ())])
            except Conflict:
                entry = await metadata.get(subscription.key)
                if entry is None:
                    raise rules.no_such_subscription() from None
                subscription.topic.take_subscription(entry)
            else:
                return
        raise rules.too_busy()

    # --- what changed ---

    def _changed(self, change: Change) -> None:
        """A record changed, here or in another process."""
        parts = change.key.split("/")
        match parts:
            case ["sns", region, account, "topic", name]:
                self._topic_changed(change, rules.topic_arn(region, account, name))
            case ["sns", region, account, "subscription", name, subscription_id]:
                self._subscription_changed(change, rules.topic_arn(region, account, name), subscription_id)
            case ["sns", _, _, "filtered", *_]:
                self.census.changed(change)

    def _topic_changed(self, change: Change, arn: str) -> None:
        self._changes += 1
        self.census.changed(change)
        if change.entry is None:
            gone = self.arns.pop(arn, None)
            if gone is not None:
                gone.gone = True
        elif (topic := self.arns.get(arn)) is not None:
            topic.take(records.decode_topic(change.entry.value), change.entry.revision)

    def _subscription_changed(self, change: Change, arn: str, subscription_id: str) -> None:
        self._changes += 1
        topic = self.arns.get(arn)
        if topic is None:
            return
        if change.entry is None:
            topic.forget_subscription(subscription_id)
        else:
            topic.take_subscription(change.entry)


def counted(record: TopicRecord) -> TopicRecord:
    """The topic's record with one more subscription that was ended."""
    return msgspec.structs.replace(record, subscriptions_deleted=record.subscriptions_deleted + 1)
