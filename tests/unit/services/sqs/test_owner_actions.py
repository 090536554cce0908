"""Tags and permissions."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
async def url(sqs):
    return await sqs.create("q")


# Tags


async def test_tags_are_added_changed_and_taken_away(sqs, url):
    assert await sqs("list_queue_tags", QueueUrl=url) == {}
    assert await sqs("tag_queue", QueueUrl=url, Tags={"tag1": "value1", "tag2": "", "tag3": "x"}) == {}
    await sqs("tag_queue", QueueUrl=url, Tags={"tag1": "other"})
    assert await sqs("list_queue_tags", QueueUrl=url) == {"Tags": {"tag1": "other", "tag2": "", "tag3": "x"}}
    assert await sqs("untag_queue", QueueUrl=url, TagKeys=["tag1", "tag3", "unknown"]) == {}
    assert await sqs("list_queue_tags", QueueUrl=url) == {"Tags": {"tag2": ""}}


async def test_a_queue_has_50_tags_at_most(sqs, url):
    await sqs("tag_queue", QueueUrl=url, Tags={str(number): "" for number in range(50)})
    await sqs("tag_queue", QueueUrl=url, Tags={"7": "changed"})
    error = await sqs.error("tag_queue", QueueUrl=url, Tags={"one more": ""})
    assert (error.code, error.message) == ("InvalidParameterValue", "Too many tags added for queue q.")
    assert len((await sqs("list_queue_tags", QueueUrl=url))["Tags"]) == 50


async def test_no_tags_are_nothing_to_do(sqs, url):
    assert (await sqs.error("tag_queue", QueueUrl=url, Tags={})).code == "MissingParameter"
    assert (await sqs.error("untag_queue", QueueUrl=url, TagKeys=[])).code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("tag_queue", {"Tags": {"a": "b"}}),
        ("untag_queue", {"TagKeys": ["a"]}),
        ("list_queue_tags", {}),
        ("add_permission", {"Label": "l", "AWSAccountIds": ["1" * 12], "Actions": ["*"]}),
        ("remove_permission", {"Label": "l"}),
    ],
)
async def test_a_queue_that_is_not_there_has_neither(sqs, operation, params):
    assert (await sqs.error(operation, QueueUrl="none", **params)).code == "QueueDoesNotExist"


# Permissions


async def policy(sqs, url):
    text = (await sqs.attributes(url, "Policy")).get("Policy")
    return text and json.loads(text)


async def test_permissions_make_a_policy(sqs, url, clock):
    one = {"QueueUrl": url, "Label": "one", "AWSAccountIds": ["1" * 12], "Actions": ["ReceiveMessage"]}
    await clock.advance(3_000)
    assert await sqs("add_permission", **one) == {}
    assert (await policy(sqs, url))["Statement"] == [
        {
            "Sid": "one",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
            "Action": "SQS:ReceiveMessage",
            "Resource": sqs.arn("q"),
        }
    ]
    assert (await sqs.attributes(url, "LastModifiedTimestamp")).popitem()[1] == "1700000003"
    error = await sqs.error("add_permission", **one | {"AWSAccountIds": ["2" * 12]})
    assert error.message == "Value one for parameter Label is invalid. Reason: Already exists."
    await sqs("add_permission", **one | {"Label": "two"})
    await sqs("remove_permission", QueueUrl=url, Label="one")
    assert [statement["Sid"] for statement in (await policy(sqs, url))["Statement"]] == ["two"]
    await sqs("remove_permission", QueueUrl=url, Label="two")
    assert await policy(sqs, url) is None
    error = await sqs.error("remove_permission", QueueUrl=url, Label="two")
    assert error.message == "Value two for parameter Label is invalid. Reason: can't find label."


async def test_permissions_are_checked(sqs, url):
    params = {"QueueUrl": url, "Label": "l", "AWSAccountIds": ["1" * 12]}
    assert (await sqs.error("add_permission", **params, Actions=["*"] * 8)).code == "OverLimit"
    assert (await sqs.error("add_permission", **params, Actions=["Dance"])).code == "InvalidParameterValue"
