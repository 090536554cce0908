"""Logs used by several processes at once, and what is left of them on the servers."""

import asyncio

import pytest

from headrace.clock import VirtualClock
from headrace.engines.nats import log_chunks
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.log_sweep import SWEEP_DELAY_MS
from headrace.engines.nats.logs import NatsLogs
from headrace.engines.nats.mirror import Mirror
from headrace.errors import StorageCorrupt
from headrace.primitives.logs import SEAL, Appending, LogMissing, LogSealed, LogSettings

GUARD_S = 20
WHOLE = {"max_records": 1_000_000, "max_bytes": 1 << 40}
HOUR_MS = 3_600_000


@pytest.fixture
def clock():
    return VirtualClock(1_700_000_000_000)


@pytest.fixture
async def process(connect, nats_url, jetstream, clock):
    """A function that gives the logs of one more process."""
    made = []

    async def start(url=nats_url):
        mirror = Mirror(JetStream(await connect(url)))
        await mirror.start()
        logs = NatsLogs(mirror.jetstream, mirror.space("g"), clock)
        await logs.start()
        made.append((mirror, logs))
        return logs

    yield start
    for mirror, logs in made:
        await logs.close()
        await mirror.close()


def some(*texts):
    return [Appending("k", text.encode()) for text in texts]


async def until(condition):
    """Return once something that NATS is asked for meanwhile is so."""
    async with asyncio.timeout(GUARD_S):
        while not condition():  # noqa: ASYNC110 - there is nothing that tells
            await asyncio.sleep(0.001)


def texts(records):
    return [record.data.decode() for record in records]


async def stored(jetstream, stream):
    """How many chunks a stream holds."""
    return (await jetstream.stream_info(stream))["state"]["messages"]


async def test_many_processes_append_without_gaps(process):
    processes = [await process() for _ in range(4)]
    await processes[0].open("log", LogSettings())

    async def write(number):
        sequences = []
        for batch in range(25):
            sequences += await processes[number % 4].append("log", some(*[f"{number}-{batch}-{at}" for at in range(3)]))
        return sequences

    written = await asyncio.gather(*(write(number) for number in range(8)))
    assert sorted(sequence for sequences in written for sequence in sequences) == list(range(1, 601))
    for logs in processes:
        records = await logs.read("log", 0, **WHOLE)
        assert [record.sequence for record in records] == list(range(1, 601))
        for number in range(8):
            mine = [text for text in texts(records) if text.startswith(f"{number}-")]
            assert mine == [f"{number}-{batch}-{at}" for batch in range(25) for at in range(3)]


async def test_what_one_appends_the_other_reads(process):
    one, other = await process(), await process()
    await one.open("log", LogSettings())
    await one.append("log", some("a"))
    assert texts(await other.read("log", 0, **WHOLE)) == ["a"]
    await other.append("log", some("b"))
    await one.append("log", some("c"))
    assert (await other.tip("log")).last == 3
    assert texts(await other.read("log", 1, **WHOLE)) == ["b", "c"]


async def test_an_append_wakes_another_process(process):
    one, other = await process(), await process()
    await one.open("log", LogSettings())
    waiting = asyncio.ensure_future(other.wait("log", 0, wait_ms=HOUR_MS))
    await until(lambda: other._waiting._listening)
    await other._jetstream.connection.flush()
    await one.append("log", some("a"))
    assert await asyncio.wait_for(waiting, GUARD_S) is True


@pytest.mark.parametrize("listens", [False, True])
async def test_nobody_appends_behind_another_s_seal(process, listens):
    one, other = await process(), await process()
    await one.open("log", LogSettings())
    await other.open("log", LogSettings())
    await other.append("log", some("a"))
    if listens:
        waiting = asyncio.create_task(other.wait("log", 1, wait_ms=HOUR_MS))
        await until(lambda: other._waiting._woken)
    assert await one.append("log", [Appending(SEAL, b"")]) == [2]
    if listens:
        assert await asyncio.wait_for(waiting, GUARD_S)
    with pytest.raises(LogSealed) as caught:
        await other.append("log", some("b"))
    assert caught.value.last == 2


async def test_a_drop_ends_what_others_do(process):
    one, other = await process(), await process()
    await one.open("log", LogSettings())
    await other.append("log", some("a"))
    waiting = asyncio.ensure_future(other.wait("log", 1, wait_ms=HOUR_MS))
    await asyncio.sleep(0)
    await one.drop("log")
    with pytest.raises(LogMissing):
        await asyncio.wait_for(waiting, GUARD_S)
    with pytest.raises(LogMissing):
        await other.append("log", some("b"))
    await other.open("log", LogSettings())
    assert await one.append("log", some("c")) == [1]
    assert texts(await other.read("log", 0, **WHOLE)) == ["c"]


