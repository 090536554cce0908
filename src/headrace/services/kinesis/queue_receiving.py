"""ReceiveQueueRecords and ReceiveDeadLetterQueueRecords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.logs import LogMissing, Record
from headrace.primitives.metadata import Write
from headrace.primitives.queues import Outgoing, OverInFlight, QueueMissing, Received
from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis import queue_receipts, queue_records, queue_rules, records, rules
from headrace.services.kinesis.queue_receipts import Kind, Receipt
from headrace.services.kinesis.queue_records import Due, Header, LastReceive, Pointer
from headrace.services.kinesis.queue_state import StreamQueue, StreamQueues
from headrace.services.kinesis.state import Shard, Stream


class Delivery(NamedTuple):
    """A pointer that the engine handed out: the record it is to, its receives with this one, and when the first was."""

    pointer: Pointer
    receives: int
    first_received_ms: int
    claim: str


class Found(NamedTuple):
    """A record, and the shard it is in."""

    shard: Shard
    record: Record


class Asked(NamedTuple):
    """What a receive asks for. `dead` is whether of the dead letters."""

    dead: bool
    max_records: int
    wait_ms: int
    hide_ms: int


async def receive_queue_records(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Up to `Limit` records of a queue, hidden from others for `VisibilityTimeoutSeconds`.

    Waits up to `WaitTimeSeconds` for the first; then there are none. Raises ResourceNotFoundException, also while the
    queue is being deleted, and InvalidArgumentException.
    """
    return await _receive(ctx, params, dead=False)


