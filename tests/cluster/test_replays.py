"""A replay goes over into what is published meanwhile without a gap, whichever process does what, or is gone."""

import datetime as dt
import json
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError

PATIENCE_S = 60


def from_the_beginning():
    before = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    return json.dumps({"PointType": "Timestamp", "StartingPoint": before.strftime("%Y-%m-%dT%H:%M:%S.000Z")})


class Publisher:
    """Publishes numbers in order, each by the next of these processes that answers, until it is told to stop."""

    def __init__(self, topic, processes):
        self.published = []
        self._topic = topic
        self._clients = [process.client("sns") for process in processes]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(PATIENCE_S)

    def publish(self, number):
        given = {"Message": str(number), "MessageGroupId": "g", "MessageDeduplicationId": str(number)}
        while True:
            client = self._clients.pop(0)
            try:
                client.publish(TopicArn=self._topic, **given)
            except BotoCoreError:  # its process was killed
                continue
            except ClientError:  # what the process is to do was another's, which was killed
                self._clients.append(client)
                continue
            self._clients.append(client)
            self.published.append(str(number))
            return

    def _run(self):
        while not self._ended.is_set():
            self.publish(len(self.published))


def received(sqs, queue, count):
    bodies = []
    while len(bodies) < count:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        messages = answer.get("Messages", [])
        assert messages, f"{len(bodies)} of {count} came"
        bodies += [message["Body"] for message in messages]
        entries = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(messages)]
        sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
    return bodies


@pytest.mark.parametrize("killed", [False, True])
def test_a_replay_among_several_processes(start, until, killed):
    first, second = start(), start()
    attributes = {"FifoTopic": "true", "ArchivePolicy": json.dumps({"MessageRetentionPeriod": "1"})}
    sns, sqs = second.client("sns"), second.client("sqs")
    topic = sns.create_topic(Name="orders.fifo", Attributes=attributes)["TopicArn"]
    queue = sqs.create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    endpoint = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    with Publisher(topic, [first, second]) as publisher:
        until(lambda: len(publisher.published) >= 60)
        given = {"RawMessageDelivery": "true", "ReplayPolicy": from_the_beginning()}
        subscriber = (first if killed else second).client("sns")
        asked = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": endpoint, "Attributes": given}
        arn = subscriber.subscribe(**asked)["SubscriptionArn"]
        if killed:
            first.kill()

        def status():
            return sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["ReplayStatus"]

        until(lambda: status() == "Completed")
        at_the_end = len(publisher.published)
        until(lambda: len(publisher.published) >= at_the_end + 30)
    found = received(sqs, queue, len(publisher.published))
    assert found == publisher.published
