"""Databases to try things on: in memory, with commits on the loop, with commits on a thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from unittest import mock

import apsw
import pytest

from headrace.engines.sqlite import database as module
from headrace.engines.sqlite.database import Database

INSERT = "INSERT INTO metadata (key, value, revision) VALUES (?, x'', 0)"


class Keys:
    """Writes and reads keys, as the plainest use of a database there is."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def put(self, *keys: str) -> None:
        await self.database.write(self.insert, *keys)

    def insert(self, *keys: str) -> None:
        """For use inside `write`; fails on a key that is there."""
        for key in keys:
            self.database.connection.execute(INSERT, (key,))

    async def all(self) -> list[str]:
        return await self.database.read(self.select, self.database.connection)

    async def all_aside(self) -> list[str]:
        return await self.database.read_aside(self.select)

    def select(self, connection: apsw.Connection) -> list[str]:
        return [key for (key,) in connection.execute("SELECT key FROM metadata ORDER BY key")]


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Database]]:
    """Open databases that are closed after the test: `opened(path, on_thread=True)`."""
    databases: list[Database] = []

    def open_database(path: Path | str, *, on_thread: bool = False) -> Database:
        database = Database(str(path))
        with mock.patch.object(module, "SLOW_SYNC_S", -1.0 if on_thread else 1e9):
            database.open()
        databases.append(database)
        return database

    yield open_database
    for database in databases:
        database.close()


@pytest.fixture(params=["memory", "loop", "thread"])
async def database(request: pytest.FixtureRequest, opened: Callable[..., Database], tmp_path: Path) -> Database:
    """A database of each kind."""
    if request.param == "memory":
        return opened(":memory:")
    return opened(tmp_path / "data", on_thread=request.param == "thread")


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database)


@pytest.fixture(params=["loop", "thread"])
async def stored(request: pytest.FixtureRequest, opened: Callable[..., Database], tmp_path: Path) -> Keys:
    """The keys of a database on disk."""
    return Keys(opened(tmp_path / "data", on_thread=request.param == "thread"))
