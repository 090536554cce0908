"""What a topic has stored is brought to its subscribers, whatever becomes of the calls that do it."""

import asyncio
import secrets

import pytest

from headrace.errors import StorageError
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
    """Where calls of the engine end by a timeout that cancels the task which they are in."""

    @pytest.fixture
    def urls(self, nats_servers):
        return nats_servers(1)

    @pytest.fixture
    async def app(self, start, urls):
        return await start(engine="nats", nats=urls, nats_prefix=f"t{secrets.token_hex(6)}")

    async def test_a_delivery_that_is_stored_too_late_is_stored_again(self, app, call, topic, bodies, monkeypatch):
        arn = await topic("t", PHONE)
        outgoing, late = app.states["sns"].deliveries, []
        send = outgoing.send

        async def too_late_once(queue, *args, **options):
            if not late:
                late.append(queue)
                try:
                    async with asyncio.timeout(0.01):
                        await asyncio.get_running_loop().create_future()
                except TimeoutError:
                    raise StorageError("NATS stored the change, but does not show it in time.") from None
            return await send(queue, *args, **options)

        monkeypatch.setattr(outgoing, "send", too_late_once)
        for text in ("a", "b"):
            await call("Publish", TopicArn=arn, Message=text)
        assert await bodies(2) == ["a", "b"]
        assert late
        for _ in range(TURNS):
            depth = await app.engine.queues.depth(stored.queue_of(arn))
            if not depth.visible + depth.in_flight:
                return
            await app.clock.advance(limits.BRING_MS)
        pytest.fail("what was published is never brought to the telephone")
