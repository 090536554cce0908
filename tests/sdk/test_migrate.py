"""`headrace migrate`: a server's data moved to NATS and back, and served each time as if nothing had been."""

import asyncio
import http.server
import json
import subprocess
import sys
import threading
import time

import pytest

from headrace.engines.nats.embedded import start_cluster
from headrace.testing import spawn

PATIENCE_S = 30
ARN = "arn:aws:sqs:us-east-1:000000000000:"
STREAM_ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"
JOBS = {f"job {number}".encode() for number in range(4)}
RETRIES = {"healthyRetryPolicy": {"numRetries": 100, "minDelayTarget": 1, "maxDelayTarget": 1}}


class WebEndpoint(http.server.ThreadingHTTPServer):
    """Confirms its subscription; refuses what it is sent until `willing`, then notes it."""

    daemon_threads = True

    def __init__(self):
        self.willing = False
        self.refused = threading.Event()
        self.taken = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        confirming = message["Type"] == "SubscriptionConfirmation"
        self.send_response(200 if confirming or self.server.willing else 503)
        self.end_headers()
        if confirming:
            self.server.token = message["Token"]
        elif self.server.willing:
            self.server.taken.append(message["Message"])
        else:
            self.server.refused.set()

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    server = WebEndpoint()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def nats_url(tmp_path):
    [server] = asyncio.run(start_cluster(tmp_path / "servers", 1))
    yield server.url
    server.kill()


def migrate(origin, destination):
    command = [sys.executable, "-m", "headrace", "migrate", "--from", str(origin), "--to", str(destination)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def until(seen):
    """What `seen` returns, as soon as that is something."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := seen()):
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.05)
    return found


class Clients:
    """A server's clients, and the queues by name."""

    def __init__(self, server):
        self.sqs, self.sns, self.kinesis = (server.client(name) for name in ("sqs", "sns", "kinesis"))

    def url(self, name):
        return self.sqs.get_queue_url(QueueName=name)["QueueUrl"]

    def counts(self, name):
        found = self.sqs.get_queue_attributes(QueueUrl=self.url(name), AttributeNames=["All"])["Attributes"]
        kinds = ("", "NotVisible", "Delayed")
        return tuple(int(found[f"ApproximateNumberOfMessages{kind}"]) for kind in kinds)

    def receive(self, name, **options):
        options = {"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"]} | options
        return self.sqs.receive_message(QueueUrl=self.url(name), **options).get("Messages", [])

    def active(self, name="clicks"):
        described = self.kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        return described["StreamStatus"] == "ACTIVE"

    def from_stream_queue(self, queue, count, **options):
        """So many records of the queue on a stream, however many receives that takes."""
        found = []

        def take():
            answer = self.kinesis.receive_queue_records(QueueARN=queue, WaitTimeSeconds=1, **options)
            found.extend(answer["QueueRecords"])
            return len(found) >= count

        until(take)
        return sorted(record["Data"] for record in found)

    def consumers(self):
        return self.kinesis.list_stream_consumers(StreamARN=STREAM_ARN)["Consumers"]

    def records(self, shard):
        iterator = self.kinesis.get_shard_iterator(
            StreamName="clicks", ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        return self.kinesis.get_records(ShardIterator=iterator)["Records"]


def fill_queues(clients):
    sqs = clients.sqs
    sqs.create_queue(QueueName="dead")
    policy = json.dumps({"deadLetterTargetArn": f"{ARN}dead", "maxReceiveCount": 1})
    sqs.create_queue(
        QueueName="plain", Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "900"}, tags={"a": "b"}
    )
    for name in ("ordered.fifo", "copies.fifo"):
        sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true", "VisibilityTimeout": "900"})
    url = clients.url("plain")
    sqs.send_message(QueueUrl=url, MessageBody="spent")
    [spent] = clients.receive("plain")
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=spent["ReceiptHandle"], VisibilityTimeout=0)
    assert clients.receive("plain") == []
    attributes = {"kind": {"DataType": "String", "StringValue": "k"}}
    sqs.send_message(QueueUrl=url, MessageBody="in flight")
    clients.receive("plain")
    sqs.send_message(QueueUrl=url, MessageBody="waiting " + "é" * 3000, MessageAttributes=attributes)
    sqs.send_message(QueueUrl=url, MessageBody="late", DelaySeconds=900)
    for number in range(3):
        for group in "ab":
            sqs.send_message(
                QueueUrl=clients.url("ordered.fifo"),
                MessageBody=f"{group}{number}",
                MessageGroupId=group,
                MessageDeduplicationId=f"{group}{number}",
            )
    [first] = clients.receive("ordered.fifo", MaxNumberOfMessages=1)
    assert first["Body"] == "a0"


