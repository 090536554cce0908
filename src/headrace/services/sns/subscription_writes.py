"""What makes a subscription be there, and go: all records that tell of it, changed together."""

from __future__ import annotations

from headrace.primitives.metadata import Write
from headrace.services.sns import records
from headrace.services.sns.records import ReplayRecord, SubscriptionRecord, TokenRecord


def additions(region: str, account: str, topic: str, record: SubscriptionRecord) -> list[Write]:
    """All writes that make a subscription be there, unless its endpoint has one already."""
    key = records.subscription_key(region, account, topic, record.id)
    endpoint = records.endpoint_key(region, account, topic, record.protocol, record.endpoint)
    writes = [Write(key, records.encode(record), 0), Write(endpoint, record.id.encode(), 0)]
    if "FilterPolicy" in record.attributes:
        writes.append(Write(records.filtered_key(region, account, topic, record.id), b""))
    if record.owner != account:
        writes.append(Write(records.abroad_key(region, record.owner, record.arn), key.encode()))
    if record.token:
        writes.append(token_write(key, record))
    if "ReplayPolicy" in record.attributes:
        writes.append(replay_write(record))
    return writes


def replay_write(record: SubscriptionRecord) -> Write:
    """What makes a subscription's replay begin anew by its ReplayPolicy, or, when it has none, be forgotten."""
    policy = record.attributes.get("ReplayPolicy")
    if policy is None:
        return Write(records.replay_key(record.arn), None)
    return Write(
        records.replay_key(record.arn), records.encode(ReplayRecord(policy=policy, status=records.REPLAY_PENDING))
    )


def token_write(key: str, record: SubscriptionRecord) -> Write:
    """What makes a pending subscription's token known."""
    token = TokenRecord(subscription_key=key, expires_at_ms=record.token_expires_at_ms)
    return Write(records.token_key(record.token), records.encode(token))


def removal(region: str, account: str, topic: str, record: SubscriptionRecord) -> list[Write]:
    """All writes that make a subscription go."""
    writes = [
        Write(records.subscription_key(region, account, topic, record.id), None),
        Write(records.endpoint_key(region, account, topic, record.protocol, record.endpoint), None),
        Write(records.replay_key(record.arn), None),
    ]
    if "FilterPolicy" in record.attributes:
        writes.append(Write(records.filtered_key(region, account, topic, record.id), None))
    if record.token:
        writes.append(Write(records.token_key(record.token), None))
    if record.owner != account:
        writes.append(Write(records.abroad_key(region, record.owner, record.arn), None))
    return writes
