"""Metadata: small records under keys, each with a revision that makes compare-and-set possible.

Keys are text with `/` between parts. Revisions grow over the whole store. A watcher sees every change
under its prefix, in order; on the process that made the change, before the change is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """A record as it is kept."""

    key: str
    value: bytes
    revision: int


class Change(msgspec.Struct, frozen=True):
    """What a watcher is told: the new entry, or None when the key was deleted."""

    key: str
    entry: Entry | None


class Write(msgspec.Struct, frozen=True):
    """One of the changes that `apply` makes together; `value` None deletes, `expected` as in `put`."""

    key: str
    value: bytes | None
    expected: int | None = None


class Conflict(Exception):
    """The record's revision was not the expected one; nothing was changed."""


class LeaseLost(Exception):
    """The lease ran out or was taken by another holder."""


class Lease(Protocol):
    """Work that one process at a time may do. `token` grows with every new holder: fence writes with it."""

    token: int

    async def renew(self) -> None:
        """Hold it for another ttl. Raises LeaseLost."""

    async def release(self) -> None:
        """Let it go; harmless when it was lost."""


class Metadata(Protocol):
    """The metadata of one engine."""

    async def get(self, key: str) -> Entry | None:
        """The record under the key, or None."""

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        """Store a record; its new revision. `expected` is the revision it must have now, 0 that there must be none.

        Raises Conflict.
        """

    async def delete(self, key: str, *, expected: int | None = None) -> None:
        """Delete the record; harmless when there is none, unless `expected` is given. Raises Conflict."""

    async def apply(self, writes: Sequence[Write]) -> None:
        """Make all these changes or none. Raises Conflict."""

    async def list(self, prefix: str, *, after: str = "", max_entries: int = 1000) -> list[Entry]:
        """Records whose key starts with `prefix` and comes after `after`, in key order."""

    def watch(self, prefix: str, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call `callback` with every change under `prefix` from now on; returns what ends the watch."""

    async def sync(self) -> None:
        """Return when this process knows all that was stored, by any process, before the call. Raises StorageError.

        For who must not act on what others have changed meanwhile; reads are otherwise as current as watches.
        """

    async def lease(self, name: str, *, ttl_ms: int, holder: str) -> Lease | None:
        """Take the lease if it is free, run out, or `holder`'s already; None when another holds it."""
