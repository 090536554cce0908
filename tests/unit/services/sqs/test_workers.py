"""How message move tasks go on: their pace, their ends, restarts, and that one process carries them out."""

from __future__ import annotations

import asyncio
import json

import pytest

from headrace.services.sqs import limits
from headrace.services.sqs.workers import LEASE, MoveWorker


async def settled():
    """Let the worker come to where it waits."""
    for _ in range(300):
        await asyncio.sleep(0)


async def dead_letters(sqs, count, destination=None, **params):
    """A dead-letter queue with that many messages, being moved away; the queue they move to."""
    dlq = await sqs.create("dlq")
    policy = json.dumps({"deadLetterTargetArn": sqs.arn("dlq"), "maxReceiveCount": 1})
    source = await sqs.create("source", RedrivePolicy=policy)
    for first in range(0, count, 10):
        entries = [{"Id": str(n), "MessageBody": f"m{first + n}"} for n in range(min(10, count - first))]
        await sqs("send_message_batch", QueueUrl=dlq, Entries=entries)
    if destination is None:
        destination = await sqs.create("other")
    started = await sqs("start_message_move_task", SourceArn=sqs.arn("dlq"), DestinationArn=sqs.arn("other"), **params)
    assert started["TaskHandle"]
    return source, destination


async def task(sqs):
    await settled()
    [result] = (await sqs("list_message_move_tasks", SourceArn=sqs.arn("dlq")))["Results"]
    return result["Status"], result["ApproximateNumberOfMessagesMoved"]


async def waiting(sqs, url):
    return int((await sqs.attributes(url, "ApproximateNumberOfMessages"))["ApproximateNumberOfMessages"])


async def test_a_task_without_a_rate_goes_on_slice_by_slice(sqs):
    _, other = await dead_letters(sqs, 2 * limits.MOVE_SLICE_MESSAGES + 30)
    assert await task(sqs) == ("COMPLETED", 230)
    assert await waiting(sqs, other) == 230
    assert await sqs.server.engine.metadata.list("sqs/moving/") == []


@pytest.mark.parametrize("rate", [1, 7, 50])
async def test_a_task_keeps_its_rate(sqs, clock, rate):
    _, other = await dead_letters(sqs, 100, MaxNumberOfMessagesPerSecond=rate)
    assert await task(sqs) == ("RUNNING", 0)
    await clock.advance(1_000)
    assert await task(sqs) == ("RUNNING", rate)
    await clock.advance(500)
    assert await waiting(sqs, other) == (await task(sqs))[1] <= rate * 3 // 2
    await clock.advance(100_000 // rate)
    assert await task(sqs) == ("COMPLETED", 100)


async def test_what_others_took_meanwhile_is_not_waited_for(sqs, clock):
    await dead_letters(sqs, 20, MaxNumberOfMessagesPerSecond=1)
    await sqs("purge_queue", QueueUrl="dlq")
    await clock.advance(2_000)
    assert await task(sqs) == ("COMPLETED", 0)


async def test_what_comes_later_stays(sqs, clock):
    await dead_letters(sqs, 2, MaxNumberOfMessagesPerSecond=1)
    await sqs("send_message", QueueUrl="dlq", MessageBody="later")
    await clock.advance(10_000)
    assert await task(sqs) == ("COMPLETED", 2)
    assert await sqs.bodies("dlq") == ["later"]


async def test_a_destination_that_is_deleted_fails_the_task(sqs, clock):
    _, other = await dead_letters(sqs, 10, MaxNumberOfMessagesPerSecond=1)
    await clock.advance(3_000)
    assert await task(sqs) == ("RUNNING", 3)
    await sqs("delete_queue", QueueUrl=other)
    await clock.advance(1_000)
    assert await task(sqs) == ("FAILED", 3)
    [result] = (await sqs("list_message_move_tasks", SourceArn=sqs.arn("dlq")))["Results"]
    assert result["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert await waiting(sqs, "dlq") == 7


async def test_a_source_that_is_deleted_takes_its_task_along(sqs, clock):
    await dead_letters(sqs, 10, MaxNumberOfMessagesPerSecond=1)
    await sqs("delete_queue", QueueUrl="dlq")
    await clock.advance(1_000)
    await settled()
    metadata = sqs.server.engine.metadata
    assert await metadata.list("sqs/moving/") == []
    assert await metadata.list("sqs/us-east-1/000000000000/move/") == []


async def test_a_task_goes_on_after_a_restart(durable, clock):
    sqs = await durable.start()
    _, other = await dead_letters(sqs, 10, MaxNumberOfMessagesPerSecond=1)
    await settled()
    await clock.advance(4_000)
    while (progress := await task(sqs)) != ("RUNNING", 4):
        assert progress[0] == "RUNNING"
    sqs = await durable.restart()
    while not sqs.state._worker._paces:
        await settled()  # until it is taken up: its rate counts from there
    await clock.advance(6_000)
    while (progress := await task(sqs)) != ("COMPLETED", 10):
        assert progress[0] == "RUNNING"
    assert await waiting(sqs, other) == 10


async def test_one_process_carries_tasks_out(sqs, clock):
    metadata = sqs.server.engine.metadata
    theirs = await metadata.lease(LEASE, ttl_ms=60_000, holder="another process")
    assert theirs is not None
    await dead_letters(sqs, 5)
    assert await task(sqs) == ("RUNNING", 0)
    await theirs.release()
    await clock.advance(limits.MOVE_LEASE_MS)
    assert await task(sqs) == ("COMPLETED", 5)


async def test_a_lost_lease_stops_the_work(sqs, clock):
    await dead_letters(sqs, 100, MaxNumberOfMessagesPerSecond=1)
    await clock.advance(1_000)
    assert await task(sqs) == ("RUNNING", 1)
    worker = MoveWorker(sqs.server, sqs.state.get)
    assert await worker.step(clock.now_ms()) == clock.now_ms() + limits.MOVE_LEASE_MS


async def test_a_step_says_when_to_look_again(sqs, clock):
    await sqs.state.close()
    worker = MoveWorker(sqs.server, sqs.state.get)
    assert await worker.step(clock.now_ms()) is None
    await dead_letters(sqs, 3, MaxNumberOfMessagesPerSecond=2)
    assert await worker.step(clock.now_ms()) == clock.now_ms() + 500
    assert await worker.step(clock.now_ms() + 500) == clock.now_ms() + 500
    assert await worker.step(clock.now_ms() + 500) == clock.now_ms() + 1_000


async def test_a_worker_outlives_an_error(sqs, clock, monkeypatch):
    queues = sqs.server.engine.queues
    redrive = queues.redrive

    async def fail(*_):
        monkeypatch.setattr(queues, "redrive", redrive)
        raise OSError("a passing fault")

    monkeypatch.setattr(queues, "redrive", fail)
    await dead_letters(sqs, 5)
    assert await task(sqs) == ("RUNNING", 0)
    await clock.advance(limits.MOVE_LEASE_MS)
    assert await task(sqs) == ("COMPLETED", 5)
