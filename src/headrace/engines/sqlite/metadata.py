"""Metadata on SQLite: one table in key order, one counter for revisions and fencing tokens.

What must be compared before it is set is compared inside the write itself, before its first statement
that changes anything, so that a conflict takes nothing of the shared turn back. Watchers are called
when the turn is durable: their calls are queued on the loop ahead of the writers' own answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from headrace.clock import Clock
from headrace.engines.sqlite.database import Database
from headrace.primitives.metadata import Change, Conflict, Entry, LeaseLost, Write

LEASES_SWEPT: Final = 100
"""Expired leases removed at most when one is taken."""

_GET: Final = "SELECT key, value, revision FROM metadata WHERE key = ?"
_REVISION: Final = "SELECT revision FROM metadata WHERE key = ?"
_NEXT: Final = "UPDATE metadata_counter SET value = value + 1 WHERE id = 1 RETURNING value"
_PUT: Final = """
INSERT INTO metadata (key, value, revision) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision"""
_DELETE: Final = "DELETE FROM metadata WHERE key = ?"
_LIST: Final = "SELECT key, value, revision FROM metadata WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
_KEYS: Final = "SELECT key FROM metadata ORDER BY key"
_CLEAR: Final = "DELETE FROM metadata"

_LEASE: Final = "SELECT holder, token FROM leases WHERE name = ? AND expires_at_ms > ?"
_LEASE_TAKE: Final = "INSERT OR REPLACE INTO leases (name, holder, token, expires_at_ms) VALUES (?, ?, ?, ?)"
_LEASE_RENEW: Final = "UPDATE leases SET expires_at_ms = ? WHERE name = ? AND token = ? AND expires_at_ms > ?"
_LEASE_RELEASE: Final = "DELETE FROM leases WHERE name = ? AND token = ?"
_LEASES_SWEEP: Final = """
DELETE FROM leases WHERE name IN (SELECT name FROM leases WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)"""
_LEASES_CLEAR: Final = "DELETE FROM leases"

_LAST_CODE_POINT: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)
"""Code points that stand in no UTF-8 text."""


class SqliteMetadata:
    """The metadata of a SQLite engine; see `headrace.primitives.metadata.Metadata`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._watches: Sequence[tuple[str, Callable[[Change], None]]] = ()

    async def get(self, key: str) -> Entry | None:
        """The record under the key, or None."""
        row = await self._database.read(self._row, _GET, (key,))
        return None if row is None else Entry(*row)

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        """Store a record; its new revision. `expected` is the revision it must have now, 0 that there must be none.

        Raises Conflict.
        """
        revisions = await self._change([Write(key=key, value=value, expected=expected)])
        return revisions[0]

    async def delete(self, key: str, *, expected: int | None = None) -> None:
        """Delete the record; harmless when there is none, unless `expected` is given. Raises Conflict."""
        await self._change([Write(key=key, value=None, expected=expected)])

    async def apply(self, writes: Sequence[Write]) -> None:
        """Make all these changes, in order, or none. Raises Conflict.

        What they expect is compared with what is stored before the first of them is made.
        """
        await self._change(writes)

    async def list(self, prefix: str, *, after: str = "", max_entries: int = 1000) -> list[Entry]:
        """Records whose key starts with `prefix` and comes after `after`, in key order."""
        start = max(prefix, after + "\0" if after else "")
        rows = await self._database.read(self._rows, _LIST, (start, beyond(prefix), max_entries))
        return [Entry(*row) for row in rows]

    def watch(self, prefix: str, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call `callback` with every change under `prefix` from now on; returns what ends the watch.

        A callback that raises is reported to the loop's exception handler and disturbs nobody else.
        """
        watch = (prefix, callback)
        self._watches = (*self._watches, watch)

        def end() -> None:
            self._watches = tuple(other for other in self._watches if other is not watch)

        return end

    async def sync(self) -> None:
        """There are no other processes."""

    async def lease(self, name: str, *, ttl_ms: int, holder: str) -> SqliteLease | None:
        """Take the lease if it is free, run out, or `holder`'s already; None when another holds it.

        A holder that takes its own lease again before it ran out keeps the token.
        """
        token = await self._database.write(self._take_lease, name, ttl_ms, holder)
        return None if token is None else SqliteLease(self._database, self._clock, name, token, ttl_ms)

    async def reset(self) -> None:
        """Delete all records and leases; watchers are told. Revisions and tokens go on from where they were."""
        await self._database.write(self._clear)

    # --- inside the turn ---

    def _row(self, sql: str, bindings: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return self._database.connection.execute(sql, bindings).fetchone()

    def _rows(self, sql: str, bindings: tuple[Any, ...]) -> Sequence[tuple[Any, ...]]:
        return self._database.connection.execute(sql, bindings).fetchall()

    async def _change(self, writes: Sequence[Write]) -> Sequence[int]:
        outcome = await self._database.write(self._compare_and_set, writes)
        if isinstance(outcome, Conflict):
            raise outcome
        return outcome

    def _compare_and_set(self, writes: Sequence[Write]) -> Sequence[int] | Conflict:
        """The new revisions (0 for a deletion), or what to raise: raising here would fail the whole turn."""
        for write in writes:
            if write.expected is not None:
                row = self._row(_REVISION, (write.key,))
                revision = 0 if row is None else row[0]
                if revision != write.expected:
                    return Conflict(f"{write.key} has revision {revision}, not {write.expected}.")
        changes = [self._make(write) for write in writes]
        self._tell_once_durable([change for change in changes if change is not None])
        return [0 if change is None or change.entry is None else change.entry.revision for change in changes]

    def _make(self, write: Write) -> Change | None:
        connection = self._database.connection
        if write.value is None:
            connection.execute(_DELETE, (write.key,))
            return Change(key=write.key, entry=None) if connection.changes() else None
        revision = self._next()
        connection.execute(_PUT, (write.key, write.value, revision))
        return Change(key=write.key, entry=Entry(key=write.key, value=write.value, revision=revision))

    def _next(self) -> int:
        value: int = self._database.connection.execute(_NEXT).get
        return value

    def _clear(self) -> None:
        keys = [key for (key,) in self._rows(_KEYS, ())] if self._watches else []
        self._database.connection.execute(_CLEAR)
        self._database.connection.execute(_LEASES_CLEAR)
        self._tell_once_durable([Change(key=key, entry=None) for key in keys])

    def _take_lease(self, name: str, ttl_ms: int, holder: str) -> int | None:
        now_ms = self._clock.now_ms()
        held = self._row(_LEASE, (name, now_ms))
        if held is not None and held[0] != holder:
            return None
        self._database.connection.execute(_LEASES_SWEEP, (now_ms, LEASES_SWEPT))
        token: int = self._next() if held is None else held[1]
        self._database.connection.execute(_LEASE_TAKE, (name, holder, token, now_ms + ttl_ms))
        return token

    # --- watchers ---

    def _tell_once_durable(self, changes: Sequence[Change]) -> None:
        if self._watches and changes:
            self._database.when_durable(lambda: self._tell(changes))

    def _tell(self, changes: Sequence[Change]) -> None:
        for change in changes:
            for prefix, callback in self._watches:
                if change.key.startswith(prefix):
                    _call(callback, change)


class SqliteLease:
    """A lease that was taken; see `headrace.primitives.metadata.Lease`."""

    def __init__(self, database: Database, clock: Clock, name: str, token: int, ttl_ms: int) -> None:
        self.token = token
        self._database = database
        self._clock = clock
        self._name = name
        self._ttl_ms = ttl_ms

    async def renew(self) -> None:
        """Hold it for another ttl. Raises LeaseLost."""
        if not await self._database.write(self._renew):
            raise LeaseLost(f"The lease {self._name} ran out or was taken by another holder.")

    async def release(self) -> None:
        """Let it go; harmless when it was lost."""
        await self._database.write(self._release)

    def _renew(self) -> bool:
        now_ms = self._clock.now_ms()
        connection = self._database.connection
        connection.execute(_LEASE_RENEW, (now_ms + self._ttl_ms, self._name, self.token, now_ms))
        return connection.changes() > 0

    def _release(self) -> None:
        self._database.connection.execute(_LEASE_RELEASE, (self._name, self.token))


def beyond(prefix: str) -> str | bytes:
    """What sorts after every text that starts with `prefix`, and before all other text that sorts after it."""
    while prefix:
        following = ord(prefix[-1]) + 1
        if following in _SURROGATES:
            following = _SURROGATES.stop
        prefix = prefix[:-1]
        if following <= _LAST_CODE_POINT:
            return prefix + chr(following)
    return b""  # SQLite sorts every blob after every text


def _call(callback: Callable[[Change], None], change: Change) -> None:
    try:
        callback(change)
    except Exception as cause:  # noqa: BLE001 whatever it is, it must reach neither the writer nor other watchers
        message = f"A watcher failed on the change of {change.key}."
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": cause})
