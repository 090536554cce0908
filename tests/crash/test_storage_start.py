"""Data that cannot be used: told at start or in the call, naming the file and what to do; never silently lost."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from headrace.clock import SystemClock
from headrace.engines.sqlite import database, migrations
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.errors import StorageCorrupt, StorageFull, StorageLocked, StorageReadOnly
from headrace.primitives.logs import Appending, LogSettings
from headrace.primitives.queues import Outgoing, QueueSettings

PAGE = 4096
HOLD = """
import asyncio, sys
from headrace.clock import SystemClock
from headrace.engines.sqlite.engine import SqliteEngine

async def hold():
    await SqliteEngine(sys.argv[1], SystemClock()).start()
    print("started", flush=True)
    sys.stdin.read()

asyncio.run(hold())
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data"


@pytest.fixture
async def start(path):
    """Start an engine on the data directory; it is closed after the test."""
    engines = []

    async def start():
        engine = SqliteEngine(str(path), SystemClock())
        engines.append(engine)
        await engine.start()
        return engine

    yield start
    for engine in engines:
        await engine.close()


@pytest.fixture
async def file(path, start):
    """The data file of an engine that was stopped; it holds 200 records of 10,000 bytes."""
    engine = await start()
    await engine.logs.open("log", LogSettings())
    for number in range(20):
        await engine.logs.append("log", [Appending("", b"%d" % number * 5000)] * 10)
    await engine.metadata.put("key", b"value")
    await engine.close()
    return path / "headrace.db"


async def refused(start, kind, *words):
    with pytest.raises(kind) as refusal:
        await start()
    for word in words:
        assert word in str(refusal.value)
    return str(refusal.value)


def succeeds(*command):
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


async def test_a_directory_on_a_read_only_device(path, start, file):
    if not succeeds("mount", "--bind", str(path), str(path)):
        pytest.skip("mounting is not allowed here")
    try:
        assert succeeds("mount", "-o", "remount,ro,bind", str(path))
        await refused(start, StorageReadOnly, str(path), "Read-only file system", "--data")
    finally:
        assert succeeds("umount", "--lazy", str(path))
    assert await (await start()).metadata.get("key")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
async def test_a_directory_that_may_not_be_written(path, start, number):
    refusal = OSError(number, os.strerror(number))
    with mock.patch.object(os, "open", side_effect=refusal):
        await refused(start, StorageReadOnly, str(path), os.strerror(number), "--data")
    await start()


async def test_a_file_where_the_directory_should_be(path, start):
    path.write_text("not a directory")
    await refused(start, StorageReadOnly, str(path), "--data")
    assert path.read_text() == "not a directory"


async def test_no_space_for_the_directory(path, start):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch.object(Path, "mkdir", side_effect=full):
        await refused(start, StorageFull, str(path), "no space left")


async def test_a_data_file_that_may_not_be_written(file, start):
    if not succeeds("chattr", "+i", str(file)):
        if os.geteuid() == 0:
            pytest.skip("files cannot be made immutable here")
        file.chmod(stat.S_IRUSR)
    try:
        await refused(start, StorageReadOnly, str(file), "cannot be written")
    finally:
        succeeds("chattr", "-i", str(file))
        file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert await (await start()).metadata.get("key")


async def test_a_second_engine_in_the_process(path, start):
    first = await start()
    await refused(start, StorageLocked, str(path), "another Headrace process", "Stop it or choose another")
    await first.metadata.put("still", b"served")
    await first.close()
    assert await (await start()).metadata.get("still")


async def test_a_second_process(path, start):
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:  # noqa: ASYNC220  it only holds the data
        assert holder.stdout.readline() == b"started\n"
        await refused(start, StorageLocked, str(path), "another Headrace process")
        holder.kill()
        holder.wait()
    await start()


async def test_garbage_instead_of_a_database(file, start):
    file.write_bytes(b"not a database at all " * 1000)
    await refused(start, StorageCorrupt, str(file), "not a database", "backup")
    assert file.read_bytes().startswith(b"not a database at all ")


