"""Making, finding, listing, describing, changing, emptying and deleting queues."""

from __future__ import annotations

import json

import pytest

URL = "http://localhost:4566/000000000000/"
START_S = 1_700_000_000


# CreateQueue


async def test_a_queue_is_made_once_and_found_again(sqs):
    first = await sqs("create_queue", QueueName="q", Attributes={"DelaySeconds": "5"}, tags={"a": "b"})
    assert first == {"QueueUrl": URL + "q"}
    assert await sqs("create_queue", QueueName="q") == first
    assert (
        await sqs("create_queue", QueueName="q", Attributes={"DelaySeconds": "05", "VisibilityTimeout": "30"}) == first
    )
    assert await sqs("list_queue_tags", QueueUrl=URL + "q") == {"Tags": {"a": "b"}}


async def test_an_attribute_that_differs_is_a_conflict(sqs):
    await sqs.create("q", DelaySeconds=5)
    error = await sqs.error("create_queue", QueueName="q", Attributes={"VisibilityTimeout": "30", "DelaySeconds": "6"})
    assert error.code == "QueueNameExists"
    assert error.message == "A queue already exists with the same name and a different value for attribute DelaySeconds"


async def test_a_fifo_queue_says_so_in_its_name_and_attribute(sqs):
    assert (await sqs.create("q.fifo")) == URL + "q.fifo"
    assert (await sqs.attributes(URL + "q.fifo", "FifoQueue")) == {"FifoQueue": "true"}
    assert (await sqs.error("create_queue", QueueName="q.fifo")).code == "InvalidParameterValue"
    error = await sqs.error("create_queue", QueueName="q", Attributes={"FifoQueue": "true"})
    assert "must end with .fifo suffix" in error.message
    error = await sqs.error("create_queue", QueueName="q", Attributes={"FifoQueue": "false"})
    assert (error.code, error.message) == ("InvalidAttributeName", "Unknown Attribute FifoQueue.")


async def test_what_is_refused_makes_no_queue(sqs):
    await sqs.error("create_queue", QueueName="q", Attributes={"DelaySeconds": "901"})
    await sqs.error("create_queue", QueueName="q", tags={"": "x"})
    assert await sqs("list_queues") == {}


# GetQueueUrl


async def test_a_url_is_found_by_name_and_owner(sqs):
    await sqs.create("q")
    assert await sqs("get_queue_url", QueueName="q") == {"QueueUrl": URL + "q"}
    other = sqs.caller(account="111111111111")
    assert (await other.error("get_queue_url", QueueName="q")).code == "QueueDoesNotExist"
    assert await other("get_queue_url", QueueName="q", QueueOwnerAWSAccountId="000000000000") == {"QueueUrl": URL + "q"}


async def test_a_queue_that_is_not_there_has_no_url(sqs):
    assert (await sqs.error("get_queue_url", QueueName="q")).message == "The specified queue does not exist."
    assert (await sqs.error("get_queue_url", QueueName="")).code == "InvalidParameterValue"


# ListQueues


async def test_queues_are_listed_by_prefix_account_and_region(sqs):
    for name in ("b", "a-2", "a-1"):
        await sqs.create(name)
    await sqs.caller(account="111111111111").create("a-3")
    await sqs.caller(region="eu-west-1").create("a-4")
    assert await sqs("list_queues") == {"QueueUrls": [URL + "a-1", URL + "a-2", URL + "b"]}
    assert await sqs("list_queues", QueueNamePrefix="a-") == {"QueueUrls": [URL + "a-1", URL + "a-2"]}
    assert await sqs("list_queues", QueueNamePrefix="c") == {}


async def test_pages_follow_one_another(sqs):
    for number in range(5):
        await sqs.create(f"q{number}")
    seen, token = [], None
    while True:
        page = await sqs("list_queues", MaxResults=2, **({"NextToken": token} if token else {}))
        seen.append([url.removeprefix(URL) for url in page["QueueUrls"]])
        token = page.get("NextToken")
        if not token:
            break
    assert seen == [["q0", "q1"], ["q2", "q3"], ["q4"]]
    assert (await sqs.error("list_queues", MaxResults=0)).code == "InvalidParameterValue"
    assert (await sqs.error("list_queues", MaxResults=2, NextToken="?")).code == "InvalidParameterValue"


async def test_without_max_results_there_is_no_token(sqs, monkeypatch):
    monkeypatch.setattr("headrace.services.sqs.limits.LIST_RESULTS", 2)
    for name in "abc":
        await sqs.create(name)
    assert await sqs("list_queues") == {"QueueUrls": [URL + "a", URL + "b"]}


# GetQueueAttributes


