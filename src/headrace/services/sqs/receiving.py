"""ReceiveMessage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.queues import OverInFlight, QueueMissing, Received
from headrace.services.sqs import attributes, contents, limits, rules
from headrace.services.sqs.contents import AttributeFilter
from headrace.services.sqs.records import Header, decode_header
from headrace.services.sqs.sending import sequence_number
from headrace.services.sqs.state import Queue, State
from headrace.services.sqs.throughput import Action

_SYSTEM_ATTRIBUTES: Final[dict[str, Callable[[Received, Header], str | None]]] = {
    "SenderId": lambda _, header: header.sender,
    "SentTimestamp": lambda message, _: str(message.sent_at_ms),
    "ApproximateReceiveCount": lambda message, _: str(message.receive_count),
    "ApproximateFirstReceiveTimestamp": lambda message, _: str(message.first_received_at_ms),
    "AWSTraceHeader": lambda _, header: header.trace,
    "MessageGroupId": lambda message, _: message.group,
    "MessageDeduplicationId": lambda message, _: message.dedup_id,
    "SequenceNumber": lambda message, _: None if message.dedup_id is None else sequence_number(message.sequence),
    "DeadLetterQueueSourceArn": lambda message, _: message.source,
}
_ALL_SYSTEM: Final = tuple(_SYSTEM_ATTRIBUTES)


async def receive_message(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Receive up to `MaxNumberOfMessages`, waiting up to `WaitTimeSeconds` (the queue's by default) for the first.

    Out come `Messages` with the attributes asked for; without any, nothing. Raises OverLimit, QueueDoesNotExist,
    InvalidParameterValue, InvalidAttributeName, RequestThrottled.
    """
    state: State = ctx.state
    url = params["QueueUrl"]
    queue = state.urls.get((url, ctx.region, ctx.principal.account)) or await state.find(ctx, url)
    max_messages: int = params.get("MaxNumberOfMessages", 1)
    wait_s: int = params.get("WaitTimeSeconds", queue.wait_s)
    visibility_s: int | None = params.get("VisibilityTimeout")
    rules.check_receive(max_messages, wait_s, visibility_s or 0)
    system, wanted = _choose(params)
    attempt_id = _attempt(ctx, queue, params)
    receive = ctx.server.engine.queues.receive
    hide_ms = None if visibility_s is None else visibility_s * 1000
    received: list[Received] = []
    try:
        try:
            received = await receive(
                queue.arn, max_messages=max_messages, visibility_timeout_ms=hide_ms, attempt_id=attempt_id
            )
        except OverInFlight:
            _refuse_short_poll(wait_s)
        if not received and wait_s:
            # Only a wait is worth a watch for the client's hang-up.
            with ctx.until_hangup():
                received = await receive(
                    queue.arn,
                    max_messages=max_messages,
                    visibility_timeout_ms=hide_ms,
                    wait_ms=wait_s * 1000,
                    attempt_id=attempt_id,
                )
    except QueueMissing:
        raise rules.no_such_queue() from None
    return {"Messages": [_render(message, system, wanted) for message in received]} if received else {}


def _refuse_short_poll(wait_s: int) -> None:
    """AWS: at the in-flight limit a short poll is answered with OverLimit, a long one with nothing."""
    if not wait_s:
        raise ServiceError(
            "OverLimit",
            f"Too many messages in flight: this queue has {limits.IN_FLIGHT_MESSAGES} already. "
            "Delete messages once they are processed.",
        ) from None


def _attempt(ctx: Context, queue: Queue, params: dict[str, Any]) -> str | None:
    """The ReceiveRequestAttemptId, and a call counted, on FIFO queues. AWS: standard queues ignore it."""
    if not queue.fifo:
        return None
    attempt_id: str | None = params.get("ReceiveRequestAttemptId")
    if attempt_id is not None:
        rules.check_token_text(attempt_id, "ReceiveRequestAttemptId")
    queue.throttle(ctx.server, Action.RECEIVE)
    return attempt_id


def _choose(params: dict[str, Any]) -> tuple[tuple[str, ...], AttributeFilter | None]:
    """The system attributes asked for, under either name, and the filter of message attributes, if any."""
    names: list[str] = [*params.get("MessageSystemAttributeNames", ()), *params.get("AttributeNames", ())]
    system: tuple[str, ...] = ()
    if names:
        for name in names:
            # AWS: AttributeNames once took the names of queue attributes, and still lets them pass.
            if name != "All" and name not in _SYSTEM_ATTRIBUTES and name not in attributes.KNOWN:
                raise attributes.unknown_attribute(name)
        system = _ALL_SYSTEM if "All" in names else tuple(name for name in _ALL_SYSTEM if name in names)
    wanted: list[str] | None = params.get("MessageAttributeNames")
    return system, contents.attribute_filter(wanted) if wanted else None


def _render(message: Received, system: tuple[str, ...], wanted: AttributeFilter | None) -> dict[str, Any]:
    header = decode_header(message.header)
    result: dict[str, Any] = {
        "MessageId": message.message_id,
        "ReceiptHandle": message.receipt,
        "MD5OfBody": header.body_md5.hex(),
        "Body": message.body,
    }
    if system:
        values = {}
        for name in system:
            value = _SYSTEM_ATTRIBUTES[name](message, header)
            if value is not None:
                values[name] = value
        if values:
            result["Attributes"] = values
    if wanted and header.attributes and (chosen := wanted.select(header.attributes)):
        result["MD5OfMessageAttributes"] = contents.digest(chosen)
        result["MessageAttributes"] = contents.attribute_values(chosen)
    return result
