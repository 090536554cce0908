"""What a topic has stored is brought to its subscribers, whatever becomes of the task that does it."""

import asyncio

import pytest

from headrace.app import App
from headrace.context import Principal
from headrace.settings import Settings

ROOT = Principal(account="000000000000", access_key_id="key", user_id="me", arn="arn:aws:iam::000000000000:root")


@pytest.fixture
async def app():
    app = App(Settings(data=":memory:", port=0, clock="virtual", log_level="error"))
    await app.start()
    yield app
    await app.close()


async def test_a_task_that_was_cancelled_from_within_is_begun_anew(app, monkeypatch):
    async def call(service, operation, **params):
        return await app.dispatcher.invoke(service, operation, params, principal=ROOT, region="us-east-1")

    url = (await call("sqs", "CreateQueue", QueueName="q"))["QueueUrl"]
    topic = (await call("sns", "CreateTopic", Name="t.fifo", Attributes={"FifoTopic": "true"}))["TopicArn"]
    arn, raw = "arn:aws:sqs:us-east-1:000000000000:q", {"RawMessageDelivery": "true"}
    await call("sns", "Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
    stored = app.states["sns"].workers.stored

    async def cancelled(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as during:
        during.setattr(stored, "_bring_some", cancelled)
        await call("sns", "Publish", TopicArn=topic, Message="a", MessageGroupId="g", MessageDeduplicationId="a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert stored._draining[topic].cancelled()
    await call("sns", "Publish", TopicArn=topic, Message="b", MessageGroupId="g", MessageDeduplicationId="b")
    bodies = []
    while len(bodies) < 2:
        received = await call("sqs", "ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20, MaxNumberOfMessages=10)
        bodies += [each["Body"] for each in received["Messages"]]
    assert sorted(bodies) == ["a", "b"]
