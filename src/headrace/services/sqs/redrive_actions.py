"""Dead letters: which queues send theirs here, and the tasks that move them back."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any, Final

import msgspec

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict, Entry, Write
from headrace.primitives.queues import QueueMissing
from headrace.services.sqs import limits, records, rules
from headrace.services.sqs.queue_actions import page_of_names
from headrace.services.sqs.records import MoveTask
from headrace.services.sqs.state import Queue, State

_RUNNING: Final = "RUNNING"


async def list_dead_letter_source_queues(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The URLs of the queues whose dead letters go to this one, a page at a time, as ListQueues pages.

    Raises QueueDoesNotExist, InvalidParameterValue.
    """
    state: State = ctx.state
    queue = await state.find(ctx, params["QueueUrl"])
    prefix = records.source_key(queue.region, queue.account, queue.name, "")
    names, token = await page_of_names(ctx, prefix, "", params)
    result: dict[str, Any] = {"queueUrls": [f"{ctx.base_url}/{queue.account}/{name}" for name in names]}
    if token:
        result["NextToken"] = token
    return result


async def start_message_move_task(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Start moving messages from a dead-letter queue, `SourceArn`, to `DestinationArn` or each to where it came from.

    Raises ResourceNotFoundException for queues that are not there, InvalidParameterValue when the source is nobody's
    dead-letter queue, is being moved from already, or the queues are of different types.
    """
    state: State = ctx.state
    rate: int | None = params.get("MaxNumberOfMessagesPerSecond")
    low, high = limits.MOVE_MESSAGES_PER_S
    if rate is not None and not low <= rate <= high:
        raise rules.invalid_parameter(
            "Value for parameter MaxNumberOfMessagesPerSecond is invalid. "
            f"Reason: You must enter a number that's between {low} and {high}."
        )
    source = await _queue_of(state, params["SourceArn"], "SourceArn")
    await _check_destination(state, source, params.get("DestinationArn"))
    metadata = ctx.server.engine.metadata
    if not await metadata.list(records.source_key(source.region, source.account, source.name, ""), max_entries=1):
        raise rules.invalid_parameter("Source queue must be configured as a Dead Letter Queue.")
    try:
        depth = await ctx.server.engine.queues.depth(source.arn)
    except QueueMissing:
        raise _not_found("SourceArn") from None
    task = MoveTask(
        task_id=str(uuid.uuid4()),
        source_arn=source.arn,
        destination_arn=params.get("DestinationArn"),
        per_second=rate,
        started_at_ms=ctx.server.clock.now_ms(),
        to_move=depth.visible,
    )
    await _store(ctx, source, task)
    return {"TaskHandle": _encode_handle(task)}


async def _queue_of(state: State, arn: str, parameter: str) -> Queue:
    location = rules.parse_arn(arn)
    if location is None:
        raise rules.invalid_parameter(
            f"You must use this format to specify the {parameter}: "
            "arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
        )
    queue = await state.get(*location)
    if queue is None or queue.arn != arn:
        raise _not_found(parameter)
    return queue


def _not_found(parameter: str) -> ServiceError:
    return ServiceError(
        "ResourceNotFoundException",
        f"The resource that you specified for the {parameter} parameter doesn't exist.",
        status=404,
    )


async def _check_destination(state: State, source: Queue, destination_arn: str | None) -> None:
    if destination_arn is None:
        return
    destination = await _queue_of(state, destination_arn, "DestinationArn")
    if destination is source:
        raise rules.invalid_parameter("Source queue arn and destination queue arn cannot be the same.")
    if destination.fifo != source.fifo:
        raise rules.invalid_parameter("The source queue and destination queue must be of the same queue type.")


async def _store(ctx: Context, source: Queue, task: MoveTask) -> None:
    """Store a task that starts, and forget tasks too old to be listed. Raises InvalidParameterValue when one runs."""
    metadata = ctx.server.engine.metadata
    prefix = records.move_prefix(source.region, source.account, source.name)
    key = f"{prefix}{task.started_at_ms:015d}-{task.task_id}"
    earlier = await metadata.list(prefix)
    writes = [
        Write(key, records.encode(task), 0),
        Write(records.moving_key(source.arn), key.encode(), 0),
        *[Write(entry.key, None) for entry in earlier[: max(0, len(earlier) + 1 - limits.MOVE_TASKS_LISTED)]],
    ]
    try:
        await metadata.apply(writes)
    except Conflict:
        raise rules.invalid_parameter(
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
        ) from None


def _encode_handle(task: MoveTask) -> str:
    return base64.b64encode(json.dumps({"taskId": task.task_id, "sourceArn": task.source_arn}).encode()).decode()


def _decode_handle(handle: str) -> tuple[str, str]:
    """The task's id and its source's ARN. Raises InvalidParameterValue."""
    try:
        members = json.loads(base64.b64decode(handle, validate=True))
        task_id, source_arn = members["taskId"], members["sourceArn"]
    except (ValueError, RecursionError, KeyError, TypeError):  # binascii.Error is a ValueError
        task_id = source_arn = None
    if not isinstance(task_id, str) or not isinstance(source_arn, str):
        raise rules.invalid_parameter("Value for parameter TaskHandle is invalid.")
    return task_id, source_arn


async def cancel_message_move_task(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Stop a running task, by `TaskHandle`; what it has moved stays moved. Out comes how much that is.

    Raises ResourceNotFoundException, InvalidParameterValue for what is no handle, and UnsupportedOperation when the
    task is not running.
    """
    state: State = ctx.state
    task_id, source_arn = _decode_handle(params["TaskHandle"])
    source = await _queue_of(state, source_arn, "SourceArn")
    metadata = ctx.server.engine.metadata
    for _ in range(limits.CONFLICT_RETRIES):
        entry, task = await _find_task(ctx, source, task_id)
        if task.status != _RUNNING:
            raise ServiceError(
                "UnsupportedOperation", f"Only a running task can be cancelled; this one is {task.status}."
            )
        cancelling = msgspec.structs.replace(task, status="CANCELLING")
        # The pointer is written again, unchanged, so that whoever runs the task is told.
        pointer = Write(records.moving_key(source.arn), entry.key.encode())
        try:
            await metadata.apply([Write(entry.key, records.encode(cancelling), entry.revision), pointer])
        except Conflict:
            continue  # it moved on, or ended
        return {"ApproximateNumberOfMessagesMoved": task.moved}
    raise ServiceError("ServiceUnavailable", "The task keeps changing; try again.", status=503)


async def _find_task(ctx: Context, source: Queue, task_id: str) -> tuple[Entry, MoveTask]:
    for entry in await ctx.server.engine.metadata.list(records.move_prefix(source.region, source.account, source.name)):
        task = records.decode_move(entry.value)
        if task.task_id == task_id:
            return entry, task
    raise ServiceError("ResourceNotFoundException", "Task does not exist.", status=404)


async def list_message_move_tasks(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The most recent tasks of a `SourceArn`, newest first: one, or up to `MaxResults` (1 to 10).

    Raises ResourceNotFoundException, InvalidParameterValue.
    """
    state: State = ctx.state
    max_results: int = params.get("MaxResults", 1)
    if not 1 <= max_results <= limits.MOVE_TASKS_LISTED:
        raise rules.invalid_value(max_results, "MaxResults", "Must be between 1 and 10, if provided.")
    source = await _queue_of(state, params["SourceArn"], "SourceArn")
    prefix = records.move_prefix(source.region, source.account, source.name)
    entries = await ctx.server.engine.metadata.list(prefix)
    return {"Results": [_describe(records.decode_move(entry.value)) for entry in reversed(entries[-max_results:])]}


def _describe(task: MoveTask) -> dict[str, Any]:
    result: dict[str, Any] = {
        "Status": task.status,
        "SourceArn": task.source_arn,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": task.started_at_ms,
    }
    # AWS: only a running task shows its handle.
    if task.status == _RUNNING:
        result["TaskHandle"] = _encode_handle(task)
    optional = {
        "DestinationArn": task.destination_arn,
        "MaxNumberOfMessagesPerSecond": task.per_second,
        "FailureReason": task.failure,
    }
    return result | {name: value for name, value in optional.items() if value is not None}
