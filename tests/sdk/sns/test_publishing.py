"""Publish and PublishBatch to queues: what arrives, and what is refused."""

import json

import pytest


@pytest.fixture
def raw(topic, queue, subscribe):
    """A queue that is subscribed to the topic with raw delivery."""
    subscribe(topic, queue, RawMessageDelivery="true")
    return queue


@pytest.fixture
def wrapped(topic, queue, subscribe):
    """A queue that is subscribed to the topic, and gets messages in envelopes."""
    subscribe(topic, queue)
    return queue


ATTRIBUTES = {
    "state": {"DataType": "String", "StringValue": "placed"},
    "price": {"DataType": "Number", "StringValue": "19.5"},
    "photo": {"DataType": "Binary", "BinaryValue": b"\x02\x03\x04"},
}


def test_a_queue_gets_the_envelope(sns, topic, wrapped, headrace):
    published = sns.publish(TopicArn=topic, Message='say "ü"', Subject="Order", MessageAttributes=ATTRIBUTES)
    (body,) = map(json.loads, wrapped.bodies(WaitTimeSeconds=5))
    assert list(body)[:5] == ["Type", "MessageId", "TopicArn", "Subject", "Message"]
    assert (body["Type"], body["TopicArn"], body["Subject"]) == ("Notification", topic, "Order")
    assert (body["MessageId"], body["Message"]) == (published["MessageId"], 'say "ü"')
    assert body["MessageAttributes"] == {
        "state": {"Type": "String", "Value": "placed"},
        "price": {"Type": "Number", "Value": "19.5"},
        "photo": {"Type": "Binary", "Value": "AgME"},
    }
    assert body["UnsubscribeURL"].startswith(f"{headrace.endpoint_url}/?Action=Unsubscribe&SubscriptionArn={topic}:")
    assert body["SignatureVersion"] == "1"


def test_raw_delivery_gives_the_message_and_its_attributes(sns, topic, raw):
    sns.publish(TopicArn=topic, Message="text", MessageAttributes=ATTRIBUTES)
    (message,) = raw.receive(WaitTimeSeconds=5, MessageAttributeNames=["All"])
    assert message["Body"] == "text"
    assert message["MessageAttributes"] == ATTRIBUTES


def test_a_message_for_each_protocol(sns, topic, raw):
    texts = json.dumps({"default": "for all", "sqs": "for queues", "http": 1})
    sns.publish(TopicArn=topic, Message=texts, MessageStructure="json")
    sns.publish(TopicArn=topic, Message='{"default": "for all"}', MessageStructure="json")
    assert sorted(raw.gather_bodies(2)) == ["for all", "for queues"]


def test_a_topic_may_be_the_target(sns, topic, raw):
    sns.publish(TargetArn=topic, Message="text")
    assert raw.bodies(WaitTimeSeconds=5) == ["text"]


def test_nobody_gets_what_was_published_before(sns, topic, queue, subscribe):
    sns.publish(TopicArn=topic, Message="before")
    subscribe(topic, queue, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="after")
    assert queue.bodies(WaitTimeSeconds=5) == ["after"]


def test_a_changed_subscription_is_delivered_to_as_it_is_now(sns, topic, queue, subscribe):
    arn = subscribe(topic, queue)
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="RawMessageDelivery", AttributeValue="true")
    sns.publish(TopicArn=topic, Message="raw")
    assert queue.bodies(WaitTimeSeconds=5) == ["raw"]
    sns.unsubscribe(SubscriptionArn=arn)
    sns.publish(TopicArn=topic, Message="too late")
    assert queue.depth() == (0, 1, 0)


def test_a_batch_reaches_every_queue(sns, topic, make_queue, subscribe):
    queues = [make_queue(f"q{number}") for number in range(3)]
    for queue in queues:
        subscribe(topic, queue, RawMessageDelivery="true")
    entries = [{"Id": str(number), "Message": f"m{number}"} for number in range(10)]
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [each["Id"] for each in answer["Successful"]] == [entry["Id"] for entry in entries]
    assert len({each["MessageId"] for each in answer["Successful"]}) == 10
    assert answer["Failed"] == []
    for queue in queues:
        assert sorted(queue.gather_bodies(len(entries))) == [entry["Message"] for entry in entries]


