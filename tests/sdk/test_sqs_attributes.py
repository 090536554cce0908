"""Queue attributes: defaults, ranges, what can be set and what is counted."""

import json

import pytest

STANDARD = {
    "ApproximateNumberOfMessages": "0",
    "ApproximateNumberOfMessagesDelayed": "0",
    "ApproximateNumberOfMessagesNotVisible": "0",
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
    "VisibilityTimeout": "30",
}
FIFO = STANDARD | {
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoQueue": "true",
    "FifoThroughputLimit": "perQueue",
}
RANGES = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}


@pytest.mark.parametrize(("name", "expected"), [("orders", STANDARD), ("orders.fifo", FIFO)])
def test_defaults(make_queue, name, expected):
    queue = make_queue(name, **({"FifoQueue": "true"} if name.endswith(".fifo") else {}))
    found = queue.attributes("All")
    assert found.pop("QueueArn") == f"arn:aws:sqs:us-east-1:000000000000:{name}"
    assert found.pop("CreatedTimestamp").isdecimal()
    assert found.pop("LastModifiedTimestamp").isdecimal()
    assert found == expected


def test_timestamps_are_seconds_and_tell_creation_from_change(queue, headrace):
    now_s = headrace.advance(0)
    before = queue.attributes("CreatedTimestamp", "LastModifiedTimestamp")
    assert abs(int(before["CreatedTimestamp"]) - now_s) < 60
    assert before["CreatedTimestamp"] == before["LastModifiedTimestamp"]
    headrace.advance(100)
    queue.set(DelaySeconds="1")
    after = queue.attributes("CreatedTimestamp", "LastModifiedTimestamp")
    assert after["CreatedTimestamp"] == before["CreatedTimestamp"]
    assert 100 <= int(after["LastModifiedTimestamp"]) - int(before["CreatedTimestamp"]) < 160


def test_get_no_attributes_gives_none(sqs, queue):
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=queue.url)


def test_get_some_attributes_gives_those(queue):
    assert queue.attributes("DelaySeconds", "VisibilityTimeout") == {"DelaySeconds": "0", "VisibilityTimeout": "30"}


def test_get_an_attribute_that_is_not_set_gives_nothing(queue):
    assert queue.attributes("Policy", "RedrivePolicy", "KmsMasterKeyId") == {}


def test_get_an_unknown_attribute_is_refused(queue, refused):
    with refused("InvalidAttributeName", "Unknown Attribute Colour."):
        queue.attributes("Colour")


@pytest.mark.parametrize(("name", "end"), [(name, end) for name in RANGES for end in (0, 1)])
def test_ends_of_the_ranges_are_accepted(queue, name, end):
    value = str(RANGES[name][end])
    queue.set(**{name: value})
    assert queue.attributes(name) == {name: value}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", ["below", "above", "many", "1.5", "0x10"])
def test_values_out_of_range_are_refused(sqs, queue, name, value, refused):
    low, high = RANGES[name]
    value = {"below": str(low - 1), "above": str(high + 1)}.get(value, value)
    before = queue.attributes("All")
    with refused("InvalidAttributeValue", f"Invalid value for the parameter {name}."):
        queue.set(**{name: value})
    assert queue.attributes("All") == before
    with refused("InvalidAttributeValue", f"Invalid value for the parameter {name}."):
        sqs.create_queue(QueueName="another", Attributes={name: value})
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        sqs.get_queue_url(QueueName="another")


def test_one_bad_value_keeps_all_from_being_set(queue, refused):
    with refused("InvalidAttributeValue"):
        queue.set(DelaySeconds="7", VisibilityTimeout="-1")
    assert queue.attributes("DelaySeconds") == {"DelaySeconds": "0"}


@pytest.mark.parametrize(
    "name",
    ["Colour", "All", "QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", "ApproximateNumberOfMessages"],
)
def test_attributes_that_cannot_be_set(sqs, queue, name, refused):
    with refused("InvalidAttributeName", f"Unknown Attribute {name}."):
        queue.set(**{name: "1"})
    with refused("InvalidAttributeName", f"Unknown Attribute {name}."):
        sqs.create_queue(QueueName="another", Attributes={name: "1"})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FifoQueue", "true", "Unknown Attribute FifoQueue."),
        ("FifoQueue", "false", "Unknown Attribute FifoQueue."),
        ("ContentBasedDeduplication", "true", "Unknown Attribute ContentBasedDeduplication."),
        ("DeduplicationScope", "queue", "You can specify the DeduplicationScope only when FifoQueue is set to true."),
        (
            "FifoThroughputLimit",
            "perQueue",
            "You can specify the FifoThroughputLimit only when FifoQueue is set to true.",
        ),
    ],
)
def test_a_standard_queue_has_no_fifo_attributes(queue, name, value, message, refused):
    with refused("InvalidAttributeName", message):
        queue.set(**{name: value})


def test_a_standard_queue_cannot_be_created_with_fifo_queue_false(sqs, refused):
    with refused("InvalidAttributeName", "Unknown Attribute FifoQueue."):
        sqs.create_queue(QueueName="orders", Attributes={"FifoQueue": "false"})


