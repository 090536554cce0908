"""What the fuzz tests share: a server of their own, raw exchanges with it, and what an answer must look like."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from headrace.testing import Process, spawn

ANSWER_S = 20
"""How long an answer that must come may take before the server counts as stuck."""
JSON_TYPE = "application/x-amz-json-1.0"
FORM_TYPE = "application/x-www-form-urlencoded"
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=headrace/20250101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
)


@dataclass
class Answer:
    """A response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class Target:
    """A server in its own process, a queue in it, and the proof that both still work."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.address = urlsplit(process.endpoint_url).hostname, urlsplit(process.endpoint_url).port
        self.sqs = process.client("sqs")
        self.queue_url = self.sqs.create_queue(QueueName="fuzzed")["QueueUrl"]
        self._alive_url = self.sqs.create_queue(QueueName="alive")["QueueUrl"]
        self._connection = http.client.HTTPConnection(*self.address, timeout=ANSWER_S)

    def post(self, body: bytes, headers: dict[str, str], path: str = "/", method: str = "POST") -> Answer:
        """A request of good HTTP, on a connection that is kept."""
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except BaseException:
            self._connection.close()
            raise
        return answer

    def json(self, operation: str, body: Any) -> Answer:
        """Call an operation by AWS JSON; `body` is bytes, or a value to encode."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": JSON_TYPE, "X-Amz-Target": f"AmazonSQS.{operation}", "Authorization": AUTHORIZATION}
        return self.post(text, headers)

    def query(self, form: str | bytes, path: str = "/") -> Answer:
        """Post a form."""
        body = form if isinstance(form, bytes) else form.encode()
        return self.post(body, {"Content-Type": FORM_TYPE, "Authorization": AUTHORIZATION}, path)

    def exchange(self, sent: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes on a fresh connection and read until the server closes it, has answered whole, or says nothing."""
        with socket.create_connection(self.address, timeout=ANSWER_S) as connection:
            with contextlib.suppress(OSError):  # the server has hung up already
                connection.sendall(sent)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            return _read_answer(connection)

    def close(self) -> None:
        self._connection.close()

    def works(self) -> None:
        """Send a message and get it back, on a queue that is left alone otherwise."""
        self.sqs.send_message(QueueUrl=self._alive_url, MessageBody="still here")
        messages = self.sqs.receive_message(QueueUrl=self._alive_url, WaitTimeSeconds=5)["Messages"]
        assert [message["Body"] for message in messages] == ["still here"], messages
        self.sqs.delete_message(QueueUrl=self._alive_url, ReceiptHandle=messages[0]["ReceiptHandle"])


@contextlib.contextmanager
def target() -> Iterator[Target]:
    """A target that, at the end, must be up still, and must have logged no request that failed inside."""
    with spawn(quotas="none", log_format="json", clock="virtual") as process:
        fuzzed = Target(process)
        try:
            yield fuzzed
            fuzzed.works()
        finally:
            fuzzed.close()
        log = process.log
    assert "Traceback" not in log, log[-5000:]
    assert "request failed" not in log, log[-5000:]


def check_json(answer: Answer, *sent: Any) -> None:
    """A success, or a well-formed error of the caller's making. `sent` is shown when it is neither."""
    assert answer.status == 200 or 400 <= answer.status < 500, (answer, *sent)
    assert answer.headers["content-type"] in {JSON_TYPE, "application/x-amz-json-1.1"}, answer
    value = json.loads(answer.body)
    assert isinstance(value, dict)
    if answer.status != 200:
        assert isinstance(value["__type"], str), answer
        assert isinstance(value["message"], str), answer


def check_xml(answer: Answer, *sent: Any) -> None:
    """A success, or a well-formed error of the caller's making. `sent` is shown when it is neither."""
    assert answer.status == 200 or 400 <= answer.status < 500, (answer, *sent)
    root = ET.fromstring(answer.body)
    if answer.status != 200:
        names = {element.tag.rpartition("}")[2]: element.text for element in root.iter()}
        assert names["Type"] == "Sender", answer
        assert names["Code"], answer
        assert names["Message"], answer
        assert names["RequestId"], answer


def _read_answer(connection: socket.socket) -> bytes:
    """What came until the connection closed or an answer with a length was whole."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
            head, end, rest = received.partition(b"\r\n\r\n")
            if end and len(rest) >= _length(head):
                break
    return received


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 1 << 60
