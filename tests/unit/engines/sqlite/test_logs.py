"""Logs on SQLite: what stays in memory, what happens when a turn fails, and how rows are found."""

from __future__ import annotations

import asyncio
import tracemalloc
from unittest import mock

import pytest

from headrace.clock import VirtualClock
from headrace.engines.sqlite import log_state, log_sweep, log_times
from headrace.engines.sqlite import logs as module
from headrace.engines.sqlite.logs import SqliteLogs
from headrace.errors import StorageCorrupt, StorageError
from headrace.primitives.logs import Appending, LogMissing, LogSettings

WHOLE = {"max_records": 1_000_000, "max_bytes": 1 << 40}


@pytest.fixture
async def logs(database):
    logs = SqliteLogs(database, VirtualClock(1_700_000_000_000))
    await logs.open("log", LogSettings())
    return logs


def some(*texts):
    return [Appending("k", text.encode()) for text in texts]


async def texts(logs, log="log"):
    return [record.data.decode() for record in await logs.read(log, 0, **WHOLE)]


def failing_commit(database):
    database.connection.set_commit_hook(lambda: True)


async def test_an_append_that_was_taken_back_leaves_no_gap(database, logs):
    await logs.append("log", some("a"))
    failing_commit(database)
    outcomes = await asyncio.gather(*(logs.append("log", some("x", "y")) for _ in range(3)), return_exceptions=True)
    assert [isinstance(outcome, StorageError) for outcome in outcomes] == [True] * 3
    database.connection.set_commit_hook(None)
    assert await logs.append("log", some("b")) == [2]
    assert await texts(logs) == ["a", "b"]
    assert (await logs.tip("log")).bytes_kept == 4


async def test_what_else_was_taken_back_did_not_happen(database, logs):
    await logs.append("log", some("a", "b"))
    await logs.open("dropped", LogSettings())
    failing_commit(database)
    changes = [logs.trim("log", 1), logs.drop("dropped"), logs.open("new", LogSettings())]
    await asyncio.gather(*changes, logs.open("log", LogSettings(retention_ms=1)), return_exceptions=True)
    database.connection.set_commit_hook(None)
    assert await texts(logs) == ["a", "b"]
    assert await texts(logs, "dropped") == []
    with pytest.raises(LogMissing):
        await logs.tip("new")


async def test_who_waits_is_not_woken_by_what_was_taken_back(database, logs):
    waiting = asyncio.ensure_future(logs.wait("log", 0, wait_ms=1000))
    await asyncio.sleep(0)
    failing_commit(database)
    await asyncio.gather(logs.append("log", some("x")), return_exceptions=True)
    database.connection.set_commit_hook(None)
    await logs.append("log", some("y"))
    assert await waiting is True
    assert await texts(logs) == ["y"]


async def test_nothing_is_left_of_who_waited(logs):
    waits = [asyncio.ensure_future(logs.wait("log", 0, wait_ms=1000)) for _ in range(10)]
    await asyncio.sleep(0)
    for task in waits[:5]:
        task.cancel()
    await logs.append("log", some("a"))
    await asyncio.gather(*waits, return_exceptions=True)
    with pytest.raises(LogMissing):
        await logs.wait("missing", 0, wait_ms=1000)
    assert logs._waiting == {}


async def test_idle_waiters_run_nothing(logs):
    waits = [asyncio.ensure_future(logs.wait("log", 0, wait_ms=1000)) for _ in range(100)]
    await asyncio.sleep(0.01)
    with mock.patch.object(SqliteLogs, "_has_beyond", side_effect=AssertionError):
        await logs.open("other", LogSettings())
        await logs.append("other", some("a"))
        await logs.trim("log", 1)
        await asyncio.sleep(0.01)
    assert not any(task.done() for task in waits)
    await logs.drain()
    assert await asyncio.gather(*waits) == [False] * 100


async def test_memory_does_not_grow_with_the_records_kept(opened, tmp_path):
    logs = SqliteLogs(opened(tmp_path / "data"), VirtualClock(0))
    await logs.open("log", LogSettings())
    batch = [Appending("key", b"x" * 200)] * 500
    for _ in range(10):
        await logs.append("log", batch)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(100):
        await logs.append("log", batch)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (await logs.tip("log")).last == 55_000
    assert after - before < 200_000


async def test_no_more_states_are_kept_than_the_limit(logs):
    with mock.patch.object(module, "STATES_CACHED", 10):
        for number in range(35):
            await logs.open(f"log-{number}", LogSettings())
            await logs.append(f"log-{number}", some(str(number)))
        assert len(logs._states) <= 10
    for number in range(35):
        assert await texts(logs, f"log-{number}") == [str(number)]


async def test_a_clock_that_goes_back_does_not_disorder_the_log(database):
    clock = VirtualClock(1_000_000)
    logs = SqliteLogs(database, clock)
    await logs.open("log", LogSettings())
    await logs.append("log", some("a"))
    clock._set(500_000)
    await logs.append("log", some("b"))
    assert [record.appended_at_ms for record in await logs.read("log", 0, **WHOLE)] == [1_000_000, 1_000_000]
    assert await logs.seek("log", 600_000) == 0


async def test_any_moment_is_found_among_many_chunks(opened):
    clock = VirtualClock(1_000)
    logs = SqliteLogs(opened(":memory:"), clock)
    for log in ("before", "log", "behind"):
        await logs.open(log, LogSettings())
    appended = []
    for number in range(60):
        await clock.advance(number * 7 % 5)
        for log in ("before", "log", "behind"):
            await logs.append(log, some(*"x" * (1 + number % 3)))
        appended += [clock.now_ms()] * (1 + number % 3)
    await logs.trim("log", 25)
    for at_ms in range(990, clock.now_ms() + 10):
        earlier = sum(moment < at_ms for moment in appended)
        assert await logs.seek("log", at_ms) == max(25, earlier)


async def test_a_damaged_chunk_is_an_error_and_not_a_gap(database, logs):
    await logs.append("log", some("a"))
    await logs.append("log", some("b"))
    await database.write(database.connection.execute, "UPDATE log_chunks SET records = x'00' WHERE last_sequence = 2")
    with pytest.raises(StorageCorrupt):
        await texts(logs)
    assert [record.data for record in await logs.read("log", 0, max_records=1, max_bytes=100)] == [b"a"]


def statements():
    for source in (module, log_state, log_sweep, log_times):
        for name, value in vars(source).items():
            if name.startswith("_") and isinstance(value, str) and "log_chunks" in value and not name.startswith("__"):
                yield pytest.param(value, id=name.strip("_").lower())


@pytest.mark.parametrize("sql", list(statements()))
async def test_chunks_are_found_by_index_alone(opened, sql):
    plan = opened(":memory:").connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?")).fetchall()
    bad = [detail for *_, detail in plan if detail.startswith("SCAN log_chunks") or "TEMP B-TREE" in detail]
    assert bad == []
