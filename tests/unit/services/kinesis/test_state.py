"""What a process knows of streams, and how it stays true."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headrace.errors import StorageError
from headrace.primitives.logs import LogSettings
from headrace.primitives.metadata import Conflict
from headrace.services.kinesis import limits, records, rules, shards
from headrace.services.kinesis.state import State

from .conftest import Kinesis

PLACE = ("us-east-1", "000000000000", "s")


def count_calls(monkeypatch, target, name):
    calls = []
    original = getattr(target, name)

    async def counted(*arguments, **options):
        calls.append(arguments)
        return await original(*arguments, **options)

    monkeypatch.setattr(target, name, counted)
    return calls


@pytest.fixture
async def other(unlimited):
    """The same store as another process of the cluster would see it."""
    state = State(unlimited.server)
    await state.start()
    yield Kinesis(unlimited.server, state)
    await state.close()


async def test_records_cost_no_look_at_metadata(unlimited, monkeypatch):
    await unlimited.create()
    await unlimited.put()
    iterator = await unlimited.iterator()
    engine = unlimited.server.engine
    gets = count_calls(monkeypatch, engine.metadata, "get")
    opens = count_calls(monkeypatch, engine.logs, "open")
    for _ in range(3):
        await unlimited.put()
        await unlimited.put_many((b"", "a"), (b"", "b"))
        await unlimited.get(iterator)
    assert (gets, opens) == ([], [])


async def test_a_log_is_opened_once_in_a_process(durable, monkeypatch):
    kinesis = await durable.start()
    await kinesis.create()
    kinesis = await durable.restart()
    opens = count_calls(monkeypatch, kinesis.server.engine.logs, "open")
    await asyncio.gather(*[kinesis.put() for _ in range(5)])
    await kinesis.put()
    assert {settings for _, settings in opens} == {LogSettings(retention_ms=24 * limits.HOUR_MS)}
    again = len(opens)
    await kinesis.put()
    assert len(opens) == again


async def test_another_process_s_changes_are_seen(unlimited, other):
    await unlimited.create()
    await other.put(b"0")
    await unlimited.split()
    answer = await other.get(await other.iterator())
    assert len(answer["ChildShards"]) == 2
    assert (await other.put(b"1"))["ShardId"] != "shardId-000000000000"
    await other("delete_stream", StreamName="s")
    await unlimited.settle()
    assert (await unlimited.error("put_record", StreamName="s", Data=b"", PartitionKey="k")).code == (
        "ResourceNotFoundException"
    )


async def test_two_processes_that_close_a_shard_agree_on_its_end(unlimited, other):
    await unlimited.create()
    await unlimited.put(b"0")
    await other.put(b"1")
    await unlimited("split_shard", StreamName="s", ShardToSplit="0", NewStartingHashKey=str(2**127))
    await unlimited.server.clock.advance(limits.TRANSITION_MS - 1)
    stream, same = await unlimited.state.load(*PLACE), await other.state.load(*PLACE)
    unlimited.server.clock._base_ms += 1  # due, and no alarm has rung yet
    await asyncio.gather(unlimited.state.settle(stream), other.state.settle(same))
    assert stream.record == same.record
    for kinesis in (unlimited, other):
        answer = await kinesis.get(await kinesis.iterator())
        assert [record["Data"] for record in answer["Records"]] == [b"0", b"1"]
        assert len(answer["ChildShards"]) == 2


async def test_a_shard_that_is_held_while_it_closes_tells(unlimited):
    await unlimited.create()
    stream = await unlimited.state.get(*PLACE)
    shard = stream.shards[0]
    waiting = asyncio.create_task(shards.wait(unlimited.state, stream, shard, 0, wait_ms=60_000))
    await asyncio.sleep(0)
    assert not waiting.done()
    await unlimited.split()
    assert await waiting is True, "those who wait for records are woken by the end"
    batch = await shards.read(unlimited.state, stream, shard, 0, max_records=10, max_bytes=1000)
    assert (batch.records, batch.ended) == ([], True)
    assert [child.number for child in stream.children(shard)] == [1, 2]


async def test_streams_stay_true_though_the_cache_is_emptied(unlimited, monkeypatch):
    monkeypatch.setattr(limits, "STREAMS_CACHED", 1)
    monkeypatch.setattr(limits, "STREAM_ADDRESSES_CACHED", 1)
    await unlimited.create()
    held = await unlimited.state.get(*PLACE)
    await unlimited.create("other")
    await unlimited.put(name="other")
    await unlimited.split()
    assert len(held.open_shards) == 2
    assert await unlimited.state.get(*PLACE) is held
    await unlimited("delete_stream", StreamName="s")
    await unlimited.settle()
    assert held.gone


async def test_a_deleted_stream_that_is_still_held_leaves_no_log_behind(unlimited):
    await unlimited.create(shards=2)
    stream = await unlimited.state.get(*PLACE)
    await unlimited("delete_stream", StreamName="s")
    await unlimited.settle()
    with pytest.raises(Exception, match="not found"):
        await unlimited.state.open(stream, stream.shards[0])
    with pytest.raises(Exception, match="not found"):
        await unlimited.state.revise(stream, lambda old: msgspec.structs.replace(old, retention_h=48))
    logs = unlimited.server.engine.logs
    await logs.open(stream.shards[0].log, LogSettings())
    assert (await logs.tip(stream.shards[0].log)).last == 0


async def test_changes_of_two_at_once_are_both_made(unlimited):
    await unlimited.create()
    stream = await unlimited.state.get(*PLACE)

    def longer(old):
        return msgspec.structs.replace(old, retention_h=old.retention_h + 1)

    await asyncio.gather(*[unlimited.state.revise(stream, longer) for _ in range(5)])
    assert stream.record.retention_h == 29


async def test_it_gives_up_when_others_keep_changing_a_stream(unlimited, monkeypatch):
    await unlimited.create()
    stream = await unlimited.state.get(*PLACE)

    async def conflict(_writes):
        raise Conflict("again")

    monkeypatch.setattr(unlimited.server.engine.metadata, "apply", conflict)
    with pytest.raises(Exception, match="Too many changes") as caught:
        await unlimited.state.revise(stream, lambda old: msgspec.structs.replace(old, retention_h=48))
    assert caught.value.status == 503


async def test_what_fails_when_it_is_due_is_tried_again(unlimited, monkeypatch):
    await unlimited.create()
    logs = unlimited.server.engine.logs
    append, failures = logs.append, []

    async def fail_once(log, appended):
        if appended[0].key == records.SEAL and not failures:
            failures.append(log)
            raise StorageError("Not now.")
        return await append(log, appended)

    monkeypatch.setattr(logs, "append", fail_once)
    await unlimited.split()
    assert len(failures) == 1
    await unlimited.server.clock.advance(limits.RETRY_MS)
    stream = await unlimited.state.load(*PLACE)
    assert stream.shards[0].record.ending == 0


async def test_a_note_about_a_stream_that_is_gone_goes(unlimited):
    key = records.due_key(*PLACE)
    await unlimited.server.engine.metadata.put(key, str(unlimited.server.clock.now_ms() + 5).encode())
    await unlimited.server.clock.advance(10)
    assert await unlimited.server.engine.metadata.get(key) is None


async def test_many_notes_are_taken_up_after_a_restart(durable, monkeypatch):
    monkeypatch.setattr(limits, "LIST_PAGE", 2)
    kinesis = await durable.start()
    for number in range(5):
        await kinesis.create(f"s{number}")
        await kinesis("delete_stream", StreamName=f"s{number}")
    kinesis = await durable.restart()
    await kinesis.settle()
    assert await kinesis.server.engine.metadata.list("kinesis") == []


# Reading


async def test_a_read_gives_at_least_one_record(unlimited):
    await unlimited.create()
    await unlimited.put_many((b"x" * 100, "a"), (b"y" * 100, "b"))
    stream = await unlimited.state.get(*PLACE)
    batch = await shards.read(unlimited.state, stream, stream.shards[0], 0, max_records=10, max_bytes=1)
    assert [record.data[:1] for record in batch.records] == [b"x"]
    assert (batch.after, batch.size_bytes, batch.ended) == (1, 101, False)


async def test_positions_in_a_shard(unlimited):
    await unlimited.create()
    await unlimited.put()
    stream = await unlimited.state.get(*PLACE)
    shard = stream.shards[0]
    for place, after in (
        ({"Type": "TRIM_HORIZON"}, 0),
        ({"Type": "LATEST"}, 1),
        ({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": shard.sequence_number(1)}, 0),
        ({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": shard.sequence_number(1)}, 1),
        ({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": shard.position(1)}, 1),
        ({"Type": "AT_TIMESTAMP", "Timestamp": 0.0}, 0),
    ):
        assert await shards.start_of(unlimited.state, stream, shard, place) == after, place
    assert rules.parse_sequence_number(shard.position(1)).kind is rules.Kind.POSITION
