"""Dead-letter sources, and starting, listing and cancelling message move tasks."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

START_MS = 1_700_000_000_000


def redrive(arn, count=1):
    return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": count})


async def pair(sqs, suffix=""):
    """A dead-letter queue and a queue whose dead letters it takes."""
    dlq = await sqs.create("dlq" + suffix)
    source = await sqs.create("source" + suffix, RedrivePolicy=redrive(sqs.arn("dlq" + suffix)), VisibilityTimeout=0)
    return dlq, source


async def dead_letters(sqs, source, count):
    """Send messages, and receive them until they are dead letters."""
    for number in range(count):
        await sqs("send_message", QueueUrl=source, MessageBody=f"m{number}")
    for _ in range(count + 1):
        await sqs.receive(source, MaxNumberOfMessages=10)


async def task(sqs, name="dlq"):
    """The most recent task of a queue, once it has done what it can for now."""
    for _ in range(100):
        await asyncio.sleep(0)
    [result] = (await sqs("list_message_move_tasks", SourceArn=sqs.arn(name)))["Results"]
    return result


# ListDeadLetterSourceQueues


async def test_sources_are_listed_by_name_in_pages(sqs):
    dlq = await sqs.create("dlq")
    assert await sqs("list_dead_letter_source_queues", QueueUrl=dlq) == {"queueUrls": []}
    sources = [await sqs.create(name, RedrivePolicy=redrive(sqs.arn("dlq"))) for name in "cab"]
    assert await sqs("list_dead_letter_source_queues", QueueUrl=dlq) == {"queueUrls": sorted(sources)}
    page = await sqs("list_dead_letter_source_queues", QueueUrl=dlq, MaxResults=2)
    assert page["queueUrls"] == sorted(sources)[:2]
    rest = await sqs("list_dead_letter_source_queues", QueueUrl=dlq, MaxResults=2, NextToken=page["NextToken"])
    assert rest == {"queueUrls": sorted(sources)[2:]}


async def test_sources_follow_what_becomes_of_the_policies(sqs):
    first, second = await sqs.create("dlq-1"), await sqs.create("dlq-2")
    source = await sqs.create("source", RedrivePolicy=redrive(sqs.arn("dlq-1")))

    async def listed():
        results = [await sqs("list_dead_letter_source_queues", QueueUrl=url) for url in (first, second)]
        return [len(result["queueUrls"]) for result in results]

    assert await listed() == [1, 0]
    change = {"QueueUrl": source, "Attributes": {"RedrivePolicy": redrive(sqs.arn("dlq-2"))}}
    await sqs("set_queue_attributes", **change)
    assert await listed() == [0, 1]
    await sqs("set_queue_attributes", QueueUrl=source, Attributes={"RedrivePolicy": ""})
    assert await listed() == [0, 0]
    await sqs("set_queue_attributes", **change)
    await sqs("delete_queue", QueueUrl=source)
    assert await listed() == [0, 0]


# Dead letters themselves


async def test_a_message_received_too_often_comes_out_of_the_dead_letter_queue(sqs):
    dlq = await sqs.create("dlq")
    source = await sqs.create("source", RedrivePolicy=redrive(sqs.arn("dlq"), 2), VisibilityTimeout=0)
    attributes = {"a": {"DataType": "String", "StringValue": "x"}}
    sent = await sqs("send_message", QueueUrl=source, MessageBody="m", MessageAttributes=attributes)
    assert [await sqs.bodies(source) for _ in range(3)] == [["m"], ["m"], []]
    [message] = await sqs.receive(dlq, AttributeNames=["All"], MessageAttributeNames=["All"])
    assert message["MessageId"] == sent["MessageId"]
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == sqs.arn("source")
    assert message["Attributes"]["SenderId"] == "AIDASENDER"
    assert message["Attributes"]["ApproximateReceiveCount"] == "3"


async def test_without_its_dead_letter_queue_a_queue_keeps_its_messages(sqs, clock):
    dlq, source = await pair(sqs)
    await sqs("delete_queue", QueueUrl=dlq)
    await sqs("send_message", QueueUrl=source, MessageBody="m")
    assert [await sqs.bodies(source) for _ in range(3)] == [["m"]] * 3
    await clock.advance(60_000)
    await sqs.create("dlq")
    assert await sqs.bodies(source) == []
    assert await sqs.bodies(dlq) == ["m"]


async def test_queues_may_be_each_others_dead_letter_queue(sqs):
    first = await sqs.create("a")
    await sqs.create("b", RedrivePolicy=redrive(sqs.arn("a")))
    change = {"RedrivePolicy": redrive(sqs.arn("b"))}
    await sqs("set_queue_attributes", QueueUrl=first, Attributes=change)
    assert await sqs.attributes(first, "RedrivePolicy") == change


# StartMessageMoveTask


async def test_messages_move_back_to_where_they_came_from(sqs):
    dlq, source = await pair(sqs)
    await dead_letters(sqs, source, 3)
    started = await sqs("start_message_move_task", SourceArn=sqs.arn("dlq"))
    handle = json.loads(base64.b64decode(started["TaskHandle"]))
    assert handle["sourceArn"] == sqs.arn("dlq")
    assert await task(sqs) == {
        "Status": "COMPLETED",
        "SourceArn": sqs.arn("dlq"),
        "ApproximateNumberOfMessagesMoved": 3,
        "ApproximateNumberOfMessagesToMove": 3,
        "StartedTimestamp": START_MS,
    }
    assert await sqs.bodies(dlq) == []
    assert sorted(await sqs.bodies(source)) == ["m0", "m1", "m2"]


async def test_messages_move_to_another_queue(sqs):
    dlq, source = await pair(sqs)
    other = await sqs.create("other")
    await dead_letters(sqs, source, 2)
    await sqs("start_message_move_task", SourceArn=sqs.arn("dlq"), DestinationArn=sqs.arn("other"))
    assert (await task(sqs))["DestinationArn"] == sqs.arn("other")
    assert sorted(await sqs.bodies(other)) == ["m0", "m1"]
    assert await sqs.bodies(dlq) == []


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"SourceArn": "x"}, "InvalidParameterValue", "You must use this format to specify the SourceArn: arn:"),
        ({"SourceArn": "none"}, "ResourceNotFoundException", "specified for the SourceArn parameter doesn't exist."),
        ({"SourceArn": "source"}, "InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue."),
        ({"DestinationArn": ""}, "InvalidParameterValue", "to specify the DestinationArn"),
        ({"DestinationArn": "none"}, "ResourceNotFoundException", "specified for the DestinationArn parameter"),
        ({"DestinationArn": "dlq"}, "InvalidParameterValue", "cannot be the same."),
        ({"DestinationArn": "other.fifo"}, "InvalidParameterValue", "must be of the same queue type."),
        ({"MaxNumberOfMessagesPerSecond": 0}, "InvalidParameterValue", "a number that's between 1 and 500."),
        ({"MaxNumberOfMessagesPerSecond": 501}, "InvalidParameterValue", "a number that's between 1 and 500."),
    ],
)
async def test_a_task_must_make_sense(sqs, params, code, message):
    await pair(sqs)
    await sqs.create("other.fifo")
    arns = {
        name: sqs.arn(value) if name.endswith("Arn") and value not in ("", "x") else value
        for name, value in params.items()
    }
    error = await sqs.error("start_message_move_task", **{"SourceArn": sqs.arn("dlq")} | arns)
    assert error.code == code
    assert message in error.message
    assert error.status == (404 if code == "ResourceNotFoundException" else None)


async def test_one_task_a_queue_at_a_time(sqs, clock):
    _, source = await pair(sqs)
    await dead_letters(sqs, source, 3)
    slowly = {"SourceArn": sqs.arn("dlq"), "MaxNumberOfMessagesPerSecond": 1}
    await sqs("start_message_move_task", **slowly)
    error = await sqs.error("start_message_move_task", **slowly)
    assert error.code == "InvalidParameterValue"
    assert error.message.startswith("There is already a task running.")
    await clock.advance(3_000)
    assert (await task(sqs))["Status"] == "COMPLETED"
    await sqs("start_message_move_task", **slowly)


# ListMessageMoveTasks


async def test_the_ten_most_recent_tasks_are_listed(sqs, clock):
    await pair(sqs)
    for _ in range(12):
        await sqs("start_message_move_task", SourceArn=sqs.arn("dlq"))
        await task(sqs)
        await clock.advance(1_000)
    results = (await sqs("list_message_move_tasks", SourceArn=sqs.arn("dlq"), MaxResults=10))["Results"]
    assert [result["StartedTimestamp"] for result in results] == [START_MS + n * 1_000 for n in range(11, 1, -1)]
    assert len(await sqs.server.engine.metadata.list("sqs/us-east-1/000000000000/move/")) == 10


async def test_listing_has_its_errors(sqs):
    await pair(sqs)
    assert await sqs("list_message_move_tasks", SourceArn=sqs.arn("dlq")) == {"Results": []}
    error = await sqs.error("list_message_move_tasks", SourceArn=sqs.arn("none"))
    assert error.code == "ResourceNotFoundException"
    for count in (0, 11):
        error = await sqs.error("list_message_move_tasks", SourceArn=sqs.arn("dlq"), MaxResults=count)
        assert error.code == "InvalidParameterValue"


# CancelMessageMoveTask


async def test_a_cancelled_task_leaves_the_rest(sqs, clock):
    dlq, source = await pair(sqs)
    await dead_letters(sqs, source, 10)
    slowly = {"SourceArn": sqs.arn("dlq"), "MaxNumberOfMessagesPerSecond": 1}
    handle = (await sqs("start_message_move_task", **slowly))["TaskHandle"]
    running = await task(sqs)
    assert (running["Status"], running["TaskHandle"]) == ("RUNNING", handle)
    assert running["MaxNumberOfMessagesPerSecond"] == 1
    await clock.advance(2_000)
    assert (await task(sqs))["ApproximateNumberOfMessagesMoved"] == 2
    assert await sqs("cancel_message_move_task", TaskHandle=handle) == {"ApproximateNumberOfMessagesMoved": 2}
    await clock.advance(5_000)
    cancelled = await task(sqs)
    assert (cancelled["Status"], cancelled["ApproximateNumberOfMessagesMoved"]) == ("CANCELLED", 2)
    assert "TaskHandle" not in cancelled
    assert len(await sqs.bodies(dlq)) == 8
    error = await sqs.error("cancel_message_move_task", TaskHandle=handle)
    assert error.code == "UnsupportedOperation"
    assert "CANCELLED" in error.message


def handle_of(**members):
    return base64.b64encode(json.dumps(members).encode()).decode()


async def test_a_handle_must_be_of_a_task(sqs):
    await pair(sqs)
    arn = sqs.arn("dlq")
    for handle, code, message in (
        ("", "InvalidParameterValue", "Value for parameter TaskHandle is invalid."),
        ("nonsense", "InvalidParameterValue", "Value for parameter TaskHandle is invalid."),
        (handle_of(taskId=1, sourceArn=arn), "InvalidParameterValue", "Value for parameter TaskHandle is invalid."),
        (handle_of(taskId="t"), "InvalidParameterValue", "Value for parameter TaskHandle is invalid."),
        (
            handle_of(taskId="t", sourceArn=sqs.arn("none")),
            "ResourceNotFoundException",
            "SourceArn parameter doesn't exist.",
        ),
        (handle_of(taskId="t", sourceArn=arn), "ResourceNotFoundException", "Task does not exist."),
    ):
        error = await sqs.error("cancel_message_move_task", TaskHandle=handle)
        assert error.code == code
        assert message in error.message
