"""Metadata on NATS: records from the mirror, leases as messages that are compared and set on the stream's leader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from headrace.clock import Clock
from headrace.engines.nats.faults import ApiError
from headrace.engines.nats.jetstream import EXPECTED, WRONG_LAST_SEQUENCE, Outbound
from headrace.engines.nats.mirror import ATTEMPTS, CONTEST_S, Mirror, Space
from headrace.engines.nats.naming import token
from headrace.errors import StorageError
from headrace.primitives.metadata import Change, Entry, LeaseLost, Write

LEASE_KEPT_MS: Final = 86_400_000
"""How long the server keeps a lease after it ran out, before its message is removed."""


class LeaseRecord(msgspec.Struct, array_like=True):
    """A lease as it is kept; `token` 0 stands for the message's own sequence, `holder` "" for nobody."""

    holder: str
    token: int
    expires_at_ms: int


class NatsMetadata:
    """The metadata of a cluster engine; see `headrace.primitives.metadata.Metadata`."""

    def __init__(self, mirror: Mirror, clock: Clock) -> None:
        self._mirror = mirror
        self._clock = clock
        self._records: Space = mirror.space("k")

    async def get(self, key: str) -> Entry | None:
        """The record under the key, or None."""
        return await self._records.get(key)

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        """Store a record; its new revision. `expected` is the revision it must have now, 0 that there must be none.

        Raises Conflict.
        """
        return await self._records.put(key, value, expected=expected)

    async def delete(self, key: str, *, expected: int | None = None) -> None:
        """Delete the record; harmless when there is none, unless `expected` is given. Raises Conflict."""
        await self._records.delete(key, expected=expected)

    async def apply(self, writes: Sequence[Write]) -> None:
        """Make all these changes or none. Raises Conflict."""
        await self._records.apply(writes)

    async def list(self, prefix: str, *, after: str = "", max_entries: int = 1000) -> list[Entry]:
        """Records whose key starts with `prefix` and comes after `after`, in key order."""
        return await self._records.list(prefix, after=after, max_entries=max_entries)

    def watch(self, prefix: str, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call `callback` with every change under `prefix` from now on; returns what ends the watch.

        Changes made by other processes are told as well. A callback that raises is reported to the loop's exception
        handler and disturbs nobody else.
        """
        return self._records.watch(prefix, callback)

    async def sync(self) -> None:
        """Return when this process knows all that was stored, by any process, before the call. Raises StorageError."""
        await self._mirror.sync()

    async def lease(self, name: str, *, ttl_ms: int, holder: str) -> NatsLease | None:
        """Take the lease if it is free, run out, or `holder`'s already; None when another holds it.

        A holder that takes its own lease again before it ran out keeps the token. Whether one has run out is told by
        the clocks of the processes, which must agree to well within the ttl; tokens fence what they do not.
        """
        lease = NatsLease(self._mirror, self._clock, name, ttl_ms)
        return lease if await lease.take(holder) else None

    async def reset(self) -> None:
        """Delete all records and leases; watchers are told. Revisions and tokens go on from where they were."""
        await self._mirror.reset()


class NatsLease:
    """A lease; see `headrace.primitives.metadata.Lease`."""

    def __init__(self, mirror: Mirror, clock: Clock, name: str, ttl_ms: int) -> None:
        self.token = 0
        self._mirror = mirror
        self._clock = clock
        self._name = name
        self._subject = f"{mirror.jetstream.prefix}.r.lease.{token(name)}"
        self._ttl_ms = ttl_ms
        self._holder = ""

    async def take(self, holder: str) -> bool:
        """Take it for `holder`; False when another holds it."""
        self._holder = holder
        for attempt in range(ATTEMPTS):
            await asyncio.sleep(attempt * CONTEST_S)
            place, record = await self._stored()
            held = record is not None and record.expires_at_ms > self._clock.now_ms()
            if held and record is not None and record.holder != holder:
                return False
            kept = record.token if held and record is not None else 0
            stored = await self._store(LeaseRecord(holder, kept, self._clock.now_ms() + self._ttl_ms), place)
            if stored is not None:
                self.token = kept or stored
                return True
        raise StorageError(f"The lease {self._name} is fought over: try again.")

    async def renew(self) -> None:
        """Hold it for another ttl. Raises LeaseLost."""
        if not await self._replace(self._holder, self._ttl_ms):
            raise LeaseLost(f"The lease {self._name} ran out or was taken by another holder.")

    async def release(self) -> None:
        """Let it go; harmless when it was lost."""
        await self._replace("", 0)

    async def _replace(self, holder: str, ttl_ms: int) -> bool:
        """Store the lease anew as long as it is still this one; whether it was."""
        for attempt in range(ATTEMPTS):
            await asyncio.sleep(attempt * CONTEST_S)
            place, record = await self._stored()
            now_ms = self._clock.now_ms()
            if record is None or record.token != self.token or record.expires_at_ms <= now_ms:
                return False
            if await self._store(LeaseRecord(holder, self.token, now_ms + ttl_ms), place) is not None:
                return True
        raise StorageError(f"The lease {self._name} is fought over: try again.")

    async def _stored(self) -> tuple[int, LeaseRecord | None]:
        """The sequence of the lease's message (0 when there is none) and the lease."""
        found = await self._mirror.jetstream.newest(self._mirror.stream, self._subject)
        if found is None:
            return 0, None
        record = msgspec.msgpack.decode(found[2], type=LeaseRecord)
        record.token = record.token or found[0]
        return found[0], record

    async def _store(self, record: LeaseRecord, place: int) -> int | None:
        """The sequence of the lease's new message; None when another was quicker."""
        kept_ms = LEASE_KEPT_MS + max(0, record.expires_at_ms - self._clock.now_ms())
        headers: dict[str, str | int] = {EXPECTED: place, "Nats-TTL": f"{kept_ms // 1000}s"}
        try:
            message = Outbound(self._subject, msgspec.msgpack.encode(record), headers)
            ack = await self._mirror.jetstream.publish_once(self._mirror.stream, [message])
        except ApiError as refused:
            if refused.error in WRONG_LAST_SEQUENCE:
                return None
            raise
        return ack.sequence
