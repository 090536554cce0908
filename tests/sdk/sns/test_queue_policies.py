"""What queues' policies let topics send, and what becomes of what they do not."""

import json

import pytest

OTHER = "arn:aws:sns:us-east-1:000000000000:other"
SNS = {"Service": "sns.amazonaws.com"}


def statement(queue, effect="Allow", *, source=None, **more):
    """A statement about sending to the queue, for SNS or whom it says; `source` is the topic's ARN."""
    condition = {"Condition": {"ArnEquals": {"aws:SourceArn": source}}} if source else {}
    made = {"Effect": effect, "Principal": SNS, "Action": "sqs:SendMessage", "Resource": queue.arn}
    return made | condition | more


def let(queue, *statements):
    queue.set(Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def arrivals(count, **queues):
    """Wait for messages, whichever of the queues they come to; their bodies by the queue's name, sorted."""
    found = {}
    for _ in range(1000):
        for name, queue in queues.items():
            for message in queue.receive():
                queue.delete(message)
                found.setdefault(name, []).append(message["Body"])
        if sum(map(len, found.values())) >= count:
            return {name: sorted(bodies) for name, bodies in found.items()}
    pytest.fail(f"of {count} messages came {found}")


@pytest.fixture
def dead(make_queue):
    """A queue for dead letters."""
    return make_queue("dead")


@pytest.fixture
def raw(topic, queue, dead, subscribe):
    """A queue that is subscribed to the topic with raw delivery; what it refuses goes to `dead`."""
    subscribe(topic, queue, RawMessageDelivery="true", RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn}))
    return queue


@pytest.fixture
def ask(sns, topic, raw, dead):
    """A function that publishes, and tells what has come to the queue and what to its dead-letter queue."""
    count = iter(range(100))

    def ask():
        number = next(count)
        sns.publish(TopicArn=topic, Message=f"one {number}")
        entries = [{"Id": str(each), "Message": f"batch {number}"} for each in range(2)]
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        found = arrivals(3, queue=raw, dead=dead)
        expected = [f"batch {number}", f"batch {number}", f"one {number}"]
        assert list(found.values()) == [expected], found
        return next(iter(found))

    return ask


@pytest.mark.parametrize("raw_delivery", ["true", "false"])
def test_the_policy_that_the_documentation_has_one_write(sns, topic, queue, subscribe, raw_delivery):
    let(queue, statement(queue, source=topic))
    subscribe(topic, queue, RawMessageDelivery=raw_delivery)
    sns.publish(TopicArn=topic, Message="text")
    (body,) = queue.gather_bodies(1)
    assert (body if raw_delivery == "true" else json.loads(body)["Message"]) == "text"


@pytest.mark.parametrize(
    "more",
    [
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}, "Action": "SQS:*"},
        {"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:ord*"}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "000000000000"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Resource": "*"},
    ],
)
def test_other_ways_to_let_a_topic_send(raw, ask, more):
    let(raw, statement(raw) | more)
    assert ask() == "queue"


@pytest.mark.parametrize(
    "more",
    [
        {"Condition": {"ArnEquals": {"aws:SourceArn": OTHER}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}}},
        {"Principal": {"Service": "s3.amazonaws.com"}},
        {"Principal": {"AWS": "000000000000"}},
        {"Action": "sqs:ReceiveMessage"},
        {"Resource": "arn:aws:sqs:us-east-1:000000000000:another"},
        {"Effect": "Deny"},
    ],
)
def test_what_does_not_let_it(raw, ask, more):
    let(raw, statement(raw) | more)
    assert ask() == "dead"


def test_a_denial_wins(topic, raw, ask):
    let(raw, statement(raw), statement(raw, "Deny", Principal="*", source=topic))
    assert ask() == "dead"
    let(raw, statement(raw), statement(raw, "Deny", Principal="*", source=OTHER))
    assert ask() == "queue"


def test_a_policy_may_come_change_and_go(raw, ask):
    assert ask() == "queue"
    let(raw, statement(raw, source=OTHER))
    assert ask() == "dead"
    let(raw, statement(raw))
    assert ask() == "queue"
    let(raw, statement(raw, "Deny"))
    assert ask() == "dead"
    raw.set(Policy="")
    assert ask() == "queue"


def test_a_permission_for_an_account_is_none_for_topics(sqs, raw, ask):
    sqs.add_permission(QueueUrl=raw.url, Label="them", AWSAccountIds=["111122223333"], Actions=["SendMessage"])
    assert ask() == "dead"
    sqs.remove_permission(QueueUrl=raw.url, Label="them")
    assert ask() == "queue"


