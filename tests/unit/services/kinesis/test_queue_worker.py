"""What is done at its time: last receives that end, queues that are removed; also by a process started anew."""

from __future__ import annotations

import json

import pytest

from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis import queue_records
from headrace.services.kinesis.queue_records import Due, Pointer
from headrace.services.kinesis.queue_worker import LEASE

from .queue_tools import acknowledge, dead_after, handles, make_queue, nothing, receive, receive_dead, settled


@pytest.fixture
async def stream(unlimited):
    """Kinesis with a stream "s" in on-demand mode."""
    await unlimited.create(shards=0)
    return unlimited


async def keys(kinesis):
    """The keys of all that serves queues."""
    return [entry.key for entry in await kinesis.server.engine.metadata.list(queue_records.PREFIX)]


async def test_a_last_receive_that_ends_makes_a_dead_letter(stream, clock):
    queue = await make_queue(stream, **dead_after(1))
    await stream.put(b"a")
    [record] = await receive(stream, queue, VisibilityTimeoutSeconds=10)
    await clock.advance(9_000)
    assert await nothing(stream, queue, "receive_dead_letter_queue_records")
    [letter] = await receive_dead(stream, queue)
    assert (letter["Data"], letter["RecordId"], letter["ReceiveCount"]) == (b"a", record["RecordId"], 2)
    assert not any(
        key.startswith((queue_records.DUE_PREFIX, f"{queue_records.PREFIX}last/")) for key in await keys(stream)
    )


async def test_a_last_receive_ends_though_the_process_was_started_anew(durable, clock):
    kinesis = await durable.start()
    await kinesis.create(shards=0)
    queue = await make_queue(kinesis, **dead_after(1))
    await kinesis.put(b"a")
    await receive(kinesis, queue, VisibilityTimeoutSeconds=10)
    kinesis = await durable.restart()
    await clock.advance(10_000)
    assert [letter["Data"] for letter in await receive_dead(kinesis, queue)] == [b"a"]


async def test_a_last_receive_that_ended_while_nobody_ran_is_ended_at_the_start(durable, clock):
    kinesis = await durable.start()
    await kinesis.create(shards=0)
    queue = await make_queue(kinesis, **dead_after(1))
    await kinesis.put(b"a")
    [record] = await receive(kinesis, queue, VisibilityTimeoutSeconds=10)
    await durable.stop()
    await clock.advance(60_000)
    kinesis = await durable.start()
    await settled()
    answer = await kinesis("acknowledge_queue_records", QueueARN=queue, Entries=handles([record]))
    assert [failed["ErrorCode"] for failed in answer["Failed"]] == ["ResourceNotFoundException"]
    assert [letter["Data"] for letter in await receive_dead(kinesis, queue)] == [b"a"]


async def test_many_last_receives_end_at_once(stream, clock):
    queue = await make_queue(stream, **dead_after(1))
    count = 2 * limits.DUE_SLICE + 10
    await stream.put_many(*[(b"x", str(number)) for number in range(count)])
    got = 0
    while got < count:
        got += len(await receive(stream, queue, VisibilityTimeoutSeconds=100))
    await clock.advance(100_000)
    await settled()
    letters = 0
    while letters < count:
        letters += len(await receive_dead(stream, queue, VisibilityTimeoutSeconds=100))
    assert letters == count
    assert await nothing(stream, queue, "receive_dead_letter_queue_records")


async def test_work_waits_while_another_process_does_it(stream, clock):
    queue = await make_queue(stream, **dead_after(1))
    await stream.put(b"a")
    lease = await stream.server.engine.metadata.lease(LEASE, ttl_ms=60_000, holder="another")
    await receive(stream, queue, VisibilityTimeoutSeconds=5)
    await clock.advance(30_000)
    assert await nothing(stream, queue, "receive_dead_letter_queue_records")
    await lease.release()
    await clock.advance(limits.DUE_LEASE_MS)
    assert len(await receive_dead(stream, queue)) == 1


async def test_what_is_due_for_nothing_that_is_there_is_forgotten(stream, clock):
    queue = await make_queue(stream)
    metadata = stream.server.engine.metadata
    now_ms = clock.now_ms()
    for queue_id in ("0123", queue.rpartition("/")[2]):
        for pointer in (Pointer(0, 7), None) if queue_id == "0123" else (Pointer(0, 7),):
            due = Due(now_ms + 1_000, stream.region, stream.account, queue_id, pointer)
            await metadata.put(queue_records.due_key(due), b"")
    await clock.advance(1_000)
    assert not any(key.startswith(queue_records.DUE_PREFIX) for key in await keys(stream))
    assert (await stream("describe_queue", QueueARN=queue))["QueueDescription"]["QueueStatus"] == "ACTIVE"


async def test_nothing_is_left_of_a_queue_that_was_deleted(stream, clock):
    queue = await make_queue(stream, **dead_after(1))
    await stream("tag_resource", ResourceARN=queue, Tags={"k": "v"})
    statement = {"Effect": "Allow", "Principal": "*", "Action": "kinesis:DescribeQueue", "Resource": queue}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await stream("put_resource_policy", ResourceARN=queue, Policy=policy)
    await stream.put_many(*[(b"x", str(number)) for number in range(30)])
    await receive(stream, queue)
    await stream("delete_queue", QueueARN=queue)
    await clock.advance(limits.TRANSITION_MS)
    await clock.advance(60_000)
    assert await keys(stream) == []
    left = [entry.key for entry in await stream.server.engine.metadata.list("kinesis/")]
    assert not any("queue" in key for key in left)


async def test_a_deletion_is_finished_by_a_process_started_anew(durable, clock):
    kinesis = await durable.start()
    await kinesis.create(shards=0)
    queue = await make_queue(kinesis)
    await kinesis("delete_queue", QueueARN=queue)
    await durable.stop()
    await clock.advance(limits.TRANSITION_MS)
    kinesis = await durable.start()
    await settled()
    assert await keys(kinesis) == []
    assert (await kinesis.summary())["QueueCount"] == 0


async def test_an_acknowledged_last_receive_does_not_end(stream, clock):
    queue = await make_queue(stream, **dead_after(1))
    await stream.put(b"a")
    await acknowledge(stream, queue, await receive(stream, queue, VisibilityTimeoutSeconds=5))
    await clock.advance(60_000)
    assert await nothing(stream, queue, "receive_dead_letter_queue_records")
