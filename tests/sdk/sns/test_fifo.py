"""FIFO topics: deduplication, order, sequence numbers, archives and replays."""

import datetime as dt
import json

import pytest


@pytest.fixture
def publish(sns, fifo_topic):
    """A function that publishes to the FIFO topic."""

    def publish(message, group="g", dedup_id=None, **more):
        dedup = {} if dedup_id is None else {"MessageDeduplicationId": dedup_id}
        return sns.publish(TopicArn=fifo_topic, Message=message, MessageGroupId=group, **dedup, **more)

    return publish


@pytest.fixture
def take():
    """A function that receives and deletes a number of messages from a queue."""

    def take(queue, count):
        taken = []
        while len(taken) < count:
            messages = queue.receive(WaitTimeSeconds=10, MessageSystemAttributeNames=["All"])
            assert messages, f"only {[each['Body'] for each in taken]} came"
            for message in messages:
                queue.delete(message)
            taken += messages
        return taken

    return take


def bodies(messages):
    return [message["Body"] for message in messages]


def test_order_is_kept_and_sequence_numbers_grow(publish, fifo_topic, fifo, subscribe, take):
    subscribe(fifo_topic, fifo, RawMessageDelivery="true")
    published = [publish(f"m{number}", dedup_id=str(number)) for number in range(25)]
    numbers = [each["SequenceNumber"] for each in published]
    assert numbers == sorted(numbers)
    assert {len(number) for number in numbers} == {20}
    messages = take(fifo, 25)
    assert bodies(messages) == [f"m{number}" for number in range(25)]
    attributes = messages[0]["Attributes"]
    assert (attributes["MessageGroupId"], attributes["MessageDeduplicationId"]) == ("g", "0")


def test_the_envelope_has_the_sequence_number(publish, fifo_topic, fifo, subscribe, take):
    subscribe(fifo_topic, fifo)
    published = publish("text", dedup_id="1")
    body = json.loads(take(fifo, 1)[0]["Body"])
    assert (body["MessageId"], body["SequenceNumber"]) == (published["MessageId"], published["SequenceNumber"])


def test_a_duplicate_is_answered_as_the_first_and_not_delivered(publish, fifo_topic, fifo, subscribe, take, headrace):
    subscribe(fifo_topic, fifo, RawMessageDelivery="true")
    first = publish("one", dedup_id="same")
    again = publish("two", group="another", dedup_id="same")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    headrace.advance(300)
    publish("three", dedup_id="same")
    assert bodies(take(fifo, 2)) == ["one", "three"]


def test_deduplication_by_content(sns, publish, fifo_topic, fifo, subscribe, take, refused):
    with refused(
        "InvalidParameter",
        (
            "Invalid parameter: The topic should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly"
        ),
    ):
        publish("text")
    sns.set_topic_attributes(TopicArn=fifo_topic, AttributeName="ContentBasedDeduplication", AttributeValue="true")
    subscribe(fifo_topic, fifo, RawMessageDelivery="true")
    publish("text")
    publish("text")
    publish("more text")
    assert bodies(take(fifo, 2)) == ["text", "more text"]


def test_deduplication_by_group(sns, publish, fifo_topic, queue, subscribe, take):
    sns.set_topic_attributes(TopicArn=fifo_topic, AttributeName="FifoThroughputScope", AttributeValue="MessageGroup")
    subscribe(fifo_topic, queue, RawMessageDelivery="true")
    publish("a", group="one", dedup_id="same")
    publish("b", group="two", dedup_id="same")
    publish("c", group="one", dedup_id="same")
    assert sorted(bodies(take(queue, 2))) == ["a", "b"]


def test_what_a_fifo_topic_needs(sns, fifo_topic, refused):
    with refused("InvalidParameter", "Invalid parameter: The MessageGroupId parameter is required for FIFO topics"):
        sns.publish(TopicArn=fifo_topic, Message="text", MessageDeduplicationId="1")
    with refused("InvalidParameter"):
        sns.publish(TopicArn=fifo_topic, Message="text", MessageGroupId="a b", MessageDeduplicationId="1")


