"""What a topic has stored is brought to its subscribers, whatever becomes of the calls that do it."""

import asyncio
import secrets

import pytest

from headrace.errors import StorageError
from headrace.primitives.queues import QueueMissing
from headrace.services.sns import limits, stored

QUEUE = {"Protocol": "sqs", "Endpoint": "arn:aws:sqs:us-east-1:000000000000:q"}
PHONE = {"Protocol": "sms", "Endpoint": "+15550100"}
TURNS = 200


@pytest.fixture
def topic(call):
    """A function that makes a topic with a queue, and more subscribers; its ARN."""

    async def topic(name, *others, **attributes):
        await call("CreateQueue", service="sqs", QueueName="q")
        arn = (await call("CreateTopic", Name=name, Attributes=attributes))["TopicArn"]
        await call("Subscribe", TopicArn=arn, Attributes={"RawMessageDelivery": "true"}, **QUEUE)
        for other in others:
            await call("Subscribe", TopicArn=arn, **other)
        return arn

    return topic


@pytest.fixture
def bodies(call):
    """A function that receives until so many different messages have come to the queue; their bodies, sorted."""

    async def bodies(count):
        found = set()
        asked = {"QueueUrl": "q", "WaitTimeSeconds": 20, "MaxNumberOfMessages": 10}
        for _ in range(TURNS):
            if len(found) >= count:
                break
            received = await call("ReceiveMessage", service="sqs", **asked)
            found |= {each["Body"] for each in received.get("Messages", [])}
        return sorted(found)

    return bodies


async def test_what_was_cancelled_from_within_is_done_again(app, call, topic, bodies, monkeypatch):
    arn = await topic("t.fifo", FifoTopic="true")
    publications = app.states["sns"].workers.stored
    bring, cancelled = publications._bring_some, []

    async def cancelled_once(*args):
        if not cancelled:
            cancelled.append(args)
            raise asyncio.CancelledError
        return await bring(*args)

    monkeypatch.setattr(publications, "_bring_some", cancelled_once)
    await call("Publish", TopicArn=arn, Message="a", MessageGroupId="g", MessageDeduplicationId="a")
    assert await bodies(1) == ["a"]
    assert cancelled


class TestOnNats:
    """Where the messages of many queues are not one commit, and calls of the engine have timeouts."""

    @pytest.fixture
    def urls(self, nats_servers):
        return nats_servers(1)

    @pytest.fixture
    async def app(self, start, urls):
        return await start(engine="nats", nats=urls, nats_prefix=f"t{secrets.token_hex(6)}")

    @staticmethod
    async def too_late(_queue):
        try:
            async with asyncio.timeout(0.01):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            raise StorageError("NATS stored the change, but does not show it in time.") from None

    @staticmethod
    async def missing(queue):
        raise QueueMissing(queue)

    @pytest.mark.parametrize("failing", [too_late, missing])
    async def test_a_delivery_that_is_not_stored_is_stored_again(self, app, call, topic, bodies, failing, monkeypatch):
        arn = await topic("t", PHONE)
        outgoing, failed = app.states["sns"].deliveries, []
        send = outgoing.send

        async def failing_once(queue, *args, **options):
            if not failed:
                failed.append(queue)
                await failing(queue)
            return await send(queue, *args, **options)

        monkeypatch.setattr(outgoing, "send", failing_once)
        await call("Publish", TopicArn=arn, Message="a")
        assert await bodies(1) == ["a"]
        assert failed
        for _ in range(TURNS):
            depth = await app.engine.queues.depth(stored.queue_of(arn))
            if not depth.visible + depth.in_flight:
                return
            await app.clock.advance(limits.BRING_MS)
        pytest.fail("what was published is never brought to the telephone")
