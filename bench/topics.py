"""The few SNS calls that scenarios make themselves, and the queues and endpoints that they subscribe."""

from __future__ import annotations

import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode, urlsplit

import api

ACCOUNT = "000000000000"
REGION = "us-east-1"
HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": (
        f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/sns/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-date, Signature={'0' * 64}"
    ),
}
CONFIRM_TIMEOUT_S = 30
BATCH = 10
PUBLISHERS = 8
"""Connections that messages are published over."""


class Sns:
    """A connection to an SNS endpoint that speaks the Query protocol."""

    def __init__(self, url: str, *, timeout_s: float = 120) -> None:
        self.url = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout_s)
        self._used_at = 0.0

    def call(self, action: str, **params: str) -> str:
        """Call the action with its parameters, their names as Query has them; the answer's text. Raises CallFailed."""
        if time.monotonic() - self._used_at > api.IDLE_S:
            self._connection.close()
        self._used_at = time.monotonic()
        return self.send(action, encoded(action, **params))

    def send(self, action: str, body: bytes) -> str:
        """Make the call that `encoded` has made ready; the answer's text. Raises CallFailed."""
        self._connection.request("POST", "/", body, HEADERS)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        if answer.status != http.client.OK:
            raise api.CallFailed(f"{action}: {answer.status} {text[:300]}")
        return text

    def create(self, name: str) -> str:
        """Make a topic; its ARN."""
        return _member(self.call("CreateTopic", Name=name), "TopicArn")

    def subscribe(self, topic: str, protocol: str, endpoint: str, **attributes: str) -> None:
        """Subscribe an endpoint."""
        params = {"TopicArn": topic, "Protocol": protocol, "Endpoint": endpoint}
        for at, (name, value) in enumerate(attributes.items(), 1):
            params |= {f"Attributes.entry.{at}.key": name, f"Attributes.entry.{at}.value": value}
        self.call("Subscribe", **params)

    def confirmed(self, topic: str, count: int) -> None:
        """Return when so many subscriptions are confirmed. Raises CallFailed."""
        until = time.monotonic() + CONFIRM_TIMEOUT_S
        while time.monotonic() < until:
            found = re.search(
                r"<key>SubscriptionsConfirmed</key>\s*<value>(\d+)", self.call("GetTopicAttributes", TopicArn=topic)
            )
            if found is not None and int(found[1]) >= count:
                return
            time.sleep(0.05)
        raise api.CallFailed(f"not all of {count} subscriptions were confirmed")


def encoded(action: str, **params: str) -> bytes:
    """A call as it is sent."""
    return urlencode({"Action": action, "Version": "2010-03-31", **params}).encode()


def _member(answer: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]*)</{name}>", answer)
    if found is None:
        raise api.CallFailed(f"no {name} in {answer[:300]}")
    return found[1]


def with_queues(url: str, name: str, count: int, *, raw: bool) -> str:
    """A topic of that name that so many queues are subscribed to; its ARN."""
    sns, sqs = Sns(url), api.Sqs(url)
    topic = sns.create(name)
    for at in range(count):
        queue = _queue(sqs, f"{name}-{at}", topic)
        sns.subscribe(topic, "sqs", queue, **({"RawMessageDelivery": "true"} if raw else {}))
    return topic


def with_filters(url: str, name: str, policies: list[dict[str, Any]]) -> str:
    """A topic with a subscription for each of the policies, each of a queue of its own; its ARN."""
    sns, sqs = Sns(url), api.Sqs(url)
    topic = sns.create(name)
    for at, policy in enumerate(policies):
        queue = _queue(sqs, f"{name}-{at}", topic)
        sns.subscribe(topic, "sqs", queue, RawMessageDelivery="true", FilterPolicy=json.dumps(policy))
    return topic


def _queue(sqs: api.Sqs, name: str, topic: str) -> str:
    """Make a queue whose policy lets the topic send, as AWS demands one; its ARN."""
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.call("SetQueueAttributes", QueueUrl=sqs.create(name), Attributes={"Policy": policy})
    return arn


def publish(url: str, topic: str, count: int) -> None:
    """Publish so many messages of 200 bytes, ten a call, over a few connections: one would wait for its answers more
    than it publishes.
    """
    params = {"TopicArn": topic}
    for at in range(1, BATCH + 1):
        prefix = f"PublishBatchRequestEntries.member.{at}."
        params |= {f"{prefix}Id": f"e{at}", f"{prefix}Message": "x" * 200}
    body = encoded("PublishBatch", **params)

    def publish_share(calls: int) -> None:
        sns = Sns(url)
        for _ in range(calls):
            sns.send("PublishBatch", body)

    calls = count // BATCH
    shares = [calls // PUBLISHERS + (at < calls % PUBLISHERS) for at in range(PUBLISHERS)]
    with ThreadPoolExecutor(PUBLISHERS) as publishers:
        list(publishers.map(publish_share, shares))
