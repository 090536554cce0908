"""What SNS stores: topics and subscriptions in metadata; publications and deliveries in queues and logs.

Every record carries its version as its tag, so that a later version can read an earlier one's data.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

import msgspec

Kind = Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
"""What a message to a subscriber is, in AWS's words (`x-amz-sns-message-type`)."""


class TopicRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A topic. `attributes` holds what was set, normalised; what is absent has AWS's default.

    `subscriptions_deleted` counts those that were ended since the topic was made.
    """

    name: str
    created_at_ms: int
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    data_protection: str = ""
    subscriptions_deleted: int = 0


class SubscriptionRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A subscription. `attributes` holds what was set (FilterPolicy, RawMessageDelivery, …), normalised.

    `owner` is the account that subscribed, `principal` the ARN of who did. While `token` is not empty the subscription
    waits for its confirmation, until `token_expires_at_ms`; `authenticated` tells whether the confirmation (or the
    subscription itself) was signed, and `authenticate_unsubscribe` that only its owner and the topic's may end it.
    """

    id: str
    topic_arn: str
    protocol: str
    endpoint: str
    owner: str
    created_at_ms: int
    attributes: dict[str, str] = {}
    principal: str = ""
    token: str = ""
    token_expires_at_ms: int = 0
    authenticated: bool = True
    authenticate_unsubscribe: bool = False

    @property
    def arn(self) -> str:
        """The subscription's ARN: its topic's and its id."""
        return f"{self.topic_arn}:{self.id}"

    @property
    def pending(self) -> bool:
        """Whether it waits for its confirmation."""
        return bool(self.token)


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """What a confirmation token confirms: the subscription of that key, until then.

    `restores` is a subscription that was ended by a link, and that confirming brings back.
    """

    subscription_key: str
    expires_at_ms: int
    restores: SubscriptionRecord | None = None


REPLAY_PENDING: Final = "Pending"


class ReplayRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """How far a subscription's replay has come: `position` is the last archived message that it got.

    `status` is AWS's word: `Pending`, `In progress`, `Completed` or `Failed`; `policy` the ReplayPolicy it follows.
    """

    policy: str
    status: str
    position: int = 0
    started: bool = False


class MessageAttribute(msgspec.Struct, frozen=True, array_like=True):
    """A message attribute: its type, and its value: `data` for Binary types, else `text` (String.Array: JSON)."""

    data_type: str
    text: str = ""
    data: bytes | None = None


