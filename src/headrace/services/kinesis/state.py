"""The streams a process knows: their records, kept coherent by watching metadata, and their shards' logs.

How everything that works on streams uses this:

    stream = await state.find(ctx, params)       # by StreamName, StreamARN or StreamId; raises AWS's errors
    shard = stream.shards[number]                # every shard that is not gone yet, open or closed
    shard = stream.route(hash_key)               # the open shard that takes a hash key
    await state.open(stream, shard)              # before anything is done with `shard.log` in the engine's logs
    await state.revise(stream, change)           # store what `change` makes of the record

`find` (like `get`, by region, account and name) has done what was due with the stream: reshardings whose time has
come, the end of closed shards, expiry of old ones. A `Stream` or `Shard` that is held over an await stays true: its
fields change with the record. After such an await `stream.gone` tells that it was deleted, and
`shard.record.closed_at_ms` that it was closed. Reading shards is `shards.read`; it does all of that.

A shard takes records only while it is open. When it is closed, an entry with the key `records.SEAL` is appended to its
log, which wakes those who wait for records there; `shard.record.ending` is the last sequence before it.
"""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import structlog

from headrace.context import Context, Server
from headrace.errors import ServiceError
from headrace.primitives.logs import LogSettings
from headrace.primitives.metadata import Change, Conflict, Write
from headrace.services.kinesis import limits, records, rules, topology, transitions
from headrace.services.kinesis.fan_out import FanOut
from headrace.services.kinesis.queue_state import StreamQueues
from headrace.services.kinesis.records import ShardRecord, Status, StreamRecord
from headrace.services.kinesis.scaling import Scaler
from headrace.services.kinesis.throughput import Bucket
from headrace.services.kinesis.workers import Alarms

log = structlog.get_logger()

_STREAM_KEY_PARTS = 5
_READY = (Status.ACTIVE, Status.UPDATING)


class Shard:
    """A shard as this process knows it. `opened` tells that the engine has its log with the stream's retention."""

    __slots__ = (
        "base",
        "bytes_in",
        "calls_out",
        "id",
        "iterators_out",
        "log",
        "number",
        "opened",
        "read",
        "record",
        "records_in",
        "window_bytes",
        "window_records",
    )

    def __init__(self, log_name: str, record: ShardRecord) -> None:
        self.number = record.number
        self.id = rules.shard_id(record.number)
        self.log = log_name
        self.record = record
        self.opened = False
        self.base = rules.sequence_base(record.epoch_s, record.number)
        """What its sequence numbers begin with: see `rules.SEQUENCE_SHIFT`."""
        self.bytes_in = Bucket(limits.SHARD_BYTES_IN_PER_S)
        self.records_in = Bucket(limits.SHARD_RECORDS_IN_PER_S)
        self.read = Bucket(limits.SHARD_BYTES_OUT_PER_S)
        self.calls_out = Bucket(limits.SHARD_CALLS_PER_S)
        self.iterators_out = Bucket(limits.SHARD_CALLS_PER_S)
        self.window_bytes = 0
        """Written in the window that is running, for streams in on-demand mode."""
        self.window_records = 0

    def sequence_number(self, sequence: int) -> str:
        """AWS's number of the record that has this sequence in the log."""
        return str(self.base + (sequence << rules.SEQUENCE_SHIFT))

    def position(self, sequence: int) -> str:
        """The sequence number of the place after the record of this sequence (0 for the start) and before the next."""
        return rules.sequence_number(self.record.epoch_s, self.number, sequence, rules.Kind.POSITION)