async def test_a_garbled_header(file, start):
    with file.open("r+b") as opened:
        opened.write(os.urandom(100))
    await refused(start, StorageCorrupt, str(file))


@pytest.mark.parametrize("kept", [1000, PAGE, 10 * PAGE + 17, 100 * PAGE])
async def test_a_truncated_file(file, start, kept):
    os.truncate(file, kept)
    await refused(start, StorageCorrupt, str(file), "damaged")


async def test_an_empty_file_is_a_new_one(path):
    path.mkdir()
    (path / "headrace.db").touch()
    data = database.Database(str(path))
    data.open()
    data.close()


def garble(file):
    """Overwrite every tenth page, as a dying device does; the first ones, where the schema is, stay."""
    with file.open("r+b") as opened:
        for page in range(60, file.stat().st_size // PAGE, 10):
            opened.seek(page * PAGE)
            opened.write(os.urandom(PAGE))


async def test_damaged_pages_in_a_file_small_enough_to_be_checked_at_start(file, start):
    garble(file)
    await refused(start, StorageCorrupt, str(file), "damaged", "backup")


async def test_damaged_pages_in_a_large_file_fail_the_calls_that_meet_them(file, start):
    garble(file)
    with mock.patch.object(database, "QUICK_CHECK_BYTES", 0):
        engine = await start()
    read, failed = 0, 0
    for after in range(0, 200, 10):
        try:
            records = await engine.logs.read("log", after, max_records=10, max_bytes=1 << 40)
        except StorageCorrupt:
            failed += 1
            continue
        assert [record.data for record in records] == [b"%d" % (after // 10) * 5000] * 10
        read += 1
    assert failed > 5
    assert read + failed == 20


async def test_other_data_is_served_beside_damaged_pages(file, start):
    garble(file)
    with mock.patch.object(database, "QUICK_CHECK_BYTES", 0):
        engine = await start()
    await engine.metadata.put("other", b"new")
    await engine.queues.open("queue", QueueSettings())
    await engine.queues.send("queue", [Outgoing(body="new", header=b"")])
    assert (await engine.metadata.get("key")).value == b"value"
    assert [message.body for message in await engine.queues.receive("queue", max_messages=1)] == ["new"]


async def test_a_database_of_another_program_is_left_as_it_is(path, start):
    path.mkdir()
    theirs = path / "headrace.db"
    with sqlite3.connect(theirs) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = theirs.read_bytes()
    await refused(start, StorageCorrupt, str(theirs), "another program", "--data")
    assert theirs.read_bytes() == before
    assert sorted(found.name for found in path.iterdir()) == ["headrace.db", "lock"]


async def test_data_of_a_newer_version_is_left_as_it_is(file, start):
    newer = migrations.scripts()[-1][0] + 1
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    before = file.read_bytes()
    await refused(start, StorageCorrupt, str(file), "newer Headrace", f"schema {newer}")
    assert file.read_bytes() == before


async def test_a_wal_cut_off_in_the_middle_of_a_turn_loses_that_turn_alone(path, start, tmp_path):
    engine = await start()
    await engine.logs.open("log", LogSettings())
    for number in range(10):
        await engine.logs.append("log", [Appending("", b"%d" % number)])
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("headrace.db", "headrace.db-wal"):
        shutil.copy(path / name, copy / name)
    wal = copy / "headrace.db-wal"
    os.truncate(wal, wal.stat().st_size - 100)
    again = SqliteEngine(str(copy), SystemClock())
    await again.start()
    records = await again.logs.read("log", 0, max_records=100, max_bytes=1000)
    assert [record.data for record in records] == [b"%d" % number for number in range(9)]
    await again.close()


async def test_an_engine_that_did_not_start_can_be_closed_and_started_elsewhere(file, start, tmp_path):
    file.write_bytes(b"garbage" * 1000)
    engine = SqliteEngine(str(file.parent), SystemClock())
    with pytest.raises(StorageCorrupt):
        await engine.start()
    await engine.close()
    other = SqliteEngine(str(tmp_path / "other"), SystemClock())
    await other.start()
    await other.close()
