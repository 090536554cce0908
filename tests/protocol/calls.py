"""A good call of every SQS operation, and what can be wrong with it, member by member, after botocore's model."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.model import OperationModel, Shape

STRANGE: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    2**31,
    2**63,
    2**70,
    "",
    " ",
    "x",
    "0",
    "-1",
    "\x00",
    "\ud7ff\ue000\uffff",
    "\U0001f600",
    "%s%n{}",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": ""},
    {"x": None},
    {"x": {"y": []}},
]
"""Values of every JSON type; most are wrong for any one member."""


FLAT = {
    "AttributeNames": "AttributeName",
    "MessageSystemAttributeNames": "MessageSystemAttributeName",
    "MessageAttributeNames": "MessageAttributeName",
    "AWSAccountIds": "AWSAccountId",
    "Actions": "ActionName",
    "TagKeys": "TagKey",
    "Attributes": "Attribute",
    "Tags": "Tag",
    "tags": "Tag",
    "MessageAttributes": "MessageAttribute",
    "MessageSystemAttributes": "MessageSystemAttribute",
}
NAMED = ("Name", "Value")
MAPS = {
    "Attribute": NAMED,
    "MessageAttribute": NAMED,
    "MessageSystemAttribute": NAMED,
    "Tag": ("Key", "Value"),
}


@functools.cache
def model() -> Any:
    """The service model of SQS."""
    return botocore.session.get_session().get_service_model("sqs")


def good_calls(queue_url: str) -> dict[str, dict[str, Any]]:
    """Parameters for every operation that are of the right form, if not of the right effect."""
    arn = "arn:aws:sqs:us-east-1:000000000000:fuzzed"
    url, receipt = {"QueueUrl": queue_url}, {"ReceiptHandle": "x"}
    attributes = {"a": {"StringValue": "x", "DataType": "String"}}
    message = {"MessageBody": "x", "DelaySeconds": 900, "MessageAttributes": attributes, "MessageGroupId": "g"}
    trace = {"AWSTraceHeader": {"StringValue": "Root=1", "DataType": "String"}}
    message |= {"MessageSystemAttributes": trace}
    return {
        "AddPermission": url | {"Label": "l", "AWSAccountIds": ["000000000000"], "Actions": ["SendMessage"]},
        "CancelMessageMoveTask": {"TaskHandle": "x"},
        "ChangeMessageVisibility": url | receipt | {"VisibilityTimeout": 0},
        "ChangeMessageVisibilityBatch": url | {"Entries": [receipt | {"Id": "1", "VisibilityTimeout": 0}]},
        "CreateQueue": {"QueueName": "other", "Attributes": {"DelaySeconds": "0"}, "tags": {"k": "v"}},
        "DeleteMessage": url | receipt,
        "DeleteMessageBatch": url | {"Entries": [receipt | {"Id": "1"}]},
        "DeleteQueue": {"QueueUrl": queue_url.replace("fuzzed", "other")},
        "GetQueueAttributes": url | {"AttributeNames": ["All"]},
        "GetQueueUrl": {"QueueName": "fuzzed", "QueueOwnerAWSAccountId": "000000000000"},
        "ListDeadLetterSourceQueues": url | {"MaxResults": 1, "NextToken": "x"},
        "ListMessageMoveTasks": {"SourceArn": arn, "MaxResults": 1},
        "ListQueueTags": url,
        "ListQueues": {"QueueNamePrefix": "f", "MaxResults": 1, "NextToken": "x"},
        "PurgeQueue": {"QueueUrl": queue_url.replace("fuzzed", "other")},
        "ReceiveMessage": url
        | {"AttributeNames": ["All"], "MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["a.*"]}
        | {"MaxNumberOfMessages": 1, "VisibilityTimeout": 0, "WaitTimeSeconds": 0, "ReceiveRequestAttemptId": "t"},
        "RemovePermission": url | {"Label": "l"},
        "SendMessage": url | message | {"MessageDeduplicationId": "d"},
        "SendMessageBatch": url | {"Entries": [message | {"Id": "1"}]},
        "SetQueueAttributes": url | {"Attributes": {"VisibilityTimeout": "30", "Policy": ""}},
        "StartMessageMoveTask": {"SourceArn": arn, "DestinationArn": arn, "MaxNumberOfMessagesPerSecond": 1},
        "TagQueue": url | {"Tags": {"k": "v"}},
        "UntagQueue": url | {"TagKeys": ["k"]},
    }


def mutations(operation: OperationModel, good: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The call with each member, however deep, left out and replaced by every strange value, one at a time."""
    for path in _paths(operation.input_shape, good, ()):
        for value in STRANGE:
            yield _with(good, path, value)
        yield _with(good, path)


def _paths(shape: Shape | None, value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Where the call has, or might have, a value."""
    if path:
        yield path
    if shape is None:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from _paths(member, value.get(name) if isinstance(value, dict) else None, (*path, name))
    elif shape.type_name == "list" and value:
        yield from _paths(shape.member, value[0], (*path, 0))
    elif shape.type_name == "map" and value:
        key = next(iter(value))
        yield from _paths(shape.value, value[key], (*path, key))


def _with(good: dict[str, Any], path: tuple[Any, ...], *value: Any) -> dict[str, Any]:
    """The call with `value` at the path, or nothing there."""
    call = copy.deepcopy(good)
    inner: Any = call
    for step in path[:-1]:
        if isinstance(inner, dict) and inner.get(step) is None:
            inner[step] = {}
        inner = inner[step]
    if value:
        inner[path[-1]] = value[0]
    elif isinstance(inner, dict):
        inner.pop(path[-1], None)
    return call


def flatten(operation: str, value: Any, prefix: str = "") -> dict[str, str]:
    """A call as Query has it, on the whole: where its values are strange, so is the form."""
    if not isinstance(value, dict):
        return {prefix: str(value)}
    form = {} if prefix else {"Action": operation, "Version": "2012-11-05"}
    for name, inner in value.items():
        key = FLAT.get(name, f"{operation}RequestEntry" if name == "Entries" else name)
        items = list(inner) if isinstance(inner, list) else [inner]
        if key in MAPS:
            for place, (inner_key, inner_value) in enumerate(_items(inner), 1):
                form[f"{prefix}{key}.{place}.{MAPS[key][0]}"] = inner_key
                at = f"{prefix}{key}.{place}.{MAPS[key][1]}"
                form |= flatten(operation, inner_value, at + ("." if isinstance(inner_value, dict) else ""))
        elif isinstance(inner, list):
            for place, item in enumerate(items, 1):
                form |= flatten(operation, item, f"{prefix}{key}.{place}" + ("." if isinstance(item, dict) else ""))
        else:
            form[f"{prefix}{key}"] = str(inner)
    return form


def _items(value: Any) -> list[tuple[Any, Any]]:
    """A map's entries; what is no map stands for one."""
    return list(value.items()) if isinstance(value, dict) else [("x", value)]