class Stream:
    """A stream as this process knows it."""

    __slots__ = (
        "__weakref__",
        "_starts",
        "_turn",
        "account",
        "arn",
        "due_ms",
        "gone",
        "key",
        "max_bytes",
        "name",
        "open_shards",
        "record",
        "region",
        "revision",
        "shards",
    )

    def __init__(self, region: str, account: str, record: StreamRecord, revision: int) -> None:
        self.region = region
        self.account = account
        self.name = record.name
        self.key = records.stream_key(region, account, record.name)
        self.arn = rules.stream_arn(region, account, record.name)
        self.gone = False
        self.record = record
        self.shards: dict[int, Shard] = {}
        """All shards that are not gone yet, by number."""
        self.open_shards: list[Shard] = []
        """Those that take records, by hash key."""
        self._starts: list[bytes] = []
        self._turn = 0
        self.take(record, revision)

    def take(self, record: StreamRecord, revision: int) -> None:
        """Take up a record that was stored. Shards that stay are the same objects; logs are opened anew if need be."""
        reopen = not self.shards or record.retention_h != self.record.retention_h
        self.record = record
        self.revision = revision
        self.due_ms = topology.due_ms(record)
        """When something is due to be done with the stream; `State.settle` does it."""
        self.max_bytes = record.max_record_kib * 1024
        known, self.shards = self.shards, {}
        for each in record.shards:
            shard = known.get(each.number) or Shard(
                records.log_name(self.region, self.account, record, each.number), each
            )
            shard.record = each
            shard.opened = shard.opened and not reopen
            self.shards[each.number] = shard
        self.open_shards = [self.shards[each.number] for each in topology.open_shards(record)]
        self._starts = [shard.record.first_hash for shard in self.open_shards]

    def status(self, now_ms: int) -> Status:
        """AWS's StreamStatus at that time."""
        return self.record.status if now_ms < self.record.until_ms else Status.ACTIVE

    def route(self, hash_key: bytes) -> Shard:
        """The open shard whose range a hash key (16 bytes) lies in."""
        return self.open_shards[bisect.bisect_right(self._starts, hash_key) - 1]

    def next_hash(self) -> bytes:
        """A hash key in the open shard whose turn it is, for streams that spread their records by themselves."""
        self._turn = (self._turn + 1) % len(self.open_shards)
        return self._starts[self._turn]

    def shard(self, shard_id: str) -> Shard:
        """The shard of a ShardId. Raises ResourceNotFoundException."""
        number = rules.parse_shard_id(shard_id)
        found = None if number is None else self.shards.get(number)
        if found is None:
            raise rules.no_such_shard(shard_id, self.name, self.account)
        return found

    def children(self, shard: Shard) -> list[Shard]:
        """The shards that came of a closed shard."""
        number = shard.number
        return [child for child in self.shards.values() if number in (child.record.parent, child.record.adjacent)]


