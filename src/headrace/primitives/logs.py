"""Logs: records in the order they were appended, kept for a while, read as often as wanted.

A log numbers its records with sequences that grow and are never used twice. Reading removes nothing;
`trim` and the retention do. Times are milliseconds on the engine's clock. `append` returns once the
records are durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

SEAL: Final = "\0E"
"""A record with this key and no data ends its log: nothing is appended behind it, by whichever process."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a log keeps its records; None keeps them until trimmed."""

    retention_ms: int | None = None


class Appending(msgspec.Struct, array_like=True, gc=False):
    """A record to append: `key` is the partition key (or ""), `data` opaque. It is encoded as a [key, data] pair."""

    key: str
    data: bytes


class Record(msgspec.Struct, gc=False):
    """A record as it is kept."""

    sequence: int
    appended_at_ms: int
    key: str
    data: bytes


class Tip(msgspec.Struct, frozen=True):
    """Where a log begins and ends.

    `first` is the oldest sequence still kept (`last` + 1 when empty), `last` the newest ever given.
    """

    first: int
    last: int
    last_appended_at_ms: int | None
    bytes_kept: int


class LogMissing(Exception):
    """The named log is not open here (never made, or dropped)."""


class LogSealed(Exception):
    """The log ends with a seal, whose sequence is `last`; nothing was appended."""

    def __init__(self, last: int) -> None:
        super().__init__(last)
        self.last = last


class Logs(Protocol):
    """All logs of one engine."""

    async def open(self, log: str, settings: LogSettings) -> None:
        """Make the log, or give an existing one these settings. Idempotent."""

    async def drop(self, log: str) -> None:
        """Remove the log with all it holds; a log opened under the name again starts empty."""

    async def append(self, log: str, records: Sequence[Appending]) -> list[int]:
        """Append the records, all or none, next to each other; their sequences. Raises LogMissing, LogSealed.

        A seal is appended by itself: `[Appending(SEAL, b"")]`.
        """

    async def append_each(self, batches: Sequence[tuple[str, Sequence[Appending]]]) -> list[list[int] | Exception]:
        """Append to several logs at once, to each as `append` does; what that gave or raised for each, in this order.

        An engine that stores all or none of it may raise StorageError instead.
        """

    async def read(self, log: str, after: int, *, max_records: int, max_bytes: int) -> list[Record]:
        """The records after sequence `after`, oldest first, up to both limits.

        `max_bytes` counts data and keys; the first record is returned even when it is larger alone.
        Expired records are never returned. Raises LogMissing.
        """

    async def seek(self, log: str, at_ms: int) -> int:
        """The sequence after which to read to get the first record appended at or after `at_ms`. Raises LogMissing."""

    async def tip(self, log: str) -> Tip:
        """Where the log begins and ends now. Raises LogMissing."""

    async def trim(self, log: str, through: int) -> None:
        """Remove all records up to and including sequence `through`. Raises LogMissing."""

    async def wait(self, log: str, after: int, *, wait_ms: int) -> bool:
        """True as soon as there is a record after `after`, False when `wait_ms` have passed. Raises LogMissing."""

    async def drain(self) -> None:
        """Answer every `wait` with False, and from now on wait for nothing: the process is stopping."""
