"""Records seen by several processes: each has its own connection and mirror, all have the same stream."""

import asyncio

import pytest

from headrace.clock import VirtualClock
from headrace.engines.nats.faults import ApiError
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.metadata import NatsMetadata
from headrace.engines.nats.mirror import Mirror
from headrace.errors import StorageError
from headrace.primitives.metadata import Conflict, LeaseLost, Write

GUARD_S = 20


@pytest.fixture
async def process(connect, nats_url, jetstream):
    """A function that gives the metadata of one more process."""
    mirrors = []

    async def start(clock=None, url=nats_url):
        mirror = Mirror(JetStream(await connect(url)))
        await mirror.start()
        mirrors.append(mirror)
        metadata = NatsMetadata(mirror, clock or VirtualClock(0))
        metadata.mirror = mirror
        return metadata

    yield start
    for mirror in mirrors:
        await mirror.close()


async def seen(metadata, condition):
    """Return once a watcher's change, or what there is now, meets the condition."""
    changed = asyncio.Event()
    end = metadata.watch("", lambda _: changed.set())
    async with asyncio.timeout(GUARD_S):
        while not condition():
            changed.clear()
            await changed.wait()
    end()


async def test_what_one_puts_the_other_gets(process):
    one, other = await process(), await process()
    revision = await one.put("a", b"1")
    entry = await other.get("a")
    assert (entry.value, entry.revision) == (b"1", revision)
    await one.delete("a")
    await seen(other, lambda: other._records.known("a") is None)
    assert await other.get("a") is None


async def test_a_change_is_told_everywhere_in_order(process):
    one, other = await process(), await process()
    told = []
    other.watch("", lambda change: told.append((change.key, change.entry and change.entry.value)))
    await one.put("a", b"1")
    await one.apply([Write("b", b"2"), Write("a", None), Write("c", b"3")])
    await seen(other, lambda: len(told) == 4)
    assert told == [("a", b"1"), ("b", b"2"), ("a", None), ("c", b"3")]


async def test_after_a_sync_everything_is_known(process):
    one, other = await process(), await process()
    for number in range(50):
        await one.put("a", str(number).encode())
        await other.sync()
        assert other._records.known("a").value == str(number).encode()


async def test_of_two_that_compare_one_sets(process):
    one, other = await process(), await process()
    for number in range(30):
        outcomes = await asyncio.gather(
            one.put(f"k{number}", b"one", expected=0), other.put(f"k{number}", b"other", expected=0),
            return_exceptions=True,
        )  # fmt: skip
        assert {type(outcome) for outcome in outcomes} == {int, Conflict}


async def test_a_count_is_exact_over_processes(process):
    processes = [await process() for _ in range(3)]
    await processes[0].put("count", b"0")

    async def increase(metadata):
        while True:
            entry = await metadata.get("count")
            try:
                await metadata.put("count", b"%d" % (int(entry.value) + 1), expected=entry.revision)
            except Conflict:
                continue
            return

    await asyncio.gather(*(increase(metadata) for metadata in processes * 8))
    assert (await processes[0].put("other", b"")) > 0
    assert (await processes[0].get("count")).value == b"24"


async def test_a_key_deleted_by_another_can_be_made_anew(process):
    one, other = await process(), await process()
    for _ in range(5):
        await one.put("a", b"1", expected=0)
        await other.delete("a")
        await other.put("a", b"2", expected=0)
        await one.delete("a")


async def test_a_process_that_starts_late_has_everything(process):
    one = await process()
    await one.apply([Write(f"k/{number:04}", b"%d" % number) for number in range(700)])
    await one.delete("k/0003")
    other = await process()
    keys = [entry.key for entry in await other.list("k/", max_entries=1000)]
    assert keys == [f"k/{number:04}" for number in range(700) if number != 3]


async def test_no_more_than_a_batch_is_changed_together(process):
    one = await process()
    with pytest.raises(StorageError, match="1000 records"):
        await one.apply([Write(f"{number}", b"") for number in range(1001)])


async def test_reset_is_seen_everywhere(process):
    one, other = await process(), await process()
    await one.put("a", b"1")
    await other.get("a")
    await one.reset()
    await seen(other, lambda: other._records.known("a") is None)
    assert await other.list("") == []


