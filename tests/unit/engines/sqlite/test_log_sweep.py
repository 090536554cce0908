"""What logs no longer hold leaves the database, in slices, also after restarts and failures."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from headrace.clock import VirtualClock
from headrace.engines.sqlite import log_sweep
from headrace.engines.sqlite.log_sweep import SWEEP_DELAY_MS, SWEEP_EVERY_MS, SWEEP_RETRY_MS
from headrace.engines.sqlite.logs import SqliteLogs
from headrace.primitives.logs import Appending, LogSettings

HOUR_MS = 3_600_000


class Desk:
    """Logs over one database, and what is in its tables."""

    def __init__(self, database, clock):
        self.database = database
        self.clock = clock
        self.logs = SqliteLogs(database, clock)

    async def append(self, log="log", count=1, data=b"x"):
        await self.logs.append(log, [Appending("", data)] * count)

    async def advance(self, duration_ms):
        """Move the clock, and let the sweeps that this begins come to their end."""
        await self.clock.advance(duration_ms)
        await self.settle()

    async def settle(self):
        for _ in range(100):
            await asyncio.sleep(0)

    def rows(self, table="log_chunks"):
        return self.database.connection.execute(f"SELECT count(*) FROM {table}").get


@pytest.fixture
async def desk(opened):
    desk = Desk(opened(":memory:"), VirtualClock(1_700_000_000_000))
    await desk.logs.start()
    await desk.logs.open("log", LogSettings())
    yield desk
    await desk.logs.close()


@pytest.fixture
async def hourly(desk):
    await desk.logs.open("log", LogSettings(retention_ms=HOUR_MS))
    return desk


async def test_trimmed_chunks_are_removed_soon(desk):
    for _ in range(10):
        await desk.append(count=3)
    await desk.logs.trim("log", 8)
    assert desk.rows() == 10
    await desk.advance(SWEEP_DELAY_MS)
    assert desk.rows() == 8


async def test_a_chunk_stays_while_one_of_its_records_does(desk):
    await desk.append(count=3)
    await desk.logs.trim("log", 2)
    await desk.advance(HOUR_MS)
    assert desk.rows() == 1
    await desk.logs.trim("log", 3)
    await desk.advance(SWEEP_DELAY_MS)
    assert desk.rows() == 0


async def test_expired_chunks_are_removed_without_anybody_asking(hourly):
    await hourly.append()
    await hourly.advance(HOUR_MS // 2)
    await hourly.append()
    await hourly.advance(HOUR_MS // 2)
    assert hourly.rows() == 1
    await hourly.advance(HOUR_MS // 2)
    assert hourly.rows() == 0


async def test_under_a_steady_stream_what_is_kept_stays_about_the_same(hourly):
    for _ in range(200):
        await hourly.append()
        await hourly.advance(SWEEP_EVERY_MS // 2)
    assert 119 <= hourly.rows() <= 122  # two a minute for an hour, and one sweep's worth


async def test_logs_without_records_set_no_timer(hourly):
    await hourly.advance(SWEEP_DELAY_MS)
    assert hourly.logs._sweep._timer is None
    await hourly.append()
    assert hourly.logs._sweep._timer is not None
    await hourly.advance(HOUR_MS + SWEEP_EVERY_MS)
    assert hourly.logs._sweep._timer is None


async def test_a_dropped_log_is_removed_whole(desk):
    await desk.append(count=2)
    await desk.logs.open("other", LogSettings())
    await desk.append("other")
    await desk.logs.drop("log")
    await desk.logs.open("log", LogSettings())
    await desk.append()
    await desk.advance(SWEEP_DELAY_MS)
    assert desk.rows() == 2
    assert desk.rows("logs") == 2


async def test_a_log_dropped_while_it_is_swept_is_removed_whole(desk):
    with mock.patch.object(log_sweep, "SLICE_CHUNKS", 1):
        for _ in range(200):
            await desk.append()
        await desk.logs.trim("log", 200)
        await desk.clock.advance(SWEEP_DELAY_MS)
        assert 0 < desk.rows() < 200
        await desk.logs.drop("log")
        for _ in range(10):
            await desk.advance(SWEEP_DELAY_MS)
    assert desk.rows() == 0
    assert desk.rows("logs") == 0


async def test_it_goes_in_slices(desk):
    for _ in range(12):
        await desk.append(data=b"x" * 100_000)
    await desk.logs.trim("log", 12)
    left = []
    with (
        mock.patch.multiple(log_sweep, SLICE_BYTES=250_000, SLICE_CHUNKS=500),
        mock.patch.object(desk.database, "write", side_effect=record(desk, left)),
    ):
        await desk.logs._sweep.sweep()
    assert left == [9, 6, 3, 0, 0]


def record(desk, left):
    """Writes as the database does, and notes how many chunks are left after each."""
    write = desk.database.write

    async def write_and_count(*work):
        result = await write(*work)
        left.append(desk.rows())
        return result

    return write_and_count


async def test_after_a_failure_it_tries_again(desk):
    await desk.append(count=3)
    await desk.logs.trim("log", 3)
    desk.database.connection.set_commit_hook(lambda: True)
    await desk.advance(SWEEP_DELAY_MS)
    assert desk.rows() == 1
    desk.database.connection.set_commit_hook(None)
    await desk.advance(SWEEP_RETRY_MS)
    assert desk.rows() == 0
    assert (await desk.logs.tip("log")).first == 4


async def test_a_start_begins_with_what_was_left(desk):
    await desk.logs.close()
    for log in ("trimmed", "dropped", "kept"):
        await desk.logs.open(log, LogSettings())
        for _ in range(3):
            await desk.append(log)
    await desk.logs.trim("trimmed", 2)
    await desk.logs.drop("dropped")
    again = Desk(desk.database, desk.clock)
    await again.logs.start()
    await again.settle()
    assert again.rows() == 4
    assert again.rows("logs") == 3
    await again.logs.close()


async def test_the_rows_tell_a_later_process_all_it_needs(opened, tmp_path):
    desk = Desk(opened(tmp_path / "data"), VirtualClock(1_700_000_000_000))
    await desk.logs.open("expired", LogSettings(retention_ms=HOUR_MS))
    await desk.logs.open("dropped", LogSettings())
    for log in ("expired", "dropped"):
        await desk.append(log, count=3)
    await desk.logs.drop("dropped")
    desk.database.close()
    await desk.clock.advance(HOUR_MS)
    again = Desk(opened(tmp_path / "data"), desk.clock)
    await again.logs._sweep.sweep()
    assert (again.rows(), again.rows("logs")) == (0, 1)
    assert (await again.logs.tip("expired")).first == 4
