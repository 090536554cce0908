"""SendMessage and SendMessageBatch."""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from headrace.context import Context, ResourcePolicy
from headrace.errors import ServiceError
from headrace.primitives.queues import Outgoing, QueueMissing, Sent
from headrace.services.sqs import contents, limits, rules
from headrace.services.sqs.records import Header, MessageAttribute, encode
from headrace.services.sqs.state import Queue, State
from headrace.services.sqs.throughput import Action

_SEQUENCE_BASE: Final = 10_000_000_000_000_000_000
"""AWS: sequence numbers have 20 digits and grow."""
_MAX_DELAY_S: Final = limits.DELAY_S[1]


def resource_policy(ctx: Context, params: dict[str, Any]) -> ResourcePolicy | Coroutine[Any, Any, ResourcePolicy]:
    """The policy of the queue that a call is for, by its `QueueUrl`: at once when the queue is known.

    Raises QueueDoesNotExist and InvalidAddress.
    """
    state: State = ctx.state
    url = params["QueueUrl"]
    queue = state.urls.get((url, ctx.region, ctx.principal.account))
    return queue.policy if queue is not None else _find_policy(state, ctx, url)


async def _find_policy(state: State, ctx: Context, url: str) -> ResourcePolicy:
    return (await state.find(ctx, url)).policy


