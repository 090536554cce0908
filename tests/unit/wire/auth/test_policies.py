import json

import pytest

from headrace.clock import VirtualClock
from headrace.context import Principal, ResourcePolicy
from headrace.errors import ServiceError
from headrace.wire.auth.policies import Policies, Policy, Verdict, decide

QUEUE = "arn:aws:sqs:us-east-1:444455556666:q"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:orders"
SNS = Principal("111122223333", "", "AIDA", "sns.amazonaws.com", service="sns.amazonaws.com", source_arn=TOPIC)
SEND = "sqs:SendMessage"
NOON_S = 1_772_366_400


def statement(effect="Allow", principal="*", action="sqs:SendMessage", resource=QUEUE, **more):
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": resource} | more


def without(name, given, **more):
    return {key: value for key, value in given.items() if key != name} | more


def verdict(*statements, version="2012-10-17", permission=SEND, now_s=NOON_S):
    policy = Policy(json.dumps({"Version": version, "Statement": list(statements)}))
    return decide(policy, SNS, permission, QUEUE, now_s)


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": ["444455556666", "*"]},
        {"Service": "sns.amazonaws.com"},
        {"Service": ["s3.amazonaws.com", "sns.amazonaws.com"]},
        {"Service": "sns.eu-west-1.amazonaws.com"},
        {"Service": "*"},
        {"AWS": "444455556666", "Service": "sns.amazonaws.com"},
    ],
)
def test_principals_that_are_the_service(principal):
    assert verdict(statement(principal=principal)) is Verdict.ALLOWED


@pytest.mark.parametrize(
    "principal",
    [
        {"Service": "s3.amazonaws.com"},
        {"Service": "sns.us-east-1.amazonaws.com"},
        {"AWS": "111122223333"},
        {"AWS": "arn:aws:iam::111122223333:root"},
        {"AWS": "sns.amazonaws.com"},
        {"CanonicalUser": "*"},
    ],
)
def test_principals_that_are_not(principal):
    assert verdict(statement(principal=principal)) is Verdict.SILENT


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ("sqs:SendMessage", True),
        ("SQS:SENDMESSAGE", True),
        ("sqs:Send*", True),
        ("sqs:SendMessag?", True),
        ("sqs:*", True),
        ("*", True),
        (["sqs:ReceiveMessage", "sqs:SendMessage"], True),
        ("sqs:ReceiveMessage", False),
        ("sqs:SendMessageBatch", False),
        ("sns:*", False),
        ("SendMessage", False),
    ],
)
def test_actions(action, allowed):
    assert (verdict(statement(action=action)) is Verdict.ALLOWED) is allowed


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        (QUEUE, True),
        ("*", True),
        ("arn:aws:sqs:*:444455556666:*", True),
        ("arn:aws:sqs:us-east-1:444455556666:?", True),
        ([f"{QUEUE}2", QUEUE], True),
        (f"{QUEUE}2", False),
        (QUEUE.upper(), False),
        ("arn:aws:sqs:*:${aws:ResourceAccount}:q", True),
        ("arn:aws:sqs:*:${aws:SourceAccount}:q", False),
        ("arn:aws:sqs:*:${aws:PrincipalTag/team}:q", False),
    ],
)
def test_resources(resource, allowed):
    assert (verdict(statement(resource=resource)) is Verdict.ALLOWED) is allowed


def test_variables_come_with_the_later_version():
    variable = statement(resource="arn:aws:sqs:*:${aws:ResourceAccount}:q")
    assert verdict(variable, version="2008-10-17") is Verdict.SILENT


@pytest.mark.parametrize(
    ("name", "given", "verdict_of_it"),
    [
        ("Principal", {"Service": "s3.amazonaws.com"}, Verdict.DENIED),
        ("Principal", {"Service": "sns.amazonaws.com"}, Verdict.ALLOWED),
        ("Action", "sqs:ReceiveMessage", Verdict.DENIED),
        ("Action", ["sqs:Send*"], Verdict.ALLOWED),
        ("Resource", f"{QUEUE}2", Verdict.DENIED),
        ("Resource", [QUEUE], Verdict.ALLOWED),
    ],
)
def test_elements_that_except(name, given, verdict_of_it):
    excepting = without(name, statement("Deny"), **{f"Not{name}": given})
    assert verdict(statement(), excepting) is verdict_of_it


def test_a_denial_wins_wherever_it_stands():
    assert verdict(statement(), statement("Deny")) is Verdict.DENIED
    assert verdict(statement("Deny"), statement()) is Verdict.DENIED
    assert verdict(statement("Deny", action="sqs:ReceiveMessage"), statement()) is Verdict.ALLOWED