async def test_a_mirror_whose_consumer_is_gone_makes_another(process, jetstream):
    one, other = await process(), await process()
    await one.put("a", b"1")
    assert await other.get("a")
    follower = other.mirror._follower
    await jetstream.call(f"CONSUMER.DELETE.{other.mirror.stream}.{follower._name}")
    await one.put("a", b"2")
    await one.put("b", b"3")
    await seen(other, lambda: other._records.known("b"))
    assert (await other.get("a")).value == b"2"


async def test_a_mirror_follows_while_no_consumer_can_be_made(process, jetstream, monkeypatch):
    one, other = await process(), await process()
    await one.put("gone", b"1")
    await other.get("gone")
    follower = other.mirror._follower
    call, made = other.mirror.jetstream.call, asyncio.Event()

    async def held_up(what, *args, **options):
        if what.startswith("CONSUMER.CREATE"):
            await made.wait()
        return await call(what, *args, **options)

    monkeypatch.setattr(other.mirror.jetstream, "call", held_up)
    await jetstream.call(f"CONSUMER.DELETE.{other.mirror.stream}.{follower._name}")
    follower._broken.set()
    told = []
    other.watch("", lambda change: told.append((change.key, change.entry and change.entry.value)))
    await one.put("a", b"1")
    await one.delete("gone")
    await one.put("b", b"2")
    assert (await one.lease("l", ttl_ms=1_000, holder="h")) is not None
    await other.put("c", b"3")
    assert told == [("a", b"1"), ("gone", None), ("b", b"2"), ("c", b"3")]
    made.set()
    await one.put("d", b"4")
    await seen(other, lambda: other._records.known("d") is not None)
    assert told[4:] == [("d", b"4")]


async def test_a_mirror_that_was_away_for_long_reads_everything_again(process, jetstream):
    one, other = await process(), await process()
    await one.apply([Write(key, b"1") for key in "abc"])
    await seen(other, lambda: other._records.known("c"))
    follower = other.mirror._follower
    other.mirror._left_s = -(10**6)
    follower._leave()
    follower._name = "away"
    await one.delete("b")
    await jetstream.call(f"STREAM.PURGE.{one.mirror.stream}", {"filter": one.mirror.subject("k", "b")})
    told = []
    other.watch("", told.append)
    other.mirror._left_s = -(10**6)
    follower._broken.set()
    await seen(other, lambda: other._records.known("b") is None)
    assert [change.key for change in told] == ["b"]
    assert [entry.key for entry in await other.list("")] == ["a", "c"]


async def test_records_outlive_the_server(process, own_server):
    server = own_server()
    await server.start()
    one = await process(url=server.url)
    await one.put("a", b"1")
    server.kill()
    putting = asyncio.ensure_future(one.put("b", b"2"))
    await server.start()
    assert await asyncio.wait_for(putting, GUARD_S) > 0
    assert [entry.key for entry in await one.list("")] == ["a", "b"]


async def test_a_lease_is_one_process_s_and_moves_on(process):
    clock = VirtualClock(0)
    one, other = await process(clock), await process(clock)
    held = await one.lease("work", ttl_ms=1000, holder="one")
    assert await other.lease("work", ttl_ms=1000, holder="other") is None
    await clock.advance(1000)
    taken = await other.lease("work", ttl_ms=1000, holder="other")
    assert taken.token > held.token
    with pytest.raises(LeaseLost):
        await held.renew()


async def test_a_paused_holder_cannot_write_after_its_lease_was_taken(process):
    clock = VirtualClock(0)
    one, other = await process(clock), await process(clock)
    await one.lease("work", ttl_ms=1000, holder="one")
    place = (await one.get("progress")) or await one.put("progress", b"0")
    await clock.advance(1000)
    await other.lease("work", ttl_ms=1000, holder="other")
    await other.put("progress", b"other", expected=place)
    with pytest.raises(Conflict):
        await one.put("progress", b"late", expected=place)
    assert (await other.get("progress")).value == b"other"


async def test_a_refusal_says_what_it_was(jetstream):
    with pytest.raises(ApiError, match="stream not found"):
        await jetstream.call("STREAM.INFO.nothing")
    assert await jetstream.stream_info("nothing") is None
    assert await jetstream.delete_stream("nothing") is False
