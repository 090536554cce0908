"""A run of mixed traffic on a cluster: what is set up, who works, and what must be so in the end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

from .cluster_calls import FAILED, Calls, Failover
from .cluster_checker import Fault, queue_violations, story, stream_violations
from .cluster_clients import (
    Crowd,
    Publisher,
    QueueClient,
    Register,
    StreamProducer,
    Ways,
    queue_consumer,
    reader,
    resharder,
)
from .history import History
from .publishers import WebEndpoint
from .stream_clients import Deliveries, Puts

STANDARD, DEAD, FIFO, SETTINGS = "orders", "orders-dead", "orders.fifo", "settings"
PLACED, IN_ORDER = "placed", "placed.fifo"
PREFIX = "arn:aws:sns:us-east-1:000000000000:"
TOPIC, FIFO_TOPIC = f"{PREFIX}orders", f"{PREFIX}orders.fifo"
EVENTS, JOBS = "events", "jobs"
LABELS = {STANDARD: "standard", DEAD: "standard", FIFO: "fifo", PLACED: "topic", IN_ORDER: "fifo topic"}
EMPTY_S = 60.0
"""How long it may take until everything that is hidden has been visible again, and was received and deleted."""
RESHARD_PAUSE_S = (3.0, 6.0)
FIRST_RETENTION_S = 1_000


class Resources:
    """The queues, topics and streams of a deployment; made once."""

    def __init__(self, endpoint_url: str, web: WebEndpoint) -> None:
        self._url = endpoint_url
        sqs, sns = self._client("sqs"), self._client("sns")
        dead = sqs.create_queue(QueueName=DEAD)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 4}}'
        sqs.create_queue(QueueName=STANDARD, Attributes={"RedrivePolicy": redrive})
        sqs.create_queue(QueueName=SETTINGS)
        for name in (FIFO, IN_ORDER):
            sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
        sqs.create_queue(QueueName=PLACED)
        sns.create_topic(Name="orders")
        sns.create_topic(Name="orders.fifo", Attributes={"FifoTopic": "true"})
        for topic, queue in ((TOPIC, PLACED), (FIFO_TOPIC, IN_ORDER)):
            endpoint = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
            raw = {"RawMessageDelivery": "true"}
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint, Attributes=raw)
        sns.subscribe(TopicArn=TOPIC, Protocol="http", Endpoint=web.url)
        self.work = self._streams()
        until(lambda: sns.get_topic_attributes(TopicArn=TOPIC)["Attributes"]["SubscriptionsConfirmed"] == "2", 30)

    def _streams(self) -> str:
        """Make them, and the stream queue, whose ARN is returned."""
        kinesis = self._client("kinesis")
        kinesis.create_stream(StreamName=EVENTS, ShardCount=2)
        kinesis.create_stream(StreamName=JOBS, StreamModeDetails={"StreamMode": "ON_DEMAND"})
        for stream in (EVENTS, JOBS):
            kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})
        arn = kinesis.describe_stream_summary(StreamName=JOBS)["StreamDescriptionSummary"]["StreamARN"]
        configuration = [{"StreamARN": arn, "StartingPosition": {"Type": "TRIM_HORIZON"}}]
        made = kinesis.create_queue(QueueName="work", StreamConfigurationList=configuration)
        queue: str = made["QueueDescription"]["QueueARN"]
        return queue

    def _client(self, service: str) -> Any:
        config = Config(retries={"mode": "standard", "max_attempts": 4}, read_timeout=30)
        keys = {"aws_access_key_id": "headrace", "aws_secret_access_key": "headrace"}
        return boto3.client(service, endpoint_url=self._url, region_name="us-east-1", config=config, **keys)


class Traffic:
    """One run of all clients, from `start` to `settle`, and what they wrote down."""

    def __init__(self, endpoints: list[str], resources: Resources, web: WebEndpoint, seed: int, first: int) -> None:
        self.rng = random.Random(seed)
        self.calls = Calls()
        self.web = web
        self.endpoints = endpoints
        self.way = Ways(endpoints, self.calls, self.rng)
        self.histories = {name: History() for name in (STANDARD, FIFO, PLACED, IN_ORDER)}
        self.histories[DEAD] = self.histories[STANDARD]
        self.puts, self.deliveries = Puts(), Deliveries()
        self.resources = resources
        self.crowd = Crowd()
        self.register = Register(self.way(), SETTINGS, first)
        self.publishers = [self._publisher(TOPIC, PLACED), self._publisher(FIFO_TOPIC, IN_ORDER)]
        self.readers = [reader(self.way(), EVENTS)]
        self._employ()

    def _publisher(self, topic: str, queue: str) -> Publisher:
        return Publisher(self.way(), topic, {queue: self.histories[queue]}, self.rng.getrandbits(40))

    def _client(self, queue: str) -> QueueClient:
        return QueueClient(self.way(), queue, LABELS[queue], self.histories[queue], self.rng.getrandbits(40))

    def _employ(self) -> None:
        steps: list[Callable[[], Any]] = []
        for queue in (STANDARD, FIFO):
            steps += [self._client(queue).send_step, self._client(queue).send_step]
        for queue in (STANDARD, STANDARD, FIFO, FIFO, DEAD, PLACED, IN_ORDER):
            steps.append(self._client(queue).take_step)
        steps += [publisher.step for publisher in self.publishers]
        for stream in (EVENTS, EVENTS, JOBS):
            steps.append(StreamProducer(self.way(), stream, self.puts, self.rng.getrandbits(40)).step)
        steps.append(self.readers[0].step)
        consumer = queue_consumer(
            self.way(), self.resources.work, self.deliveries, self.rng.getrandbits(40), dead=False
        )
        steps += [lambda: consumer.step((2, 3, 6)), self.register.step]
        for step in steps:
            self.crowd.add(step, self.rng.getrandbits(40))
        shards = resharder(self.way(), EVENTS, self.rng.getrandbits(40))
        self.crowd.add(shards.step, self.rng.getrandbits(40), RESHARD_PAUSE_S)

    def start(self) -> None:
        self.crowd.start()

    # --- the end ---

    def end(self, faults: list[Fault]) -> list[str]:
        """Stop the clients, empty the queues, read the streams; everything that should not have been."""
        self.crowd.end()
        found = self.crowd.broken + self._empty() + self._settings()
        for name in (STANDARD, FIFO, PLACED, IN_ORDER):
            queues = (name,)
            found += [f"{name}: {line}" for line in queue_violations(self.histories[name], faults, queues)]
        found += self._streams() + self._stream_queue() + self._web()
        self.way.close()
        return found

    def stories(self, found: list[str]) -> list[str]:
        """What happened to the messages that these lines are about."""
        histories = {name: history for name, history in self.histories.items() if name != DEAD}
        return [line for one in found for history in histories.values() for line in story(history, one)]

    def _empty(self) -> list[str]:
        clients = [self._client(queue) for queue in (STANDARD, DEAD, FIFO, PLACED, IN_ORDER)]

        def emptied() -> bool:
            came = sum(client.empty() for client in clients)
            return not came and not any(client.depth() for client in clients)

        done = until(emptied, EMPTY_S)
        return [] if done else [f"{c.queue} still holds {c.depth()} messages" for c in clients]

    def _settings(self) -> list[str]:
        """Every process must know the last value that was acknowledged, or one that was tried after it."""
        found = []
        for endpoint in self.endpoints:
            only = Failover([endpoint], self.calls, -1, self.rng)
            value = Register(only, SETTINGS, 0).read()
            only.close()
            if not self.register.acknowledged <= value <= self.register.tried:
                known = f"{self.register.acknowledged} was acknowledged, {self.register.tried} tried"
                found.append(f"a setting is {value} at {endpoint}; {known}")
        return found

    def _streams(self) -> list[str]:
        afresh = reader(self.way(), EVENTS)
        found = []
        for each in (self.readers[0], afresh):
            until(lambda each=each: each.drain() is None, EMPTY_S)  # type: ignore[misc]
            mine = {put.body for put in self.puts.of(EVENTS)}
            read = [record for record in each.read if record.body in mine]
            found += [f"{EVENTS}: {line}" for line in stream_violations(self.puts.of(EVENTS), read)]  # type: ignore[arg-type]
        return found

    def _stream_queue(self) -> list[str]:
        consumer = queue_consumer(self.way(), self.resources.work, self.deliveries, 0, dead=False)
        acknowledged = [put.body for put in self.puts.of(JOBS) if put.number is not None]

        def emptied() -> bool:
            while records := consumer.receive(10, 30):
                consumer.acknowledge(records)
            return self.deliveries.tried >= set(acknowledged)

        until(emptied, EMPTY_S)
        return [f"{JOBS}: lost {body[:40]!r}" for body in acknowledged if body not in self.deliveries.tried]

    def _web(self) -> list[str]:
        acknowledged = self.publishers[0].acknowledged
        if self.web.wait_until(lambda texts: texts >= acknowledged, EMPTY_S):
            return []
        return [f"the endpoint did not get {text!r}" for text in sorted(acknowledged - set(self.web.texts))]


def until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Try again until it is done; whether it was in time. What fails meanwhile is tried again."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        try:
            if done():
                return True
        except FAILED:
            pass
        time.sleep(0.2)
    return False