def test_the_group_makes_queues_fair_and_the_trace_goes_on(sns, topic, raw):
    sns.meta.events.register("before-sign.sns.Publish", _trace)
    try:
        sns.publish(TopicArn=topic, Message="text", MessageGroupId="tenant")
    finally:
        sns.meta.events.unregister("before-sign.sns.Publish", _trace)
    (message,) = raw.receive(WaitTimeSeconds=5, MessageSystemAttributeNames=["All"])
    assert message["Attributes"]["MessageGroupId"] == "tenant"
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1-3152b799-8954dae64eda91bc9a23a7e8"


def _trace(request, **_):
    request.headers["X-Amzn-Trace-Id"] = "Root=1-3152b799-8954dae64eda91bc9a23a7e8"


# What is refused


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"Message": ""}, "InvalidParameter", "Invalid parameter: Empty message"),
        ({"Subject": ""}, "InvalidParameter", "Invalid parameter: Subject"),
        ({"Subject": "x" * 101}, "InvalidParameter", "Invalid parameter: Subject"),
        ({"Subject": "two\nlines"}, "InvalidParameter", "Invalid parameter: Subject"),
        ({"Message": "x" * 262_145}, "InvalidParameter", "Invalid parameter: Message too long"),
        (
            {"Message": "x" * 262_140, "MessageAttributes": {"a": {"DataType": "String", "StringValue": "b"}}},
            "InvalidParameter",
            "Invalid parameter: Message too long",
        ),
        (
            {"MessageDeduplicationId": "1"},
            "InvalidParameter",
            (
                "Invalid parameter: MessageDeduplicationId Reason: The request includes MessageDeduplicationId "
                "parameter that is not valid for this topic type"
            ),
        ),
        (
            {"MessageStructure": "json"},
            "InvalidParameter",
            "Invalid parameter: Message Structure - JSON message body failed to parse",
        ),
        (
            {"MessageStructure": "json", "Message": '{"sqs": "x", "default": 1}'},
            "InvalidParameter",
            "Invalid parameter: Message Structure - No default entry in JSON message body",
        ),
        (
            {"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}},
            "ParameterValueInvalid",
            (
                "The message attribute 'a' must contain non-empty message attribute value for message attribute type "
                "'String'."
            ),
        ),
        (
            {"MessageAttributes": {"a": {"DataType": "Number", "BinaryValue": b"1"}}},
            "ParameterValueInvalid",
            "The message attribute 'a' with type 'Number' must use field 'String'.",
        ),
        (
            {"MessageAttributes": {"a": {"DataType": "Text", "StringValue": "b"}}},
            "ParameterValueInvalid",
            (
                "The message attribute 'a' has an invalid message attribute type, the set of supported type prefixes "
                "is Binary, Number, and String."
            ),
        ),
        (
            {"MessageAttributes": {"a^": {"DataType": "String", "StringValue": "b"}}},
            "ParameterValueInvalid",
            (
                "Invalid non-alphanumeric character '#x5E' was found in the message attribute name. Can only include "
                "alphanumeric characters, hyphens, underscores, or dots."
            ),
        ),
    ],
)
def test_messages_that_are_none(sns, topic, raw, refused, given, code, message):
    with refused(code, message, 400):
        sns.publish(**({"TopicArn": topic, "Message": "text"} | given))
    entry = {"Id": "1", "Message": "text"} | given
    with refused(code, message):
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[entry])
    assert raw.depth() == (0, 0, 0)


def test_targets_that_are_none(sns, topic, refused):
    with refused("NotFound", "Topic does not exist", 404):
        sns.publish(TopicArn=f"{topic}x", Message="text")
    with refused("InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 2"):
        sns.publish(TopicArn="orders:x", Message="text")
    with refused("InvalidParameter"):
        sns.publish(Message="text")
    with refused("InvalidParameter"):
        sns.publish(TopicArn=topic, PhoneNumber="+15550100", Message="text")
    with refused("InvalidParameter", "Invalid parameter: PhoneNumber Reason: 12 is not valid to publish to"):
        sns.publish(PhoneNumber="12", Message="text")


