"""Queue attributes: names, values, defaults, conflicts, and the engine's settings."""

from __future__ import annotations

import json

import pytest

from headrace.errors import ServiceError
from headrace.primitives.queues import QueueSettings
from headrace.services.sqs import attributes

DLQ_ARN = "arn:aws:sqs:us-east-1:000000000000:dlq"
RANGES = {
    "VisibilityTimeout": (0, 43_200),
    "MessageRetentionPeriod": (60, 1_209_600),
    "MaximumMessageSize": (1_024, 1_048_576),
    "DelaySeconds": (0, 900),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}


def normalise(given, *, fifo=False, creating=True):
    return attributes.normalise(given, fifo=fifo, creating=creating)


def error(given, **options):
    with pytest.raises(ServiceError) as caught:
        normalise(given, **options)
    return caught.value


# Names


@pytest.mark.parametrize("name", ["Nonsense", "All", "QueueArn", "CreatedTimestamp", "ApproximateNumberOfMessages"])
def test_what_is_no_attribute_or_not_to_be_set_is_unknown(name):
    refusal = error({name: "1"})
    assert (refusal.code, refusal.message) == ("InvalidAttributeName", f"Unknown Attribute {name}.")


@pytest.mark.parametrize("name", ["FifoQueue", "ContentBasedDeduplication"])
def test_standard_queues_do_not_know_fifo_attributes(name):
    refusal = error({name: "false"})
    assert (refusal.code, refusal.message) == ("InvalidAttributeName", f"Unknown Attribute {name}.")


@pytest.mark.parametrize(("name", "value"), [("DeduplicationScope", "queue"), ("FifoThroughputLimit", "perQueue")])
def test_high_throughput_is_for_fifo_queues(name, value):
    refusal = error({name: value})
    assert refusal.code == "InvalidAttributeName"
    assert refusal.message == f"You can specify the {name} only when FifoQueue is set to true."


def test_a_queue_keeps_its_type():
    assert normalise({"FifoQueue": "true"}, fifo=True) == {}
    assert normalise({"FifoQueue": "TRUE"}, fifo=True, creating=False) == {}
    refusal = error({"FifoQueue": "false"}, fifo=True, creating=False)
    assert refusal.code == "InvalidAttributeValue"
    assert "Modifying queue type is not supported." in refusal.message


# Values


@pytest.mark.parametrize(("name", "span"), RANGES.items())
def test_numbers_have_ranges(name, span):
    low, high = span
    assert normalise({name: str(low)}) == {name: str(low)}
    assert normalise({name: f"00{high}"}) == {name: str(high)}
    for value in (str(low - 1), str(high + 1), "", " 100", "100 ", "100.0", "1e2", "true", "٣٠٠", "9" * 30):
        refusal = error({name: value})
        assert refusal.code == "InvalidAttributeValue"
        assert refusal.message == f"Invalid value for the parameter {name}."


@pytest.mark.parametrize("name", ["ContentBasedDeduplication", "SqsManagedSseEnabled"])
def test_booleans_are_true_or_false(name):
    assert normalise({name: "True"}, fifo=True) == {name: "true"}
    assert normalise({name: "false"}, fifo=True) == {name: "false"}
    for value in ("", "yes", "1"):
        assert error({name: value}, fifo=True).code == "InvalidAttributeValue"


@pytest.mark.parametrize(
    ("name", "values"),
    [("DeduplicationScope", ("queue", "messageGroup")), ("FifoThroughputLimit", ("perQueue", "perMessageGroupId"))],
)
def test_choices_are_among_their_values(name, values):
    for value in values:
        assert normalise({name: value}, fifo=True) == {name: value}
    for value in ("", "Queue", "per-queue"):
        assert error({name: value}, fifo=True).code == "InvalidAttributeValue"


def test_policies_are_looked_into_and_kept_as_they_are():
    policy = json.dumps({"maxReceiveCount": 5, "deadLetterTargetArn": DLQ_ARN})
    assert normalise({"RedrivePolicy": policy, "Policy": ""}) == {"RedrivePolicy": policy, "Policy": ""}
    assert error({"RedrivePolicy": "{}"}).code == "InvalidParameterValue"
    assert error({"RedriveAllowPolicy": "{}"}).code == "InvalidAttributeValue"
    assert error({"Policy": "{}"}).code == "InvalidAttributeValue"


