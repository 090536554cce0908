"""The WAL stays short under sustained writes, and its pages are moved on a thread."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest import mock

import apsw
import pytest

from headrace.engines.sqlite import database as module

PAGE = 4096


@pytest.fixture
def small(stored):
    """The database on disk with checkpoints at a few pages already."""
    with mock.patch.multiple(module, CHECKPOINT_PAGES=64, CHECKPOINT_REST_PAGES=16):
        yield stored.database


def wal_bytes(database):
    return Path(database.file + "-wal").stat().st_size


def file_bytes(database):
    return Path(database.file).stat().st_size


async def fill(database, name, count=20):
    def insert():
        for number in range(count):
            key = f"{name}-{number}"
            database.connection.execute("INSERT INTO metadata VALUES (?, ?, 0)", (key, b"x" * 8000))

    await database.write(insert)


async def settled(database):
    """Return when no checkpoint is under way."""
    while database._checkpoint is not None:
        await asyncio.wait([database._checkpoint])


async def test_the_wal_stays_short_under_sustained_writes(small):
    longest = 0
    for turn in range(150):
        await fill(small, turn)
        await settled(small)
        longest = max(longest, wal_bytes(small))
    written = file_bytes(small)
    assert written > 150 * 20 * 8000
    assert longest < written / 10


async def test_the_wal_stays_short_while_others_write_and_read(small):
    async def writer(name):
        for turn in range(250):
            await fill(small, f"{name}-{turn}", count=2)

    async def reader():
        while True:
            await small.read_aside(lambda connection: connection.execute("SELECT sum(revision) FROM metadata").get)

    readers = [asyncio.ensure_future(reader()) for _ in range(3)]
    await asyncio.gather(writer("a"), writer("b"), writer("c"))
    for task in readers:
        task.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await settled(small)
    written = file_bytes(small)
    assert written > 3 * 250 * 2 * 8000
    assert wal_bytes(small) < written / 2


async def test_pages_are_moved_on_the_thread(stored):
    await fill(stored.database, "a")
    pages, moved = await asyncio.to_thread(stored.database._checkpoint_aside)
    assert pages == moved > 20
    assert file_bytes(stored.database) > 20 * 8000


async def test_a_wal_that_was_moved_whole_starts_over(small):
    await fill(small, "a", count=200)
    await settled(small)
    before = wal_bytes(small)
    for turn in range(10):
        await fill(small, turn, count=1)
        await settled(small)
    assert wal_bytes(small) == before
    assert small._wal_pages < 64


async def test_a_reader_that_holds_an_old_state_delays_it_only(small):
    holding, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(connection):
        with connection:
            count = connection.execute("SELECT count(*) FROM metadata").get
            loop.call_soon_threadsafe(holding.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
            return count, connection.execute("SELECT count(*) FROM metadata").get

    reading = asyncio.ensure_future(small.read_aside(hold))
    await holding.wait()
    for turn in range(20):
        await fill(small, turn)
    release.set()
    assert await reading == (0, 0)
    await settled(small)
    longest = wal_bytes(small)
    for turn in range(20, 80):
        await fill(small, turn)
        await settled(small)
    assert wal_bytes(small) < 1.1 * longest  # one turn more, and then it starts over


async def test_another_program_that_holds_an_old_state_costs_few_attempts(small):
    reader = apsw.Connection(small.file)
    with reader:
        reader.execute("SELECT count(*) FROM metadata").fetchall()
        with mock.patch.object(small, "_checkpoint_aside", side_effect=small._checkpoint_aside) as passes:
            for turn in range(200):
                await fill(small, turn, count=1)
                await settled(small)
    reader.close()
    longest = wal_bytes(small)
    assert 0 < passes.call_count <= longest // PAGE // module.CHECKPOINT_PAGES * module.CHECKPOINT_PASSES
    for turn in range(200, 400):
        await fill(small, turn, count=1)
        await settled(small)
    assert wal_bytes(small) < 1.5 * longest


async def test_a_huge_turn_leaves_no_huge_file(small):
    small.connection.execute(f"PRAGMA journal_size_limit = {100 * PAGE}")
    await fill(small, "huge", count=500)
    await settled(small)
    await fill(small, "a", count=1)
    await settled(small)
    await fill(small, "b", count=1)
    assert wal_bytes(small) <= 100 * PAGE


async def test_after_closing_no_wal_is_left(stored):
    await fill(stored.database, "a")
    stored.database.close()
    assert sorted(path.name for path in stored.database.directory.iterdir()) == ["headrace.db", "lock"]