async def test_all_attributes_of_a_new_queue(sqs):
    url = await sqs.create("q")
    assert await sqs.attributes(url) == {
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:q",
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "CreatedTimestamp": str(START_S),
        "LastModifiedTimestamp": str(START_S),
        "VisibilityTimeout": "30",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "DelaySeconds": "0",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
    }


async def test_attributes_are_given_by_name(sqs):
    url = await sqs.create("q")
    assert await sqs.attributes(url, "QueueArn", "Policy", "DelaySeconds") == {
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:q",
        "DelaySeconds": "0",
    }
    assert await sqs("get_queue_attributes", QueueUrl=url) == {}
    error = await sqs.error("get_queue_attributes", QueueUrl=url, AttributeNames=["All", "Nonsense"])
    assert (error.code, error.message) == ("InvalidAttributeName", "Unknown Attribute Nonsense.")


async def test_counts_tell_the_states_apart(sqs):
    url = await sqs.create("q")
    for delay_s in (0, 0, 0, 10):
        await sqs("send_message", QueueUrl=url, MessageBody="m", DelaySeconds=delay_s)
    await sqs.receive(url)
    names = ("", "NotVisible", "Delayed")
    counts = await sqs.attributes(url, *(f"ApproximateNumberOfMessages{name}" for name in names))
    assert list(counts.values()) == ["2", "1", "1"]


# SetQueueAttributes


async def test_changes_are_in_force_at_once(sqs, clock):
    url = await sqs.create("q")
    await clock.advance(5_000)
    changes = {"VisibilityTimeout": "5", "DelaySeconds": "10", "MaximumMessageSize": "1024"}
    assert await sqs("set_queue_attributes", QueueUrl=url, Attributes=changes) == {}
    values = await sqs.attributes(url)
    assert values.items() >= changes.items()
    assert (values["CreatedTimestamp"], values["LastModifiedTimestamp"]) == (str(START_S), str(START_S + 5))
    await sqs("send_message", QueueUrl=url, MessageBody="m")
    assert await sqs.bodies(url) == []
    await clock.advance(10_000)
    assert await sqs.bodies(url) == ["m"]
    assert await sqs.bodies(url) == []
    await clock.advance(5_000)
    assert await sqs.bodies(url) == ["m"]
    assert (await sqs.error("send_message", QueueUrl=url, MessageBody="m" * 1025)).code == "InvalidParameterValue"


async def test_a_change_that_is_refused_changes_nothing(sqs):
    url = await sqs.create("q")
    before = await sqs.attributes(url)
    await sqs.error("set_queue_attributes", QueueUrl=url, Attributes={"DelaySeconds": "1", "VisibilityTimeout": "x"})
    error = await sqs.error("set_queue_attributes", QueueUrl=url, Attributes={})
    assert error.message == "The request must contain the parameter Attribute.Name."
    assert await sqs.attributes(url) == before


async def test_high_throughput_is_turned_on_with_both_attributes(sqs):
    url = await sqs.create("q.fifo")
    high = {"FifoThroughputLimit": "perMessageGroupId"}
    assert (await sqs.error("set_queue_attributes", QueueUrl=url, Attributes=high)).code == "InvalidAttributeValue"
    both = high | {"DeduplicationScope": "messageGroup"}
    await sqs("set_queue_attributes", QueueUrl=url, Attributes=both)
    assert await sqs.attributes(url, *both) == both


@pytest.mark.parametrize("name", ["RedrivePolicy", "RedriveAllowPolicy", "Policy", "KmsMasterKeyId"])
async def test_an_empty_value_takes_an_attribute_away(sqs, name):
    await sqs.create("dlq")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    values = {
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": sqs.arn("dlq"), "maxReceiveCount": 1}),
        "RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"}),
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": statement}),
        "KmsMasterKeyId": "alias/aws/sqs",
    }
    url = await sqs.create("q", **{name: values[name]})
    assert await sqs.attributes(url, name) == {name: values[name]}
    await sqs("set_queue_attributes", QueueUrl=url, Attributes={name: ""})
    assert await sqs.attributes(url, name) == {}


# Dead-letter targets, as CreateQueue and SetQueueAttributes check them


def redrive(arn, count=3):
    return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": count})


