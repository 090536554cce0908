"""RedrivePolicy and RedriveAllowPolicy."""

from __future__ import annotations

import json

import pytest

from headrace.errors import ServiceError
from headrace.services.sqs import redrive

REGION, ACCOUNT = "us-east-1", "000000000000"
DLQ_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dlq"


def policy(**members):
    return json.dumps({"deadLetterTargetArn": DLQ_ARN, "maxReceiveCount": 3} | members)


def refusal(call, *arguments):
    with pytest.raises(ServiceError) as caught:
        call(*arguments)
    return caught.value


# RedrivePolicy


@pytest.mark.parametrize("count", [1, 1000, "1", "1000"])
def test_a_policy_names_a_target_and_a_count(count):
    assert redrive.parse_redrive(policy(maxReceiveCount=count)) == redrive.Redrive(DLQ_ARN, int(count))


@pytest.mark.parametrize("text", ["", " ", "nonsense", "4", "[]", "null", '"x"'])
def test_a_policy_is_a_json_object(text):
    error = refusal(redrive.parse_redrive, text)
    assert error.code == "InvalidAttributeValue"
    assert error.message.endswith("Redrive policy is not a valid JSON map.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "Redrive policy does not contain mandatory attribute: maxReceiveCount."),
        ('{"maxReceiveCount":5}', "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."),
        (policy(more=1), "Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn]."),
        (policy(deadLetterTargetArn="dummy"), "Invalid value for deadLetterTargetArn."),
        (policy(deadLetterTargetArn=7), "Invalid value for deadLetterTargetArn."),
        (
            policy(deadLetterTargetArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:t"),
            "Only SQS queues are valid resources for deadLetterTargetArn.",
        ),
        (policy(deadLetterTargetArn="arn:aws:sqs"), "Dead-letter target ARN should be fully qualified ARN."),
    ],
)
def test_what_it_lacks_or_has_too_much_is_named(text, reason):
    error = refusal(redrive.parse_redrive, text)
    assert error.code == "InvalidParameterValue"
    assert error.message == f"Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}"


@pytest.mark.parametrize("count", [0, -36, 1001, "x", "", 1.5, True, None, "9" * 40])
def test_the_count_is_1_to_1000(count):
    error = refusal(redrive.parse_redrive, policy(maxReceiveCount=count))
    assert (
        f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive." in error.message
    )


def test_the_target_is_another_queue_of_the_same_region_account_and_type():
    redrive.check_redrive(policy(), REGION, ACCOUNT, "source")
    for arguments, reason in (
        ((REGION, "111111111111", "source"), "Dead-letter target owner should be same as the source."),
        (("eu-west-1", ACCOUNT, "source"), "same region"),
        ((REGION, ACCOUNT, "source.fifo"), "Dead-letter queue must be same type of queue as the source."),
        ((REGION, ACCOUNT, "dlq"), "other than the source"),
    ):
        assert reason in refusal(redrive.check_redrive, policy(), *arguments).message


def test_the_targets_name_is_read_from_the_policy():
    assert redrive.target_name(policy(), REGION, ACCOUNT) == "dlq"
    assert redrive.target_name(None, REGION, ACCOUNT) is None


def test_a_count_given_as_a_string_is_shown_as_a_number():
    assert redrive.normalise_redrive(policy()) == policy()
    shown = redrive.normalise_redrive(policy(maxReceiveCount="5"))
    assert json.loads(shown) == {"deadLetterTargetArn": DLQ_ARN, "maxReceiveCount": 5}


# RedriveAllowPolicy


@pytest.mark.parametrize(
    ("permission", "arns", "allowed"),
    [
        ("allowAll", None, True),
        ("denyAll", None, False),
        ("byQueue", [DLQ_ARN, f"arn:aws:sqs:{REGION}:{ACCOUNT}:source"], True),
        ("byQueue", [DLQ_ARN], False),
    ],
)
def test_it_says_who_may_name_the_queue(permission, arns, allowed):
    members = {"redrivePermission": permission} | ({"sourceQueueArns": arns} if arns else {})
    allow = redrive.parse_redrive_allow(json.dumps(members))
    assert allow.allows(f"arn:aws:sqs:{REGION}:{ACCOUNT}:source") is allowed


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "{}",
        '{"redrivePermission": "dummy"}',
        '{"redrivePermission": ["allowAll"]}',
        '{"redrivePermission": "allowAll", "dummy": 1}',
        '{"redrivePermission": "byQueue", "sourceQueueArns": "arn"}',
        '{"redrivePermission": "byQueue", "sourceQueueArns": [1]}',
    ],
)
def test_other_forms_are_refused(text):
    error = refusal(redrive.parse_redrive_allow, text)
    assert error.code == "InvalidAttributeValue"
    assert "unsupported format" in error.message


@pytest.mark.parametrize(
    ("permission", "arns", "reason"),
    [
        ("allowAll", [DLQ_ARN], "you must set redrivePermission to byQueue"),
        ("denyAll", [], "you must set redrivePermission to byQueue"),
        ("byQueue", None, "you must also specify one or more sourceQueueArns values"),
        ("byQueue", [], "you must also specify one or more sourceQueueArns values"),
        ("byQueue", [DLQ_ARN] * 11, "maximum number of source queue ARNs you can specify is 10"),
        ("byQueue", ["x"], "must be the ARN of an SQS queue"),
    ],
)
def test_sources_go_with_by_queue(permission, arns, reason):
    members = {"redrivePermission": permission} | ({} if arns is None else {"sourceQueueArns": arns})
    error = refusal(redrive.parse_redrive_allow, json.dumps(members))
    assert error.code == "InvalidParameterValue"
    assert reason in error.message
