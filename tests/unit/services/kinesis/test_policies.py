"""Resource policies."""

import json

import pytest

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/s"


def policy(**changes):
    statement = {
        "Sid": "readers",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": ["kinesis:GetRecords", "kinesis:DescribeStreamSummary"],
        "Resource": ARN,
    }
    statement.update(changes)
    return {"Version": "2012-10-17", "Statement": [{key: value for key, value in statement.items() if value != 0}]}


async def test_a_policy_is_kept_as_it_was_written(kinesis):
    await kinesis.create()
    assert (await kinesis.error("get_resource_policy", ResourceARN=ARN)).code == "ResourceNotFoundException"
    text = json.dumps(policy(), indent=2)
    await kinesis("put_resource_policy", ResourceARN=ARN, Policy=text)
    assert await kinesis("get_resource_policy", ResourceARN=ARN) == {"Policy": text}
    other = json.dumps(policy(Principal="*", Action="kinesis:*", Condition={"StringEquals": {"a": "b"}}))
    await kinesis("put_resource_policy", ResourceARN=ARN, Policy=other)
    assert await kinesis("get_resource_policy", ResourceARN=ARN) == {"Policy": other}
    await kinesis("delete_resource_policy", ResourceARN=ARN)
    assert (await kinesis.error("delete_resource_policy", ResourceARN=ARN)).code == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        json.dumps({"Version": "2012-10-17", "Statement": []}),
        json.dumps({"Version": "yesterday", "Statement": policy()["Statement"]}),
        json.dumps({"Statement": ["x"]}),
        json.dumps({**policy(), "More": 1}),
        *[
            json.dumps(policy(**changes))
            for changes in (
                {"Effect": "Maybe"},
                {"Principal": 0},
                {"Principal": {}},
                {"Action": 0},
                {"Action": "sqs:SendMessage"},
                {"Action": [1]},
                {"Resource": 0},
                {"Resource": "*"},
                {"Resource": [ARN, ARN + "2"]},
                {"Condition": "never"},
                {"Condition": {"StringEquals": "never"}},
                {"Sid": 5},
                {"Sid": "x" * 21_000},
                {"Else": 1},
            )
        ],
    ],
)
async def test_what_is_no_policy_of_the_stream(kinesis, text):
    await kinesis.create()
    error = await kinesis.error("put_resource_policy", ResourceARN=ARN, Policy=text)
    assert error.code == "InvalidArgumentException"


async def test_it_goes_with_the_stream(kinesis):
    await kinesis.create()
    await kinesis("put_resource_policy", ResourceARN=ARN, Policy=json.dumps(policy()))
    await kinesis("delete_stream", StreamName="s")
    await kinesis.settle()
    await kinesis.create()
    assert (await kinesis.error("get_resource_policy", ResourceARN=ARN)).code == "ResourceNotFoundException"
