"""The few SQS calls that scenarios make themselves, over one kept connection."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

FIFO_VISIBILITY_S = 5
IDLE_S = 5
"""A connection unused for longer is opened anew: servers close idle ones."""

HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": (
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={'0' * 64}"
    ),
}


class CallFailed(Exception):
    """SQS answered with an error."""


class Sqs:
    """A connection to an SQS endpoint."""

    def __init__(self, url: str, *, timeout_s: float = 120) -> None:
        self.url = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout_s)
        self._used_at = 0.0

    def call(self, action: str, **params: Any) -> dict[str, Any]:
        """Call the action with its parameters; the decoded answer. Raises CallFailed."""
        headers = {**HEADERS, "X-Amz-Target": f"AmazonSQS.{action}"}
        if time.monotonic() - self._used_at > IDLE_S:
            self._connection.close()  # it opens again by itself
        self._used_at = time.monotonic()
        self._connection.request("POST", "/", json.dumps(params), headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise CallFailed(f"{action}: {answer.status} {body.decode(errors='replace')[:300]}")
        return json.loads(body) if body else {}

    def create(self, name: str, *, fifo: bool = False) -> str:
        """Make a queue; its URL. Messages stay hidden long enough for a slow server to delete them."""
        attributes = {"VisibilityTimeout": "600"}
        if fifo:
            name += ".fifo"
            attributes |= {"FifoQueue": "true", "VisibilityTimeout": f"{FIFO_VISIBILITY_S}"}
        return str(self.call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"])

    def waiting(self, queue: str) -> int:
        """Visible messages."""
        names = ["ApproximateNumberOfMessages"]
        answer = self.call("GetQueueAttributes", QueueUrl=queue, AttributeNames=names)
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def settled(self, queue: str) -> None:
        """Return when nothing is in flight: a run that ends leaves message groups locked."""
        names = ["ApproximateNumberOfMessagesNotVisible"]
        until = time.monotonic() + 3 * FIFO_VISIBILITY_S
        while time.monotonic() < until:
            answer = self.call("GetQueueAttributes", QueueUrl=queue, AttributeNames=names)
            if answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0":
                return
            time.sleep(0.1)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def raw_request(url: str, action: str, **params: Any) -> bytes:
    """The bytes of a request, for scenarios that hold many sockets."""
    headers = {"Host": urlsplit(url).netloc, **HEADERS, "X-Amz-Target": f"AmazonSQS.{action}"}
    body = json.dumps(params).encode()
    lines = ["POST / HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body