async def test_a_dead_letter_queue_must_be_there_and_fit(sqs):
    url = await sqs.create("q")
    await sqs.create("dlq.fifo")
    for arn, reason in (
        (sqs.arn("dlq"), "Dead letter target does not exist."),
        (sqs.arn("dlq.fifo"), "Dead-letter queue must be same type of queue as the source."),
        (sqs.arn("q"), "other than the source"),
        (sqs.caller(account="111111111111").arn("dlq"), "Dead-letter target owner should be same as the source."),
    ):
        for operation in ("create_queue", "set_queue_attributes"):
            attributes = {"RedrivePolicy": redrive(arn)}
            error = await sqs.error(operation, QueueName="q", QueueUrl=url, Attributes=attributes)
            if operation == "create_queue":
                assert error.code == "QueueNameExists"
            else:
                assert error.code == "InvalidParameterValue"
                assert reason in error.message
    error = await sqs.error("create_queue", QueueName="new", Attributes={"RedrivePolicy": redrive(sqs.arn("dlq"))})
    assert "Dead letter target does not exist." in error.message


async def test_a_dead_letter_queue_says_who_may_name_it(sqs):
    for permission, allowed in (
        ({"redrivePermission": "denyAll"}, ()),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [sqs.arn("a")]}, ("a",)),
        ({"redrivePermission": "allowAll"}, ("a", "b")),
    ):
        name = f"dlq-{permission['redrivePermission']}"
        await sqs.create(name, RedriveAllowPolicy=json.dumps(permission))
        for source in ("a", "b"):
            url = await sqs.create(source)
            change = {"QueueUrl": url, "Attributes": {"RedrivePolicy": redrive(sqs.arn(name))}}
            if source in allowed:
                await sqs("set_queue_attributes", **change)
            else:
                assert (
                    "redrive allow policy does not allow" in (await sqs.error("set_queue_attributes", **change)).message
                )


# DeleteQueue


async def test_a_deleted_queue_is_gone_and_its_name_free_after_60_seconds(sqs, clock):
    url = await sqs.create("q")
    await sqs("send_message", QueueUrl=url, MessageBody="old")
    assert await sqs("delete_queue", QueueUrl=url) == {}
    for operation in ("get_queue_attributes", "delete_queue", "receive_message"):
        assert (await sqs.error(operation, QueueUrl=url)).code == "QueueDoesNotExist"
    error = await sqs.error("create_queue", QueueName="q")
    assert error.code == "QueueDeletedRecently"
    assert error.message.startswith("You must wait 60 seconds after deleting a queue")
    await clock.advance(59_999)
    await sqs.error("create_queue", QueueName="q")
    await clock.advance(1)
    await sqs.create("q")
    assert await sqs.bodies(url) == []


async def test_the_wait_outlives_a_restart(durable, clock):
    sqs = await durable.start()
    await sqs("delete_queue", QueueUrl=await sqs.create("q"))
    sqs = await durable.restart()
    assert (await sqs.error("create_queue", QueueName="q")).code == "QueueDeletedRecently"


async def test_names_free_again_are_forgotten(sqs, clock):
    for name in ("a", "b"):
        await sqs("delete_queue", QueueUrl=await sqs.create(name))
    await clock.advance(60_000)
    await sqs("delete_queue", QueueUrl=await sqs.create("c"))
    kept = await sqs.server.engine.metadata.list("sqs/us-east-1/000000000000/deleted/")
    assert [entry.key.rpartition("/")[2] for entry in kept] == ["c"]


# PurgeQueue


async def test_a_purge_empties_a_queue_and_another_waits_60_seconds(sqs, clock):
    url = await sqs.create("q")
    for body in "abc":
        await sqs("send_message", QueueUrl=url, MessageBody=body)
    await sqs.receive(url)
    assert await sqs("purge_queue", QueueUrl=url) == {}
    assert (await sqs.attributes(url, "ApproximateNumberOfMessagesNotVisible")).popitem()[1] == "0"
    await sqs("send_message", QueueUrl=url, MessageBody="d")
    error = await sqs.error("purge_queue", QueueUrl=url)
    assert error.code == "PurgeQueueInProgress"
    assert error.message == "Only one PurgeQueue operation on q is allowed every 60 seconds."
    assert await sqs.bodies(url, VisibilityTimeout=0) == ["d"]
    await clock.advance(60_000)
    await sqs("purge_queue", QueueUrl=url)
    assert await sqs.bodies(url) == []


async def test_everything_outlives_a_restart(durable):
    sqs = await durable.start()
    url = await sqs.create("q", VisibilityTimeout=7)
    await sqs("tag_queue", QueueUrl=url, Tags={"a": "b"})
    await sqs("send_message", QueueUrl=url, MessageBody="kept")
    sqs = await durable.restart()
    assert (await sqs.attributes(url))["VisibilityTimeout"] == "7"
    assert await sqs("list_queue_tags", QueueUrl=url) == {"Tags": {"a": "b"}}
    assert await sqs.bodies(url) == ["kept"]
