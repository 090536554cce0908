"""What one publication does to the store: one commit, all or nothing."""

import asyncio

import pytest

from headrace.app import App
from headrace.context import Principal
from headrace.engines.sqlite import database
from headrace.errors import ServiceError, StorageError
from headrace.services.sns import dead_letters
from headrace.settings import Settings

ROOT = Principal(account="000000000000", access_key_id="key", user_id="me", arn="arn:aws:iam::000000000000:root")


class Stage:
    """A server without a socket."""

    def __init__(self, data: str) -> None:
        self.app = App(Settings(data=data, port=0, clock="virtual", log_level="error"))
        self.commits = 0

    async def call(self, service, operation, **params):
        return await self.app.dispatcher.invoke(service, operation, params, principal=ROOT, region="us-east-1")

    async def queue(self, name, **attributes):
        await self.call("sqs", "CreateQueue", QueueName=name, Attributes=attributes)
        return f"arn:aws:sqs:us-east-1:000000000000:{name}"

    async def topic(self, *endpoints, name="t", **attributes):
        arn = (await self.call("sns", "CreateTopic", Name=name, Attributes=attributes))["TopicArn"]
        for endpoint in endpoints:
            await self.subscribe(arn, endpoint)
        return arn

    async def subscribe(self, topic, endpoint, **attributes):
        given = {"RawMessageDelivery": "true"} | attributes
        asked = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": endpoint, "Attributes": given}
        return (await self.call("sns", "Subscribe", **asked))["SubscriptionArn"]

    async def come(self, name, count):
        """Return when so many messages are in the queue."""
        for _ in range(1_000):
            if (await self.app.engine.queues.depth(f"arn:aws:sqs:us-east-1:000000000000:{name}")).visible >= count:
                return
            await self.app.clock.advance(1_000)
        pytest.fail(f"{count} messages do not come to {name}")

    async def bodies(self, name):
        answer = await self.call("sqs", "ReceiveMessage", QueueUrl=name, MaxNumberOfMessages=10)
        return [message["Body"] for message in answer.get("Messages", [])]


@pytest.fixture
async def stage(tmp_path, monkeypatch):
    # Commits are made on the loop, however slow the disk is: a clock that is moved waits for the loop, not for threads.
    monkeypatch.setattr(database, "SLOW_SYNC_S", 1e9)
    stage = Stage(str(tmp_path / "data"))
    await stage.app.start()
    yield stage
    await stage.app.close()


@pytest.fixture
def commits(stage, monkeypatch):
    """A list that grows by one with each commit."""
    opened = stage.app.engine.database
    commit, seen = opened._commit, []

    def count():
        seen.append(1)
        return commit()

    monkeypatch.setattr(opened, "_commit", count)
    return seen


