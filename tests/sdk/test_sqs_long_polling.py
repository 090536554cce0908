"""Long polls: what wakes them, what ends them."""

import json
import socket
import threading
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError


class Waiting:
    """A receive that waits in a thread of its own."""

    def __init__(self, queue, **options):
        self._options = {"WaitTimeSeconds": 20} | options
        self._queue = queue
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            self.found = self._queue.bodies(**self._options)
        except ClientError as error:
            self.found = error.response["Error"]["Code"]

    def bodies(self):
        """What it received, once it has."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.found

    def bodies_while(self, move):
        """What it received, calling `move` until it has."""
        while self._thread.is_alive():
            move()
            self._thread.join(0.01)
        return self.found


@pytest.fixture
def sender(queue, headrace):
    """The queue through another client, since a client of the old botocore is busy while it waits."""
    client = headrace.client("sqs")
    return lambda body, **options: client.send_message(QueueUrl=queue.url, MessageBody=body, **options)


def test_a_message_that_is_there_is_answered_at_once(queue):
    queue.send("there")
    assert queue.bodies(WaitTimeSeconds=20) == ["there"]


def test_a_wait_ends_with_the_message_that_is_sent(queue, sender):
    waiting = Waiting(queue)
    sender("sent")
    assert waiting.bodies() == ["sent"]


def test_a_wait_without_messages_ends_empty(queue, headrace):
    waiting = Waiting(queue)
    assert waiting.bodies_while(lambda: headrace.advance(1)) == []


def test_a_wait_ends_by_itself(queue):
    assert queue.bodies(WaitTimeSeconds=1) == []


def test_a_delay_that_comes_due_ends_a_wait(queue, sender, headrace):
    sender("delayed", DelaySeconds=10)
    waiting = Waiting(queue)
    assert waiting.bodies_while(lambda: headrace.advance(1)) == ["delayed"]


def test_a_timeout_that_ends_ends_a_wait(queue, headrace):
    queue.send("back again")
    queue.receive(VisibilityTimeout=10)
    waiting = Waiting(queue)
    assert waiting.bodies_while(lambda: headrace.advance(1)) == ["back again"]


@pytest.mark.parametrize("protocol", ["json"])
def test_a_message_given_back_ends_a_wait(queue):
    queue.send("given back")
    (message,) = queue.receive()
    waiting = Waiting(queue)
    queue.hide(message, 0)
    assert waiting.bodies() == ["given back"]


@pytest.mark.parametrize("protocol", ["json"])
def test_a_deleted_message_frees_its_group_for_a_wait(fifo):
    for body in ("1", "2"):
        fifo.send(body, MessageGroupId="g", MessageDeduplicationId=body)
    (first,) = fifo.receive(1)
    waiting = Waiting(fifo)
    fifo.delete(first)
    assert waiting.bodies() == ["2"]


@pytest.mark.parametrize("protocol", ["json"])
def test_a_task_that_moves_messages_ends_a_wait(queue, make_queue, headrace):
    dead = make_queue("dead")
    queue.set(RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1}))
    queue.send("moved")
    queue.receive(VisibilityTimeout=0)
    waiting = Waiting(dead)
    assert queue.bodies() == []
    assert waiting.bodies() == ["moved"]


@pytest.mark.parametrize("protocol", ["json"])
def test_each_message_ends_one_wait(queue):
    waits = [Waiting(queue, count=1) for _ in range(5)]
    for number in range(5):
        queue.send(str(number))
    found = sorted(body for waiting in waits for body in waiting.bodies_while(lambda: None))
    assert found == ["0", "1", "2", "3", "4"]


def test_the_queue_may_say_how_long(make_queue, sender, headrace):
    queue = make_queue("patient", ReceiveMessageWaitTimeSeconds="20")
    waiting = Waiting(queue, WaitTimeSeconds=20)
    assert waiting.bodies_while(lambda: headrace.advance(1)) == []
    assert queue.bodies(WaitTimeSeconds=0) == []


def test_a_receive_without_a_wait_takes_the_queues(queue, sender, make_queue):
    queue.set(ReceiveMessageWaitTimeSeconds="20")
    found = []
    thread = threading.Thread(target=lambda: found.extend(queue.bodies()))
    thread.start()
    sender("sent")
    thread.join(30)
    assert found == ["sent"]


@pytest.mark.parametrize("protocol", ["json"])
def test_a_waiter_that_hangs_up_takes_no_message_with_it(queue, headrace):
    address = urlsplit(headrace.endpoint_url)
    body = json.dumps({"QueueUrl": queue.url, "WaitTimeSeconds": 20}).encode()
    head = (
        "POST / HTTP/1.1\r\nHost: headrace\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port)) as waiter:
            waiter.sendall(head.encode() + body)
            headrace.health()
    for _ in range(20):
        headrace.health()
    queue.send("not lost")
    assert queue.bodies(WaitTimeSeconds=5) == ["not lost"]


@pytest.mark.parametrize("protocol", ["json"])
def test_deleting_the_queue_ends_a_wait(queue, headrace):
    waiting = Waiting(queue)
    queue.client.delete_queue(QueueUrl=queue.url)
    assert waiting.bodies() in ([], "AWS.SimpleQueueService.NonExistentQueue")
