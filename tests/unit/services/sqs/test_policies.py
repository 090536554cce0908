"""Policy documents, and the statements AddPermission makes."""

from __future__ import annotations

import json

import pytest

from headrace.errors import ServiceError
from headrace.services.sqs import policies

ARN = "arn:aws:sqs:us-east-1:000000000000:q"
STATEMENT = {
    "Sid": "one",
    "Effect": "Allow",
    "Principal": {"AWS": ["123456789012"]},
    "Action": "sqs:SendMessage",
    "Resource": ARN,
}


def document(*statements, **members):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | members)


def without(*names):
    return {name: value for name, value in STATEMENT.items() if name not in names}


def refusal(call, *arguments):
    with pytest.raises(ServiceError) as caught:
        call(*arguments)
    return caught.value


# The Policy attribute


@pytest.mark.parametrize(
    "text",
    [
        document(STATEMENT),
        document(STATEMENT, Version="2008-10-17", Id="some"),
        json.dumps({"Statement": STATEMENT}),
        document(without("Sid")),
        document(STATEMENT | {"Principal": "*", "Effect": "Deny"}),
        document(STATEMENT | {"Action": ["sqs:SendMessage", "sqs:*"], "Resource": [ARN]}),
        document(STATEMENT | {"Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:1:t"}}}),
        document(without("Principal") | {"NotPrincipal": {"AWS": "1"}}),
    ],
)
def test_a_policy_document_is_taken(text):
    policies.check_policy(text)


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "null",
        "5",
        "{}",
        document(),
        document("x"),
        document(STATEMENT, Version="2012-01-01"),
        document(STATEMENT, Id=5),
        document(STATEMENT, Dummy="x"),
        document(STATEMENT | {"dummy": 1}),
        document(STATEMENT | {"Effect": "Maybe"}),
        document(STATEMENT | {"Sid": 1}),
        document(STATEMENT | {"Condition": []}),
        document(STATEMENT | {"Condition": {"Bool": True}}),
        document(STATEMENT | {"Principal": "x"}),
        document(STATEMENT | {"NotAction": "sqs:*"}),
        document(STATEMENT | {"Action": []}),
        document(STATEMENT | {"Resource": [5]}),
        document(without("Effect")),
        document(without("Principal")),
        document(without("Action")),
        document(without("Resource")),
    ],
)
def test_anything_else_is_refused(text):
    error = refusal(policies.check_policy, text)
    assert (error.code, error.message) == ("InvalidAttributeValue", "Invalid value for the parameter Policy.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (document(*[STATEMENT] * 22), "22 statements were found in the submitted policy, max allowed is 20"),
        (document(STATEMENT | {"Principal": {"AWS": ["1"] * 51}}), "51 principals"),
        (document(STATEMENT | {"Condition": {"StringLike": {str(n): "x" for n in range(11)}}}), "11 conditions"),
        (document(STATEMENT | {"Sid": "x" * 8192}), "bytes were found"),
    ],
)
def test_a_policy_has_limits(text, message):
    error = refusal(policies.check_policy, text)
    assert error.code == "OverLimit"
    assert message in error.message


# AddPermission and RemovePermission


def test_permissions_come_and_go():
    policies.check_permission("first", ["111111111111", "222222222222"], ["SendMessage", "ReceiveMessage"])
    first = policies.add_permission(
        None, ARN, "first", ["111111111111", "222222222222"], ["SendMessage", "ReceiveMessage"]
    )
    assert json.loads(first) == {
        "Version": "2008-10-17",
        "Id": f"{ARN}/SQSDefaultPolicy",
        "Statement": [
            {
                "Sid": "first",
                "Effect": "Allow",
                "Principal": {"AWS": ["arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root"]},
                "Action": ["SQS:SendMessage", "SQS:ReceiveMessage"],
                "Resource": ARN,
            }
        ],
    }
    policies.check_policy(first)
    both = policies.add_permission(first, ARN, "second", ["111111111111"], ["*"])
    assert json.loads(both)["Statement"][1]["Principal"] == {"AWS": "arn:aws:iam::111111111111:root"}
    assert json.loads(both)["Statement"][1]["Action"] == "SQS:*"
    assert json.loads(policies.remove_permission(both, ARN, "second")) == json.loads(first)
    assert policies.remove_permission(first, ARN, "first") == ""


def test_a_permission_joins_a_policy_that_was_set():
    text = json.dumps({"Version": "2012-10-17", "Statement": STATEMENT})
    added = json.loads(policies.add_permission(text, ARN, "two", ["111111111111"], ["SendMessage"]))
    assert added["Version"] == "2012-10-17"
    assert [statement["Sid"] for statement in added["Statement"]] == ["one", "two"]


def test_labels_are_known_or_not():
    policy = document(STATEMENT)
    assert "Already exists." in refusal(policies.add_permission, policy, ARN, "one", ["1" * 12], ["*"]).message
    for existing in (policy, None):
        assert "can't find label." in refusal(policies.remove_permission, existing, ARN, "two").message


def test_a_policy_does_not_grow_beyond_its_limits():
    full = document(*[STATEMENT | {"Sid": str(n)} for n in range(20)])
    assert refusal(policies.add_permission, full, ARN, "more", ["1" * 12], ["*"]).code == "OverLimit"


@pytest.mark.parametrize(
    ("label", "accounts", "actions", "message"),
    [
        ("", ["1" * 12], ["*"], "parameter Label is invalid"),
        ("a b", ["1" * 12], ["*"], "parameter Label is invalid"),
        ("x" * 81, ["1" * 12], ["*"], "parameter Label is invalid"),
        ("a", [], ["*"], "must contain the parameter AWSAccountIds"),
        ("a", ["1" * 12], [], "must contain the parameter Actions"),
        ("a", ["1"], ["*"], "Unable to verify"),
        ("a", ["1" * 12], ["*"] * 8, "8 Actions were found, maximum allowed is 7."),
        ("a", ["1" * 12], ["Nonsense"], "list of valid actions"),
        ("a", ["1" * 12], ["DeleteQueue"], "Only the queue owner"),
    ],
)
def test_permissions_have_rules(label, accounts, actions, message):
    assert message in refusal(policies.check_permission, label, accounts, actions).message
