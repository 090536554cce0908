"""Calls of every Kinesis operation, made of its model: right in form, about streams and queues that are there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.model import Shape

ACCOUNT = "arn:aws:kinesis:us-east-1:000000000000"
STREAM_ARN = f"{ACCOUNT}:stream/fuzzed"
POLICY = '{"Version":"2012-10-17","Statement":[]}'
HALF = str(1 << 127)

GOOD: dict[str, Any] = {
    "StreamName": "fuzzed",
    "StreamARN": STREAM_ARN,
    "ResourceARN": STREAM_ARN,
    "ConsumerName": "fuzzed",
    "ConsumerARN": f"{STREAM_ARN}/consumer/fuzzed:1700000000",
    "QueueName": "other",
    "ShardId": "shardId-000000000000",
    "ShardToSplit": "shardId-000000000000",
    "ShardToMerge": "shardId-000000000000",
    "AdjacentShardToMerge": "shardId-000000000001",
    "NewStartingHashKey": HALF,
    "ExplicitHashKey": HALF,
    "PartitionKey": "k",
    "Data": "YQ==",
    "ShardCount": 1,
    "TargetShardCount": 1,
    "RetentionPeriodHours": 24,
    "MaxRecordSizeInKiB": 1024,
    "Limit": 1,
    "MaxResults": 1,
    "WaitTimeSeconds": 1,
    "VisibilityTimeoutSeconds": 0,
    "MaxReceiveCount": 1,
    "WarmThroughputMiBps": 1,
    "Timestamp": 1_700_000_000,
    "ShardIterator": "AAAA",
    "ReceiptHandle": "x",
    "SequenceNumber": "49646437577889002498865448215779684287494605336068751410",
    "StartingSequenceNumber": "49646437577889002498865448215779684287494605336068751410",
    "SequenceNumberForOrdering": "49646437577889002498865448215779684287494605336068751410",
    "Policy": POLICY,
    "KeyId": "alias/aws/kinesis",
}
"""A good value for each member whose shape alone does not give one."""

LEFT_OUT = {
    "NextToken",
    "StreamId",
    "DryRun",
    "ExclusiveStartStreamName",
    "ExclusiveStartShardId",
    "StreamCreationTimestamp",
}
"""Members that a good call does without: they rule out others, or end it early."""

OTHERS = {
    "CreateStream": {"StreamName": "other"},
    "DeleteStream": {"StreamName": "other", "StreamARN": f"{ACCOUNT}:stream/other"},
    "CreateQueue": {"StreamConfigurationList": [{"StreamARN": f"{ACCOUNT}:stream/queued"}]},
}
"""What is made and deleted is another stream than the one that the rest is about."""


@functools.cache
def kinesis_model() -> Any:
    """The service model of Kinesis."""
    return botocore.session.get_session().get_service_model("kinesis")


def good_call(operation: str, queue_arn: str) -> dict[str, Any]:
    """Parameters for an operation that are of the right form, if not of the right effect."""
    shape = kinesis_model().operation_model(operation).input_shape
    call: dict[str, Any] = _sample(shape, "") if shape is not None else {}
    if "QueueARN" in call:
        call["QueueARN"] = queue_arn
    return call | OTHERS.get(operation, {})


def _sample(shape: Shape, name: str) -> Any:
    if name in GOOD:
        return GOOD[name]
    makers: dict[str, Callable[[], Any]] = {
        "structure": lambda: {
            member: _sample(inner, member) for member, inner in shape.members.items() if member not in LEFT_OUT
        },
        "list": lambda: [_sample(shape.member, "")],
        "map": lambda: {"k": "v"},
        "string": lambda: shape.enum[0] if getattr(shape, "enum", None) else "x",
        "integer": lambda: 1,
        "timestamp": lambda: 1_700_000_000,
        "boolean": lambda: False,
    }
    return makers[shape.type_name]()
