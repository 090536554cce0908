"""What queues have done in the background: dropped ones removed, expired messages and old ids forgotten.

All of it can be taken up again from the tables alone, after a process was killed at any point.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from headrace.clock import Clock
from headrace.engines.sqlite import sweeps
from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.database import Database
from headrace.errors import StorageError
from headrace.primitives.queues import QueueMissing

if TYPE_CHECKING:
    from headrace.engines.sqlite.queues import SqliteQueues

PERIOD_S: Final = 5.0
"""How often expired messages of queues nobody uses, and deduplication ids, are looked for."""
OPENED_A_ROUND: Final = 20
"""Queues not used since the start that a round opens."""

_DROPPED: Final = "SELECT number FROM queues WHERE name IS NULL"
_NAMES: Final = "SELECT name FROM queues WHERE name > ? ORDER BY name LIMIT ?"


class QueueSweep:
    """The background tasks of a database's queues."""

    def __init__(self, database: Database, clock: Clock, queues: SqliteQueues) -> None:
        self._database = database
        self._clock = clock
        self._queues = queues
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opened = ""

    async def start(self) -> None:
        """Take up what a stopped process left, and keep house from now on."""
        connection: Connection = self._database.connection
        for (number,) in await self._database.read(lambda: connection.execute(_DROPPED).fetchall()):
            self.drop(number)
        self.spawn(self._keep_house())

    async def close(self) -> None:
        """End all of it, wherever it is."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` beside everything else, until it is done or the engine closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def drop(self, number: int) -> None:
        """Remove what a dropped queue holds."""
        self.spawn(self._drop(number))

    async def _drop(self, number: int) -> None:
        more = True
        while more:
            more = await self._database.write(sweeps.drop, self._database.connection, number)

    async def _keep_house(self) -> None:
        # On the machine's time: under a virtual clock that leaps, nothing need happen for each period leapt over.
        while True:
            await asyncio.sleep(PERIOD_S)
            with contextlib.suppress(StorageError):
                await self._forget()
                for name in [*self._queues.expiring(self._clock.now_ms()), *await self._unopened()]:
                    with contextlib.suppress(QueueMissing):
                        await self._queues.unexpired(name)

    async def _forget(self) -> None:
        more = True
        while more:
            more = await self._database.write(sweeps.forget, self._database.connection, self._clock.now_ms())

    async def _unopened(self) -> list[str]:
        """Some more queues, so that in time also those are opened that nobody used since the start."""
        cursor = await self._database.read(
            lambda: self._database.connection.execute(_NAMES, (self._opened, OPENED_A_ROUND)).fetchall()
        )
        names = [str(name) for (name,) in cursor]
        self._opened = names[-1] if names else self._opened
        return names
