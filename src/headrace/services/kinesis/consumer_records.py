"""What enhanced fan-out stores: consumers, and which subscription of a consumer to a shard is the one that counts."""

from __future__ import annotations

from typing import Final

import msgspec

from headrace.services.kinesis import rules
from headrace.services.kinesis.limits import TRANSITION_MS


class ConsumerRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A consumer of a stream. `deleted_at_ms` is when it was deregistered, 0 while it was not."""

    name: str
    created_at_ms: int
    deleted_at_ms: int = 0

    def status(self, now_ms: int) -> str:
        """AWS's ConsumerStatus at that time; "" once the consumer is gone."""
        if self.deleted_at_ms:
            return "DELETING" if now_ms < self.deleted_at_ms + TRANSITION_MS else ""
        return "CREATING" if now_ms < self.created_at_ms + TRANSITION_MS else "ACTIVE"

    @property
    def created_s(self) -> int:
        """The creation as the consumer's ARN has it."""
        return self.created_at_ms // 1000


class SubscriptionRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """The latest subscription of a consumer to a shard: when it began, and which it is."""

    began_at_ms: int
    id: str


encode: Final = msgspec.msgpack.Encoder().encode
decode_consumer: Final = msgspec.msgpack.Decoder(ConsumerRecord).decode
decode_subscription: Final = msgspec.msgpack.Decoder(SubscriptionRecord).decode

DUE_PREFIX: Final = "kinesis-consumer-due/"


def due_key(region: str, account: str, stream_name: str, consumer_name: str) -> str:
    """The key whose value says, in milliseconds, when a consumer that was deregistered is to be removed."""
    return f"{DUE_PREFIX}{region}/{account}/{stream_name}/{consumer_name}"


def resource_of(stream_name: str, record: ConsumerRecord) -> str:
    """The last part of a consumer's ARN."""
    return f"stream/{stream_name}/consumer/{record.name}:{record.created_s}"


def consumer_arn(region: str, account: str, stream_name: str, record: ConsumerRecord) -> str:
    """A consumer's ARN. AWS: it holds the creation, so a consumer made anew under a name has another."""
    return rules.arn_of(region, account, resource_of(stream_name, record))