def test_one_statement_need_not_be_in_a_list():
    policy = Policy(json.dumps({"Statement": statement()}))
    assert decide(policy, SNS, SEND, QUEUE, NOON_S) is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("operator", "key", "value"),
    [
        ("ArnEquals", "aws:SourceArn", TOPIC),
        ("StringEquals", "aws:SourceAccount", "111122223333"),
        ("StringEquals", "aws:RequestedRegion", "us-east-1"),
        ("StringEquals", "aws:ResourceAccount", "444455556666"),
        ("StringEquals", "aws:PrincipalServiceName", "sns.amazonaws.com"),
        ("ForAnyValue:StringEquals", "aws:PrincipalServiceNamesList", "sns.eu-west-1.amazonaws.com"),
        ("Bool", "aws:PrincipalIsAWSService", "true"),
        ("Bool", "aws:SecureTransport", "true"),
        ("Bool", "aws:ViaAWSService", "false"),
        ("DateEquals", "aws:CurrentTime", "2026-03-01T12:00:00Z"),
        ("NumericEquals", "aws:EpochTime", NOON_S),
        ("Null", "aws:SourceIp", "true"),
        ("Null", "aws:PrincipalOrgID", "true"),
    ],
)
def test_what_conditions_may_ask_for(operator, key, value):
    assert verdict(statement(Condition={operator: {key: value}})) is Verdict.ALLOWED


def test_a_condition_that_fails_or_cannot_be_read_lets_nobody_in():
    fails, unread = {"ArnEquals": {"aws:SourceArn": f"{TOPIC}2"}}, {"ArnAlmostEquals": {"aws:SourceArn": TOPIC}}
    assert verdict(statement(Condition=fails)) is Verdict.SILENT
    assert verdict(statement(), statement("Deny", Condition=fails)) is Verdict.ALLOWED
    assert verdict(statement(Condition=unread)) is Verdict.SILENT
    assert verdict(statement(), statement("Deny", Condition=unread)) is Verdict.DENIED


# Asking


def resource(*statements):
    return ResourcePolicy(QUEUE, json.dumps({"Statement": list(statements)}) if statements else "")


def reason(policies, asked):
    with pytest.raises(ServiceError) as caught:
        policies.check(asked, SNS, SEND)
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)
    begin = f"Access to the resource {QUEUE} is denied. sns.amazonaws.com may not perform {SEND} for {TOPIC}: "
    assert caught.value.message.startswith(begin)
    return caught.value.message.removeprefix(begin)


def test_a_refusal_says_why():
    policies = Policies(VirtualClock(0))
    policies.check(resource(statement()), SNS, SEND)
    assert reason(policies, resource(statement(), statement("Deny"))) == "its policy denies it."
    assert reason(policies, resource(statement(action="sqs:ReceiveMessage"))) == "its policy does not allow it."


def test_without_a_policy_everything_is_let_in_unless_asked_to_be_strict():
    Policies(VirtualClock(0)).check(resource(), SNS, SEND)
    strict = Policies(VirtualClock(0), strict=True)
    assert reason(strict, resource()) == "it has no policy."
    strict.check(resource(statement()), SNS, SEND)


async def test_a_policy_may_end_with_time():
    clock = VirtualClock(NOON_S * 1000)
    policies = Policies(clock)
    until = resource(statement(Condition={"DateLessThan": {"aws:CurrentTime": "2026-03-01T12:00:02Z"}}))
    policies.check(until, SNS, SEND)
    await clock.advance(1_000)
    policies.check(until, SNS, SEND)
    await clock.advance(1_000)
    assert reason(policies, until) == "its policy does not allow it."


def test_answers_are_for_who_asked():
    policies = Policies(VirtualClock(0))
    asked = resource(statement(Condition={"ArnEquals": {"aws:SourceArn": TOPIC}}))
    other = Principal(SNS.account, "", "", SNS.arn, service=SNS.service, source_arn=f"{TOPIC}2")
    for _ in range(2):
        policies.check(asked, SNS, SEND)
        with pytest.raises(ServiceError):
            policies.check(asked, other, SEND)
        with pytest.raises(ServiceError):
            policies.check(asked, SNS, "sqs:ReceiveMessage")
        with pytest.raises(ServiceError):
            policies.check(ResourcePolicy(f"{QUEUE}2", asked.policy), SNS, SEND)