def test_a_fifo_queue_stays_one(fifo, refused):
    message = "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
    with refused("InvalidAttributeValue", message):
        fifo.set(FifoQueue="false")
    fifo.set(FifoQueue="true")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ContentBasedDeduplication", "maybe"),
        ("DeduplicationScope", "everywhere"),
        ("FifoThroughputLimit", "none"),
        ("SqsManagedSseEnabled", "perhaps"),
    ],
)
def test_values_that_are_not_among_the_choices(fifo, name, value, refused):
    with refused("InvalidAttributeValue"):
        fifo.set(**{name: value})


def test_content_based_deduplication_can_be_switched(fifo):
    fifo.set(ContentBasedDeduplication="true")
    assert fifo.attributes("ContentBasedDeduplication") == {"ContentBasedDeduplication": "true"}
    fifo.set(ContentBasedDeduplication="false")
    assert fifo.attributes("ContentBasedDeduplication") == {"ContentBasedDeduplication": "false"}


def test_high_throughput_needs_deduplication_by_group(fifo, refused):
    with refused("InvalidAttributeValue"):
        fifo.set(FifoThroughputLimit="perMessageGroupId")
    fifo.set(FifoThroughputLimit="perMessageGroupId", DeduplicationScope="messageGroup")
    found = fifo.attributes("FifoThroughputLimit", "DeduplicationScope")
    assert found == {"FifoThroughputLimit": "perMessageGroupId", "DeduplicationScope": "messageGroup"}
    with refused("InvalidAttributeValue"):
        fifo.set(DeduplicationScope="queue")
    fifo.set(FifoThroughputLimit="perQueue", DeduplicationScope="queue")


def test_a_kms_key_replaces_the_managed_encryption(make_queue):
    queue = make_queue("orders", KmsMasterKeyId="alias/aws/sqs")
    found = queue.attributes("KmsMasterKeyId", "SqsManagedSseEnabled", "KmsDataKeyReusePeriodSeconds")
    assert found["KmsMasterKeyId"] == "alias/aws/sqs"
    assert found["SqsManagedSseEnabled"] == "false"
    assert found["KmsDataKeyReusePeriodSeconds"] == "300"


def test_both_kinds_of_encryption_at_once_are_refused(queue, refused):
    queue.set(KmsMasterKeyId="testKeyId", SqsManagedSseEnabled="false")
    message = (
        "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."
    )
    with refused("InvalidAttributeName", message):
        queue.set(KmsMasterKeyId="testKeyId", SqsManagedSseEnabled="true")


def test_managed_encryption_can_be_switched_off(queue):
    queue.set(SqsManagedSseEnabled="false")
    assert queue.attributes("SqsManagedSseEnabled") == {"SqsManagedSseEnabled": "false"}


def test_an_empty_policy_removes_it(queue):
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": queue.arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    queue.set(Policy=policy)
    assert json.loads(queue.attributes("Policy")["Policy"]) == json.loads(policy)
    queue.set(Policy="")
    assert queue.attributes("Policy") == {}


@pytest.mark.parametrize("policy", ["not json", "[]", "{", '{"Version": "1999-01-01", "Statement": []}'])
def test_policies_that_are_none(queue, policy, refused):
    with refused("InvalidAttributeValue", "Invalid value for the parameter Policy."):
        queue.set(Policy=policy)


def test_counts_follow_the_messages(queue, headrace):
    for number in range(3):
        queue.send(f"{number}")
    queue.send("later", DelaySeconds=60)
    assert queue.depth() == (3, 0, 1)
    first, second = queue.receive(2)
    assert queue.depth() == (1, 2, 1)
    queue.delete(first)
    assert queue.depth() == (1, 1, 1)
    queue.hide(second, 0)
    assert queue.depth() == (2, 0, 1)
    headrace.advance(60)
    assert queue.depth() == (3, 0, 0)
    assert len(queue.receive()) == 3
    assert queue.depth() == (0, 3, 0)
    headrace.advance(30)
    assert queue.depth() == (3, 0, 0)


def test_retention_removes_what_is_too_old(make_queue, headrace):
    queue = make_queue("orders", MessageRetentionPeriod="60")
    queue.send("old")
    headrace.advance(30)
    queue.send("newer")
    headrace.advance(31)
    assert queue.depth() == (1, 0, 0)
    assert queue.bodies() == ["newer"]


def test_retention_also_ends_messages_in_flight(make_queue, headrace):
    queue = make_queue("orders", MessageRetentionPeriod="60", VisibilityTimeout="120")
    queue.send("old")
    assert queue.bodies() == ["old"]
    headrace.advance(121)
    assert queue.bodies() == []
    assert queue.depth() == (0, 0, 0)


def test_a_shorter_retention_applies_to_messages_already_there(queue, headrace):
    queue.send("old")
    headrace.advance(100)
    queue.set(MessageRetentionPeriod="60")
    assert queue.bodies() == []


def test_a_changed_visibility_timeout_applies_to_the_next_receive(queue, headrace):
    queue.send("a")
    queue.set(VisibilityTimeout="5")
    assert queue.bodies() == ["a"]
    headrace.advance(5)
    assert queue.bodies() == ["a"]
