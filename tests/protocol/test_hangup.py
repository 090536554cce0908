"""A client that hangs up ends the call that waits for it, and takes no message with it."""

import asyncio
import threading

import pytest

from headrace.context import Context

TIMEOUT_S = 30
RECEIVE = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.ReceiveMessage"}


class Waiting:
    """A handler that waits without end, as a long poll does, and tells what becomes of it."""

    def __init__(self):
        self.begun, self.cancelled = threading.Event(), threading.Event()

    async def __call__(self, _scope, exchange):
        await exchange()
        ctx = Context(
            server=None,
            state=None,
            principal=None,
            region="",
            request_id="",
            origin=None,
            hangup=exchange.client_disconnect,
        )
        self.begun.set()
        try:
            with ctx.until_hangup():
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()


@pytest.fixture
def waiting():
    return Waiting()


def test_over_http1(run_server, open_raw, waiting, call):
    connection = open_raw(run_server(waiting).url)
    connection.send(call("ReceiveMessage"))
    assert waiting.begun.wait(TIMEOUT_S)
    assert not waiting.cancelled.is_set()
    connection.close()
    assert waiting.cancelled.wait(TIMEOUT_S)


def test_over_http2_by_leaving(run_server, open_h2, waiting):
    connection = open_h2(run_server(waiting).url)
    connection.request(RECEIVE, b"{}")
    assert waiting.begun.wait(TIMEOUT_S)
    connection.close()
    assert waiting.cancelled.wait(TIMEOUT_S)


def test_over_http2_by_resetting_the_stream(run_server, open_h2, waiting):
    connection = open_h2(run_server(waiting).url)
    stream = connection.request(RECEIVE, b"{}")
    assert waiting.begun.wait(TIMEOUT_S)
    connection.reset(stream)
    assert waiting.cancelled.wait(TIMEOUT_S)


def test_a_long_poll_that_left_takes_no_message(headrace, open_raw, call):
    sqs = headrace.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    for _ in range(20):
        connection = open_raw(headrace.endpoint_url)
        connection.send(call("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20))
        connection.close()
    for _ in range(3):  # the server may hear of the messages before it hears that a client has left
        sent = sqs.send_message(QueueUrl=url, MessageBody="hello")["MessageId"]
        received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])
        if [message["MessageId"] for message in received] == [sent]:
            return
    pytest.fail("clients that had left took message after message")
