"""What SNS has stored goes on after a restart, however the process ended."""

import json

import pytest


@pytest.fixture
def start(spawn, tmp_path):
    """A function that starts a server on the test's data directory; it is ended with the test."""
    running = []

    def start():
        running.append(spawn(data=str(tmp_path / "data"), clock="virtual"))
        return running[-1]

    yield start
    for server in running:
        server.kill()


def take(sqs, url, count):
    """The bodies of a number of messages, received and deleted in order."""
    taken = []
    while len(taken) < count:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=10).get("Messages", [])
        assert messages, f"only {taken} came"
        entries = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(messages)]
        sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        taken += [message["Body"] for message in messages]
    return taken


def fifo_queue(sqs, name):
    return sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]


def arn(name):
    return f"arn:aws:sqs:us-east-1:000000000000:{name}"


def publish(sns, topic, *messages):
    for message in messages:
        sns.publish(TopicArn=topic, Message=message, MessageGroupId="g", MessageDeduplicationId=message)


def test_topics_subscriptions_and_filters(start):
    server = start()
    sns, sqs = server.client("sns"), server.client("sqs")
    topic = sns.create_topic(Name="t", Tags=[{"Key": "k", "Value": "v"}])["TopicArn"]
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    attributes = {"RawMessageDelivery": "true", "FilterPolicy": '{"state": ["placed"]}'}
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn("q"), Attributes=attributes)
    server.kill()
    server = start()
    sns, sqs = server.client("sns"), server.client("sqs")
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed["SubscriptionArn"] == subscription["SubscriptionArn"]
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "k", "Value": "v"}]
    for state in ("cancelled", "placed"):
        sns.publish(
            TopicArn=topic, Message=state, MessageAttributes={"state": {"DataType": "String", "StringValue": state}}
        )
    assert take(sqs, url.replace(url.split("/000")[0], server.endpoint_url), 1) == ["placed"]


def test_what_a_fifo_topic_has_acknowledged(start):
    server = start()
    sns, sqs = server.client("sns"), server.client("sqs")
    topic = sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    fifo_queue(sqs, "q.fifo")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn("q.fifo"), Attributes={"RawMessageDelivery": "true"})
    publish(sns, topic, *[f"m{number}" for number in range(20)])
    server.kill()
    server = start()
    sns, sqs = server.client("sns"), server.client("sqs")
    publish(sns, topic, "m19", "m20")  # the first is a duplicate still
    server.advance(30)
    url = sqs.get_queue_url(QueueName="q.fifo")["QueueUrl"]
    assert take(sqs, url, 21) == [f"m{number}" for number in range(21)]


def test_a_queue_that_is_throttled_gets_everything_in_order(start):
    server = start()
    sns, sqs = server.client("sns"), server.client("sqs")
    topic = sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    url = fifo_queue(sqs, "q.fifo")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn("q.fifo"), Attributes={"RawMessageDelivery": "true"})
    # The queue's quota of the second is used up, so that the topic's messages have to wait.
    for number in range(400):
        try:
            sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="x", MessageDeduplicationId=str(number))
        except sqs.exceptions.RequestThrottled:
            break
    publish(sns, topic, *[f"m{number}" for number in range(10)])
    server.advance(120)
    publish(sns, topic, *[f"m{number}" for number in range(10, 15)])
    server.advance(120)
    taken = [body for body in take(sqs, url, number + 15) if body != "x"]
    assert taken == [f"m{number}" for number in range(15)]


def test_a_replay(start):
    server = start()
    sns, sqs = server.client("sns"), server.client("sqs")
    attributes = {"FifoTopic": "true", "ArchivePolicy": '{"MessageRetentionPeriod": "3"}'}
    topic = sns.create_topic(Name="t.fifo", Attributes=attributes)["TopicArn"]
    messages = [f"m{number}" for number in range(30)]
    publish(sns, topic, *messages)
    fifo_queue(sqs, "q.fifo")
    began = sns.get_topic_attributes(TopicArn=topic)["Attributes"]["BeginningArchiveTime"]
    policy = json.dumps({"PointType": "Timestamp", "StartingPoint": began})
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn("q.fifo"),
        Attributes={"RawMessageDelivery": "true", "ReplayPolicy": policy},
    )
    server.kill()
    server = start()
    sns, sqs = server.client("sns"), server.client("sqs")
    publish(sns, topic, "new")
    url = sqs.get_queue_url(QueueName="q.fifo")["QueueUrl"]
    assert take(sqs, url, 31) == [*messages, "new"]


def test_a_confirmation_that_is_asked_for(start):
    server = start()
    sns = server.client("sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.test")
    server.kill()
    server = start()
    sns = server.client("sns")
    for _ in range(20):
        if asked := server.outbox(wait_s=1):
            break
        server.advance(30)
    token = asked[0]["token"]
    confirmed = sns.confirm_subscription(TopicArn=topic, Token=token)["SubscriptionArn"]
    server.kill()
    (listed,) = start().client("sns").list_subscriptions()["Subscriptions"]
    assert listed["SubscriptionArn"] == confirmed
