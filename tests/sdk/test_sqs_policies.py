"""AddPermission and RemovePermission, and the policy they write."""

import json

import pytest

ACCOUNTS = ["668614515564", "111111111111"]


class Permissions:
    """A queue's permissions."""

    def __init__(self, queue):
        self._queue = queue

    def add(self, label, accounts=ACCOUNTS, actions=("ReceiveMessage",)):
        self._queue.client.add_permission(
            QueueUrl=self._queue.url, Label=label, AWSAccountIds=list(accounts), Actions=list(actions)
        )

    def remove(self, label):
        self._queue.client.remove_permission(QueueUrl=self._queue.url, Label=label)

    def policy(self):
        found = self._queue.attributes("Policy")
        return json.loads(found["Policy"]) if found else None


@pytest.fixture
def permissions(queue):
    return Permissions(queue)


def statement(queue, label, principals, actions):
    arns = [f"arn:aws:iam::{account}:root" for account in principals]
    return {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": arns if len(arns) > 1 else arns[0]},
        "Action": actions,
        "Resource": queue.arn,
    }


def test_a_permission_makes_a_policy(queue, permissions):
    permissions.add("cross-account")
    assert permissions.policy() == {
        "Version": "2008-10-17",
        "Id": f"{queue.arn}/SQSDefaultPolicy",
        "Statement": [statement(queue, "cross-account", ACCOUNTS, "SQS:ReceiveMessage")],
    }


def test_permissions_add_up_and_go_one_by_one(queue, permissions):
    permissions.add("one", ACCOUNTS[:1])
    permissions.add("two", ACCOUNTS[:1], ["SendMessage", "DeleteMessage"])
    one = statement(queue, "one", ACCOUNTS[:1], "SQS:ReceiveMessage")
    two = statement(queue, "two", ACCOUNTS[:1], ["SQS:SendMessage", "SQS:DeleteMessage"])
    assert permissions.policy()["Statement"] == [one, two]
    permissions.remove("one")
    assert permissions.policy()["Statement"] == [two]
    permissions.remove("two")
    assert permissions.policy() is None


def test_a_permission_joins_a_policy_that_is_there(queue, permissions):
    mine = {"Sid": "mine", "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": queue.arn}
    queue.set(Policy=json.dumps({"Version": "2012-10-17", "Statement": [mine]}))
    permissions.add("added", ACCOUNTS[:1])
    policy = permissions.policy()
    assert policy["Version"] == "2012-10-17"
    assert [entry["Sid"] for entry in policy["Statement"]] == ["mine", "added"]


def test_every_action_at_once(queue, permissions):
    permissions.add("all", ACCOUNTS[:1], ["*"])
    assert permissions.policy()["Statement"] == [statement(queue, "all", ACCOUNTS[:1], "SQS:*")]


def test_a_label_is_used_once(permissions, refused):
    permissions.add("twice")
    with refused("InvalidParameterValue", "Value twice for parameter Label is invalid. Reason: Already exists."):
        permissions.add("twice", ACCOUNTS[:1])


def test_an_unknown_label_cannot_be_removed(permissions, refused):
    with refused("InvalidParameterValue", "Value absent for parameter Label is invalid. Reason: can't find label."):
        permissions.remove("absent")


@pytest.mark.parametrize("label", ["two words", "l" * 81, "dot.ted", "ü"])
def test_labels_that_are_not_well_formed(permissions, label, refused):
    with refused("InvalidParameterValue"):
        permissions.add(label)


@pytest.mark.parametrize("actions", [["FlyToTheMoon"], ["SendMessage", "Fly"], ["sqs:SendMessage"]])
def test_actions_that_are_none(permissions, actions, refused):
    with refused("InvalidParameterValue"):
        permissions.add("label", ACCOUNTS, actions)


def test_more_than_seven_actions(permissions, refused):
    actions = [
        "SendMessage",
        "ReceiveMessage",
        "DeleteMessage",
        "ChangeMessageVisibility",
        "GetQueueAttributes",
        "GetQueueUrl",
        "PurgeQueue",
    ]
    permissions.add("seven", ACCOUNTS, actions)
    with refused("OverLimit", status=403):
        permissions.add("eight", ACCOUNTS, [*actions, "ListDeadLetterSourceQueues"])


@pytest.mark.parametrize("account", ["12345", "not-an-account"])
def test_accounts_that_are_none(permissions, account, refused):
    with refused("InvalidParameterValue"):
        permissions.add("label", [account])


def test_a_policy_is_kept_as_it_is(queue):
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue.arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:000000000000:topic"}},
    }
    policy = {"Version": "2012-10-17", "Id": "mine", "Statement": [allow]}
    queue.set(Policy=json.dumps(policy))
    assert json.loads(queue.attributes("Policy")["Policy"]) == policy


def test_a_policy_at_creation(make_queue):
    arn = "arn:aws:sqs:us-east-1:000000000000:orders"
    allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [allow]}
    queue = make_queue("orders", Policy=json.dumps(policy))
    assert json.loads(queue.attributes("Policy")["Policy"]) == policy