def fill_topics(clients, endpoint):
    sns = clients.sns
    topic = sns.create_topic(Name="news")["TopicArn"]
    ordered = sns.create_topic(Name="news.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    sns.subscribe(TopicArn=ordered, Protocol="sqs", Endpoint=f"{ARN}copies.fifo")
    filtering = {"FilterPolicy": json.dumps({"kind": ["k"]}), "RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"{ARN}dead", Attributes=filtering)
    attributes = {"DeliveryPolicy": json.dumps(RETRIES)}
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url, Attributes=attributes)
    sns.confirm_subscription(TopicArn=topic, Token=until(lambda: getattr(endpoint, "token", "")))
    sns.publish(TopicArn=topic, Message="pending")
    until(endpoint.refused.is_set)


def fill_stream(clients):
    kinesis = clients.kinesis
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    kinesis.create_stream(StreamName="work", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    until(clients.active)
    until(lambda: clients.active("work"))
    position = {"Type": "TRIM_HORIZON"}
    queue = kinesis.create_queue(
        QueueName="jobs",
        StreamConfigurationList=[{"StreamARN": STREAM_ARN.replace("clicks", "work"), "StartingPosition": position}],
        QueueAttributes={"VisibilityTimeoutSeconds": 900},
    )["QueueDescription"]["QueueARN"]
    described = {"QueueARN": queue}
    until(lambda: kinesis.describe_queue(**described)["QueueDescription"]["QueueStatus"] == "ACTIVE")
    for job in sorted(JOBS):
        kinesis.put_record(StreamName="work", PartitionKey=job.decode(), Data=job)
    for number in range(20):
        kinesis.put_record(StreamName="clicks", PartitionKey=f"k{number}", Data=f"d{number}".encode())
    kinesis.split_shard(StreamName="clicks", ShardToSplit="shardId-000000000000", NewStartingHashKey="9")
    until(clients.active)
    kinesis.register_stream_consumer(StreamARN=STREAM_ARN, ConsumerName="fan")
    until(lambda: clients.consumers()[0]["ConsumerStatus"] == "ACTIVE")
    return queue, clients.from_stream_queue(queue, 1, Limit=1)


def seen(clients):
    """All that can be asked without changing anything."""
    sqs, sns, kinesis = clients.sqs, clients.sns, clients.kinesis
    shards = kinesis.list_shards(StreamName="clicks")["Shards"]
    topics = sorted(each["TopicArn"] for each in sns.list_topics()["Topics"])
    subscriptions = [
        sns.get_subscription_attributes(SubscriptionArn=each["SubscriptionArn"])["Attributes"]
        for each in sorted(sns.list_subscriptions()["Subscriptions"], key=lambda each: each["SubscriptionArn"])
    ]
    names = ("plain", "dead", "ordered.fifo", "copies.fifo")
    return {
        "counts": {name: clients.counts(name) for name in names},
        "queues": [
            sqs.get_queue_attributes(QueueUrl=clients.url(name), AttributeNames=["CreatedTimestamp", "RedrivePolicy"])[
                "Attributes"
            ]
            for name in names[:2]
        ],
        "tags": sqs.list_queue_tags(QueueUrl=clients.url("plain"))["Tags"],
        "topics": topics,
        "subscriptions": subscriptions,
        "shards": shards,
        "records": [clients.records(shard["ShardId"]) for shard in shards],
        "consumers": clients.consumers(),
    }


def use(clients, endpoint, number):
    """Go on where it was left: what is received, deduplicated, published and put is as it has to be."""
    sqs, kinesis = clients.sqs, clients.kinesis
    duplicate = {"MessageBody": "again", "MessageGroupId": "a", "MessageDeduplicationId": "a1"}
    again = sqs.send_message(QueueUrl=clients.url("ordered.fifo"), **duplicate)
    [waiting] = clients.receive("plain")
    assert waiting["Body"].startswith("waiting é")
    assert waiting["Attributes"]["ApproximateReceiveCount"] == "1"
    ordered = [(each["Body"], each["Attributes"]["SequenceNumber"]) for each in clients.receive("ordered.fifo")]
    assert [body for body, _ in ordered] == ["b0", "b1", "b2"]  # a is locked
    dead = {each["Body"]: each["Attributes"].get("DeadLetterQueueSourceArn") for each in clients.receive("dead")}
    assert dead == {"spent": f"{ARN}plain"}
    endpoint.willing = True
    until(lambda: endpoint.taken)
    published = clients.sns.publish(
        TopicArn="arn:aws:sns:us-east-1:000000000000:news.fifo",
        Message=f"copy {number}",
        MessageGroupId="g",
        MessageDeduplicationId=f"{number}",
    )
    [copy] = until(lambda: clients.receive("copies.fifo", WaitTimeSeconds=5))
    assert json.loads(copy["Body"])["Message"] == f"copy {number}"
    put = kinesis.put_record(StreamName="clicks", PartitionKey="k", Data=b"new")
    return again["MessageId"], published["SequenceNumber"], put["ShardId"], put["SequenceNumber"]


def test_a_server_s_data_goes_to_nats_and_back(tmp_path, nats_url, endpoint):
    data, back = tmp_path / "data", tmp_path / "back"
    with spawn(data=str(data)) as server:
        clients = Clients(server)
        fill_queues(clients)
        fill_topics(clients, endpoint)
        queue, taken = fill_stream(clients)
        before = seen(clients)
        refused = migrate(data, nats_url)
        assert refused.returncode == 1
        assert "uses this" in refused.stderr
    assert before["counts"] == {
        "plain": (1, 1, 1), "dead": (1, 0, 0), "ordered.fifo": (5, 1, 0), "copies.fifo": (0, 0, 0)
    }  # fmt: skip
    moved = migrate(data, nats_url)
    assert moved.returncode == 0, moved.stderr
    assert moved.stdout.startswith("moved ")
    assert migrate(data, nats_url).returncode == 1  # there is something now
    returned = migrate(nats_url, back)
    assert returned.returncode == 0, returned.stderr
    assert returned.stdout.split(" in ")[0] == moved.stdout.split(" in ")[0]
    answers = []
    for number, settings in enumerate(({"engine": "nats", "nats": nats_url}, {"data": str(back)}, {"data": str(data)})):
        endpoint.willing, endpoint.taken[:] = False, []
        with spawn(**settings) as server:
            clients = Clients(server)
            assert seen(clients) == before
            answers.append(use(clients, endpoint, number))
            assert clients.from_stream_queue(queue, 3) == sorted(JOBS - set(taken))
            assert endpoint.taken == ["pending"]
    first, *others = answers
    for other in others:
        assert other[0] == first[0]  # the message id of the first, whichever engine gave it
        assert other[2] == first[2]