def test_others_get_what_one_queue_refuses(sns, topic, raw, dead, make_queue, subscribe):
    others = [make_queue(f"other{number}") for number in range(3)]
    for other in others:
        subscribe(topic, other, RawMessageDelivery="true")
    let(others[0], statement(others[0], source=topic))
    let(raw, statement(raw, source=OTHER))
    for text in ("a", "b"):
        sns.publish(TopicArn=topic, Message=text)
    for queue in (dead, *others):
        assert sorted(queue.gather_bodies(2)) == ["a", "b"]
    assert raw.depth() == (0, 0, 0)


def test_the_dead_letter_queue_has_a_policy_too(sns, topic, raw, dead, make_queue, subscribe):
    let(raw, statement(raw, source=OTHER))
    let(dead, statement(dead, source=OTHER))
    sns.publish(TopicArn=topic, Message="lost")
    witness = make_queue("witness")
    subscribe(topic, witness, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="lost as well")
    assert witness.gather_bodies(1) == ["lost as well"]
    assert dead.depth() == raw.depth() == (0, 0, 0)


def test_people_may_send_whatever_the_policy_says(raw):
    let(raw, statement(raw, "Deny", Principal="*"))
    raw.send("by hand")
    assert raw.gather_bodies(1) == ["by hand"]


def test_each_topic_is_asked_for_by_itself(sns, topic, queue, subscribe):
    other = sns.create_topic(Name="other")["TopicArn"]
    for arn in (topic, other):
        subscribe(arn, queue, RawMessageDelivery="true")
    let(queue, statement(queue, source=other))
    sns.publish(TopicArn=topic, Message="no")
    sns.publish(TopicArn=other, Message="yes")
    assert queue.gather_bodies(1) == ["yes"]
    assert queue.depth() == (0, 0, 0)


def test_queues_of_other_accounts(connect, connect_sns, sns, topic, make_queue, subscribe):
    theirs, dead = (make_queue(name, client=connect(account="123456789012")) for name in ("theirs", "dead"))
    them = connect_sns(account="123456789012")
    redrive = json.dumps({"deadLetterTargetArn": dead.arn})
    subscribe(topic, theirs, client=them, RawMessageDelivery="true", RedrivePolicy=redrive)
    for account, place in (("000000000000", "queue"), ("123456789012", "dead")):
        let(theirs, statement(theirs, Condition={"StringEquals": {"aws:SourceAccount": account}}))
        sns.publish(TopicArn=topic, Message="from afar")
        assert arrivals(1, queue=theirs, dead=dead) == {place: ["from afar"]}


def test_fifo_topics_keep_their_order_through_a_refusal(sns, fifo_topic, fifo, make_queue, subscribe):
    dead = make_queue("dead.fifo", FifoQueue="true")
    subscribe(fifo_topic, fifo, RawMessageDelivery="true", RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn}))

    def publish(*texts):
        for text in texts:
            sns.publish(TopicArn=fifo_topic, Message=text, MessageGroupId="g", MessageDeduplicationId=text)

    let(fifo, statement(fifo, source=fifo_topic))
    publish("a", "b")
    assert fifo.gather_bodies(2) == ["a", "b"]
    let(fifo, statement(fifo, source=OTHER))
    publish("c", "d")
    assert dead.gather_bodies(2) == ["c", "d"]
    let(fifo, statement(fifo, source=fifo_topic))
    publish("e")
    assert fifo.gather_bodies(1) == ["e"]


def test_a_confirmation_comes_by_the_policy_too(connect, sns, topic, make_queue):
    theirs = make_queue("theirs", client=connect(account="123456789012"))
    for source, comes in ((OTHER, 0), (topic, 1)):
        let(theirs, statement(theirs, source=source))
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=theirs.arn)
        found = [json.loads(body)["Type"] for body in theirs.bodies(WaitTimeSeconds=2)]
        assert found == ["SubscriptionConfirmation"] * comes


def test_as_on_aws_a_queue_must_have_a_policy(serve, make_queue):
    with serve(policies="aws") as headrace:
        sns, sqs = headrace.client("sns"), headrace.client("sqs")
        topic = sns.create_topic(Name="orders")["TopicArn"]
        queue, dead = (make_queue(name, client=sqs) for name in ("orders", "dead"))
        let(dead, statement(dead))
        attributes = {"RawMessageDelivery": "true", "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead.arn})}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes=attributes)
        sns.publish(TopicArn=topic, Message="no policy")
        assert arrivals(1, queue=queue, dead=dead) == {"dead": ["no policy"]}
        let(queue, statement(queue))
        sns.publish(TopicArn=topic, Message="policy")
        assert arrivals(1, queue=queue, dead=dead) == {"queue": ["policy"]}
        queue.send("by hand")
        assert arrivals(1, queue=queue) == {"queue": ["by hand"]}
