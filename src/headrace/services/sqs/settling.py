"""DeleteMessage and ChangeMessageVisibility, alone and in batches: what becomes of messages that were received."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.queues import Outcome, QueueMissing
from headrace.services.sqs import limits, rules
from headrace.services.sqs.state import Queue, State
from headrace.services.sqs.throughput import Action

_DONE: Final = Outcome.DONE
_MAX_VISIBILITY_S: Final = limits.VISIBILITY_TIMEOUT_S[1]


async def delete_message(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete the message of a `ReceiptHandle`. AWS: one that is gone already counts as deleted.

    Raises ReceiptHandleIsInvalid, QueueDoesNotExist, RequestThrottled, and on FIFO queues InvalidParameterValue when
    the handle has expired.
    """
    state: State = ctx.state
    url = params["QueueUrl"]
    queue = state.urls.get((url, ctx.region, ctx.principal.account)) or await state.find(ctx, url)
    receipt: str = params["ReceiptHandle"]
    if not receipt:
        raise rules.missing_parameter("ReceiptHandle")
    outcomes = await _delete(ctx, queue, (receipt,))
    if outcomes[0] is not _DONE and (error := _delete_error(outcomes[0], receipt)):
        raise error
    return {}


async def delete_message_batch(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete up to ten messages, `Entries`, each as DeleteMessage does; what became of each out.

    Raises EmptyBatchRequest, TooManyEntriesInBatchRequest, InvalidBatchEntryId, BatchEntryIdsNotDistinct,
    QueueDoesNotExist, RequestThrottled.
    """
    state: State = ctx.state
    url = params["QueueUrl"]
    queue = state.urls.get((url, ctx.region, ctx.principal.account)) or await state.find(ctx, url)
    entries: list[dict[str, Any]] = params["Entries"]
    rules.check_batch(entries, "DeleteMessageBatchRequestEntry")
    outcomes = await _delete(ctx, queue, [entry.get("ReceiptHandle", "") for entry in entries])
    successful, failures = [], []
    for entry, outcome in zip(entries, outcomes, strict=True):
        if outcome is not _DONE and (error := _delete_error(outcome, entry.get("ReceiptHandle", ""))):
            failures.append(rules.failed(entry["Id"], error))
        else:
            successful.append({"Id": entry["Id"]})
    return rules.batch_result(successful, failures)


async def _delete(ctx: Context, queue: Queue, receipts: Sequence[str]) -> list[Outcome]:
    if queue.fifo:
        queue.throttle(ctx.server, Action.DELETE)
    try:
        return await ctx.server.engine.queues.delete(queue.arn, receipts)
    except QueueMissing:
        raise rules.no_such_queue() from None


def _delete_error(outcome: Outcome, receipt: str) -> ServiceError | None:
    if outcome is Outcome.MALFORMED:
        return _malformed(receipt)
    if outcome is Outcome.EXPIRED:
        return _expired(receipt)
    return None


async def change_message_visibility(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Hide the message of a `ReceiptHandle` for `VisibilityTimeout` seconds from now; 0 shows it at once.

    Raises ReceiptHandleIsInvalid, MessageNotInflight, QueueDoesNotExist, RequestThrottled, and InvalidParameterValue
    when the message is gone, the handle has expired (FIFO), or it would be hidden for more than 12 hours in all.
    """
    state: State = ctx.state
    url = params["QueueUrl"]
    queue = state.urls.get((url, ctx.region, ctx.principal.account)) or await state.find(ctx, url)
    receipt: str = params["ReceiptHandle"]
    timeout_s: int = params["VisibilityTimeout"]
    if not receipt:
        raise rules.missing_parameter("ReceiptHandle")
    rules.check_visibility(timeout_s)
    outcomes = await _change(ctx, queue, ((receipt, timeout_s * 1000),))
    if outcomes[0] is not _DONE:
        raise _change_error(outcomes[0], receipt, timeout_s)
    return {}


async def change_message_visibility_batch(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change the visibility of up to ten messages, `Entries`, each as ChangeMessageVisibility does.

    Raises EmptyBatchRequest, TooManyEntriesInBatchRequest, InvalidBatchEntryId, BatchEntryIdsNotDistinct,
    QueueDoesNotExist, RequestThrottled.
    """
    state: State = ctx.state
    url = params["QueueUrl"]
    queue = state.urls.get((url, ctx.region, ctx.principal.account)) or await state.find(ctx, url)
    entries: list[dict[str, Any]] = params["Entries"]
    rules.check_batch(entries, "ChangeMessageVisibilityBatchRequestEntry")
    errors: dict[str, ServiceError] = {}
    changes = []
    for entry in entries:
        try:
            changes.append((entry["Id"], entry.get("ReceiptHandle", ""), _entry_timeout(entry)))
        except ServiceError as error:
            errors[entry["Id"]] = error
    outcomes = await _change(ctx, queue, [(receipt, timeout_s * 1000) for _, receipt, timeout_s in changes])
    for (entry_id, receipt, timeout_s), outcome in zip(changes, outcomes, strict=True):
        if outcome is not _DONE:
            errors[entry_id] = _change_error(outcome, receipt, timeout_s)
    return rules.batch_result(
        [{"Id": entry["Id"]} for entry in entries if entry["Id"] not in errors],
        [rules.failed(entry["Id"], errors[entry["Id"]]) for entry in entries if entry["Id"] in errors],
    )


def _entry_timeout(entry: dict[str, Any]) -> int:
    timeout_s: int | None = entry.get("VisibilityTimeout")
    if timeout_s is None:
        raise rules.missing_parameter("VisibilityTimeout")
    rules.check_visibility(timeout_s)
    return timeout_s


async def _change(ctx: Context, queue: Queue, changes: Sequence[tuple[str, int]]) -> list[Outcome]:
    if queue.fifo:
        queue.throttle(ctx.server, Action.CHANGE_VISIBILITY)
    try:
        return await ctx.server.engine.queues.change_visibility(queue.arn, changes) if changes else []
    except QueueMissing:
        raise rules.no_such_queue() from None


def _change_error(outcome: Outcome, receipt: str, timeout_s: int) -> ServiceError:
    match outcome:
        case Outcome.MALFORMED:
            return _malformed(receipt)
        case Outcome.EXPIRED:
            return _expired(receipt)
        case Outcome.NOT_IN_FLIGHT:
            return ServiceError("MessageNotInflight", "The specified message isn't in flight.")
        case Outcome.BEYOND_LIMIT:
            return rules.invalid_value(
                timeout_s,
                "VisibilityTimeout",
                f"Total VisibilityTimeout for the message is beyond the limit [{_MAX_VISIBILITY_S} seconds]",
            )
        case _:
            return rules.invalid_value(
                receipt, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change."
            )


def _malformed(receipt: str) -> ServiceError:
    if not receipt:
        return rules.missing_parameter("ReceiptHandle")
    return ServiceError(
        "ReceiptHandleIsInvalid", f'The input receipt handle "{receipt}" is not a valid receipt handle.'
    )


def _expired(receipt: str) -> ServiceError:
    return rules.invalid_value(receipt, "ReceiptHandle", "The receipt handle has expired.")
