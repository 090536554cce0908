"""The topics a process knows, each with its subscriptions, kept coherent by watching metadata.

A topic is read whole on its first use. What the watch tells of later, here or in another process, is taken up in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from headrace.context import Server
from headrace.primitives.metadata import Change, Entry
from headrace.services.sns import records
from headrace.services.sns.records import SubscriptionRecord, TopicRecord
from headrace.services.sns.transports import Transport
from headrace.services.sns.transports.choice import make_transports

FIFO_SUFFIX: Final = ".fifo"


class Subscription:
    """A subscription as this process knows it."""

    __slots__ = ("arn", "key", "raw", "record", "revision", "topic")

    def __init__(self, topic: Topic, key: str, record: SubscriptionRecord, revision: int) -> None:
        self.topic = topic
        self.key = key
        self.arn = record.arn
        self.take(record, revision)

    def take(self, record: SubscriptionRecord, revision: int) -> None:
        """Take up a record that was stored."""
        self.record = record
        self.revision = revision
        self.raw = record.attributes.get("RawMessageDelivery") == "true"


class Topic:
    """A topic as this process knows it, with all its subscriptions by id."""

    __slots__ = ("account", "arn", "fifo", "gone", "key", "name", "record", "region", "revision", "subscriptions")

    def __init__(self, region: str, account: str, arn: str, record: TopicRecord, revision: int) -> None:
        self.region = region
        self.account = account
        self.name = record.name
        self.arn = arn
        self.key = records.topic_key(region, account, record.name)
        self.fifo = record.name.endswith(FIFO_SUFFIX)
        self.gone = False
        self.subscriptions: dict[str, Subscription] = {}
        self.take(record, revision)

    def take(self, record: TopicRecord, revision: int) -> None:
        """Take up a record that was stored."""
        self.record = record
        self.revision = revision

    def take_subscription(self, entry: Entry) -> None:
        """Take up a subscription that was stored."""
        record = records.decode_subscription(entry.value)
        known = self.subscriptions.get(record.id)
        if known is None:
            self.subscriptions[record.id] = Subscription(self, entry.key, record, entry.revision)
        elif entry.revision > known.revision:
            known.take(record, entry.revision)

    def forget_subscription(self, subscription_id: str) -> None:
        """A subscription is no more."""
        self.subscriptions.pop(subscription_id, None)


class State:
    """What the process keeps for SNS."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.transports: dict[str, Transport] = {}
        self._topics: dict[str, Topic] = {}
        """Topics by the key of their record."""
        self._changes = 0
        """How often the watch has told of a topic or a subscription."""
        self._unwatch: Callable[[], None] | None = None

    async def start(self) -> None:
        """Follow what changes in metadata, and go on with what waits to be delivered."""
        self.transports = make_transports(self.server)
        self._unwatch = self.server.engine.metadata.watch(records.PREFIX, self._changed)

    async def close(self) -> None:
        """Stop the background work and forget everything."""
        if self._unwatch is not None:
            self._unwatch()
        for transport in set(self.transports.values()):
            await transport.close()
        self._topics.clear()

    async def load(self, region: str, account: str, name: str, arn: str) -> Topic | None:
        """The topic with its subscriptions; None when there is no such topic."""
        key = records.topic_key(region, account, name)
        while (topic := self._topics.get(key)) is None:
            changes = self._changes
            topic = await self._read(region, account, name, arn)
            if topic is None:
                return None
            if changes != self._changes or key in self._topics:
                continue  # what was read may be older than what the watch has told meanwhile
            self._topics[key] = topic
        return topic

    async def _read(self, region: str, account: str, name: str, arn: str) -> Topic | None:
        metadata = self.server.engine.metadata
        entry = await metadata.get(records.topic_key(region, account, name))
        if entry is None:
            return None
        topic = Topic(region, account, arn, records.decode_topic(entry.value), entry.revision)
        prefix, after = records.subscription_key(region, account, name, ""), ""
        while entries := await metadata.list(prefix, after=after):
            for each in entries:
                topic.take_subscription(each)
            after = entries[-1].key
        return topic

    def _changed(self, change: Change) -> None:
        """A record changed, here or in another process."""
        parts = change.key.split("/")
        if len(parts) == 5 and parts[3] == "topic":  # noqa: PLR2004 - sns/region/account/kind/name
            self._topic_changed(change)
        elif len(parts) == 6 and parts[3] == "subscription":  # noqa: PLR2004 - and the subscription's id
            self._subscription_changed(change, *parts[1:3], *parts[4:])

    def _topic_changed(self, change: Change) -> None:
        self._changes += 1
        if change.entry is None:
            gone = self._topics.pop(change.key, None)
            if gone is not None:
                gone.gone = True
        elif (topic := self._topics.get(change.key)) is not None:
            topic.take(records.decode_topic(change.entry.value), change.entry.revision)

    def _subscription_changed(self, change: Change, region: str, account: str, name: str, subscription_id: str) -> None:
        self._changes += 1
        topic = self._topics.get(records.topic_key(region, account, name))
        if topic is None:
            return
        if change.entry is None:
            topic.forget_subscription(subscription_id)
        else:
            topic.take_subscription(change.entry)