async def test_a_trim_holds_everywhere(process):
    one, other = await process(), await process()
    await one.open("log", LogSettings())
    await one.append("log", some(*"abcd"))
    await other.trim("log", 2)
    await until(lambda: one._states["log"].floor == 2)
    assert texts(await one.read("log", 0, **WHOLE)) == ["c", "d"]


async def test_dead_chunks_are_removed_but_for_the_last(process, jetstream, clock):
    logs = await process()
    await logs.open("log", LogSettings(retention_ms=HOUR_MS))
    stream = (await logs._state("log")).stream
    for number in range(20):
        await logs.append("log", some(str(number)))
        await clock.advance(HOUR_MS // 20)
    assert await stored(jetstream, stream) == 20
    await clock.advance(HOUR_MS // 2)
    for _ in range(5):
        await clock.advance(SWEEP_DELAY_MS)
        await until(lambda: logs._sweep._task is None)
    assert await stored(jetstream, stream) < 15
    await clock.advance(HOUR_MS)
    for _ in range(5):
        await clock.advance(SWEEP_DELAY_MS)
        await until(lambda: logs._sweep._task is None)
    assert await stored(jetstream, stream) == 1
    assert await logs.append("log", some("next")) == [21]


async def test_a_trim_frees_room(process, jetstream, clock):
    logs = await process()
    await logs.open("log", LogSettings())
    stream = (await logs._state("log")).stream
    for number in range(10):
        await logs.append("log", some(str(number)))
    await logs.trim("log", 6)
    await clock.advance(2 * SWEEP_DELAY_MS)
    await until(lambda: logs._sweep._task is None)
    assert await stored(jetstream, stream) == 4
    assert texts(await logs.read("log", 0, **WHOLE)) == ["6", "7", "8", "9"]


async def test_what_a_dropped_log_left_is_removed_at_the_next_start(process, jetstream):
    logs = await process()
    await logs.open("log", LogSettings())
    stream = (await logs._state("log")).stream
    await logs.append("log", some("a"))
    await logs._definitions.delete("log")
    assert await stored(jetstream, stream) == 1
    again = await process()
    await until(lambda: again._sweep._task is None)
    assert await stored(jetstream, stream) == 0


async def test_a_place_is_found_among_those_of_other_logs(process):
    logs = await process()
    names = [f"log{number}" for number in range(40)]
    for name in names:
        await logs.open(name, LogSettings())
    for number in range(12):
        await asyncio.gather(*(logs.append(name, some(f"{name}-{number}")) for name in names))
    cold = await process()
    for name in names:
        for after in (11, 5, 0, 7):
            records = await cold.read(name, after, max_records=1, max_bytes=1)
            assert texts(records) == [f"{name}-{after}"]


async def test_an_append_in_doubt_is_made_once(process, own_server):
    """The server is killed while appends are under way: those that succeed are there once, in order."""
    server = own_server(sync_interval="always")
    await server.start()
    logs = await process(server.url)
    await logs.open("log", LogSettings())
    acknowledged = []

    async def write():
        for number in range(300):
            sequences = await logs.append("log", some(str(number)))
            acknowledged.append((str(number), sequences[0]))

    writing = asyncio.ensure_future(write())
    for _ in range(2):
        count = len(acknowledged) + 20
        await until(lambda count=count: len(acknowledged) >= count)
        server.kill()
        await server.start()
    await asyncio.wait_for(writing, GUARD_S * 3)
    assert texts(await logs.read("log", 0, **WHOLE)) == [text for text, _ in acknowledged]
    assert [sequence for _, sequence in acknowledged] == list(range(1, 301))


def test_a_damaged_chunk_is_told():
    [packed] = log_chunks.pack(some("a"))
    whole = log_chunks.payload(packed, first=1, at_ms=2, total_before=3)
    assert log_chunks.unpack(log_chunks.parse(9, whole)) == [("k", b"a")]
    for damaged in (b"", whole[:10], b"\7" + whole[1:]):
        with pytest.raises(StorageCorrupt):
            log_chunks.parse(9, damaged)
    with pytest.raises(StorageCorrupt):
        log_chunks.unpack(log_chunks.parse(9, whole[:-2]))
