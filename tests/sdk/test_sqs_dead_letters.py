"""Dead-letter queues: RedrivePolicy, RedriveAllowPolicy, ListDeadLetterSourceQueues, and the move itself."""

import json

import pytest


def redrive(target, count=1):
    return json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": count})


def invalid(policy, reason, parameter="RedrivePolicy"):
    return f"Value {policy} for parameter {parameter} is invalid. Reason: {reason}"


@pytest.fixture
def dead(make_queue):
    return make_queue("dead")


@pytest.fixture
def source(make_queue, dead):
    """A queue whose messages go to `dead` after two receives."""
    return make_queue("source", RedrivePolicy=redrive(dead.arn, 2), VisibilityTimeout="5")


@pytest.mark.parametrize("count", [1, 1000, "5"])
def test_redrive_policy_is_kept_as_given(queue, dead, count):
    policy = redrive(dead.arn, count)
    queue.set(RedrivePolicy=policy)
    found = json.loads(queue.attributes("RedrivePolicy")["RedrivePolicy"])
    assert found["deadLetterTargetArn"] == dead.arn
    assert int(found["maxReceiveCount"]) == int(count)


def test_an_empty_redrive_policy_removes_it(source, headrace):
    source.set(RedrivePolicy="")
    assert source.attributes("RedrivePolicy") == {}
    source.send("stays")
    for _ in range(5):
        assert source.bodies() == ["stays"]
        headrace.advance(5)


def test_a_message_moves_when_it_was_received_often_enough(source, dead, headrace):
    attributes = {"k": {"DataType": "Number", "StringValue": "1"}}
    sent = source.send("poison", MessageAttributes=attributes)
    for _ in range(2):
        assert source.bodies() == ["poison"]
        assert dead.bodies() == []
        headrace.advance(5)
    assert source.bodies() == []
    assert source.depth() == (0, 0, 0)
    (message,) = dead.receive(AttributeNames=["All"], MessageAttributeNames=["All"])
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "poison")
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == source.arn


def test_a_message_deleted_in_time_does_not_move(source, dead, headrace):
    source.send("late but done")
    source.receive()
    headrace.advance(5)
    (message,) = source.receive()
    source.delete(message)
    headrace.advance(60)
    assert (source.bodies(), dead.depth()) == ([], (0, 0, 0))


def test_the_rest_is_received_while_poison_moves(source, dead, headrace):
    source.send("poison")
    for _ in range(2):
        source.receive()
        headrace.advance(5)
    source.send("good")
    assert source.bodies() == ["good"]
    assert dead.bodies() == ["poison"]


def test_giving_a_message_back_counts_as_a_receive(source, dead):
    source.send("refused")
    for _ in range(2):
        (message,) = source.receive()
        source.hide(message, 0)
    assert source.bodies() == []
    assert dead.bodies() == ["refused"]


def test_a_dead_standard_message_keeps_the_time_it_was_sent(source, dead, headrace):
    dead.set(MessageRetentionPeriod="3600")
    source.send("aging")
    (before,) = source.receive(AttributeNames=["SentTimestamp"])
    headrace.advance(3_000)
    source.receive()
    headrace.advance(10)
    assert source.bodies() == []
    (after,) = dead.receive(AttributeNames=["SentTimestamp"], VisibilityTimeout=0)
    assert after["Attributes"] == before["Attributes"]
    headrace.advance(600)
    assert dead.bodies() == []


def test_a_dead_fifo_message_starts_its_retention_anew(make_queue, headrace):
    dead = make_queue("dead.fifo", FifoQueue="true", MessageRetentionPeriod="3600")
    source = make_queue("source.fifo", FifoQueue="true", RedrivePolicy=redrive(dead.arn), VisibilityTimeout="5")
    source.send("aging", MessageGroupId="g", MessageDeduplicationId="1")
    headrace.advance(3_000)
    source.receive()
    headrace.advance(10)
    assert source.bodies() == []
    headrace.advance(3_000)
    assert dead.bodies() == ["aging"]


def test_a_dead_fifo_message_lets_its_group_go_on(make_queue, headrace):
    dead = make_queue("dead.fifo", FifoQueue="true")
    source = make_queue("source.fifo", FifoQueue="true", RedrivePolicy=redrive(dead.arn), VisibilityTimeout="5")
    for number in range(3):
        source.send(str(number), MessageGroupId="g", MessageDeduplicationId=str(number))
    assert source.bodies(1) == ["0"]
    headrace.advance(5)
    (message,) = source.receive(1)
    assert message["Body"] == "1"
    (moved,) = dead.receive(AttributeNames=["All"])
    assert (moved["Body"], moved["Attributes"]["MessageGroupId"]) == ("0", "g")
    source.delete(message)
    assert source.bodies() == ["2"]


def test_the_dead_letter_target_must_be_an_arn(queue, refused):
    policy = '{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}'
    with refused("InvalidParameterValue", invalid(policy, "Invalid value for deadLetterTargetArn.")):
        queue.set(RedrivePolicy=policy)


