"""What a process knows of queues, and how it stays true."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headrace.primitives.metadata import Conflict
from headrace.primitives.queues import QueueMissing, QueueSettings
from headrace.services.sqs import limits, records
from headrace.services.sqs.state import State

KEY = records.queue_key("us-east-1", "000000000000", "q")


@pytest.fixture
async def url(sqs):
    return await sqs.create("q")


def count_calls(monkeypatch, target, name):
    calls = []
    original = getattr(target, name)

    async def counted(*arguments, **options):
        calls.append(arguments)
        return await original(*arguments, **options)

    monkeypatch.setattr(target, name, counted)
    return calls


async def test_messages_cost_no_look_at_metadata(sqs, url, monkeypatch):
    await sqs("send_message", QueueUrl=url, MessageBody="m")
    engine = sqs.server.engine
    gets = count_calls(monkeypatch, engine.metadata, "get")
    opens = count_calls(monkeypatch, engine.queues, "open")
    for _ in range(3):
        await sqs("send_message", QueueUrl=url, MessageBody="m")
        [message] = await sqs.receive(url)
        await sqs("delete_message", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert (gets, opens) == ([], [])


async def test_a_queue_is_opened_once_in_a_process(durable, monkeypatch):
    sqs = await durable.start()
    url = await sqs.create("q")
    sqs = await durable.restart()
    opens = count_calls(monkeypatch, sqs.server.engine.queues, "open")
    await asyncio.gather(*[sqs.receive(url) for _ in range(5)])
    await sqs.receive(url)
    assert {settings for _, settings in opens} == {QueueSettings()}
    again = len(opens)
    await sqs.receive(url)
    assert len(opens) == again


async def test_another_process_s_change_is_seen(sqs, url):
    """Two states over one engine are two processes over one store."""
    other = State(sqs.server)
    await other.start()
    elsewhere = type(sqs)(sqs.server, other)
    await elsewhere("send_message", QueueUrl=url, MessageBody="m")
    await sqs("set_queue_attributes", QueueUrl=url, Attributes={"MaximumMessageSize": "1024"})
    assert (await elsewhere.attributes(url))["MaximumMessageSize"] == "1024"
    assert (await elsewhere.error("send_message", QueueUrl=url, MessageBody="x" * 1025)).code == "InvalidParameterValue"
    await sqs("delete_queue", QueueUrl=url)
    assert (await elsewhere.error("send_message", QueueUrl=url, MessageBody="m")).code == "QueueDoesNotExist"
    await other.close()


async def test_changes_at_once_all_count(sqs, url):
    await asyncio.gather(*[sqs("tag_queue", QueueUrl=url, Tags={str(n): ""}) for n in range(10)])
    assert len((await sqs("list_queue_tags", QueueUrl=url))["Tags"]) == 10


async def test_creations_at_once_make_one_queue(sqs):
    urls = await asyncio.gather(*[sqs.create("new", DelaySeconds=1) for _ in range(5)])
    assert set(urls) == {"http://localhost:4566/000000000000/new"}


async def test_endless_conflict_is_an_answer_too(sqs, url, monkeypatch):
    async def conflict(_):
        raise Conflict

    monkeypatch.setattr(sqs.server.engine.metadata, "apply", conflict)
    error = await sqs.error("tag_queue", QueueUrl=url, Tags={"a": "b"})
    assert (error.code, error.status) == ("ServiceUnavailable", 503)


async def test_a_record_changed_behind_its_back_is_taken_up(sqs, url):
    queue = await sqs.state.load("us-east-1", "000000000000", "q")
    metadata = sqs.server.engine.metadata
    changed = msgspec.structs.replace(queue.record, tags={"from": "elsewhere"})
    await metadata.put(KEY, records.encode(changed))
    await sqs("tag_queue", QueueUrl=url, Tags={"from": "here"})
    await sqs("tag_queue", QueueUrl=url, Tags={"a": "b"})
    assert (await sqs("list_queue_tags", QueueUrl=url))["Tags"] == {"from": "here", "a": "b"}


async def test_caches_are_bounded(sqs, monkeypatch):
    monkeypatch.setattr(limits, "QUEUES_CACHED", 3)
    monkeypatch.setattr(limits, "QUEUE_URLS_CACHED", 3)
    for number in range(8):
        url = await sqs.create(f"q{number}")
        await sqs("send_message", QueueUrl=url, MessageBody="m")
        assert len(sqs.state.urls) <= 3
        assert len(sqs.state._queues) <= 3
    for number in range(8):
        assert await sqs.bodies(f"q{number}") == ["m"]


async def test_a_reset_forgets_all(sqs, url):
    await sqs.server.engine.reset()
    assert (await sqs.error("send_message", QueueUrl=url, MessageBody="m")).code == "QueueDoesNotExist"
    await sqs.create("q")


async def test_a_queue_deleted_while_it_is_opened_stays_deleted(durable, clock, monkeypatch):
    sqs = await durable.start()
    await sqs.create("q")
    sqs = await durable.restart()
    queues = sqs.server.engine.queues
    original = queues.open

    async def slow_open(arn, settings):
        monkeypatch.setattr(queues, "open", original)
        await sqs("delete_queue", QueueUrl="q")
        await original(arn, settings)

    monkeypatch.setattr(queues, "open", slow_open)
    assert (await sqs.error("send_message", QueueUrl="q", MessageBody="lost")).code == "QueueDoesNotExist"
    with pytest.raises(QueueMissing):
        await queues.depth(sqs.arn("q"))
