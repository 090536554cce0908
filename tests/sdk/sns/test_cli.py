"""The AWS CLI: a session as one would type it, its output parsed."""

import json
import os
import subprocess

import pytest


@pytest.fixture
def run_aws(python_runtime, headrace, tmp_path):
    """A function that runs `aws …` and gives the finished process."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "headrace",
        "AWS_SECRET_ACCESS_KEY": "headrace",
        "AWS_DEFAULT_OUTPUT": "json",
        "AWS_MAX_ATTEMPTS": "1",
    }
    cli = python_runtime("awscli") / "aws"

    def run(*words):
        command = [cli, "--endpoint-url", headrace.endpoint_url, *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def aws(run_aws):
    """A function that runs `aws sns …` and gives what it printed, parsed."""

    def run(*words):
        done = run_aws("sns", *words)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_from_a_topic_to_a_queue(aws, queue):
    topic = aws("create-topic", "--name", "orders", "--tags", "Key=team,Value=shop")["TopicArn"]
    assert aws("list-topics") == {"Topics": [{"TopicArn": topic}]}
    assert aws("list-tags-for-resource", "--resource-arn", topic) == {"Tags": [{"Key": "team", "Value": "shop"}]}
    policy = json.dumps({"FilterPolicy": json.dumps({"state": ["placed"]}), "RawMessageDelivery": "true"})
    subscribing = ("--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint", queue.arn)
    subscription = aws("subscribe", *subscribing, "--attributes", policy)["SubscriptionArn"]
    attributes = json.dumps({"state": {"DataType": "String", "StringValue": "placed"}})
    published = aws("publish", "--topic-arn", topic, "--message", "Grüße", "--message-attributes", attributes)
    assert published["MessageId"]
    entries = json.dumps([{"Id": key, "Message": key} for key in "ab"])
    batch = aws("publish-batch", "--topic-arn", topic, "--publish-batch-request-entries", entries)
    assert [each["Id"] for each in batch["Successful"]] == ["a", "b"]
    assert queue.bodies(WaitTimeSeconds=5) == ["Grüße"]
    aws("set-subscription-attributes", "--subscription-arn", subscription, "--attribute-name", "FilterPolicy")
    shown = aws("get-subscription-attributes", "--subscription-arn", subscription)["Attributes"]
    assert "FilterPolicy" not in shown
    aws("unsubscribe", "--subscription-arn", subscription)
    assert aws("list-subscriptions") == {"Subscriptions": []}
    aws("delete-topic", "--topic-arn", topic)
    assert aws("list-topics") == {"Topics": []}


def test_owners(aws):
    topic = aws("create-topic", "--name", "orders", "--attributes", "DisplayName=Orders")["TopicArn"]
    at = ("--topic-arn", topic)
    aws("set-topic-attributes", *at, "--attribute-name", "SignatureVersion", "--attribute-value", "2")
    shown = aws("get-topic-attributes", *at)["Attributes"]
    assert (shown["DisplayName"], shown["SignatureVersion"]) == ("Orders", "2")
    share = ("--label", "l", "--aws-account-id", "123456789012", "--action-name", "Publish", "Subscribe")
    aws("add-permission", *at, *share)
    policy = json.loads(aws("get-topic-attributes", *at)["Attributes"]["Policy"])
    assert policy["Statement"][1]["Action"] == ["SNS:Publish", "SNS:Subscribe"]
    aws("remove-permission", *at, "--label", "l")
    aws("tag-resource", "--resource-arn", topic, "--tags", "Key=a,Value=b", "Key=c,Value=d")
    aws("untag-resource", "--resource-arn", topic, "--tag-keys", "a")
    assert aws("list-tags-for-resource", "--resource-arn", topic) == {"Tags": [{"Key": "c", "Value": "d"}]}


def test_data_protection(aws):
    policy = {
        "Name": "p",
        "Version": "2021-06-01",
        "Statement": [
            {
                "DataDirection": "Inbound",
                "Principal": ["*"],
                "DataIdentifier": ["arn:aws:dataprotection::aws:data-identifier/EmailAddress"],
                "Operation": {"Deny": {}},
            }
        ],
    }
    topic = aws("create-topic", "--name", "orders")["TopicArn"]
    aws("put-data-protection-policy", "--resource-arn", topic, "--data-protection-policy", json.dumps(policy))
    shown = aws("get-data-protection-policy", "--resource-arn", topic)["DataProtectionPolicy"]
    assert json.loads(shown) == policy


def test_confirming(aws, headrace):
    topic = aws("create-topic", "--name", "orders")["TopicArn"]
    asked = aws("subscribe", "--topic-arn", topic, "--protocol", "email", "--notification-endpoint", "a@example.test")
    assert asked == {"SubscriptionArn": "pending confirmation"}
    (found,) = headrace.outbox(to="a@example.test")
    confirmed = aws("confirm-subscription", "--topic-arn", topic, "--token", found["token"])
    (listed,) = aws("list-subscriptions-by-topic", "--topic-arn", topic)["Subscriptions"]
    assert listed["SubscriptionArn"] == confirmed["SubscriptionArn"]


def test_errors(run_aws):
    done = run_aws("sns", "publish", "--topic-arn", "arn:aws:sns:us-east-1:000000000000:none", "--message", "m")
    assert done.returncode != 0
    assert "(NotFound) when calling the Publish operation" in done.stderr
