"""NATS without room, without a majority, gone for a while, or rid of a slow client: clear errors, then all is well."""

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from headrace.engines.nats.embedded import NatsServer, start_cluster
from headrace.testing import spawn

ANSWERED_S = 30
"""No call may hang for longer, whatever NATS does."""


@pytest.fixture
def own_server(tmp_path):
    """A function that starts a NATS server of the test's own, with something added to its configuration."""
    made = []

    def start(extra=""):
        server = NatsServer(tmp_path / "nats", extra=extra, sync_interval="1h", port=made[0].port if made else None)
        made.append(server)
        asyncio.run(server.start())
        return server

    yield start
    for server in made:
        server.kill()


@pytest.fixture
def serve_on():
    """A function that starts a process on these NATS servers."""
    running = []

    def start(*servers, **settings):
        urls = ",".join(server.url for server in servers)
        running.append(spawn(engine="nats", nats=urls, quotas="none", **settings))
        return running[-1]

    yield start
    for process in running:
        process.kill()


def client(process, service):
    return process.client(service, config=Config(read_timeout=ANSWERED_S))


def refused(call, **params):
    """Check that a call is refused as one that is to be made again; what is said. SDKs retry that by themselves."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (503, "ServiceUnavailable")
    return response["Error"]["Message"]


def until(ask):
    deadline_s = time.monotonic() + 60
    while not (answer := ask()):
        assert time.monotonic() < deadline_s, "it did not come to that"
        time.sleep(0.05)
    return answer


def works(call, **params):
    """Whether a call succeeds; if not it must be refused as one that is to be made again."""
    try:
        call(**params)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503  # noqa: PT017 - it may also succeed
        return False
    return True


def set_up(process):
    """A queue, a topic and a stream, and a call for each that writes."""
    sqs, sns, kinesis = (client(process, service) for service in ("sqs", "sns", "kinesis"))
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:orders")
    clicks = {"StreamName": "clicks"}
    kinesis.create_stream(**clicks, ShardCount=1)
    until(
        lambda: (
            kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]["StreamStatus"]
            != "CREATING"
        )
    )
    return {
        "sqs": lambda text="m": sqs.send_message(QueueUrl=url, MessageBody=text),
        "sns": lambda text="m": sns.publish(TopicArn=topic, Message=text),
        "kinesis": lambda text="m": kinesis.put_record(Data=text.encode(), PartitionKey="k", **clicks),
    }


def test_no_room(own_server, serve_on, tmp_path):
    store = f'\njetstream {{store_dir: "{tmp_path}/store", max_file_store: %s}}\n'
    server = own_server(store % "12MB")
    process = serve_on(server)
    calls = set_up(process)
    large = "x" * 200_000
    while works(calls["sqs"], text=large):
        pass
    for call in calls.values():
        assert "NATS has no room left" in refused(call, text=large)
    server.stop()
    own_server(store % "1GB")
    for call in calls.values():
        until(lambda call=call: works(call))
    sqs = client(process, "sqs")
    url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
    assert len(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"]) == len(large)


def test_no_majority(tmp_path, serve_on):
    servers = asyncio.run(start_cluster(tmp_path, 3))
    try:
        process = serve_on(*servers, replicas=3)
        calls = set_up(process)
        for call in calls.values():
            call()
        for server in servers[1:]:
            server.kill()
        for call in calls.values():
            assert "NATS" in refused(call)
        for server in servers[1:]:
            asyncio.run(server.start())
        for call in calls.values():
            until(lambda call=call: works(call))
    finally:
        for server in servers:
            server.kill()


def test_a_process_that_starts_while_there_is_no_majority(tmp_path, serve_on):
    servers = asyncio.run(start_cluster(tmp_path, 3))
    try:
        serve_on(*servers, replicas=3).stop()
        for server in servers[1:]:
            server.kill()
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(serve_on, *servers, replicas=3)
            with pytest.raises(TimeoutError):
                starting.result(timeout=12)
            for server in servers[1:]:
                asyncio.run(server.start())
            process = starting.result(timeout=ANSWERED_S)
        assert "start_waits" in process.log
        for call in set_up(process).values():
            call()
    finally:
        for server in servers:
            server.kill()


def test_nats_is_gone_and_returns(own_server, serve_on):
    server = own_server()
    process = serve_on(server)
    calls = set_up(process)
    server.kill()
    for call in calls.values():
        assert "No NATS server can be reached" in refused(call)
    own_server()
    for call in calls.values():
        until(lambda call=call: works(call))


def test_a_process_that_is_too_slow_for_nats(own_server, serve_on):
    """Paused while others ask it for much: NATS ends its connection, another keeps its queue, and it comes back."""
    server = own_server('\nmax_payload: 1MB\nmax_pending: 2MB\nwrite_deadline: "500ms"\n')
    slow, quick = serve_on(server), serve_on(server)
    slow_sqs, quick_sqs = client(slow, "sqs"), client(quick, "sqs")
    url = slow_sqs.create_queue(QueueName="orders")["QueueUrl"]
    slow_sqs.send_message(QueueUrl=url, MessageBody="first")  # from then on it keeps the queue
    url = quick_sqs.get_queue_url(QueueName="orders")["QueueUrl"]
    os.kill(slow.pid, signal.SIGSTOP)
    bodies = [f"{number:02}{'x' * 600_000}" for number in range(24)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        sent = list(pool.map(lambda body: quick_sqs.send_message(QueueUrl=url, MessageBody=body), bodies))
    assert "Slow Consumer" in server.log
    os.kill(slow.pid, signal.SIGCONT)
    url = slow_sqs.get_queue_url(QueueName="orders")["QueueUrl"]
    until(lambda: works(slow_sqs.send_message, QueueUrl=url, MessageBody="last"))
    found = {}
    while messages := slow_sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1).get("Messages"):
        found |= {message["MessageId"]: message["Body"][:2] for message in messages}
    # A send that was refused with a 503 and made again may have been carried out both times.
    assert set(found.values()) == {"fi", "la", *(body[:2] for body in bodies)}
    assert {each["MessageId"] for each in sent} <= found.keys()