def test_the_dead_letter_target_must_exist(queue, sqs, refused):
    policy = redrive("arn:aws:sqs:us-east-1:000000000000:nowhere")
    with refused("InvalidParameterValue", invalid(policy, "Dead letter target does not exist.")):
        queue.set(RedrivePolicy=policy)
    with refused("InvalidParameterValue"):
        sqs.create_queue(QueueName="new", Attributes={"RedrivePolicy": policy})


@pytest.mark.parametrize("kind", ["standard to fifo", "fifo to standard"])
def test_both_queues_are_of_one_type(queue, fifo, kind, refused):
    source, target = (queue, fifo) if kind == "standard to fifo" else (fifo, queue)
    with refused("InvalidParameterValue"):
        source.set(RedrivePolicy=redrive(target.arn))


def test_both_queues_are_in_one_region_and_account(queue, connect, make_queue, refused):
    for where in ({"region": "eu-west-1"}, {"account": "123456789012"}):
        far = make_queue("far", client=connect(**where))
        with refused("InvalidParameterValue"):
            queue.set(RedrivePolicy=redrive(far.arn))


@pytest.mark.parametrize("count", [0, 1001, -1, "many", 1.5, None])
def test_receive_counts_out_of_range(queue, dead, count, refused):
    with refused("InvalidParameterValue"):
        queue.set(RedrivePolicy=redrive(dead.arn, count))


@pytest.mark.parametrize("policy", ["not json", "[]", "1"])
def test_redrive_policies_that_are_none(queue, policy, refused):
    message = "Invalid value for the parameter RedrivePolicy. Reason: Redrive policy is not a valid JSON map."
    with refused("InvalidAttributeValue", message):
        queue.set(RedrivePolicy=policy)


def test_a_redrive_policy_needs_both_its_parts(queue, dead, refused):
    reason = "Redrive policy does not contain mandatory attribute: "
    policy = '{"maxReceiveCount": 1}'
    with refused("InvalidParameterValue", invalid(policy, f"{reason}deadLetterTargetArn.")):
        queue.set(RedrivePolicy=policy)
    policy = json.dumps({"deadLetterTargetArn": dead.arn})
    with refused("InvalidParameterValue", invalid(policy, f"{reason}maxReceiveCount.")):
        queue.set(RedrivePolicy=policy)


def test_list_dead_letter_source_queues(sqs, make_queue, dead):
    assert not sqs.list_dead_letter_source_queues(QueueUrl=dead.url).get("queueUrls")
    sources = {make_queue(f"source-{number}", RedrivePolicy=redrive(dead.arn)).url for number in range(3)}
    make_queue("unrelated")
    assert set(sqs.list_dead_letter_source_queues(QueueUrl=dead.url)["queueUrls"]) == sources


def test_list_dead_letter_source_queues_in_pages(sqs, make_queue, dead):
    sources = {make_queue(f"source-{number}", RedrivePolicy=redrive(dead.arn)).url for number in range(3)}
    first = sqs.list_dead_letter_source_queues(QueueUrl=dead.url, MaxResults=2)
    assert len(first["queueUrls"]) == 2
    rest = sqs.list_dead_letter_source_queues(QueueUrl=dead.url, MaxResults=2, NextToken=first["NextToken"])
    assert set(first["queueUrls"] + rest["queueUrls"]) == sources
    assert "NextToken" not in rest


def test_a_deny_all_keeps_sources_away(queue, dead, refused):
    dead.set(RedriveAllowPolicy='{"redrivePermission": "denyAll"}')
    with refused("InvalidParameterValue"):
        queue.set(RedrivePolicy=redrive(dead.arn))
    dead.set(RedriveAllowPolicy='{"redrivePermission": "allowAll"}')
    queue.set(RedrivePolicy=redrive(dead.arn))


def test_allowing_sources_by_queue(queue, make_queue, dead, refused):
    other = make_queue("other")
    dead.set(RedriveAllowPolicy=json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}))
    queue.set(RedrivePolicy=redrive(dead.arn))
    with refused("InvalidParameterValue"):
        other.set(RedrivePolicy=redrive(dead.arn))


@pytest.mark.parametrize("policy", ["not json", "[]", "{}", '{"redrivePermission": "sometimes"}'])
def test_redrive_allow_policies_that_are_none(dead, policy, refused):
    message = (
        "Invalid value for the parameter RedriveAllowPolicy. "
        "Reason: Amazon SQS can't create the redrive allow policy, as it's in an unsupported format."
    )
    with refused("InvalidAttributeValue", message):
        dead.set(RedriveAllowPolicy=policy)
    assert dead.attributes("RedriveAllowPolicy") == {}


@pytest.mark.parametrize(
    ("permission", "sources"),
    [
        ("byQueue", None),
        ("byQueue", []),
        ("byQueue", ["dummy"]),
        ("allowAll", ["arn:aws:sqs:us-east-1:000000000000:a"]),
        ("byQueue", [f"arn:aws:sqs:us-east-1:000000000000:q{number}" for number in range(11)]),
    ],
    ids=range(5),
)
def test_sources_that_cannot_be_allowed(dead, permission, sources, refused):
    policy = {"redrivePermission": permission} | ({} if sources is None else {"sourceQueueArns": sources})
    with refused("InvalidParameterValue"):
        dead.set(RedriveAllowPolicy=json.dumps(policy))
    assert dead.attributes("RedriveAllowPolicy") == {}