async def receive_dead_letter_queue_records(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Up to `Limit` dead letters of a queue, otherwise as ReceiveQueueRecords."""
    return await _receive(ctx, params, dead=True)


async def _receive(ctx: Context, params: dict[str, Any], *, dead: bool) -> dict[str, Any]:
    queues: StreamQueues = ctx.state.stream_queues
    queue = await queues.find_open(params["QueueARN"])
    attributes = queue_rules.attributes_now(queue.record, ctx.server.clock.now_ms())
    asked = Asked(
        dead,
        params.get("Limit", limits.RECEIVE_RECORDS),
        params.get("WaitTimeSeconds", limits.RECEIVE_WAIT_S) * 1000,
        params.get("VisibilityTimeoutSeconds", attributes.visibility_timeout_s) * 1000,
    )
    deadline_ms = ctx.server.clock.now_ms() + asked.wait_ms
    try:
        while True:
            received = await _take(ctx, queue, asked, deadline_ms)
            found = await _deliver(ctx, queue, asked, received) if received else []
            if found or not received or ctx.server.clock.now_ms() >= deadline_ms:
                return {"QueueRecords": found}
    except QueueMissing:
        raise queue_rules.no_such_queue(queue.arn) from None


async def _take(ctx: Context, queue: StreamQueue, asked: Asked, deadline_ms: int) -> list[Received]:
    """Pointers from the engine queue, as soon as there are some; none when there is nothing until the deadline."""
    feeder = ctx.state.stream_queues.feeder(queue)
    name = queue.dead if asked.dead else queue.arn
    receive = ctx.server.engine.queues.receive
    try:
        received = await receive(name, max_messages=asked.max_records, visibility_timeout_ms=asked.hide_ms)
    except OverInFlight:
        received = []
    if not asked.dead:
        feeder.use(len(received))
    wait_ms = deadline_ms - ctx.server.clock.now_ms()
    if not received and wait_ms > 0:
        # Only a wait is worth a watch for the client's hang-up.
        with ctx.until_hangup():
            received = await receive(
                name, max_messages=asked.max_records, visibility_timeout_ms=asked.hide_ms, wait_ms=wait_ms
            )
        if received and not asked.dead:
            feeder.use(len(received))
    return received


async def _deliver(
    ctx: Context, queue: StreamQueue, asked: Asked, received: Sequence[Received]
) -> list[dict[str, Any]]:
    """What the caller gets of what was received; everything else is put where it belongs."""
    stream = await ctx.state.stream_queues.open(queue)
    deliveries = [_delivery(message) for message in received]
    max_receives = queue_rules.attributes_now(queue.record, ctx.server.clock.now_ms()).max_receives
    spent = [each for each in deliveries if not asked.dead and 0 < max_receives < each.receives]
    wanted = [each for each in deliveries if each not in spent]
    found, unread = await _read(ctx, stream, [each.pointer for each in wanted])
    kept = [each for each in wanted if each.pointer in found and _belongs(queue, found[each.pointer])]
    last = [each for each in kept if not asked.dead and each.receives == max_receives]
    await _move(ctx, queue.dead, spent, count=0)
    await _move(ctx, queue.dead if asked.dead else queue.arn, [e for e in wanted if e.pointer in unread], count=-1)
    await _note_last(ctx, queue, last, asked.hide_ms)
    claims = [each.claim for each in deliveries if each not in kept or each in last]
    if claims:
        await ctx.server.engine.queues.delete(queue.dead if asked.dead else queue.arn, claims)
    default = Kind.DEAD if asked.dead else Kind.QUEUED
    return [_render(queue, found[each.pointer], each, Kind.LAST if each in last else default) for each in kept]


def _delivery(message: Received) -> Delivery:
    header = queue_records.decode_header(message.header)
    return Delivery(
        queue_records.read_pointer(message.body),
        header.receives + message.receive_count,
        header.first_received_ms or message.first_received_at_ms,
        message.receipt,
    )


def _belongs(queue: StreamQueue, found: Found) -> bool:
    """Whether a record is one for this queue: not the seal of a shard, and not from before the queue's start."""
    return found.record.key != records.SEAL and found.record.appended_at_ms >= queue.record.starts_at_ms


async def _read(ctx: Context, stream: Stream, pointers: Sequence[Pointer]) -> tuple[dict[Pointer, Found], set[Pointer]]:
    """The records that are still there; and the pointers not read, since there was enough data already."""
    found: dict[Pointer, Found] = {}
    unread: set[Pointer] = set()
    room = limits.RECEIVE_BYTES
    for run in _runs(pointers):
        shard = stream.shards.get(run[0].shard)
        if shard is None:
            continue  # it has expired, and its records with it
        following = list(run)
        while following:
            if room <= 0:
                unread.update(following)
                break
            got = await _read_run(ctx, stream, shard, following, room)
            if not got:
                break
            room -= sum(len(record.data) for record in got)
            found.update((Pointer(shard.number, record.sequence), Found(shard, record)) for record in got)
            following = [pointer for pointer in following if pointer.sequence > got[-1].sequence]
    return found, unread


def _runs(pointers: Sequence[Pointer]) -> list[list[Pointer]]:
    """The pointers in runs that follow each other in a shard: one read each."""
    runs: list[list[Pointer]] = []
    for pointer in sorted(set(pointers)):
        if runs and runs[-1][-1] == (pointer.shard, pointer.sequence - 1):
            runs[-1].append(pointer)
        else:
            runs.append([pointer])
    return runs


async def _read_run(ctx: Context, stream: Stream, shard: Shard, run: Sequence[Pointer], max_bytes: int) -> list[Record]:
    try:
        await ctx.state.open(stream, shard)
        got = await ctx.server.engine.logs.read(
            shard.log, run[0].sequence - 1, max_records=len(run), max_bytes=max_bytes
        )
    except (LogMissing, ServiceError):
        return []  # the shard has gone meanwhile
    # What has expired meanwhile is skipped by the log: what it gives then may lie beyond.
    return [record for record in got if record.sequence <= run[-1].sequence]


async def _move(ctx: Context, destination: str, deliveries: Sequence[Delivery], *, count: int) -> None:
    """Store pointers anew, their receives changed by `count`; the caller removes them from where they were."""
    if not deliveries:
        return
    messages = []
    for each in deliveries:
        receives = each.receives + count
        header = Header(receives, each.first_received_ms if receives else 0)
        body = queue_records.write_pointer(each.pointer)
        messages.append(Outgoing(body=body, header=queue_records.encode(header)))
    await ctx.server.engine.queues.send(destination, messages)


async def _note_last(ctx: Context, queue: StreamQueue, last: Sequence[Delivery], hide_ms: int) -> None:
    """Keep the receives after which a record is a dead letter, until they end: the engine has them no longer then."""
    if not last:
        return
    due_ms = ctx.server.clock.now_ms() + hide_ms
    writes = []
    for each in last:
        note = LastReceive(due_ms, each.receives, each.first_received_ms, each.claim)
        due = Due(due_ms, queue.region, queue.account, queue.record.id, each.pointer)
        writes.append(Write(queue_records.last_key(queue.record.id, each.pointer), queue_records.encode(note)))
        writes.append(Write(queue_records.due_key(due), b""))
    await ctx.server.engine.metadata.apply(writes)


def _render(queue: StreamQueue, found: Found, delivery: Delivery, kind: Kind) -> dict[str, Any]:
    pointer, record = delivery.pointer, found.record
    partition_key, _ = records.decode_key(record.key)
    receipt = Receipt(
        queue.record.id, kind, pointer.shard, pointer.sequence, delivery.first_received_ms, delivery.claim
    )
    rendered = {
        "ReceiptHandle": queue_receipts.write(receipt),
        "RecordId": record_id(found.shard, pointer.sequence),
        "PartitionKey": partition_key,
        "Data": record.data,
        "ApproximateArrivalTimestamp": record.appended_at_ms / 1000,
        "FirstReceiveTimestamp": delivery.first_received_ms / 1000,
        "ReceiveCount": delivery.receives,
    }
    if not partition_key:
        del rendered["PartitionKey"]
    return rendered


def record_id(shard: Shard, sequence: int) -> str:
    """A record's id, the same in every queue: its sequence number in hex, which no other record of its stream has."""
    return f"{shard.base + (sequence << rules.SEQUENCE_SHIFT):x}"
