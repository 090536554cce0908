"""What becomes of records that were received: acknowledged, hidden anew, or restored from the dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict, Write
from headrace.primitives.queues import Outcome, Outgoing, QueueMissing
from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis import queue_receipts, queue_records, queue_rules
from headrace.services.kinesis.queue_receipts import Kind, Receipt
from headrace.services.kinesis.queue_records import Due, Header, LastReceive
from headrace.services.kinesis.queue_state import StreamQueue

Entries = list[dict[str, Any]]
Settle = Callable[[Context, StreamQueue, Sequence[Receipt], Entries], Awaitable[list[ServiceError | None]]]
"""Settles receipts, each with its entry; what is wrong with each, in their order."""

_RESTORING_MS: Final = 30_000
"""A dead letter is hidden for so long while it is restored; it is there again should the process die on the way."""


async def acknowledge_queue_records(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take up to ten records, by receipt handle, out of a queue; what became of each out.

    AWS: a handle does so also after its visibility timeout, while the record is in the queue. Raises
    ResourceNotFoundException and InvalidArgumentException for the queue.
    """
    return await _settle(ctx, params, (Kind.QUEUED, Kind.LAST), _acknowledge)


async def update_queue_records_visibility(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Hide up to ten records in flight for another time from now on, or show them (0); what became of each out.

    Raises ResourceNotFoundException and InvalidArgumentException for the queue.
    """
    return await _settle(ctx, params, (Kind.QUEUED, Kind.LAST), _hide)


async def acknowledge_dead_letter_queue_records(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Discard up to ten dead letters, by receipt handle, as AcknowledgeQueueRecords does records."""
    return await _settle(ctx, params, (Kind.DEAD,), _acknowledge)


async def update_dead_letter_queue_records_visibility(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Hide up to ten dead letters for another time, as UpdateQueueRecordsVisibility does records."""
    return await _settle(ctx, params, (Kind.DEAD,), _hide)


async def restore_dead_letter_queue_records(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Put up to ten dead letters back where ReceiveQueueRecords finds them, never received as far as it counts.

    What became of each out. Raises ResourceNotFoundException and InvalidArgumentException for the queue.
    """
    return await _settle(ctx, params, (Kind.DEAD,), _restore)


async def _settle(ctx: Context, params: dict[str, Any], kinds: tuple[Kind, ...], settle: Settle) -> dict[str, Any]:
    """Read the handles, settle those that are of these kinds, and say what became of each."""
    queue = await ctx.state.stream_queues.find_open(params["QueueARN"])
    entries: Entries = params["Entries"]
    receipts = [queue_receipts.read(entry["ReceiptHandle"], queue.record.id) for entry in entries]
    good = [
        (receipt, entry) for receipt, entry in zip(receipts, entries, strict=True) if receipt and receipt.kind in kinds
    ]
    try:
        outcomes = await settle(ctx, queue, [receipt for receipt, _ in good], [entry for _, entry in good])
    except QueueMissing:
        raise queue_rules.no_such_queue(queue.arn) from None
    errors = {id(entry): error for (_, entry), error in zip(good, outcomes, strict=True)}
    successful, failed = [], []
    for entry in entries:
        error = errors.get(id(entry), queue_rules.not_a_receipt())
        handle = entry["ReceiptHandle"]
        if error is None:
            successful.append({"ReceiptHandle": handle})
        else:
            failed.append(queue_rules.refused(handle, error))
    return {"Successful": successful, "Failed": failed}


async def _acknowledge(
    ctx: Context, queue: StreamQueue, receipts: Sequence[Receipt], _entries: Entries
) -> list[ServiceError | None]:
    errors: list[ServiceError | None] = [None] * len(receipts)
    held = [index for index, receipt in enumerate(receipts) if receipt.kind is not Kind.LAST]
    if held:
        claims = [receipts[index].claim for index in held]
        outcomes = await ctx.server.engine.queues.delete(_engine_queue(queue, receipts[held[0]]), claims)
        for index, outcome in zip(held, outcomes, strict=True):
            errors[index] = _error(outcome)
    for index, receipt in enumerate(receipts):
        if receipt.kind is Kind.LAST:
            errors[index] = await _change_last(ctx, queue, receipt, None)
    return errors


async def _hide(
    ctx: Context, queue: StreamQueue, receipts: Sequence[Receipt], entries: Entries
) -> list[ServiceError | None]:
    errors: list[ServiceError | None] = [None] * len(receipts)
    held = [index for index, receipt in enumerate(receipts) if receipt.kind is not Kind.LAST]
    if held:
        changes = [(receipts[index].claim, _hide_ms(entries[index])) for index in held]
        outcomes = await ctx.server.engine.queues.change_visibility(_engine_queue(queue, receipts[held[0]]), changes)
        for index, outcome in zip(held, outcomes, strict=True):
            errors[index] = _error(outcome)
    for index, receipt in enumerate(receipts):
        if receipt.kind is Kind.LAST:
            due_ms = ctx.server.clock.now_ms() + _hide_ms(entries[index])
            errors[index] = await _change_last(ctx, queue, receipt, due_ms)
    return errors


async def _restore(
    ctx: Context, queue: StreamQueue, receipts: Sequence[Receipt], _entries: Entries
) -> list[ServiceError | None]:
    """A restored record is stored in the queue before it is removed from the dead letters: never lost, maybe twice."""
    if not receipts:
        return []
    engine = ctx.server.engine.queues
    async with queue.restoring:
        outcomes = await engine.change_visibility(queue.dead, [(receipt.claim, _RESTORING_MS) for receipt in receipts])
        errors = [None if outcome is Outcome.NOT_IN_FLIGHT else _error(outcome) for outcome in outcomes]
        # The same record twice in a request counts once.
        there = {r.pointer: r for r, error in zip(receipts, errors, strict=True) if error is None}
        if there:
            messages = [
                Outgoing(
                    body=queue_records.write_pointer(pointer),
                    header=queue_records.encode(Header(0, receipt.first_received_ms)),
                )
                for pointer, receipt in there.items()
            ]
            await engine.send(queue.arn, messages)
            await engine.delete(queue.dead, [receipt.claim for receipt in there.values()])
    return errors


async def _change_last(ctx: Context, queue: StreamQueue, receipt: Receipt, due_ms: int | None) -> ServiceError | None:
    """Have a record's last receive end at another time, or (None) take the record out of the queue."""
    metadata = ctx.server.engine.metadata
    key = queue_records.last_key(queue.record.id, receipt.pointer)
    for _ in range(limits.CONFLICT_RETRIES):
        entry = await metadata.get(key)
        old = None if entry is None else queue_records.decode_last(entry.value)
        if entry is None or old is None or old.claim != receipt.claim:
            return queue_rules.not_in_queue()
        writes = [Write(_due_key(queue, receipt, old.due_ms), None)]
        if due_ms is None:
            writes.append(Write(key, None, entry.revision))
        else:
            new = LastReceive(due_ms, old.receives, old.first_received_ms, old.claim)
            writes += [
                Write(key, queue_records.encode(new), entry.revision),
                Write(_due_key(queue, receipt, due_ms), b""),
            ]
        try:
            await metadata.apply(writes)
        except Conflict:
            continue
        return None
    return ServiceError("ThrottlingException", "Too many changes to this record at once; try again.")


def _due_key(queue: StreamQueue, receipt: Receipt, due_ms: int) -> str:
    return queue_records.due_key(Due(due_ms, queue.region, queue.account, queue.record.id, receipt.pointer))


def _engine_queue(queue: StreamQueue, receipt: Receipt) -> str:
    return queue.dead if receipt.kind is Kind.DEAD else queue.arn


def _hide_ms(entry: dict[str, Any]) -> int:
    timeout_s: int = entry["VisibilityTimeoutSeconds"]
    return timeout_s * 1000


def _error(outcome: Outcome) -> ServiceError | None:
    match outcome:
        case Outcome.DONE:
            return None
        case Outcome.GONE:
            return queue_rules.not_in_queue()
        case Outcome.MALFORMED:
            return queue_rules.not_a_receipt()
        case _:
            return queue_rules.not_in_flight()
