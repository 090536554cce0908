"""kill -9 during fan-out, again and again: what was acknowledged reaches every subscriber that it is for.

Rounds and the seed can be chosen: `HEADRACE_CRASH_ROUNDS=200 HEADRACE_CRASH_SEED=7 pytest tests/crash`.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest

from headrace.testing import Process, spawn

from .clients import run_until_killed
from .publishers import Diary, Publisher, WebEndpoint

ROUNDS = int(os.environ.get("HEADRACE_CRASH_ROUNDS", "6"))
SEED = int(os.environ.get("HEADRACE_CRASH_SEED", "1"))
PREFIX = "arn:aws:sns:us-east-1:000000000000:"
TOPIC, FIFO_TOPIC = f"{PREFIX}orders", f"{PREFIX}orders.fifo"
ALL, PLACED, IN_ORDER = "all", "placed", "in-order.fifo"
FILTER = {"FilterPolicy": json.dumps({"kind": ["placed"]})}
CATCH_UP_S = 30
AT_LEAST = 50
"""Messages of a round that are acknowledged before the kill."""


@pytest.fixture
def endpoint() -> Iterator[WebEndpoint]:
    endpoint = WebEndpoint()
    yield endpoint
    endpoint.close()


def set_up(server: Process, endpoint: WebEndpoint) -> None:
    """Two queues and the endpoint get orders, placed ones only but for one queue; a FIFO queue those of its topic."""
    sns, sqs = server.client("sns"), server.client("sqs")
    fifo = {"ContentBasedDeduplication": "false"}
    assert sns.create_topic(Name="orders")["TopicArn"] == TOPIC
    sns.create_topic(Name="orders.fifo", Attributes={"FifoTopic": "true", **fifo})
    for topic, name, attributes in (
        (TOPIC, ALL, {"RawMessageDelivery": "true"}),
        (TOPIC, PLACED, FILTER),
        (FIFO_TOPIC, IN_ORDER, {"RawMessageDelivery": "true"}),
    ):
        sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if name.endswith(".fifo") else {})
        arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    sns.subscribe(TopicArn=TOPIC, Protocol="http", Endpoint=endpoint.url, Attributes=FILTER)
    deadline_s = time.monotonic() + CATCH_UP_S
    while sns.get_topic_attributes(TopicArn=TOPIC)["Attributes"]["SubscriptionsConfirmed"] != "3":
        assert time.monotonic() < deadline_s, "the endpoint was not asked to confirm"
        time.sleep(0.02)


def publish_and_kill(server: Process, diary: Diary, rng: random.Random) -> None:
    """Publish from four threads for a while, and until a slow machine has come somewhere, then SIGKILL."""
    wanted, deadline_s = len(diary.acknowledged) + AT_LEAST, time.monotonic() + CATCH_UP_S
    publishers = [
        Publisher(server.endpoint_url, topic, diary, rng.getrandbits(40)) for topic in (TOPIC, TOPIC, TOPIC, FIFO_TOPIC)
    ]
    threads = run_until_killed(*(publisher.publish for publisher in publishers))
    time.sleep(rng.uniform(0.1, 0.6))
    while len(diary.acknowledged) < wanted and time.monotonic() < deadline_s:
        time.sleep(0.01)
    server.kill()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def drain(server: Process, name: str) -> list[str]:
    """The texts of all messages in a queue, in the order they are handed out."""
    sqs = server.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies = [message["Body"] for message in messages]
        found += [json.loads(body)["Message"] if name == PLACED else body for body in bodies]
        entries = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(messages)]
        assert not sqs.delete_message_batch(QueueUrl=url, Entries=entries).get("Failed")
    return found


def catch_up(server: Process, endpoint: WebEndpoint, expected: set[str]) -> None:
    """Let deliveries that a killed server had under way come round again, until the endpoint has what it must get."""
    for _ in range(3):
        server.advance(60)
        if endpoint.wait_until(lambda texts: texts >= expected, CATCH_UP_S / 3):
            return


@pytest.mark.timeout(120 + 10 * ROUNDS)
def test_what_was_acknowledged_reaches_every_subscriber(tmp_path, endpoint):
    rng, diary = random.Random(SEED), Diary()
    for number in range(ROUNDS):
        server = spawn(data=str(tmp_path), quotas="none")
        if number == 0:
            set_up(server, endpoint)
        publish_and_kill(server, diary, rng)
    with spawn(data=str(tmp_path), quotas="none", clock="virtual") as server:
        in_all = set(drain(server, ALL))
        tried = diary.tried.values()
        standard = {each.text for each in tried if not each.group.startswith("orders.fifo-")}
        placed = {each.text for each in tried if each.kind == "placed"} & standard
        catch_up(server, endpoint, in_all & placed)
        in_placed, in_order = drain(server, PLACED), drain(server, IN_ORDER)

    # What is acknowledged is everywhere, and what is not is everywhere or nowhere: it was one commit.
    assert diary.acknowledged & standard <= in_all <= standard
    assert set(in_placed) == in_all & placed == set(endpoint.texts)
    assert len(in_placed) == len(set(in_placed))

    numbers = defaultdict(list)
    for text in in_order:
        message = diary.tried[text]
        numbers[message.group].append(message.number)
    assert all(found == sorted(set(found)) for found in numbers.values())
    assert diary.acknowledged - standard <= set(in_order)
    assert len(diary.acknowledged) >= AT_LEAST * ROUNDS
