"""Background work moves to another process when the one that did it is killed."""

import pytest

ACCOUNT = "000000000000"


def url_of(client, name):
    return client.get_queue_url(QueueName=name)["QueueUrl"]


def arn_of(name):
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def visible(client, name):
    found = client.get_queue_attributes(QueueUrl=url_of(client, name), AttributeNames=["All"])["Attributes"]
    return int(found["ApproximateNumberOfMessages"])


def test_a_message_move_task(start, until):
    first = start()
    sqs = first.client("sqs")
    policy = f'{{"deadLetterTargetArn": "{arn_of("dead")}", "maxReceiveCount": "1"}}'
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": policy})
    for _ in range(3):
        entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(10)]
        sqs.send_message_batch(QueueUrl=dead, Entries=entries)
    task = {"SourceArn": arn_of("dead"), "DestinationArn": arn_of("orders"), "MaxNumberOfMessagesPerSecond": 3}
    sqs.start_message_move_task(**task)
    second = start()
    until(lambda: visible(sqs, "orders"))
    first.kill()
    sqs = second.client("sqs")
    until(lambda: sqs.list_message_move_tasks(SourceArn=arn_of("dead"))["Results"][0]["Status"] == "COMPLETED")
    assert (visible(sqs, "dead"), visible(sqs, "orders")) == (0, 30)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_retries_to_an_endpoint(start, until, web_endpoint, end):
    first, second = start(), start()
    sns = first.client("sns")
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=web_endpoint.url)
    until(lambda: web_endpoint.asked)
    arn = sns.confirm_subscription(TopicArn=topic, Token=web_endpoint.asked[0])["SubscriptionArn"]
    retries = '{"healthyRetryPolicy": {"minDelayTarget": 1, "maxDelayTarget": 1, "numRetries": 100}}'
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="DeliveryPolicy", AttributeValue=retries)
    web_endpoint.status = 503
    sns.publish(TopicArn=topic, Message="late")
    until(lambda: web_endpoint.heard)
    getattr(first, end)()
    web_endpoint.status = 200
    tried = len(web_endpoint.heard)
    until(lambda: len(web_endpoint.heard) > tried)
    assert set(web_endpoint.heard) == {"late"}
    # What was delivered is delivered: a message that comes after it is the next that is heard.
    second.client("sns").publish(TopicArn=topic, Message="next")
    until(lambda: "next" in web_endpoint.heard)


def test_what_is_published_and_not_yet_brought_to_the_subscribers(start, until):
    first, second = start(), start()
    sqs, sns = second.client("sqs"), first.client("sns")
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn_of("orders"), Attributes={"RawMessageDelivery": "true"})
    entries = [{"Id": str(number), "Message": str(number)} for number in range(10)]
    for _ in range(5):
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    first.kill()
    until(lambda: visible(sqs, "orders") >= 50)
    bodies = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [message["Body"] for message in messages]
    assert set(bodies) == {str(number) for number in range(10)}


def test_the_shards_that_a_stream_is_getting(start, until):
    first, second = start(), start()
    kinesis = first.client("kinesis")
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    until(lambda: status(kinesis) == "ACTIVE")
    kinesis.put_record(StreamName="clicks", Data=b"before", PartitionKey="k")
    kinesis.update_shard_count(StreamName="clicks", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    first.kill()
    kinesis = second.client("kinesis")
    until(lambda: status(kinesis) == "ACTIVE")
    shards = kinesis.list_shards(StreamName="clicks")["Shards"]
    still_open = [each for each in shards if "EndingSequenceNumber" not in each["SequenceNumberRange"]]
    assert len(still_open) == 2
    kinesis.put_record(StreamName="clicks", Data=b"after", PartitionKey="k")


def status(kinesis):
    return kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]["StreamStatus"]