class State:
    """What the process keeps for Kinesis."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.found: dict[tuple[str, str, str], Stream] = {}
        """Streams by (StreamName or StreamARN, region, account of the caller)."""
        self._streams: dict[str, Stream] = {}
        """Streams by the key of their record."""
        self._live: WeakValueDictionary[str, Stream] = WeakValueDictionary()
        """Those and all that calls in progress still hold: their fields are kept true too."""
        self._changes = 0
        """How often the watch has told of a stream."""
        self._settling: dict[str, asyncio.Task[None]] = {}
        self.scaler = Scaler(self)
        self._alarms = Alarms(server, self._settle_due)
        self._unwatch: list[Callable[[], None]] = []
        self.stream_queues = StreamQueues(self)
        self.fan_out = FanOut(self)

    async def start(self) -> None:
        """Follow what changes in metadata, and see to what is due."""
        watch = self.server.engine.metadata.watch
        self._unwatch = [watch("kinesis/", self._changed), watch(records.DUE_PREFIX, self._alarms.changed)]
        await self._alarms.start()
        await self.stream_queues.start()
        await self.fan_out.start()

    async def close(self) -> None:
        """Stop the background work and forget everything."""
        await self.fan_out.close()
        await self.stream_queues.close()
        for unwatch in self._unwatch:
            unwatch()
        await self._alarms.close()
        await self.scaler.close()
        for task in list(self._settling.values()):
            task.cancel()
        await asyncio.gather(*self._settling.values(), return_exceptions=True)
        self.found.clear()
        self._streams.clear()

    # --- finding streams ---

    async def find(self, ctx: Context, params: dict[str, Any]) -> Stream:
        """The stream that `StreamName`, `StreamARN` or `StreamId` of `params` name, with what was due done.

        Raises ResourceNotFoundException, InvalidArgumentException.
        """
        address = params.get("StreamARN") or params.get("StreamName") or ""
        stream = self.found.get((address, ctx.region, ctx.principal.account))
        if stream is None or ("StreamName" in params and "StreamARN" in params) or "StreamId" in params:
            stream = await self._locate(ctx, params)
            if len(self.found) >= limits.STREAM_ADDRESSES_CACHED:
                self.found.clear()
            if not stream.gone and address:
                self.found[address, ctx.region, ctx.principal.account] = stream
        if stream.due_ms <= self.server.clock.now_ms():
            await self.settle(stream)
        if stream.gone:
            raise rules.no_such_stream(stream.name, stream.account)
        return stream

    async def usable(self, ctx: Context, params: dict[str, Any]) -> Stream:
        """As `find`, for what AWS does with streams that are ACTIVE or UPDATING only. Raises ResourceInUseException."""
        stream = await self.find(ctx, params)
        status = stream.status(self.server.clock.now_ms())
        if status not in _READY:
            raise rules.in_use(
                f"Stream {stream.name} under account {stream.account} not ACTIVE or UPDATING, "
                f"instead in state {status.value}"
            )
        return stream

    async def ready(self, ctx: Context, params: dict[str, Any]) -> Stream:
        """As `find`, for a stream that takes and gives records: one that is not yet, or no longer, is not found."""
        stream = await self.find(ctx, params)
        record = stream.record
        if record.status not in _READY and self.server.clock.now_ms() < record.until_ms:
            raise rules.no_such_stream(stream.name, stream.account)
        return stream

    async def _locate(self, ctx: Context, params: dict[str, Any]) -> Stream:
        """As `find`, from scratch. AWS: name and ARN may be given together when they agree."""
        region, account = ctx.region, ctx.principal.account
        name: str | None = params.get("StreamName")
        if arn := params.get("StreamARN"):
            region, account, named = rules.parse_stream_arn(arn)
            if name is not None and name != named:
                raise rules.invalid_argument(f"StreamName {name} and StreamARN {arn} name different streams.")
            name = named
        if stream_id := params.get("StreamId"):
            entry = await self.server.engine.metadata.get(records.stream_id_key(region, account, stream_id))
            if entry is None:
                raise rules.not_found(f"Stream with id {stream_id} under account {account} not found.")
            if name is not None and name != entry.value.decode():
                raise rules.invalid_argument(f"StreamId {stream_id} is not the id of stream {name}.")
            name = entry.value.decode()
        if name is None:
            raise rules.invalid_argument("Either StreamARN or StreamName must be provided.")
        stream = await self.load(region, account, name)
        if stream is None:
            raise rules.no_such_stream(name, account)
        return stream

    async def get(self, region: str, account: str, name: str) -> Stream | None:
        """The stream with what was due done, or None."""
        stream = await self.load(region, account, name)
        if stream is not None and stream.due_ms <= self.server.clock.now_ms():
            await self.settle(stream)
        return None if stream is None or stream.gone else stream

    async def load(self, region: str, account: str, name: str) -> Stream | None:
        """The stream as it is stored, whatever is due; None when there is none."""
        key = records.stream_key(region, account, name)
        while (stream := self._streams.get(key)) is None:
            changes = self._changes
            entry = await self.server.engine.metadata.get(key)
            if entry is None:
                return None
            if changes != self._changes or key in self._streams:
                continue  # what was read may be older than what the watch has told meanwhile
            if len(self._streams) >= limits.STREAMS_CACHED:
                self.found.clear()
                self._streams.clear()
            stream = self._live.get(key)
            if stream is None or stream.gone:
                stream = Stream(region, account, records.decode_stream(entry.value), entry.revision)
            self._streams[key] = self._live[key] = stream
        return stream

    # --- shards and their logs ---

    async def shard(self, stream: Stream, shard_id: str) -> Shard:
        """The shard of a ShardId; another process may have just made it. Raises ResourceNotFoundException."""
        await self.learn(stream, shard_id)
        return stream.shard(shard_id)

    async def learn(self, stream: Stream, *shard_ids: str) -> None:
        """Hear of shards that are not known here, if another process has just made them."""
        numbers = [rules.parse_shard_id(shard_id) for shard_id in shard_ids]
        if any(number is not None and number not in stream.shards for number in numbers):
            await self.server.engine.metadata.sync()

    async def sealed(self, stream: Stream, shard: Shard) -> None:
        """See to it that this process knows that the shard is closed: a seal was found in its log."""
        if not shard.record.closed_at_ms:
            await self.server.engine.metadata.sync()
        await self.settle(stream)

    async def open(self, stream: Stream, shard: Shard) -> None:
        """Have the engine open a shard's log. Costs nothing when it is. Raises ResourceNotFoundException."""
        while not shard.opened:
            retention_h = stream.record.retention_h
            settings = LogSettings(retention_ms=retention_h * limits.HOUR_MS)
            await self.server.engine.logs.open(shard.log, settings)
            if stream.gone or shard.number not in stream.shards:
                # It went meanwhile. What was opened must not stay.
                await self.server.engine.logs.drop(shard.log)
                raise rules.no_such_stream(stream.name, stream.account)
            shard.opened = retention_h == stream.record.retention_h

    # --- changing streams ---

    async def revise(
        self,
        stream: Stream,
        change: Callable[[StreamRecord], StreamRecord],
        also: Callable[[StreamRecord, StreamRecord], list[Write]] | None = None,
    ) -> None:
        """Store what `change` makes of the stream's record, with what `also` (of old and new) adds, all or nothing.

        Raises what `change` raises, ResourceNotFoundException, and ServiceUnavailable when others keep changing it too.
        """
        metadata = self.server.engine.metadata
        for _ in range(limits.CONFLICT_RETRIES):
            if stream.gone:
                raise rules.no_such_stream(stream.name, stream.account)
            old = stream.record
            new = change(old)
            if new == old:
                return
            writes = [
                Write(stream.key, records.encode(new), stream.revision),
                *due_writes(stream.region, stream.account, old, new),
                *(also(old, new) if also else ()),
            ]
            try:
                await metadata.apply(writes)
            except Conflict:
                entry = await metadata.get(stream.key)
                if entry is None:
                    raise rules.no_such_stream(stream.name, stream.account) from None
                if entry.revision > stream.revision:
                    stream.take(records.decode_stream(entry.value), entry.revision)
                continue
            return
        raise ServiceError("ServiceUnavailable", "Too many changes to this stream at once; try again.", status=503)

    async def settle(self, stream: Stream) -> None:
        """Do what is due with the stream by now; calls that come meanwhile wait for the same."""
        task = self._settling.get(stream.key)
        if task is None:
            task = self._settling[stream.key] = asyncio.create_task(transitions.finish(self, stream))
            task.add_done_callback(lambda done: self._settled(stream.key, done))
        await asyncio.shield(task)

    def _settled(self, key: str, task: asyncio.Task[None]) -> None:
        self._settling.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waits has it raised; when nobody does any more, it needs no telling

    async def _settle_due(self, region: str, account: str, name: str) -> None:
        """An alarm has rung for this stream."""
        if await self.load(region, account, name) is None:
            await self.server.engine.metadata.delete(records.due_key(region, account, name))
        else:
            await self.get(region, account, name)

    def _changed(self, change: Change) -> None:
        """A record changed, here or in another process."""
        parts = change.key.split("/")
        if len(parts) != _STREAM_KEY_PARTS or parts[3] != "stream":
            return
        self._changes += 1
        stream = self._live.get(change.key)
        if change.entry is None:
            self.found.clear()
            self._streams.pop(change.key, None)
            self._live.pop(change.key, None)
            if stream is not None:
                stream.gone = True
        elif stream is not None and change.entry.revision > stream.revision:
            stream.take(records.decode_stream(change.entry.value), change.entry.revision)


def due_writes(region: str, account: str, old: StreamRecord | None, new: StreamRecord) -> list[Write]:
    """What keeps the note of when something is due true, as a stream's record changes from old to new."""
    before = topology.NEVER_MS if old is None else topology.due_ms(old)
    after = topology.due_ms(new)
    if before == after:
        return []
    return [
        Write(records.due_key(region, account, new.name), None if after == topology.NEVER_MS else str(after).encode())
    ]
