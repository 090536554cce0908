"""What is done with a stream once its time has come: reshardings, the ends of closed shards, expiry, deletion.

Each step is stored before the next, and finds what an earlier try of it left: a process that dies on the way leaves
nothing that another cannot finish.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from headrace.errors import ServiceError
from headrace.primitives.logs import Appending, LogSealed
from headrace.primitives.metadata import Conflict, Write
from headrace.services.kinesis import limits, records, scaling, topology
from headrace.services.kinesis.records import Status

if TYPE_CHECKING:
    from headrace.services.kinesis.state import Shard, State, Stream


async def finish(state: State, stream: Stream) -> None:
    """Do what is due with the stream by now; afterwards `stream.due_ms` lies ahead, or the stream is gone."""
    now_ms = state.server.clock.now_ms()
    record = stream.record
    if record.status is Status.DELETING:
        if now_ms >= record.until_ms and not stream.gone:
            await _delete(state, stream)
        return
    if record.plan is not None and now_ms >= record.until_ms:
        await state.revise(stream, lambda old: topology.carry_out(old, now_ms) if now_ms >= old.until_ms else old)
    if closing := topology.closing(stream.record):
        endings = await asyncio.gather(*[_seal(state, stream, stream.shards[number]) for number in closing])
        known = dict(zip(closing, endings, strict=True))
        await state.revise(stream, lambda old: topology.ended(old, known))
    if expired := topology.expired(stream.record, now_ms):
        drop = state.server.engine.logs.drop
        await asyncio.gather(*[drop(stream.shards[number].log) for number in expired])
        await state.revise(stream, lambda old: topology.without(old, topology.expired(old, now_ms)))
    record = stream.record
    if record.on_demand and record.cool_at_ms and now_ms >= max(record.cool_at_ms, record.until_ms):
        await scaling.cool(state, stream)


async def _seal(state: State, stream: Stream, shard: Shard) -> int:
    """End a closed shard's log; the last sequence that belongs to the shard."""
    logs = state.server.engine.logs
    await state.open(stream, shard)
    tip = await logs.tip(shard.log)
    if tip.first <= tip.last:
        newest = await logs.read(shard.log, tip.last - 1, max_records=1, max_bytes=1)
        if newest and newest[0].key == records.SEAL:
            return tip.last - 1
    try:
        [sequence] = await logs.append(shard.log, [Appending(records.SEAL, b"")])
    except LogSealed as sealed:
        return sealed.last - 1
    return sequence - 1


async def _delete(state: State, stream: Stream) -> None:
    """Remove a stream with all that belongs to it. The record goes last: until then all of this can be done again."""
    region, account, name = stream.region, stream.account, stream.name
    metadata, logs = state.server.engine.metadata, state.server.engine.logs
    held = [shard.log for shard in stream.shards.values()]
    await asyncio.gather(*[logs.drop(log) for log in held])
    resource = f"stream/{name}"
    for prefix in (
        records.consumer_key(region, account, name, ""),
        records.subscription_key(region, account, name, "")[:-1],
        records.tags_key(region, account, f"{resource}/"),
        records.policy_key(region, account, f"{resource}/"),
    ):
        while entries := await metadata.list(prefix, max_entries=limits.LIST_PAGE):
            await metadata.apply([Write(entry.key, None) for entry in entries])
    writes = [
        Write(stream.key, None, stream.revision),
        Write(records.stream_id_key(region, account, stream.record.stream_id), None),
        Write(records.tags_key(region, account, resource), None),
        Write(records.policy_key(region, account, resource), None),
        Write(records.usage_key(region, account, name), None),
        Write(records.due_key(region, account, name), None),
    ]
    try:
        await metadata.apply(writes)
    except Conflict:
        if not stream.gone and await metadata.get(stream.key) is not None:
            raise ServiceError("ServiceUnavailable", "The stream is being changed; try again.", status=503) from None
    # Once more, should a call in between have opened one again; from here on nothing can.
    await asyncio.gather(*[logs.drop(log) for log in held])
