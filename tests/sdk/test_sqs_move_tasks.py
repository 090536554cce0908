"""StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask."""

import base64
import json

import pytest

NOWHERE = "arn:aws:sqs:us-east-1:000000000000:nowhere"


class DeadLetters:
    """A dead-letter queue with what it needs, and the calls on its move tasks."""

    def __init__(self, make_queue, headrace):
        self.queue = make_queue("dead")
        self._headrace = headrace
        self._make_queue = make_queue
        self.source = self.add_source("source")

    def add_source(self, name):
        policy = json.dumps({"deadLetterTargetArn": self.queue.arn, "maxReceiveCount": 1})
        return self._make_queue(name, RedrivePolicy=policy, VisibilityTimeout="0")

    def fill(self, source, *bodies):
        """Have the messages fail in the source until they are in the dead-letter queue."""
        for body in bodies:
            source.send(body)
        for _ in range(len(bodies) // 10 + 2):
            source.receive()
        while source.receive():
            pass

    def start(self, **options):
        return self.queue.client.start_message_move_task(SourceArn=self.queue.arn, **options)["TaskHandle"]

    def tasks(self, **options):
        return self.queue.client.list_message_move_tasks(SourceArn=self.queue.arn, **options)["Results"]

    def cancel(self, handle):
        return self.queue.client.cancel_message_move_task(TaskHandle=handle)

    def settle(self):
        """Let the clock run until the newest task has ended; the task."""
        for _ in range(60):
            task = self.tasks()[0]
            if task["Status"] not in {"RUNNING", "CANCELLING"}:
                return task
            self._headrace.advance(1)
        raise AssertionError(task)


@pytest.fixture
def dead(make_queue, headrace):
    return DeadLetters(make_queue, headrace)


def test_messages_go_back_to_where_they_came_from(dead):
    other = dead.add_source("other")
    dead.fill(dead.source, "a", "b")
    dead.fill(other, "c")
    assert dead.queue.depth() == (3, 0, 0)
    dead.start()
    task = dead.settle()
    assert (task["Status"], task["SourceArn"]) == ("COMPLETED", dead.queue.arn)
    assert task["ApproximateNumberOfMessagesMoved"] == 3
    assert task["ApproximateNumberOfMessagesToMove"] == 3
    assert not {"TaskHandle", "DestinationArn", "MaxNumberOfMessagesPerSecond", "FailureReason"} & set(task)
    assert dead.queue.depth() == (0, 0, 0)
    assert sorted(dead.source.bodies()) == ["a", "b"]
    assert other.bodies() == ["c"]


def test_messages_go_to_the_destination_named(dead, make_queue):
    target = make_queue("target")
    dead.fill(dead.source, "a", "b")
    dead.start(DestinationArn=target.arn)
    task = dead.settle()
    assert (task["Status"], task["DestinationArn"]) == ("COMPLETED", target.arn)
    assert sorted(target.bodies()) == ["a", "b"]
    assert dead.source.depth() == (0, 0, 0)


def test_a_moved_message_begins_anew(dead, make_queue):
    target = make_queue("target")
    attributes = {"k": {"DataType": "String", "StringValue": "x"}}
    sent = dead.source.send("a", MessageAttributes=attributes)
    dead.fill(dead.source)
    dead.start(DestinationArn=target.arn)
    dead.settle()
    (message,) = target.receive(AttributeNames=["All"], MessageAttributeNames=["All"])
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert message["MessageId"] != sent["MessageId"]


def test_started_timestamp_is_in_milliseconds(dead, headrace):
    dead.fill(dead.source, "a")
    now_ms = headrace.advance(0) * 1000
    dead.start()
    assert 0 <= dead.settle()["StartedTimestamp"] - now_ms + 1 < 60_000


def test_a_running_task_moves_at_its_rate(dead, make_queue, headrace):
    target = make_queue("target")
    dead.fill(dead.source, *map(str, range(30)))
    handle = dead.start(DestinationArn=target.arn, MaxNumberOfMessagesPerSecond=1)
    headrace.advance(3)
    (task,) = dead.tasks()
    assert (task["Status"], task["TaskHandle"], task["MaxNumberOfMessagesPerSecond"]) == ("RUNNING", handle, 1)
    assert task["ApproximateNumberOfMessagesToMove"] == 30
    moved = target.depth()[0]
    assert 2 <= moved <= 15
    headrace.advance(40)
    assert dead.settle()["ApproximateNumberOfMessagesMoved"] == 30
    assert target.depth() == (30, 0, 0)


def test_cancel(dead, make_queue, headrace):
    target = make_queue("target")
    dead.fill(dead.source, *map(str, range(30)))
    handle = dead.start(DestinationArn=target.arn, MaxNumberOfMessagesPerSecond=1)
    headrace.advance(3)
    assert dead.cancel(handle)["ApproximateNumberOfMessagesMoved"] >= 2
    task = dead.settle()
    assert task["Status"] == "CANCELLED"
    assert "TaskHandle" not in task
    moved = task["ApproximateNumberOfMessagesMoved"]
    headrace.advance(60)
    assert target.depth() == (moved, 0, 0)
    assert dead.queue.depth() == (30 - moved, 0, 0)


def test_one_running_task_per_queue(dead, refused):
    dead.fill(dead.source, *map(str, range(30)))
    dead.start(MaxNumberOfMessagesPerSecond=1)
    message = "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
    with refused("InvalidParameterValue", message):
        dead.start()


def test_a_task_may_follow_another(dead):
    dead.fill(dead.source, "a")
    dead.start()
    dead.settle()
    dead.fill(dead.source, "b")
    dead.start()
    dead.settle()
    assert [task["Status"] for task in dead.tasks(MaxResults=10)] == ["COMPLETED", "COMPLETED"]
    assert len(dead.tasks()) == 1


def test_the_newest_task_comes_first(dead, make_queue, headrace):
    targets = [make_queue(f"target-{number}") for number in range(3)]
    for target in targets:
        headrace.advance(1)
        dead.start(DestinationArn=target.arn)
        dead.settle()
    found = [task["DestinationArn"] for task in dead.tasks(MaxResults=10)]
    assert found == [target.arn for target in reversed(targets)]


@pytest.mark.parametrize("size", [0, 11])
def test_list_refuses_sizes_out_of_range(dead, size, refused):
    with refused("InvalidParameterValue"):
        dead.tasks(MaxResults=size)


@pytest.mark.parametrize("rate", [0, -1, 501])
def test_rates_out_of_range(dead, rate, refused):
    with refused("InvalidParameterValue"):
        dead.start(MaxNumberOfMessagesPerSecond=rate)


def test_the_destination_is_deleted_meanwhile(dead, make_queue, headrace):
    target = make_queue("target")
    dead.fill(dead.source, *map(str, range(30)))
    dead.start(DestinationArn=target.arn, MaxNumberOfMessagesPerSecond=1)
    headrace.advance(2)
    target.client.delete_queue(QueueUrl=target.url)
    task = dead.settle()
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "AWS.SimpleQueueService.NonExistentQueue")


