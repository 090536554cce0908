"""The embedded engine: three primitives over one SQLite database."""

from __future__ import annotations

from headrace.clock import Clock, go_on_without, rest, stand_still_for
from headrace.engines.sqlite.database import Database
from headrace.engines.sqlite.logs import SqliteLogs
from headrace.engines.sqlite.metadata import SqliteMetadata
from headrace.engines.sqlite.queues import SqliteQueues


class SqliteEngine:
    """See `headrace.primitives.engine.Engine`. `data` is a directory, or `:memory:`."""

    name = "sqlite"

    def __init__(self, data: str, clock: Clock) -> None:
        self._clock = clock
        self.database = Database(data)
        self.queues = SqliteQueues(self.database, clock)
        self.logs = SqliteLogs(self.database, clock)
        self.metadata = SqliteMetadata(self.database, clock)

    @property
    def reachable(self) -> bool:
        """See `Engine.reachable`: a file is there as long as it is open."""
        return True

    def describe(self) -> str:
        """Where the data is and how durable it is, in a line for people."""
        return self.database.describe()

    async def start(self) -> None:
        """Open the database and take up what a stopped process left. Raises StorageError."""
        self.database.open()
        await self.queues.start()
        await self.logs.start()
        stand_still_for(self._clock, self._rest)

    async def drain(self) -> None:
        """End all waiting calls early, with nothing."""
        await self.queues.drain()
        await self.logs.drain()

    async def reset(self) -> None:
        """Forget everything; watchers see their keys deleted."""
        await self.queues.reset()
        await self.logs.reset()
        await self.metadata.reset()

    async def close(self) -> None:
        """Make durable what was accepted and close the database."""
        go_on_without(self._clock, self._rest)
        await self.queues.close()
        await self.logs.close()
        self.database.close()

    async def _rest(self) -> None:
        """Have a virtual clock stand still for what was set going."""
        await rest(lambda: self.database.turns, self.database.settled)
