"""No space left: every writer is told, what was acknowledged stays, and service goes on once there is space again."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import subprocess
from pathlib import Path
from unittest import mock

import pytest

from headrace.clock import SystemClock
from headrace.engines.sqlite import database
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.errors import StorageError, StorageFull
from headrace.primitives.logs import Appending, LogSettings
from headrace.primitives.queues import Outgoing, QueueSettings

DISK_BYTES = 4 * 1024 * 1024


class Device:
    """A tmpfs of a few megabytes, and a file on it that takes all space there is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill_some(self):
        (self.path / "ballast").write_bytes(bytes(100_000))

    def fill(self, engine=None):
        with (self.path / "ballast").open("wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:
                return

    def free(self, engine=None):
        (self.path / "ballast").unlink()


class Limit:
    """A limit that SQLite itself sets to the file: the statement fails where on a device the COMMIT does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, engine):
        engine.database.connection.execute("PRAGMA max_page_count = 1")  # raised to what there is

    def free(self, engine):
        engine.database.connection.execute("PRAGMA max_page_count = 1000000")


@pytest.fixture
def device(tmp_path):
    path = tmp_path / "device"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield Device(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture(params=["device", "limit"])
def space(request, tmp_path):
    return request.getfixturevalue("device") if request.param == "device" else Limit(tmp_path)


@pytest.fixture(params=["loop", "thread"])
async def start(request):
    """Start an engine, with commits on the loop or on a thread; it is closed after the test."""
    engines = []

    async def start(space):
        engine = SqliteEngine(str(space.path / "data"), SystemClock())
        engines.append(engine)
        with mock.patch.object(database, "SLOW_SYNC_S", -1.0 if request.param == "thread" else 1e9):
            await engine.start()
        await engine.logs.open("log", LogSettings())
        await engine.queues.open("queue", QueueSettings())
        return engine

    yield start
    for engine in engines:
        await engine.close()


@contextlib.contextmanager
def limited_file_size(max_bytes):
    """Let this process write no file beyond the size (a quota, `ulimit -f`)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def append_until_full(engine):
    """What was acknowledged until the first error, which is returned too."""
    acknowledged = []
    for number in range(5000):
        text = b"%d " % number * 700
        try:
            await engine.logs.append("log", [Appending("", text)])
        except StorageError as error:
            return acknowledged, error
        acknowledged.append(text)
    raise AssertionError("it never got full")


async def data(engine):
    return [record.data for record in await engine.logs.read("log", 0, max_records=10_000, max_bytes=1 << 40)]


async def bodies(engine):
    received = []
    while batch := await engine.queues.receive("queue", max_messages=10):
        received += [message.body for message in batch]
    return sorted(received)


async def test_the_error_says_what_to_do(space, start):
    engine = await start(space)
    space.fill(engine)
    _, error = await append_until_full(engine)
    assert isinstance(error, StorageFull)
    assert "free some space" in str(error)


async def test_what_was_acknowledged_can_be_read_while_it_is_full(space, start):
    engine = await start(space)
    await engine.logs.append("log", [Appending("", b"first")])
    space.fill(engine)
    acknowledged, _ = await append_until_full(engine)
    assert await data(engine) == [b"first", *acknowledged]
    assert (await engine.logs.tip("log")).last == len(acknowledged) + 1


async def test_every_writer_of_the_turn_is_told_and_none_is_kept(space, start):
    engine = await start(space)
    await engine.queues.send("queue", [Outgoing(body="kept", header=b"")])
    space.fill(engine)
    await append_until_full(engine)
    large = "x" * 200_000
    sends = [engine.queues.send("queue", [Outgoing(body=large + str(number), header=b"")]) for number in range(8)]
    outcomes = await asyncio.gather(*sends, engine.metadata.put("k", large.encode()), return_exceptions=True)
    assert all(isinstance(outcome, StorageError) for outcome in outcomes)
    space.free(engine)
    assert await bodies(engine) == ["kept"]
    assert await engine.metadata.get("k") is None


async def test_service_goes_on_once_there_is_space(space, start):
    engine = await start(space)
    space.fill(engine)
    acknowledged, _ = await append_until_full(engine)
    space.free(engine)
    [sequence] = await engine.logs.append("log", [Appending("", b"after")])
    await engine.queues.send("queue", [Outgoing(body="after", header=b"")])
    assert sequence == len(acknowledged) + 1
    assert await data(engine) == [*acknowledged, b"after"]
    assert await bodies(engine) == ["after"]


async def test_it_gets_full_and_free_again_and_again(space, start):
    engine = await start(space)
    expected = []
    for _ in range(4):
        space.fill(engine)
        acknowledged, _ = await append_until_full(engine)
        expected += acknowledged
        space.free(engine)
        await engine.logs.append("log", [Appending("", b"between")])
        expected.append(b"between")
    assert await data(engine) == expected


async def test_all_that_was_acknowledged_outlives_a_stop_while_full(space, start):
    engine = await start(space)
    space.fill(engine)
    acknowledged, _ = await append_until_full(engine)
    await engine.close()
    if isinstance(space, Device):
        space.free(engine)
    engine = await start(space)
    assert await data(engine) == acknowledged
    await engine.logs.append("log", [Appending("", b"after")])


async def test_starting_on_a_full_device_says_so(device, start):
    device.fill()
    with pytest.raises(StorageFull, match=str(device.path / "data")):
        await start(device)
    device.free()
    await start(device)


async def test_checkpoints_that_find_no_space_lose_nothing(device, start):
    with mock.patch.multiple(database, CHECKPOINT_PAGES=16, CHECKPOINT_REST_PAGES=4):
        device.fill_some()
        engine = await start(device)
        acknowledged, _ = await append_until_full(engine)
        assert acknowledged
        assert await data(engine) == acknowledged
        await engine.close()
        device.free()
        engine = await start(device)
        assert await data(engine) == acknowledged


async def test_a_file_size_limit_is_an_error_and_no_more(tmp_path, start):
    engine = await start(Limit(tmp_path))
    await engine.logs.append("log", [Appending("", b"first")])
    with limited_file_size(200_000):
        acknowledged, error = await append_until_full(engine)
    assert "could not be stored" in str(error)
    await engine.logs.append("log", [Appending("", b"last")])
    assert await data(engine) == [b"first", *acknowledged, b"last"]