def test_a_batch_keeps_its_order(sns, fifo_topic, fifo, queue, subscribe, take):
    subscribe(fifo_topic, fifo, RawMessageDelivery="true")
    subscribe(fifo_topic, queue, RawMessageDelivery="true")
    entries = [
        {"Id": str(number), "Message": f"m{number}", "MessageGroupId": "g", "MessageDeduplicationId": str(number)}
        for number in range(10)
    ]
    answer = sns.publish_batch(TopicArn=fifo_topic, PublishBatchRequestEntries=entries)
    numbers = [each["SequenceNumber"] for each in answer["Successful"]]
    assert numbers == sorted(numbers)
    assert bodies(take(fifo, 10)) == [entry["Message"] for entry in entries]
    assert sorted(bodies(take(queue, 10))) == [entry["Message"] for entry in entries]


def test_filters_hold_for_fifo_topics(publish, fifo_topic, fifo, subscribe, take):
    subscribe(fifo_topic, fifo, RawMessageDelivery="true", FilterPolicy='{"state": ["placed"]}')
    for number, state in enumerate(["placed", "cancelled", "placed"]):
        attributes = {"state": {"DataType": "String", "StringValue": state}}
        publish(f"m{number}", dedup_id=str(number), MessageAttributes=attributes)
    assert bodies(take(fifo, 2)) == ["m0", "m2"]


def test_dead_letters_of_a_fifo_topic(sqs, publish, fifo_topic, fifo, make_queue, subscribe, take, refused):
    dead = make_queue("dead.fifo", FifoQueue="true")
    with refused(
        "InvalidParameter",
        (
            "Invalid parameter: Attributes Reason: RedrivePolicy: must use a FIFO queue as DLQ for a FIFO "
            "Subscription to a FIFO Topic."
        ),
    ):
        policy = json.dumps({"deadLetterTargetArn": dead.arn.removesuffix(".fifo")})
        subscribe(fifo_topic, fifo, RedrivePolicy=policy)
    subscribe(fifo_topic, fifo, RawMessageDelivery="true", RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn}))
    sqs.delete_queue(QueueUrl=fifo.url)
    for number in range(3):
        publish(f"m{number}", dedup_id=str(number))
    messages = take(dead, 3)
    assert bodies(messages) == ["m0", "m1", "m2"]
    assert messages[0]["Attributes"]["MessageGroupId"] == "g"


# Archives and replays


@pytest.fixture
def archived(sns, fifo_topic):
    """The FIFO topic, which archives what is published for a week."""
    sns.set_topic_attributes(
        TopicArn=fifo_topic, AttributeName="ArchivePolicy", AttributeValue='{"MessageRetentionPeriod": "7"}'
    )
    return fifo_topic


def moment(seconds):
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")


def replay(start, end=None):
    ending = {} if end is None else {"EndingPoint": moment(end)}
    return json.dumps({"PointType": "Timestamp", "StartingPoint": moment(start)} | ending)


@pytest.fixture
def history(headrace, publish, archived, fifo, subscribe, take):
    """Three messages, an hour apart, delivered to a queue and archived: the times just before each."""
    subscribe(archived, fifo, RawMessageDelivery="true")
    times = []
    for number in range(3):
        times.append(headrace.advance(3600))
        headrace.advance(1)
        publish(f"old{number}", dedup_id=f"old{number}")
    assert bodies(take(fifo, 3)) == ["old0", "old1", "old2"]
    return times


def test_a_replay_goes_before_what_is_new(headrace, publish, archived, history, make_queue, subscribe, take):
    late = make_queue("late.fifo", FifoQueue="true")
    arn = subscribe(archived, late, ReplayPolicy=replay(history[1]))
    publish("new", dedup_id="new")
    messages = [json.loads(each["Body"]) for each in take(late, 3)]
    assert [each["Message"] for each in messages] == ["old1", "old2", "new"]
    assert [each["Message"] for each in messages if each.get("Replayed")][:2] == ["old1", "old2"]
    headrace.advance(1)
    publish("newer", dedup_id="newer")
    (body,) = bodies(take(late, 1))
    assert json.loads(body)["Message"] == "newer"
    assert "Replayed" not in json.loads(body)
    assert arn


