"""Logs: trimming, retention, and finding a place by time."""

import pytest

from headrace.primitives.logs import Appending, LogSettings, Tip

HOUR_MS = 3_600_000
WHOLE = {"max_records": 1_000_000, "max_bytes": 1 << 40}


class Log:
    """One log of the engine under test; it follows the engine through `reopen`."""

    def __init__(self, stage):
        self._stage = stage

    @property
    def logs(self):
        return self._stage.engine.logs

    async def configure(self, retention_ms):
        await self.logs.open("log", LogSettings(retention_ms=retention_ms))

    async def append(self, *texts):
        return await self.logs.append("log", [Appending("", text.encode()) for text in texts])

    async def texts(self, after=0):
        return [record.data.decode() for record in await self.logs.read("log", after, **WHOLE)]

    async def from_time(self, at_ms):
        return await self.texts(await self.logs.seek("log", at_ms))

    async def trim(self, through):
        await self.logs.trim("log", through)

    async def tip(self):
        return await self.logs.tip("log")

    async def extent(self):
        """First and last sequence, and the bytes kept."""
        tip = await self.tip()
        return tip.first, tip.last, tip.bytes_kept


@pytest.fixture
async def log(stage):
    log = Log(stage)
    await log.configure(None)
    return log


@pytest.fixture
async def hourly(stage):
    """A log that keeps its records for an hour."""
    log = Log(stage)
    await log.configure(HOUR_MS)
    return log


async def test_trim_removes_up_to_and_with_the_sequence(log):
    await log.append("a", "bb", "ccc")
    await log.append("dddd")
    for through, left in [(0, "a bb ccc dddd"), (1, "bb ccc dddd"), (2, "ccc dddd"), (3, "dddd")]:
        await log.trim(through)
        assert await log.texts() == left.split()
        assert await log.extent() == (through + 1, 4, len(left.replace(" ", "")))


async def test_trimming_backwards_changes_nothing(log):
    await log.append("a", "b", "c")
    await log.trim(2)
    await log.trim(1)
    await log.trim(-1)
    assert await log.texts() == ["c"]


async def test_trimming_to_empty_keeps_the_place(log, clock):
    at_ms = clock.now_ms()
    await log.append("a", "b")
    await clock.advance(5)
    await log.trim(2)
    assert await log.tip() == Tip(first=3, last=2, last_appended_at_ms=at_ms, bytes_kept=0)
    assert await log.texts() == []
    assert await log.append("c") == [3]
    assert await log.extent() == (3, 3, 1)


async def test_trimming_beyond_the_end_takes_no_later_record(log):
    await log.append("a", "b")
    await log.trim(1_000_000)
    assert await log.extent() == (3, 2, 0)
    await log.append("c")
    assert await log.texts() == ["c"]


async def test_trimming_an_empty_log_is_harmless(log):
    await log.trim(10)
    assert await log.append("a") == [1]
    assert await log.texts() == ["a"]


async def test_reading_from_a_trimmed_place_begins_at_the_first_kept(log):
    await log.append("a", "b", "c", "d")
    await log.trim(2)
    assert await log.texts(after=0) == ["c", "d"]
    assert await log.texts(after=1) == ["c", "d"]
    assert await log.texts(after=3) == ["d"]


@pytest.mark.parametrize("wait_ms", [0, HOUR_MS])
async def test_trims_and_sequences_outlive_the_engine(log, clock, reopen, wait_ms):
    await log.append("a", "bb", "ccc")
    await log.trim(2)
    await clock.advance(wait_ms)
    await reopen()
    assert await log.extent() == (3, 3, 3)
    await log.trim(3)
    await clock.advance(wait_ms)
    before = await log.tip()
    await reopen()
    assert await log.tip() == before
    assert await log.append("d") == [4]


async def test_seek_finds_the_first_at_or_after_a_time(log, clock):
    start_ms = clock.now_ms()
    for text in "abc":
        await log.append(text, text.upper())
        await clock.advance(1000)
    for offset_ms, first in [(-(10**6), 0), (0, 0), (1, 2), (1000, 2), (1001, 4), (2000, 4), (2001, 6), (10**12, 6)]:
        assert await log.from_time(start_ms + offset_ms) == list("aAbBcC")[first:], offset_ms
    assert await log.from_time(-1) == list("aAbBcC")
    assert await log.from_time(1 << 70) == []


