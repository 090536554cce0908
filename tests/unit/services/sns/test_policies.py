import json

import pytest

from headrace.errors import ServiceError
from headrace.services.sns import policies

TOPIC = "arn:aws:sns:us-east-1:000000000000:t"
DEFAULT = policies.default_policy(TOPIC, "000000000000")


def statement(**changes):
    return {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": "*"} | changes


def document(*statements, **more):
    return json.dumps({"Statement": list(statements)} | more)


@pytest.mark.parametrize(
    "text",
    [
        DEFAULT,
        document(statement()),
        document(
            statement(Principal={"AWS": ["1", "2"]}, Sid="s", Condition={"Bool": {}}), Version="2012-10-17", Id="i"
        ),
        json.dumps({"Statement": statement()}),
    ],
)
def test_policies(text):
    assert policies.check_policy(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        document(),
        document(statement(Effect="Maybe")),
        document(statement(Principal={})),
        document(statement(Action=[])),
        document(statement(Resource=1)),
        document(statement(), Version="2020-01-01"),
        document(statement(), Other=1),
        document(*[statement()] * 101),
        document(statement(Sid="x" * 30_720)),
        "[" * 20_000,
    ],
)
def test_texts_that_are_no_policies(text):
    assert policies.check_policy(text)


def test_statements_come_and_go():
    more = policies.add_permission(DEFAULT, TOPIC, "l", ["111111111111", "222222222222"], ["Publish", "Subscribe"])
    added = json.loads(more)["Statement"][1]
    assert added["Principal"]["AWS"] == ["arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root"]
    assert added["Action"] == ["SNS:Publish", "SNS:Subscribe"]
    assert policies.remove_permission(more, "l") == DEFAULT
    assert policies.remove_permission(DEFAULT, "never") == DEFAULT


@pytest.mark.parametrize(
    ("label", "accounts", "actions"),
    [("", ["1" * 12], ["Publish"]), ("l", [], ["Publish"]), ("l", ["1"], ["Publish"]), ("l", ["1" * 12], ["Fly"])],
)
def test_permissions_that_are_none(label, accounts, actions):
    with pytest.raises(ServiceError):
        policies.add_permission(DEFAULT, TOPIC, label, accounts, actions)


def test_a_policy_that_becomes_too_large():
    full = document(*[statement(Sid=str(number)) for number in range(100)])
    with pytest.raises(ServiceError, match="100 statements"):
        policies.add_permission(full, TOPIC, "l", ["1" * 12], ["Publish"])