def test_one_kind_of_encryption_at_a_time():
    refusal = error({"SqsManagedSseEnabled": "true", "KmsMasterKeyId": "alias/aws/sqs"})
    assert refusal.code == "InvalidAttributeName"
    assert "one type of server-side encryption" in refusal.message
    assert normalise({"SqsManagedSseEnabled": "false", "KmsMasterKeyId": "k"})


# What is stored, and what is shown


def test_an_empty_value_takes_an_attribute_away():
    assert attributes.merge({"Policy": "{}", "DelaySeconds": "1"}, {"Policy": ""}) == {"DelaySeconds": "1"}


def test_a_key_ends_managed_encryption_and_the_other_way_round():
    with_key = attributes.merge({"SqsManagedSseEnabled": "true"}, {"KmsMasterKeyId": "k"})
    assert with_key == {"SqsManagedSseEnabled": "false", "KmsMasterKeyId": "k"}
    assert attributes.merge({**with_key, "KmsDataKeyReusePeriodSeconds": "60"}, {"SqsManagedSseEnabled": "true"}) == {
        "SqsManagedSseEnabled": "true"
    }


def test_throughput_per_group_needs_deduplication_per_group():
    for stored, changes in (
        ({}, {"FifoThroughputLimit": "perMessageGroupId"}),
        (
            {"FifoThroughputLimit": "perMessageGroupId", "DeduplicationScope": "messageGroup"},
            {"DeduplicationScope": "queue"},
        ),
    ):
        with pytest.raises(ServiceError, match="allowed only when the value for DeduplicationScope is messageGroup"):
            attributes.merge(stored, changes)
    attributes.merge({"DeduplicationScope": "messageGroup"}, {"FifoThroughputLimit": "perMessageGroupId"})


def test_defaults_are_awss():
    assert attributes.effective({}, fifo=False) == {
        "VisibilityTimeout": "30",
        "MessageRetentionPeriod": "345600",
        "MaximumMessageSize": "1048576",
        "DelaySeconds": "0",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
    }
    assert attributes.effective({}, fifo=True) == attributes.effective({}, fifo=False) | {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "queue",
        "FifoThroughputLimit": "perQueue",
    }


def test_the_reuse_period_shows_with_a_key_or_when_it_is_not_the_default():
    name = "KmsDataKeyReusePeriodSeconds"
    assert name not in attributes.effective({name: "300"}, fifo=False)
    assert attributes.effective({name: "60"}, fifo=False)[name] == "60"
    assert attributes.effective({"KmsMasterKeyId": "k"}, fifo=False)[name] == "300"


# Conflicts


@pytest.mark.parametrize(
    ("stored", "given", "name"),
    [
        ({}, {}, None),
        ({"DelaySeconds": "1"}, {}, None),
        ({"DelaySeconds": "1"}, {"DelaySeconds": "1"}, None),
        ({}, {"DelaySeconds": "0", "KmsDataKeyReusePeriodSeconds": "300"}, None),
        ({}, {"VisibilityTimeout": "30", "DelaySeconds": "1"}, "DelaySeconds"),
        ({"DelaySeconds": "1"}, {"DelaySeconds": "2"}, "DelaySeconds"),
        ({"Policy": '{"a": 1, "b": 2}'}, {"Policy": '{"b":2,"a":1}'}, None),
        ({"Policy": '{"a": 1}'}, {"Policy": '{"a": 2}'}, "Policy"),
        ({"Policy": '{"a": 1}'}, {"Policy": ""}, "Policy"),
        ({}, {"Policy": ""}, None),
        ({}, {"KmsMasterKeyId": "k"}, "KmsMasterKeyId"),
    ],
)
def test_a_conflict_is_an_attribute_given_otherwise(stored, given, name):
    assert attributes.conflict(stored, given, fifo=False) == name


# The engine


def test_the_engines_settings_follow_the_attributes():
    assert attributes.settings({}, fifo=False) == QueueSettings()
    stored = {
        "VisibilityTimeout": "1",
        "MessageRetentionPeriod": "60",
        "DelaySeconds": "2",
        "RedrivePolicy": json.dumps({"maxReceiveCount": "5", "deadLetterTargetArn": DLQ_ARN + ".fifo"}),
        "DeduplicationScope": "messageGroup",
    }
    assert attributes.settings(stored, fifo=True) == QueueSettings(
        fifo=True,
        visibility_timeout_ms=1_000,
        retention_ms=60_000,
        delay_ms=2_000,
        max_receive_count=5,
        dead_letter_queue=DLQ_ARN + ".fifo",
        dedup_per_group=True,
        fair=False,
    )