def test_batches_that_are_none(sns, topic, refused):
    def publish(*entries):
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=list(entries))

    with refused("EmptyBatchRequest"):
        publish()
    with refused("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible."):
        publish(*[{"Id": str(number), "Message": "m"} for number in range(11)])
    with refused("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id."):
        publish({"Id": "1", "Message": "a"}, {"Id": "1", "Message": "b"})
    for entry_id in ("a b", "x" * 81):
        with refused("InvalidBatchEntryId"):
            publish({"Id": entry_id, "Message": "a"})
    with refused("BatchRequestTooLong", "The length of all the messages put together is more than the limit."):
        publish(*[{"Id": str(number), "Message": "x" * 200_000} for number in range(2)])


def test_a_topic_for_large_messages(sns, make_queue, subscribe, refused):
    large = sns.create_topic(Name="large", Attributes={"MaximumMessageSize": "1048576"})["TopicArn"]
    queue = make_queue("q", MaximumMessageSize="1048576")
    subscribe(large, queue, RawMessageDelivery="true")
    sns.publish(TopicArn=large, Message="x" * 1_048_576)
    assert [len(body) for body in queue.bodies(WaitTimeSeconds=5)] == [1_048_576]
    with refused("InvalidParameter", "Invalid parameter: Message too long"):
        sns.publish(TopicArn=large, Message="x" * 1_048_577)


# Dead letters


@pytest.mark.parametrize("raw_delivery", ["true", "false"])
def test_what_a_queue_refuses_goes_to_the_dead_letter_queue(sns, sqs, topic, make_queue, subscribe, raw_delivery):
    queue, dead = make_queue("q"), make_queue("dead")
    policy = json.dumps({"deadLetterTargetArn": dead.arn})
    subscribe(topic, queue, RawMessageDelivery=raw_delivery, RedrivePolicy=policy)
    sns.publish(TopicArn=topic, Message="before")
    assert len(queue.gather(1)) == 1
    sqs.delete_queue(QueueUrl=queue.url)
    sns.publish(TopicArn=topic, Message="after", MessageAttributes=ATTRIBUTES)
    entries = [{"Id": str(number), "Message": f"m{number}"} for number in range(3)]
    sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    messages = dead.gather(4, MessageAttributeNames=["All"])
    texts = [each["Body"] if raw_delivery == "true" else json.loads(each["Body"])["Message"] for each in messages]
    assert sorted(texts) == ["after", "m0", "m1", "m2"]
    attributes = [each["MessageAttributes"] for each in messages if "MessageAttributes" in each]
    assert attributes == ([ATTRIBUTES] if raw_delivery == "true" else [])


def test_without_a_dead_letter_queue_it_is_lost_and_others_get_it(sns, sqs, topic, make_queue, subscribe):
    gone, queue = make_queue("gone"), make_queue("q")
    subscribe(topic, gone)
    subscribe(topic, queue, RawMessageDelivery="true")
    sqs.delete_queue(QueueUrl=gone.url)
    sns.publish(TopicArn=topic, Message="text")
    assert queue.bodies(WaitTimeSeconds=5) == ["text"]


def test_more_attributes_than_a_queue_takes(sns, topic, make_queue, subscribe):
    queue, dead, other = make_queue("q"), make_queue("dead"), make_queue("other")
    subscribe(topic, queue, RawMessageDelivery="true", RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn}))
    subscribe(topic, other)
    many = {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(11)}
    sns.publish(TopicArn=topic, Message="text", MessageAttributes=many)
    assert len(other.receive(WaitTimeSeconds=5)) == 1
    assert queue.depth() == (0, 0, 0)


@pytest.mark.parametrize("target", ["fifo", "far", "none"])
def test_dead_letter_queues_that_do_not_fit(sns, topic, queue, subscribe, refused, target):
    arns = {
        "fifo": "arn:aws:sqs:us-east-1:000000000000:dead.fifo",
        "far": "arn:aws:sqs:eu-west-1:000000000000:dead",
        "none": "arn:aws:sns:us-east-1:000000000000:dead",
    }
    with refused("InvalidParameter"):
        subscribe(topic, queue, RedrivePolicy=json.dumps({"deadLetterTargetArn": arns[target]}))