async def test_seek_does_not_go_before_a_trim(log, clock):
    await log.append("a", "b", "c")
    await log.trim(1)
    assert await log.from_time(0) == ["b", "c"]
    await log.trim(3)
    assert await log.from_time(0) == []
    await clock.advance(5)
    await log.append("d")
    assert await log.from_time(0) == ["d"]


async def test_records_expire_when_their_retention_ends(hourly, clock):
    await hourly.append("a", "A")
    await clock.advance(1000)
    await hourly.append("b")
    await clock.advance(HOUR_MS - 1001)
    assert await hourly.texts() == ["a", "A", "b"]
    await clock.advance(1)
    assert await hourly.texts() == ["b"]
    assert await hourly.extent() == (3, 3, 1)
    await clock.advance(1000)
    assert await hourly.texts() == []
    assert await hourly.extent() == (4, 3, 0)
    assert await hourly.append("c") == [4]
    assert await hourly.texts() == ["c"]


async def test_seek_passes_over_what_expired(hourly, clock):
    start_ms = clock.now_ms()
    await hourly.append("a")
    await clock.advance(1000)
    await hourly.append("b")
    await clock.advance(HOUR_MS - 1000)
    assert await hourly.from_time(0) == ["b"]
    assert await hourly.logs.seek("log", start_ms) == 1
    await clock.advance(HOUR_MS)
    assert await hourly.logs.seek("log", start_ms) == 2


async def test_a_log_without_retention_keeps_its_records(log, clock):
    await log.append("a")
    await clock.advance(366 * 24 * HOUR_MS)
    assert await log.texts() == ["a"]


async def test_a_shorter_retention_ends_what_is_older(log, clock):
    await log.append("a")
    await clock.advance(2 * HOUR_MS)
    await log.append("b")
    await log.configure(HOUR_MS)
    assert await log.texts() == ["b"]


async def test_a_longer_retention_does_not_bring_back_what_expired(hourly, clock):
    await hourly.append("a")
    await clock.advance(HOUR_MS - 1)
    await hourly.append("b")
    await clock.advance(1)
    await hourly.configure(24 * HOUR_MS)
    assert await hourly.texts() == ["b"]
    await clock.advance(23 * HOUR_MS)
    assert await hourly.texts() == ["b"]
    assert await hourly.extent() == (2, 2, 1)


async def test_trim_and_retention_together(hourly, clock):
    await hourly.append("a", "b", "c")
    await hourly.trim(1)
    await clock.advance(HOUR_MS // 2)
    await hourly.append("d")
    await clock.advance(HOUR_MS // 2)
    assert await hourly.extent() == (4, 4, 1)
    await hourly.trim(2)
    assert await hourly.texts() == ["d"]


@pytest.mark.parametrize("while_closed", [False, True])
async def test_what_expired_stays_expired_over_a_restart(hourly, clock, reopen, while_closed):
    await hourly.append("a")
    await clock.advance(HOUR_MS // 2)
    await hourly.append("b")
    if not while_closed:
        await clock.advance(HOUR_MS // 2)
    await reopen()
    if while_closed:
        await clock.advance(HOUR_MS // 2)
    assert await hourly.texts() == ["b"]
    assert await hourly.extent() == (2, 2, 1)
    await clock.advance(HOUR_MS)
    await reopen()
    assert await hourly.extent() == (3, 2, 0)
    assert await hourly.append("c") == [3]


async def test_many_records_expire_and_the_rest_is_untouched(hourly, clock):
    for batch in range(60):
        await hourly.append(*(f"{batch}-{number}" for number in range(300)))
        await clock.advance(HOUR_MS // 30)
    kept = await hourly.texts()
    assert kept == [f"{batch}-{number}" for batch in range(31, 60) for number in range(300)]
    assert (await hourly.tip()).first == 31 * 300 + 1
