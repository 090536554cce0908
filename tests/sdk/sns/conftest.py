"""Clients, topics and subscriptions for the tests that drive SNS over a socket. Queues are reached over JSON only."""

import contextlib

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError


@pytest.fixture
def protocol():
    """What the SQS clients of these tests speak."""
    return "json"


@pytest.fixture(scope="session")
def sns_clients():
    """Clients made so far: making one costs more than most tests do."""
    clients = {}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture
def connect_sns(headrace, sns_clients):
    """A function that gives an SNS client for the server, as an account and in a region."""

    def client(*, account="headrace", region="us-east-1"):
        key = (headrace.endpoint_url, account, region)
        if key not in sns_clients:
            sns_clients[key] = boto3.client(
                "sns",
                endpoint_url=headrace.endpoint_url,
                region_name=region,
                aws_access_key_id=account,
                aws_secret_access_key="headrace",
                config=Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1}),
            )
        return sns_clients[key]

    return client


@pytest.fixture
def sns(connect_sns):
    """A client of account 000000000000 in us-east-1."""
    return connect_sns()


@pytest.fixture
def topic(sns):
    """The ARN of a standard topic."""
    return sns.create_topic(Name="orders")["TopicArn"]


@pytest.fixture
def fifo_topic(sns):
    """The ARN of a FIFO topic."""
    return sns.create_topic(Name="orders.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]


@pytest.fixture
def subscribe(sns):
    """A function that subscribes a queue to a topic; the subscription's ARN."""

    def subscribe(topic, queue, *, client=sns, **attributes):
        answer = client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes=attributes)
        return answer["SubscriptionArn"]

    return subscribe


@pytest.fixture
def topic_attributes(sns):
    """A function that gives a topic's attributes."""
    return lambda topic: sns.get_topic_attributes(TopicArn=topic)["Attributes"]


@pytest.fixture
def subscription_attributes(sns):
    """A function that gives a subscription's attributes."""
    return lambda arn: sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]


@pytest.fixture
def refused():
    """A function whose block must be refused with an error code and, if given, a message."""

    @contextlib.contextmanager
    def refused(code, message=None, status=None):
        with pytest.raises(ClientError) as caught:
            yield
        error = caught.value.response["Error"]
        assert error["Code"] == code
        if message is not None:
            assert error["Message"] == message
        if status is not None:
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status

    return refused
