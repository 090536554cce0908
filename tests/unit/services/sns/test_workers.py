"""What was not confirmed in time is removed, with all that told of it."""

from headrace.services.sns import limits


async def keys(app):
    return [entry.key for entry in await app.engine.metadata.list("sns/") if "/active/" not in entry.key]


async def test_the_unconfirmed_are_removed_in_time(app, call):
    topic = (await call("CreateTopic", Name="t"))["TopicArn"]
    before = await keys(app)
    asked = {"TopicArn": topic, "Protocol": "email", "Attributes": {"FilterPolicy": '{"a": ["b"]}'}}
    await call("Subscribe", Endpoint="a@example.test", **asked)
    arn = (await call("Subscribe", Endpoint="b@example.test", ReturnSubscriptionArn=True, **asked))["SubscriptionArn"]
    subscription = await app.states["sns"].require_subscription(arn)
    await call("ConfirmSubscription", TopicArn=topic, Token=subscription.record.token)
    await app.clock.advance(limits.TOKEN_MS + 2 * limits.TOKENS_SWEPT_MS)
    left = await keys(app)
    assert subscription.key in left
    # The subscription, what finds it by its endpoint, and that it has a filter policy.
    assert len(left) == len(before) + 3
    listed = await call("ListSubscriptionsByTopic", TopicArn=topic)
    assert [each["SubscriptionArn"] for each in listed["Subscriptions"]] == [arn]


async def test_who_asks_again_has_more_time(app, call):
    topic = (await call("CreateTopic", Name="t"))["TopicArn"]
    asked = {"TopicArn": topic, "Protocol": "email", "Endpoint": "a@example.test", "ReturnSubscriptionArn": True}
    arn = (await call("Subscribe", **asked))["SubscriptionArn"]
    first = (await app.states["sns"].require_subscription(arn)).record.token
    await app.clock.advance(limits.TOKEN_MS - 1000)
    assert (await call("Subscribe", **asked))["SubscriptionArn"] == arn
    await app.clock.advance(2 * limits.TOKENS_SWEPT_MS)
    subscription = await app.states["sns"].require_subscription(arn)
    assert subscription.record.token != first
    await call("ConfirmSubscription", TopicArn=topic, Token=subscription.record.token)


async def test_nothing_is_left_of_a_topic(app, call):
    before = await keys(app)
    attributes = {"FifoTopic": "true", "ArchivePolicy": '{"MessageRetentionPeriod": "1"}'}
    topic = (await call("CreateTopic", Name="t.fifo", Attributes=attributes))["TopicArn"]
    queue = "arn:aws:sqs:us-east-1:000000000000:q"
    await call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"FilterPolicy": '{"a": ["b"]}'})
    await call("SetTopicAttributes", TopicArn=topic, AttributeName="ArchivePolicy", AttributeValue="")
    await call("DeleteTopic", TopicArn=topic)
    assert await keys(app) == before