async def send_message(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Send a message: `MessageBody`, `MessageAttributes`, `DelaySeconds` and the FIFO ids in; its id and digests out.

    Raises InvalidMessageContents, InvalidParameterValue, MissingParameter, QueueDoesNotExist, RequestThrottled.
    """
    state: State = ctx.state
    url = params["QueueUrl"]
    queue = state.urls.get((url, ctx.region, ctx.principal.account)) or await state.find(ctx, url)
    message, result, _ = prepare(queue, params, ctx.principal.user_id)
    if queue.fifo:
        queue.throttle(ctx.server, Action.SEND, (message.group or "",))
    try:
        sent = await ctx.server.engine.queues.send(queue.arn, (message,))
    except QueueMissing:
        raise rules.no_such_queue() from None
    return _complete(result, sent[0], queue)


async def send_message_together(ctx: Context, calls: Sequence[dict[str, Any]]) -> None:
    """Make many calls of SendMessage as one, for another service: `calls` are the parameters of each.

    On an engine of one process all messages are sent, or none. Raises what SendMessage raises for any of them.
    """
    state: State = ctx.state
    sender = ctx.principal.user_id
    sends: dict[str, list[Outgoing]] = {}
    for params in calls:
        url = params["QueueUrl"]
        queue = state.urls.get((url, ctx.region, ctx.principal.account)) or await state.find(ctx, url)
        message, _, _ = prepare(queue, params, sender)
        if queue.fifo:
            queue.throttle(ctx.server, Action.SEND, (message.group or "",))
        sends.setdefault(queue.arn, []).append(message)
    try:
        await ctx.server.engine.queues.send_together(sends)
    except QueueMissing:
        raise rules.no_such_queue() from None


async def send_message_batch(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Send up to ten messages, `Entries`, each as SendMessage does; what became of each out.

    AWS: on a FIFO queue an entry that cannot be sent fails the request, lest those after it overtake it.
    Raises EmptyBatchRequest, TooManyEntriesInBatchRequest, InvalidBatchEntryId, BatchEntryIdsNotDistinct,
    BatchRequestTooLong, and what SendMessage raises for the queue.
    """
    state: State = ctx.state
    url = params["QueueUrl"]
    queue = state.urls.get((url, ctx.region, ctx.principal.account)) or await state.find(ctx, url)
    entries: list[dict[str, Any]] = params["Entries"]
    rules.check_batch(entries, "SendMessageBatchRequestEntry")
    sender = ctx.principal.user_id
    messages, results, failures, total_bytes = [], [], [], 0
    for entry in entries:
        try:
            message, result, size_bytes = prepare(queue, entry, sender)
        except ServiceError as error:
            if queue.fifo:
                # AWS: what SendMessage calls a MissingParameter is an InvalidParameterValue in a batch.
                raise rules.invalid_parameter(error.message) if error.code == "MissingParameter" else error from None
            failures.append(rules.failed(entry["Id"], error))
            continue
        result["Id"] = entry["Id"]
        messages.append(message)
        results.append(result)
        total_bytes += size_bytes
    if total_bytes > limits.BATCH_BYTES:
        raise ServiceError(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {limits.BATCH_BYTES} bytes. You have sent {total_bytes} bytes.",
        )
    if queue.fifo:
        queue.throttle(ctx.server, Action.SEND, tuple(message.group or "" for message in messages))
    if messages:
        try:
            sent = await ctx.server.engine.queues.send(queue.arn, messages)
        except QueueMissing:
            raise rules.no_such_queue() from None
        for result, each in zip(results, sent, strict=True):
            _complete(result, each, queue)
    return rules.batch_result(results, failures)


def _complete(result: dict[str, Any], sent: Sent, queue: Queue) -> dict[str, Any]:
    result["MessageId"] = sent.message_id
    if queue.fifo:
        result["SequenceNumber"] = sequence_number(sent.sequence)
    return result


def sequence_number(sequence: int) -> str:
    """AWS's form of a message's place in its FIFO queue: 20 digits, growing."""
    return str(_SEQUENCE_BASE + sequence)


def prepare(queue: Queue, given: dict[str, Any], sender: str) -> tuple[Outgoing, dict[str, Any], int]:
    """What SendMessage's (or an entry's) parameters make: the message, its digests for the answer, its size in bytes.

    Raises InvalidMessageContents, InvalidParameterValue and MissingParameter.
    """
    body: str = given.get("MessageBody", "")
    if not body:
        raise rules.missing_parameter("MessageBody")
    data = contents.encode_text(body)
    if data is None:
        raise contents.invalid_contents()
    size_bytes = len(data)
    md5 = hashlib.md5(data, usedforsecurity=False)
    result: dict[str, Any] = {"MD5OfMessageBody": md5.hexdigest()}
    attributes: dict[str, MessageAttribute] | None = None
    trace: str | None = None
    if named := given.get("MessageAttributes"):
        attributes = contents.parse_attributes(named)
        size_bytes += contents.attributes_bytes(attributes)
        result["MD5OfMessageAttributes"] = contents.digest(attributes)
    # AWS: system attributes do not count towards the message's size.
    if (system := given.get("MessageSystemAttributes")) and (traced := contents.parse_trace(system)):
        trace = traced.text
        result["MD5OfMessageSystemAttributes"] = contents.digest({contents.TRACE_HEADER: traced})
    if size_bytes > queue.max_bytes:
        raise contents.too_long(queue.max_bytes)
    message = Outgoing(body=body, header=encode(Header(sender, md5.digest(), attributes, trace)))
    _address(queue, given, message, data)
    return message, result, size_bytes


def _address(queue: Queue, given: dict[str, Any], message: Outgoing, data: bytes) -> None:
    """Fill in the message's group, deduplication id and delay. Raises InvalidParameterValue and MissingParameter."""
    group: str | None = given.get("MessageGroupId")
    dedup_id: str | None = given.get("MessageDeduplicationId")
    delay_s: int | None = given.get("DelaySeconds")
    if group is not None:
        rules.check_token_text(group, "MessageGroupId")
        message.group = group
    if queue.fifo:
        _address_fifo(queue, group, dedup_id, delay_s)
        message.dedup_id = dedup_id or hashlib.sha256(data).hexdigest()
        return
    if dedup_id is not None:
        raise _wrong_queue_type(dedup_id, "MessageDeduplicationId")
    if delay_s is not None:
        if not 0 <= delay_s <= _MAX_DELAY_S:
            raise rules.invalid_value(delay_s, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
        message.delay_ms = delay_s * 1000


def _address_fifo(queue: Queue, group: str | None, dedup_id: str | None, delay_s: int | None) -> None:
    # AWS: zero is let through on FIFO queues, and leaves the queue's own delay in force.
    if delay_s:
        raise _wrong_queue_type(delay_s, "DelaySeconds")
    if group is None:
        raise rules.missing_parameter("MessageGroupId")
    if dedup_id is not None:
        rules.check_token_text(dedup_id, "MessageDeduplicationId")
    elif not queue.content_dedup:
        raise rules.invalid_parameter(
            "The queue should either have ContentBasedDeduplication enabled "
            "or MessageDeduplicationId provided explicitly"
        )


def _wrong_queue_type(value: object, parameter: str) -> ServiceError:
    return rules.invalid_value(value, parameter, "The request include parameter that is not valid for this queue type.")