@pytest.mark.parametrize("batch", [False, True])
async def test_a_publication_is_one_commit(stage, commits, batch):
    topic = await stage.topic(*[await stage.queue(f"q{number}") for number in range(5)])
    wrapped = await stage.queue("wrapped")
    await stage.subscribe(topic, wrapped, RawMessageDelivery="false")
    sms = {"TopicArn": topic, "Protocol": "sms", "Endpoint": "+15550100"}
    subscription = (await stage.call("sns", "Subscribe", **sms))["SubscriptionArn"]
    await stage.call("sns", "Publish", TopicArn=topic, Message="first")  # the ways are known from here on
    await stage.call("sns", "Unsubscribe", SubscriptionArn=subscription)
    commits.clear()
    if batch:
        entries = [{"Id": str(number), "Message": f"m{number}"} for number in range(3)]
        await stage.call("sns", "PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries)
    else:
        await stage.call("sns", "Publish", TopicArn=topic, Message="second")
    assert len(commits) == 1


async def test_what_waits_for_a_worker_is_part_of_the_commit(stage, commits, monkeypatch):
    topic = await stage.topic(await stage.queue("q"))
    await stage.call("sns", "Subscribe", TopicArn=topic, Protocol="sms", Endpoint="+15550100")
    deliveries = stage.app.states["sns"].deliveries
    monkeypatch.setattr(deliveries, "_wake", lambda _queue: None)
    await stage.call("sns", "Publish", TopicArn=topic, Message="first")
    commits.clear()
    await stage.call("sns", "Publish", TopicArn=topic, Message="second")
    assert len(commits) == 1
    assert sorted(await stage.bodies("q")) == ["first", "second"]


async def test_a_turn_that_fails_fails_for_all(stage, monkeypatch):
    topic = await stage.topic(*[await stage.queue(f"q{number}") for number in range(3)])
    await stage.call("sns", "Publish", TopicArn=topic, Message="first")
    opened = stage.app.engine.database
    commit = opened._commit
    monkeypatch.setattr(opened, "_commit", lambda: StorageError("The disk is gone."))
    with pytest.raises(StorageError):
        await stage.call("sns", "Publish", TopicArn=topic, Message="lost")
    monkeypatch.setattr(opened, "_commit", commit)
    for number in range(3):
        assert await stage.bodies(f"q{number}") == ["first"]


class Refusing:
    """SendMessage that is refused as often as it is told to."""

    def __init__(self, stage, monkeypatch, code, times):
        self.left = times
        prepare = stage.app.server.prepare
        prepare_together = stage.app.server.prepare_together
        invoke = stage.app.server.invoke

        def refuse():
            self.left -= 1
            return ServiceError(code, "Not now.")

        def prepare_refusing(service, operation, **caller):
            call = prepare(service, operation, **caller)

            async def send(params):
                if self.left and operation.startswith("SendMessage"):
                    raise refuse()
                return await call(params)

            return send

        def prepare_together_refusing(service, operation, **caller):
            call = prepare_together(service, operation, **caller)

            async def send(calls):
                if self.left:
                    raise refuse()
                await call(calls)

            return send

        async def invoke_refusing(service, operation, params, **caller):
            if self.left and operation.startswith("SendMessage"):
                raise refuse()
            return await invoke(service, operation, params, **caller)

        monkeypatch.setattr(stage.app.server, "prepare", prepare_refusing)
        monkeypatch.setattr(stage.app.server, "prepare_together", prepare_together_refusing)
        monkeypatch.setattr(stage.app.server, "invoke", invoke_refusing)


async def test_a_queue_that_is_throttled_gets_the_message_later(stage, monkeypatch):
    topic = await stage.topic(await stage.queue("q"))
    Refusing(stage, monkeypatch, "RequestThrottled", times=3)
    await stage.call("sns", "Publish", TopicArn=topic, Message="text")
    await stage.app.clock.advance(60_000)
    assert await stage.bodies("q") == ["text"]


async def test_a_queue_that_refuses_loses_the_message_to_the_dead_letter_queue(stage, monkeypatch):
    queue, dead = await stage.queue("q"), await stage.queue("dead")
    topic = await stage.topic()
    await stage.subscribe(topic, queue, RedrivePolicy=f'{{"deadLetterTargetArn": "{dead}"}}')
    Refusing(stage, monkeypatch, "InvalidParameterValue", times=1)
    await stage.call("sns", "Publish", TopicArn=topic, Message="text")
    assert await stage.bodies("dead") == ["text"]
    assert await stage.bodies("q") == []


@pytest.mark.parametrize("batch", [False, True])
async def test_one_of_many_queues_refuses(stage, commits, batch):
    small, dead = await stage.queue("small", MaximumMessageSize="1024"), await stage.queue("dead")
    others = [await stage.queue(f"q{number}") for number in range(3)]
    topic = await stage.topic(*others)
    await stage.subscribe(topic, small, RedrivePolicy=f'{{"deadLetterTargetArn": "{dead}"}}')
    await stage.call("sns", "Publish", TopicArn=topic, Message="first")
    commits.clear()
    long = "x" * 2000
    if batch:
        entries = [{"Id": "a", "Message": "short"}, {"Id": "b", "Message": long}]
        await stage.call("sns", "PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries)
    else:
        await stage.call("sns", "Publish", TopicArn=topic, Message=long)
        assert len(commits) == 1
    sent = ["first", "short", long] if batch else ["first", long]
    for number in range(3):
        assert await stage.bodies(f"q{number}") == sent
    assert await stage.bodies("small") == sent[:-1]
    assert await stage.bodies("dead") == [long]


async def test_one_of_many_queues_is_gone(stage):
    topic = await stage.topic(*[await stage.queue(f"q{number}") for number in range(3)])
    await stage.call("sns", "Publish", TopicArn=topic, Message="first")
    await stage.call("sqs", "DeleteQueue", QueueUrl="q1")
    await stage.call("sns", "Publish", TopicArn=topic, Message="second")
    for number in (0, 2):
        assert await stage.bodies(f"q{number}") == ["first", "second"]


async def test_queues_of_two_regions(stage, commits):
    near = [await stage.queue(f"q{number}") for number in range(2)]
    create = {"QueueName": "far"}
    await stage.app.dispatcher.invoke("sqs", "CreateQueue", create, principal=ROOT, region="eu-west-1")
    topic = await stage.topic(*near, "arn:aws:sqs:eu-west-1:000000000000:far")
    await stage.call("sns", "Publish", TopicArn=topic, Message="first")
    commits.clear()
    await stage.call("sns", "Publish", TopicArn=topic, Message="second")
    assert len(commits) == 1
    receive = {"QueueUrl": "far", "MaxNumberOfMessages": 10}
    far = await stage.app.dispatcher.invoke("sqs", "ReceiveMessage", receive, principal=ROOT, region="eu-west-1")
    assert [each["Body"] for each in far["Messages"]] == ["first", "second"]
    for number in range(2):
        assert await stage.bodies(f"q{number}") == ["first", "second"]


async def test_a_batch_that_a_queue_takes_in_part(stage):
    queue, dead = await stage.queue("q", MaximumMessageSize="1024"), await stage.queue("dead")
    topic = await stage.topic()
    await stage.subscribe(topic, queue, RedrivePolicy=f'{{"deadLetterTargetArn": "{dead}"}}')
    entries = [{"Id": "a", "Message": "short"}, {"Id": "b", "Message": "x" * 2000}]
    await stage.call("sns", "PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries)
    assert await stage.bodies("q") == ["short"]
    assert await stage.bodies("dead") == ["x" * 2000]


async def test_a_fifo_queue_takes_the_rest_of_a_batch(stage):
    queue = await stage.queue("q.fifo", FifoQueue="true", MaximumMessageSize="1024")
    dead = await stage.queue("dead.fifo", FifoQueue="true")
    topic = await stage.topic(name="t.fifo", FifoTopic="true")
    await stage.subscribe(topic, queue, RedrivePolicy=f'{{"deadLetterTargetArn": "{dead}"}}')
    entries = [
        {"Id": str(number), "Message": text, "MessageGroupId": "g", "MessageDeduplicationId": str(number)}
        for number, text in enumerate(["one", "x" * 2000, "two"])
    ]
    await stage.call("sns", "PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries)
    wait = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 10}
    buried = await stage.call("sqs", "ReceiveMessage", QueueUrl="dead.fifo", **wait)
    assert [message["Body"] for message in buried["Messages"]] == ["x" * 2000]
    assert await stage.bodies("q.fifo") == ["one", "two"]


async def test_what_is_stored_stays_until_what_a_queue_refused_is_elsewhere(stage, monkeypatch):
    queue = await stage.queue("q.fifo", FifoQueue="true", MaximumMessageSize="1024")
    plain = await stage.queue("q", MaximumMessageSize="1024")
    topic = await stage.topic(queue, plain, name="t.fifo", FifoTopic="true")
    stored, dead = [], []
    published = f"sns:published:{topic}"

    async def bury(*_):
        stored.append((await stage.app.engine.queues.depth(published)).in_flight)
        for _ in range(20):  # a signature takes a while
            await asyncio.sleep(0)
        dead.append((await stage.app.engine.queues.depth(published)).in_flight)

    monkeypatch.setattr(dead_letters, "send", bury)
    entries = [
        {"Id": str(number), "Message": text, "MessageGroupId": "g", "MessageDeduplicationId": str(number)}
        for number, text in enumerate(["one", "x" * 2000, "two"])
    ]
    await stage.call("sns", "PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries)
    await stage.come("q.fifo", 2)
    await stage.come("q", 2)
    assert stored == dead == [3, 3]
    assert (await stage.app.engine.queues.depth(published)).in_flight == 0


async def test_nothing_of_a_batch_overtakes_what_is_tried_again(stage, monkeypatch):
    queue = await stage.queue("q.fifo", FifoQueue="true", MaximumMessageSize="1024")
    topic = await stage.topic(queue, name="t.fifo", FifoTopic="true")
    prepare, throttled = stage.app.server.prepare, []

    def prepare_throttling_once(service, operation, **caller):
        call = prepare(service, operation, **caller)

        async def send(params):
            if params.get("MessageBody") == "two" and not throttled:
                throttled.append(operation)
                raise ServiceError("RequestThrottled", "Not now.")
            return await call(params)

        return send

    monkeypatch.setattr(stage.app.server, "prepare", prepare_throttling_once)
    entries = [
        {"Id": str(number), "Message": text, "MessageGroupId": "g", "MessageDeduplicationId": str(number)}
        for number, text in enumerate(["one", "x" * 2000, "two", "three", "four"])
    ]
    await stage.call("sns", "PublishBatch", TopicArn=topic, PublishBatchRequestEntries=entries)
    await stage.come("q.fifo", 4)
    assert throttled == ["SendMessage"]
    assert await stage.bodies("q.fifo") == ["one", "two", "three", "four"]


async def test_later_messages_go_behind_those_that_wait(stage, monkeypatch):
    queue = await stage.queue("q.fifo", FifoQueue="true")
    topic = await stage.topic(queue, name="t.fifo", FifoTopic="true")

    async def publish(*messages):
        for message in messages:
            given = {"TopicArn": topic, "Message": message, "MessageGroupId": "g", "MessageDeduplicationId": message}
            await stage.call("sns", "Publish", **given)

    Refusing(stage, monkeypatch, "RequestThrottled", times=4)
    await publish("one", "two", "three")
    await stage.app.clock.advance(10)
    await publish("four")
    await stage.app.clock.advance(600_000)
    await publish("five")
    await stage.app.clock.advance(1_000)
    assert await stage.bodies("q.fifo") == ["one", "two", "three", "four", "five"]
