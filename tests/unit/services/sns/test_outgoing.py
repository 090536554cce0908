"""What the worker of an outgoing queue makes of the attempts that end together."""

import asyncio

import pytest

from headrace.clock import VirtualClock
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.errors import StorageError
from headrace.primitives.queues import Outgoing, QueueSettings
from headrace.services.sns import limits, records
from headrace.services.sns.outgoing import OutgoingWorker
from headrace.services.sns.records import Delivery, Publication
from headrace.services.sns.transports import delivered

QUEUE = "sns:out:sms/us-east-1/000000000000"
MESSAGES = 40
TURNS = 100_000
"""Turns of the loop that are waited for the queue to be empty."""


class Phone:
    """A transport that takes everything at once, and counts."""

    def __init__(self):
        self.got = []

    async def deliver(self, delivery):
        self.got.append(delivery.publication.message_id)
        return delivered(200)


@pytest.fixture
async def server(make_server):
    clock = VirtualClock(1_700_000_000_000)
    engine = SqliteEngine(":memory:", clock)
    await engine.start()
    settings = QueueSettings(visibility_timeout_ms=limits.ATTEMPT_MS, max_in_flight=0, fair=False)
    await engine.queues.open(QUEUE, settings)
    yield make_server(engine, clock)
    await engine.drain()
    await engine.close()


async def fill(server):
    """Have messages wait; their ids."""
    ids = [f"m{number}" for number in range(MESSAGES)]
    deliveries = [
        Delivery(
            kind="Notification",
            publication=Publication(
                message_id=each,
                topic_arn="",
                region="us-east-1",
                account="000000000000",
                message="m",
                published_at_ms=server.clock.now_ms(),
            ),
            protocol="sms",
            endpoint="+15550100",
        )
        for each in ids
    ]
    await server.engine.queues.send(QUEUE, [Outgoing(body="", header=records.encode(each)) for each in deliveries])
    return ids


async def none_found(_arn):
    return None


@pytest.fixture
async def run(server):
    """A function that has a worker deliver by a transport until the queue is empty."""
    workers = []

    async def run(transport):
        worker = OutgoingWorker(server, QUEUE, {"sms": transport}, none_found)
        workers.append(worker)
        worker.start(lambda _queue: None)
        for _ in range(TURNS):
            await asyncio.sleep(0)
            found = await server.engine.queues.depth(QUEUE)
            if not found.visible + found.in_flight:
                return
        raise AssertionError("there is something left")

    yield run
    for worker in workers:
        await worker.close()


async def test_what_ends_together_is_deleted_together(server, run, monkeypatch):
    ids = await fill(server)
    delete, sizes = server.engine.queues.delete, []

    async def counted(queue, receipts):
        sizes.append(len(receipts))
        return await delete(queue, receipts)

    monkeypatch.setattr(server.engine.queues, "delete", counted)
    phone = Phone()
    await run(phone)
    assert sorted(phone.got) == sorted(ids)
    assert sum(sizes) == MESSAGES
    assert len(sizes) <= MESSAGES // limits.ATTEMPTS_AT_FIRST


async def test_what_could_not_be_deleted_is_delivered_again(server, run, monkeypatch):
    ids = await fill(server)
    delete, failed = server.engine.queues.delete, []

    async def failing_once(queue, receipts):
        if not failed:
            failed.extend(receipts)
            raise StorageError("full")
        return await delete(queue, receipts)

    monkeypatch.setattr(server.engine.queues, "delete", failing_once)
    phone = Phone()
    running = asyncio.ensure_future(run(phone))
    while not running.done():
        await asyncio.sleep(0)
        if set(phone.got) == set(ids):
            await server.clock.advance(limits.ATTEMPT_MS)
    assert len(phone.got) == MESSAGES + len(failed)
