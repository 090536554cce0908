"""The queues that processes know, and that they know them alike."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis.state import State

from .queue_tools import find, make_queue, nothing, receive, settled


@pytest.fixture
async def stream(unlimited):
    """Kinesis with a stream "s" in on-demand mode."""
    await unlimited.create(shards=0)
    return unlimited


@pytest.fixture
async def twin(stream):
    """The same store as another process serves it."""
    state = State(stream.server)
    await state.start()
    yield type(stream)(stream.server, state)
    await state.close()


async def status(kinesis, queue):
    return (await kinesis("describe_queue", QueueARN=queue))["QueueDescription"]["QueueStatus"]


async def test_a_change_is_known_to_other_processes_at_once(stream, twin, clock):
    queue = await make_queue(stream)
    assert await status(twin, queue) == "ACTIVE"
    await stream("update_queue", QueueARN=queue, QueueAttributes={"VisibilityTimeoutSeconds": 7})
    assert await status(twin, queue) == "UPDATING"
    await clock.advance(limits.TRANSITION_MS)
    await twin("update_queue", QueueARN=queue, QueueAttributes={"VisibilityTimeoutSeconds": 8})
    described = (await stream("describe_queue", QueueARN=queue))["QueueDescription"]
    assert described["QueueAttributes"]["VisibilityTimeoutSeconds"] == 8
    await twin("delete_queue", QueueARN=queue)
    assert await status(stream, queue) == "DELETING"
    await clock.advance(limits.TRANSITION_MS)
    for process in (stream, twin):
        error = await process.error("describe_queue", QueueARN=queue)
        assert error.code == "ResourceNotFoundException"


async def test_who_waits_elsewhere_is_told_of_a_deletion(stream, twin):
    queue = await make_queue(stream)
    waiting = asyncio.create_task(twin.error("receive_queue_records", QueueARN=queue, WaitTimeSeconds=20))
    await settled()
    await stream("delete_queue", QueueARN=queue)
    assert (await asyncio.wait_for(waiting, 5)).code == "ResourceNotFoundException"


async def test_of_two_who_make_a_queue_of_one_name_one_does(stream, twin):
    configuration = [{"StreamARN": stream.arn()}]
    answers = await asyncio.gather(
        *[each("create_queue", QueueName="q", StreamConfigurationList=configuration) for each in (stream, twin)],
        return_exceptions=True,
    )
    assert sorted(getattr(answer, "code", "made") for answer in answers) == ["ResourceInUseException", "made"]
    assert len((await stream("list_queues"))["QueueSummaries"]) == 1
    assert (await stream.summary())["QueueCount"] == 1


async def test_the_queue_of_an_arn_is_not_a_later_one_of_its_name(stream, clock):
    old = await make_queue(stream)
    await stream("delete_queue", QueueARN=old)
    await clock.advance(limits.TRANSITION_MS)
    new = await make_queue(stream)
    assert (await stream.error("describe_queue", QueueARN=old)).code == "ResourceNotFoundException"
    assert (await find(stream, new)).record.name == "q"


async def test_a_name_is_free_once_its_queue_is_gone_though_it_was_not_removed_yet(stream, clock):
    old = await make_queue(stream)
    await stream("delete_queue", QueueARN=old)
    with mock.patch.object(stream.state.stream_queues._worker, "step", mock.AsyncMock(return_value=None)):
        await clock.advance(limits.TRANSITION_MS)
        assert (await stream.error("describe_queue", QueueARN=old)).code == "ResourceNotFoundException"
        assert (await stream("list_queues"))["QueueSummaries"] == []
        new = await make_queue(stream)
    assert await status(stream, new) == "ACTIVE"


async def test_queues_that_are_used_are_kept_when_others_are_forgotten(stream):
    with mock.patch.object(limits, "QUEUES_CACHED", 3):
        used = await make_queue(stream, "used")
        assert await nothing(stream, used)
        kept = await find(stream, used)
        others = [await make_queue(stream, f"q{number}") for number in range(5)]
        assert await find(stream, used) is kept
        for queue in others:
            assert await status(stream, queue) == "ACTIVE"
        await stream.put(b"a")
        assert len(await receive(stream, used)) == 1


async def test_another_account_may_use_a_queue_by_its_arn(stream):
    queue = await make_queue(stream)
    await stream.put(b"a")
    other = stream.caller(account="123456789012")
    assert (await other("list_queues"))["QueueSummaries"] == []
    assert [record["Data"] for record in await receive(other, queue)] == [b"a"]
