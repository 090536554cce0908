"""Logs: waiting for records without asking again and again."""

import asyncio

import pytest

from headrace.primitives.logs import Appending, LogMissing, LogSettings

MINUTE_MS = 60_000


@pytest.fixture
async def logs(engine):
    for name in ("log", "other"):
        await engine.logs.open(name, LogSettings())
    return engine.logs


@pytest.fixture
async def waiting(logs):
    """Begin to wait; the task."""
    tasks = []

    async def begin(log="log", after=0, wait_ms=MINUTE_MS):
        tasks.append(asyncio.ensure_future(logs.wait(log, after, wait_ms=wait_ms)))
        await turns()
        return tasks[-1]

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def turns(count=10):
    """Let the event loop turn, so that whatever can go on has gone on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def append(logs, log="log", count=1):
    return await logs.append(log, [Appending("", b"x")] * count)


async def test_a_record_that_is_there_already_needs_no_wait(logs):
    await append(logs, count=2)
    assert await logs.wait("log", 0, wait_ms=MINUTE_MS) is True
    assert await logs.wait("log", 1, wait_ms=0) is True


async def test_an_append_wakes(logs, waiting):
    task = await waiting()
    assert not task.done()
    await append(logs)
    assert await task is True


async def test_one_append_wakes_everybody(logs, waiting):
    tasks = [await waiting() for _ in range(50)]
    await append(logs)
    assert await asyncio.gather(*tasks) == [True] * 50


async def test_what_was_waited_for_can_be_read(logs, waiting):
    async def follow():
        await logs.wait("log", 0, wait_ms=MINUTE_MS)
        return await logs.read("log", 0, max_records=10, max_bytes=1000)

    task = asyncio.ensure_future(follow())
    await turns()
    await append(logs, count=3)
    assert [record.sequence for record in await task] == [1, 2, 3]


async def test_another_log_does_not_wake(logs, waiting):
    task = await waiting()
    await append(logs, "other")
    await turns()
    assert not task.done()


async def test_records_not_waited_for_do_not_wake(logs, waiting):
    task = await waiting(after=3)
    for _ in range(3):
        await append(logs)
        await turns()
        assert not task.done()
    await append(logs)
    assert await task is True


async def test_time_ends_the_wait(clock, waiting):
    task = await waiting(wait_ms=1000)
    await clock.advance(999)
    assert not task.done()
    await clock.advance(1)
    assert await task is False


async def test_no_wait_is_no_wait(logs):
    assert await logs.wait("log", 0, wait_ms=0) is False


async def test_a_wait_that_was_cancelled_leaves_nothing(logs, clock, waiting):
    task = await waiting()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await append(logs)
    await clock.advance(2 * MINUTE_MS)
    assert await logs.wait("log", 0, wait_ms=0) is True


async def test_a_trim_does_not_wake_but_the_next_append_does(logs, waiting):
    await append(logs, count=3)
    await logs.trim("log", 3)
    task = await waiting()
    await logs.trim("log", 3)
    await turns()
    assert not task.done()
    await append(logs)
    assert await task is True


async def test_expired_records_are_not_waited_for(engine, clock, waiting):
    await engine.logs.open("log", LogSettings(retention_ms=1000))
    await append(engine.logs)
    await clock.advance(1000)
    task = await waiting()
    assert not task.done()
    await append(engine.logs)
    assert await task is True


async def test_dropping_the_log_ends_the_wait(logs, waiting):
    task = await waiting()
    await logs.drop("log")
    with pytest.raises(LogMissing):
        await task


async def test_reset_ends_the_wait(engine, waiting):
    task = await waiting()
    await engine.reset()
    with pytest.raises(LogMissing):
        await task


async def test_drain_ends_every_wait(logs, waiting):
    tasks = [await waiting(), await waiting("other"), await waiting(after=100)]
    await logs.drain()
    assert await asyncio.gather(*tasks) == [False] * 3


async def test_after_drain_nothing_waits(logs):
    await logs.drain()
    assert await logs.wait("log", 0, wait_ms=MINUTE_MS) is False
    await append(logs)
    assert await logs.wait("log", 0, wait_ms=MINUTE_MS) is True


async def test_followers_see_every_record_once(logs):
    async def follow():
        seen = []
        while len(seen) < 500:
            after = seen[-1] if seen else 0
            assert await logs.wait("log", after, wait_ms=MINUTE_MS)
            seen += [record.sequence for record in await logs.read("log", after, max_records=7, max_bytes=1000)]
        return seen

    async def write():
        for count in [1, 9] * 50:
            await append(logs, count=count)

    *followers, _ = await asyncio.gather(follow(), follow(), follow(), write())
    assert followers == [list(range(1, 501))] * 3