class Publication(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """One published message, after everything that was to be checked or changed in it.

    `topic_arn` is empty for what is published to a phone number or to an endpoint. `bodies` are the texts by protocol
    of MessageStructure json, "default" among them; else it is empty. `sequence_number` is AWS's 20 digits, on FIFO
    topics. `trace` is the AWSTraceHeader. `signature_version` is the topic's: "1" (SHA-1) or "2" (SHA-256).
    """

    message_id: str
    topic_arn: str
    region: str
    account: str
    message: str
    published_at_ms: int
    subject: str | None = None
    bodies: dict[str, str] = {}
    attributes: dict[str, MessageAttribute] = {}
    group: str | None = None
    dedup_id: str | None = None
    sequence_number: str = ""
    trace: str | None = None
    replayed: bool = False
    signature_version: str = "1"

    def text_for(self, protocol: str) -> str:
        """The text that subscribers of a protocol get (for mobile push the protocol is the platform: `APNS`, `GCM`).

        AWS: MessageStructure json holds a text for each protocol that is to get one of its own, and "default".
        """
        if not self.bodies:
            return self.message
        text = self.bodies.get(protocol)
        return self.bodies["default"] if text is None else text


class Delivery(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """One message on its way to one endpoint: what a transport is given, and what waits in a queue between attempts.

    `subscription_arn` is empty for what is published to a phone number or an endpoint itself. `token` is the
    confirmation's, for the two kinds that carry one. `raw` is RawMessageDelivery. `content_type` is what HTTP(S)
    endpoints are told that the body is, filled in for each attempt from the delivery policy then in force.
    """

    kind: Kind
    publication: Publication
    protocol: str
    endpoint: str
    subscription_arn: str = ""
    raw: bool = False
    token: str = ""
    content_type: str = ""


encode: Final = msgspec.msgpack.Encoder().encode
decode_topic: Final = msgspec.msgpack.Decoder(TopicRecord).decode
decode_subscription: Final = msgspec.msgpack.Decoder(SubscriptionRecord).decode
decode_token: Final = msgspec.msgpack.Decoder(TokenRecord).decode
decode_replay: Final = msgspec.msgpack.Decoder(ReplayRecord).decode
decode_publication: Final = msgspec.msgpack.Decoder(Publication).decode
decode_delivery: Final = msgspec.msgpack.Decoder(Delivery).decode


# Keys. Topic names have no slash, so each kind of record is a prefix of its own.

PREFIX: Final = "sns/"


def topic_key(region: str, account: str, name: str) -> str:
    """The key of a topic's record; with an empty name, the prefix of many."""
    return f"sns/{region}/{account}/topic/{name}"


def subscription_key(region: str, account: str, topic: str, subscription_id: str) -> str:
    """The key of a subscription's record, by its topic; with an empty id, the prefix of all of the topic."""
    return f"sns/{region}/{account}/subscription/{topic}/{subscription_id}"


def subscriptions_prefix(region: str, account: str) -> str:
    """What the keys of all subscriptions to an account's topics begin with."""
    return f"sns/{region}/{account}/subscription/"


def filtered_prefix(region: str, account: str) -> str:
    """What the keys that tell of an account's filter policies begin with."""
    return f"sns/{region}/{account}/filtered/"


def abroad_key(region: str, owner: str, subscription_arn: str) -> str:
    """The key that tells that `owner` subscribed to another account's topic; its value is the subscription's key."""
    return f"sns/{region}/{owner}/abroad/{subscription_arn}"


def filtered_key(region: str, account: str, topic: str, subscription_id: str) -> str:
    """The key that tells that a subscription has a filter policy, by its topic's account; its value is empty."""
    return f"sns/{region}/{account}/filtered/{topic}/{subscription_id}"


def endpoint_key(region: str, account: str, topic: str, protocol: str, endpoint: str) -> str:
    """The key that tells which subscription an endpoint has to a topic, one at most; its value is the id."""
    digest = hashlib.sha256(f"{protocol}:{endpoint}".encode()).hexdigest()
    return f"sns/{region}/{account}/endpoint/{topic}/{digest}"


def replay_key(subscription_arn: str) -> str:
    """The key of how far a subscription's replay has come."""
    return f"{REPLAY_PREFIX}{subscription_arn}"


REPLAY_PREFIX: Final = "sns/replay/"

TOKEN_PREFIX: Final = "sns/token/"  # noqa: S105 - a prefix of keys


def token_key(token: str) -> str:
    """The key of a confirmation token."""
    return f"{TOKEN_PREFIX}{token}"


ACTIVE_PREFIX: Final = "sns/active/"


QUEUE_NAMES: Final = "sns:"
"""What the names of all outgoing queues begin with, and no process's name does."""


def active_key(queue: str, process: str) -> str:
    """The key that tells that a process uses an outgoing queue: what whoever comes after it goes by.

    A process that has its engine for itself has no name.
    """
    return f"{ACTIVE_PREFIX}{process}/{queue}" if process else f"{ACTIVE_PREFIX}{queue}"


def active_queue(key: str) -> tuple[str, str]:
    """The queue and the process that such a key names."""
    named = key.removeprefix(ACTIVE_PREFIX)
    if named.startswith(QUEUE_NAMES):
        return named, ""
    process, _, queue = named.partition("/")
    return queue, process


def turn_lease(topic_arn: str) -> str:
    """The lease of who brings a topic's publications to its subscribers, and replays them."""
    return f"sns/turn/{topic_arn}"


def process_lease(process: str) -> str:
    """The lease that a process holds while it lives."""
    return f"sns/process/{process}"
