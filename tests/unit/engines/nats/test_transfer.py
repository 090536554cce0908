"""Everything that an engine holds, moved to the other and back: it is the same, and goes on as if nothing had been."""

import pytest

from headrace.clock import VirtualClock
from headrace.engines.nats import transfer_mark
from headrace.engines.nats.engine import NatsEngine
from headrace.engines.nats.exporting import NatsOrigin
from headrace.engines.nats.importing import NatsDestination
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.options import Options
from headrace.engines.sqlite import group_order
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.engines.sqlite.exporting import SqliteOrigin
from headrace.engines.sqlite.importing import UNFINISHED, SqliteDestination
from headrace.errors import StorageError, StorageLocked
from headrace.migrate import Migration, Mismatch, Moved, ends
from headrace.primitives.logs import Appending, LogSettings
from headrace.primitives.queues import Outcome, Outgoing, QueueSettings
from headrace.primitives.transfer import NotReady
from headrace.settings import SettingsError

START_MS = 1_700_000_000_000
LARGE = "y" * 300_000


@pytest.fixture
def clock():
    return VirtualClock(START_MS)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No long listening for other processes, and slices so small that there are several."""
    monkeypatch.setattr(transfer_mark, "LISTENED_S", 0.0)
    monkeypatch.setattr(group_order, "FRESH_MAX", 3)
    for module in ("sqlite.exporting", "nats.exporting", "nats.importing"):
        monkeypatch.setattr(f"headrace.engines.{module}.SLICE", 7)


@pytest.fixture
async def nats(nats_url, prefix):
    """Options of a deployment that is gone afterwards."""
    options = Options(urls=nats_url, prefix=prefix)
    yield options
    engine = NatsEngine(options, VirtualClock(START_MS))
    await engine.connect()
    for name in await JetStream(engine.connection).stream_names():
        await engine.jetstream.delete_stream(name)
    await engine.disconnect()


async def move(origin, destination):
    return await Migration(origin, destination, lambda _: None).run()


async def everything(origin):
    """All that an origin gives, in comparable form."""
    await origin.start()
    found = {"queues": {}, "logs": {}, "entries": {}}
    for name in await origin.queues():
        queue = await origin.queue(name)
        messages = [message async for some in origin.messages(queue) for message in some]
        keys = [key async for some in origin.deduplicated(queue) for key in some]
        found["queues"][name] = (queue, messages, keys, await origin.attempts(queue))
    for name in await origin.logs():
        log = await origin.log(name)
        found["logs"][name] = (log, [record async for some in origin.records(log) for record in some])
    async for some in origin.entries():
        found["entries"] |= {entry.key: entry.value for entry in some}
    await origin.close()
    return found


async def send(engine, queue, *bodies, **fields):
    return await engine.queues.send(queue, [Outgoing(body=body, header=b"h", **fields) for body in bodies])


async def receive(engine, queue, max_messages=10, **options):
    return await engine.queues.receive(queue, max_messages=max_messages, **options)


async def fill_standard(engine, clock):
    await engine.queues.open("dead", QueueSettings())
    await engine.queues.open("plain", QueueSettings(max_receive_count=1, dead_letter_queue="dead"))
    await send(engine, "plain", "spent")
    assert await receive(engine, "plain", visibility_timeout_ms=10)
    await clock.advance(20)
    assert await receive(engine, "plain") == []  # it went to the dead letters
    await engine.queues.open("plain", QueueSettings())
    await send(engine, "plain", "deleted", "hidden", "returned", LARGE, "é" * 700)
    await send(engine, "plain", *(f"tenant {number}" for number in range(10)), group="t1")
    await send(engine, "plain", "late", delay_ms=60_000)
    first, _, third = await receive(engine, "plain", max_messages=3, visibility_timeout_ms=30_000)
    await engine.queues.delete("plain", [first.receipt])
    await clock.advance(5)
    await engine.queues.change_visibility("plain", [(third.receipt, 0)])
    await engine.queues.open("was used", QueueSettings())
    await send(engine, "was used", "a", "b")
    gone = await receive(engine, "was used")
    await engine.queues.delete("was used", [each.receipt for each in gone])
    await engine.queues.open("new", QueueSettings(delay_ms=5, retention_ms=60_000, fair=False))


async def fill_fifo(engine, clock):
    settings = QueueSettings(fifo=True, dedup_per_group=False)
    await engine.queues.open("dead.fifo", settings)
    await engine.queues.open("o.fifo", settings)
    for number in range(4):
        for group in ("a", "b", "c"):
            await send(engine, "o.fifo", f"{group}{number}", group=group, dedup_id=f"{group}{number}")
            await clock.advance(1)
    [a0, a1] = await receive(engine, "o.fifo", max_messages=2, visibility_timeout_ms=20_000, attempt_id="try")
    await receive(engine, "o.fifo", max_messages=1, visibility_timeout_ms=40_000)
    assert (a0.body, a1.body) == ("a0", "a1")
    await engine.queues.open("per-group.fifo", QueueSettings(fifo=True, dedup_per_group=True))
    for group in ("x", "y"):
        await send(engine, "per-group.fifo", group, group=group, dedup_id="same")


async def fill_logs(engine, clock):
    for name, retention_ms in (("some", 3_600_000), ("trimmed", None), ("empty", None), ("part", None)):
        await engine.logs.open(name, LogSettings(retention_ms=retention_ms))
    for number in range(12):
        for name in ("some", "trimmed", "part"):
            await engine.logs.append(name, [Appending(f"k{number}", b"d" * number), Appending("é", b"")])
        await clock.advance(number % 3)
    await engine.logs.trim("trimmed", 24)
    await engine.logs.trim("part", 5)


@pytest.fixture
async def filled(tmp_path, clock):
    """A data directory with something of everything, as a stopped server leaves it."""
    engine = SqliteEngine(str(tmp_path / "filled"), clock)
    await engine.start()
    await fill_standard(engine, clock)
    await fill_fifo(engine, clock)
    await fill_logs(engine, clock)
    for number in range(30):
        await engine.metadata.put(f"sqs/queues/{number:03}/n. ä*>", b"v" * number)
    await engine.drain()
    await engine.close()
    return str(tmp_path / "filled")


async def test_there_and_back_it_is_the_same(filled, nats, clock, tmp_path):
    before = await everything(SqliteOrigin(filled, clock))
    moved = await move(SqliteOrigin(filled, clock), NatsDestination(nats, clock))
    assert await everything(NatsOrigin(nats, clock)) == before
    back = await move(NatsOrigin(nats, clock), SqliteDestination(str(tmp_path / "back"), clock))
    assert await everything(SqliteOrigin(str(tmp_path / "back"), clock)) == before
    assert await everything(SqliteOrigin(filled, clock)) == before  # the origin stays as it is
    assert moved == back == Moved(queues=7, messages=30, logs=4, records=24 + 19, entries=30)
    assert {len(each) for _, each, _, _ in before["queues"].values()} == {15, 12, 2, 1, 0}


async def after_the_move(engine, clock):
    """What receivers, senders and readers find: the same whichever engine it is."""
    dead = await receive(engine, "dead")
    seen = [(each.body, each.source, each.receive_count) for each in dead]
    plain = [(each.body[:9], each.receive_count, each.group) for each in await receive(engine, "plain")]
    duplicate = (await send(engine, "o.fifo", "again", group="a", dedup_id="a0"))[0]
    same = (await send(engine, "per-group.fifo", "again", group="y", dedup_id="same"))[0]
    other = (await send(engine, "per-group.fifo", "fresh", group="z", dedup_id="same"))[0]
    retried = await receive(engine, "o.fifo", attempt_id="try")
    locked = [each.body for each in await receive(engine, "o.fifo")]
    new = (await send(engine, "was used", "c"))[0]
    await clock.advance(30_001)
    hidden = [each.body for each in await receive(engine, "plain", max_messages=1)]
    unlocked = [each.body for each in await receive(engine, "o.fifo")]
    await clock.advance(30_000)
    late = [each.body for each in await receive(engine, "plain") if each.body == "late"]
    return {
        "standard": (seen, plain, hidden, late, new.sequence),
        "duplicates": (duplicate, same, other.duplicate),
        "fifo": ([(each.body, each.message_id, each.receive_count) for each in retried], locked, unlocked),
        "deleted": await engine.queues.delete("o.fifo", [retried[0].receipt]),
        "depths": [await engine.queues.depth(name) for name in ("plain", "o.fifo", "was used", "new")],
        "tips": [await engine.logs.tip(name) for name in ("some", "trimmed", "empty", "part")],
        "appended": [await engine.logs.append(name, [Appending("k", b"")]) for name in ("trimmed", "empty", "part")],
        "read": await engine.logs.read("part", 0, max_records=100, max_bytes=1 << 20),
        "sought": await engine.logs.seek("part", START_MS + 40),
    }


async def used(engine, clock):
    await engine.start()
    found = await after_the_move(engine, clock)
    await engine.drain()
    await engine.close()
    return found


async def test_everything_goes_on(filled, nats, clock, tmp_path):
    await move(SqliteOrigin(filled, clock), NatsDestination(nats, clock))
    await move(NatsOrigin(nats, clock), SqliteDestination(str(tmp_path / "back"), clock))
    clocks = [VirtualClock(clock.now_ms()) for _ in range(3)]
    engines = [
        SqliteEngine(filled, clocks[0]), NatsEngine(nats, clocks[1]), SqliteEngine(str(tmp_path / "back"), clocks[2])
    ]  # fmt: skip
    origin, there, back = [await used(engine, own) for engine, own in zip(engines, clocks, strict=True)]
    assert there == origin
    assert back == origin
    assert origin["fifo"][1] == [f"c{number}" for number in range(4)]  # a and b are locked
    assert origin["duplicates"][0].duplicate
    assert origin["duplicates"][1].duplicate
    assert origin["deleted"] == [Outcome.EXPIRED]


async def test_what_expires_on_the_way_is_no_loss(nats, clock, tmp_path):
    engine = SqliteEngine(str(tmp_path / "a"), clock)
    await engine.start()
    await engine.logs.open("log", LogSettings(retention_ms=1_000))
    await engine.logs.append("log", [Appending("k", b"d")] * 3)
    await engine.close()

    class Slow(SqliteOrigin):
        async def log(self, name):
            found = await super().log(name)
            await clock.advance(2_000)
            return found

    await move(Slow(str(tmp_path / "a"), clock), NatsDestination(nats, clock))
    await move(NatsOrigin(nats, clock), SqliteDestination(str(tmp_path / "b"), clock))
    back = SqliteEngine(str(tmp_path / "b"), clock)
    await back.start()
    assert await back.logs.append("log", [Appending("k", b"")]) == [4]
    await back.close()


# --- what is refused ---


async def test_a_directory_in_use_is_refused(filled, nats, clock):
    engine = SqliteEngine(filled, clock)
    await engine.start()
    with pytest.raises(StorageLocked):
        await move(SqliteOrigin(filled, clock), NatsDestination(nats, clock))
    await engine.close()
    await move(SqliteOrigin(filled, clock), NatsDestination(nats, clock))


async def test_a_directory_without_data_is_refused(tmp_path, nats, clock):
    with pytest.raises(NotReady, match="no data"):
        await move(SqliteOrigin(str(tmp_path / "none"), clock), NatsDestination(nats, clock))
    assert not (tmp_path / "none").exists()


async def test_servers_without_data_are_refused(nats, clock, tmp_path):
    with pytest.raises(NotReady, match="no data"):
        await move(NatsOrigin(nats, clock), SqliteDestination(str(tmp_path / "back"), clock))
    engine = NatsEngine(nats, clock)
    await engine.start()
    await engine.close()


async def test_a_destination_with_data_is_refused(filled, nats, clock, tmp_path):
    await move(SqliteOrigin(filled, clock), NatsDestination(nats, clock))
    with pytest.raises(NotReady, match="queues already"):
        await move(SqliteOrigin(filled, clock), NatsDestination(nats, clock))
    with pytest.raises(NotReady, match="has data already"):
        await move(NatsOrigin(nats, clock), SqliteDestination(filled, clock))
    served = NatsEngine(nats, clock)
    await served.start()  # neither refusal left a mark
    await served.close()


async def test_a_deployment_that_is_served_is_refused(filled, nats, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer_mark, "LISTENED_S", 1.5)
    engine = NatsEngine(nats, clock)
    await engine.start()
    with pytest.raises(NotReady, match="stop them"):
        await move(SqliteOrigin(filled, clock), NatsDestination(nats, clock))
    with pytest.raises(NotReady, match="stop them"):
        await move(NatsOrigin(nats, clock), SqliteDestination(str(tmp_path / "back"), clock))
    await engine.close()


async def test_nobody_serves_what_is_being_moved(filled, nats, clock):
    await move(SqliteOrigin(filled, clock), NatsDestination(nats, clock))
    origin = NatsOrigin(nats, clock)
    await origin.start()
    engine = NatsEngine(nats, clock)
    with pytest.raises(StorageError, match="being moved"):
        await engine.start()
    await engine.close()
    with pytest.raises(NotReady, match="under way"):
        await move(NatsOrigin(nats, clock), NatsDestination(nats, clock))
    await origin.close()
    served = NatsEngine(nats, clock)
    await served.start()
    await served.close()


class Torn(SqliteOrigin):
    """An origin that breaks off in the middle."""

    async def logs(self):
        raise StorageError("torn")


async def test_a_move_to_nats_that_broke_off_is_begun_anew(filled, nats, clock, tmp_path):
    with pytest.raises(StorageError, match="torn"):
        await move(Torn(filled, clock), NatsDestination(nats, clock))
    engine = NatsEngine(nats, clock)
    with pytest.raises(StorageError, match="not completed"):
        await engine.start()
    await engine.close()
    with pytest.raises(StorageError, match="not completed"):
        await move(NatsOrigin(nats, clock), SqliteDestination(str(tmp_path / "back"), clock))
    await move(SqliteOrigin(filled, clock), NatsDestination(nats, clock))
    assert await everything(NatsOrigin(nats, clock)) == await everything(SqliteOrigin(filled, clock))


async def test_a_move_to_a_directory_that_broke_off_is_begun_anew(filled, clock, tmp_path):
    target = tmp_path / "copy"
    with pytest.raises(StorageError, match="torn"):
        await move(Torn(filled, clock), SqliteDestination(str(target), clock))
    assert (target / UNFINISHED).is_dir()
    assert not (target / "headrace.db").exists()
    await move(SqliteOrigin(filled, clock), SqliteDestination(str(target), clock))
    assert not (target / UNFINISHED).exists()
    assert await everything(SqliteOrigin(str(target), clock)) == await everything(SqliteOrigin(filled, clock))


async def test_a_loss_is_noticed(filled, clock, tmp_path):
    class Forgetful(SqliteDestination):
        async def put_messages(self, messages):
            await super().put_messages(messages[1:])

    with pytest.raises(Mismatch, match="but"):
        await move(SqliteOrigin(filled, clock), Forgetful(str(tmp_path / "b"), clock))

    class Deaf(SqliteDestination):
        async def put_records(self, records):
            await super().put_records([record for record in records if record.sequence != 24])

    with pytest.raises(Mismatch, match="log"):
        await move(SqliteOrigin(filled, clock), Deaf(str(tmp_path / "c"), clock))


async def test_it_is_told_how_far_it_is(filled, clock, tmp_path):
    told = []
    await Migration(SqliteOrigin(filled, clock), SqliteDestination(str(tmp_path / "b"), clock), told.append).run()
    assert str(told[-1]) == "7 queues with 30 messages, 4 logs with 43 records, 30 records of metadata"


def test_ends_are_a_directory_and_nats(tmp_path):
    for places in ((str(tmp_path), str(tmp_path)), ("nats://a", "tls://b")):
        with pytest.raises(SettingsError, match="one of"):
            ends(*places, {})
    with pytest.raises(SettingsError, match="replicas"):
        ends(str(tmp_path), "nats://a", {"replicas": 2})
    assert isinstance(ends("nats://a", str(tmp_path), {})[0], NatsOrigin)