def test_the_source_must_be_a_dead_letter_queue(sqs, queue, refused):
    with refused("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue."):
        sqs.start_message_move_task(SourceArn=queue.arn)


def test_the_source_must_exist(sqs, refused):
    message = "The resource that you specified for the SourceArn parameter doesn't exist."
    with refused("ResourceNotFoundException", message, status=404):
        sqs.start_message_move_task(SourceArn=NOWHERE)
    with refused("ResourceNotFoundException", message, status=404):
        sqs.list_message_move_tasks(SourceArn=NOWHERE)


def test_the_destination_must_exist(dead, refused):
    message = "The resource that you specified for the DestinationArn parameter doesn't exist."
    with refused("ResourceNotFoundException", message, status=404):
        dead.start(DestinationArn=NOWHERE)


def test_the_source_must_be_an_arn(sqs, refused):
    with refused("InvalidParameterValue"):
        sqs.start_message_move_task(SourceArn="dead")
    with refused("InvalidParameterValue"):
        sqs.list_message_move_tasks(SourceArn="dead")


@pytest.mark.parametrize("handle", ["garbage", "AQEB+/=", base64.b64encode(b'{"taskId": 1}').decode()])
def test_cancel_refuses_what_is_no_handle(sqs, handle, refused):
    with refused("InvalidParameterValue", "Value for parameter TaskHandle is invalid."):
        sqs.cancel_message_move_task(TaskHandle=handle)


def test_an_ended_task_cannot_be_cancelled(dead, refused):
    dead.fill(dead.source, "a")
    handle = dead.start()
    dead.settle()
    with refused("AWS.SimpleQueueService.UnsupportedOperation"):
        dead.cancel(handle)


def test_a_queue_without_tasks_lists_none(sqs, queue):
    assert not sqs.list_message_move_tasks(SourceArn=queue.arn).get("Results")