def test_a_replay_is_told_of(sns, archived, history, make_queue, subscribe, subscription_attributes, take):
    late = make_queue("late.fifo", FifoQueue="true")
    arn = subscribe(archived, late, RawMessageDelivery="true", ReplayPolicy=replay(history[0]))
    assert bodies(take(late, 3)) == ["old0", "old1", "old2"]
    take_until(lambda: subscription_attributes(arn)["ReplayStatus"] == "Completed")
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="ReplayPolicy", AttributeValue="")
    assert "ReplayStatus" not in subscription_attributes(arn)


def take_until(condition):
    """Ask again and again; the server goes on meanwhile."""
    for _ in range(1000):
        if condition():
            return
    pytest.fail("it did not come to that")


def test_a_replay_with_an_end_gets_nothing_new(
    publish, archived, history, make_queue, subscribe, subscription_attributes, take
):
    late = make_queue("late.fifo", FifoQueue="true")
    arn = subscribe(archived, late, RawMessageDelivery="true", ReplayPolicy=replay(history[0], history[2]))
    assert bodies(take(late, 2)) == ["old0", "old1"]
    take_until(lambda: subscription_attributes(arn)["ReplayStatus"] == "Completed")
    publish("new", dedup_id="new")
    other = make_queue("other.fifo", FifoQueue="true")
    subscribe(archived, other, RawMessageDelivery="true", ReplayPolicy=replay(history[2]))
    assert bodies(take(other, 2)) == ["old2", "new"]
    assert late.depth() == (0, 0, 0)


def test_a_replay_for_a_subscription_that_is_there(
    sns, headrace, archived, history, fifo, subscribe, take, subscription_attributes
):
    (found,) = sns.list_subscriptions_by_topic(TopicArn=archived)["Subscriptions"]
    headrace.advance(300)  # so that the queue does not take them for duplicates
    arn = found["SubscriptionArn"]
    sns.set_subscription_attributes(
        SubscriptionArn=arn, AttributeName="ReplayPolicy", AttributeValue=replay(history[0])
    )
    assert bodies(take(fifo, 3)) == ["old0", "old1", "old2"]
    assert subscription_attributes(arn)["ReplayPolicy"] == replay(history[0])


def test_replays_there_are_not(sns, fifo_topic, fifo, subscribe, headrace, refused):
    now = headrace.advance(0)
    with refused("InvalidParameter"):
        subscribe(fifo_topic, fifo, ReplayPolicy=replay(now - 60))
    sns.set_topic_attributes(
        TopicArn=fifo_topic, AttributeName="ArchivePolicy", AttributeValue='{"MessageRetentionPeriod": "7"}'
    )
    for policy in ("no JSON", "{}", replay(now + 3600), replay(now - 60, now - 3600), replay(now - 366 * 86_400)):
        with refused("InvalidParameter"):
            subscribe(fifo_topic, fifo, ReplayPolicy=policy)


def test_an_archive_begins_with_its_oldest_message(sns, headrace, archived, history, topic_attributes):
    began = dt.datetime.fromisoformat(topic_attributes(archived)["BeginningArchiveTime"]).timestamp()
    assert history[0] <= began <= history[1]
    headrace.advance(7 * 86_400)
    later = dt.datetime.fromisoformat(topic_attributes(archived)["BeginningArchiveTime"]).timestamp()
    assert later > history[2]


def test_a_topic_with_an_archive_is_not_deleted(sns, archived, refused):
    with refused("InvalidState", status=400):
        sns.delete_topic(TopicArn=archived)
    sns.set_topic_attributes(TopicArn=archived, AttributeName="ArchivePolicy", AttributeValue="{}")
    sns.delete_topic(TopicArn=archived)
    assert sns.list_topics()["Topics"] == []
