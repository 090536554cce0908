"""Publishers that keep a server busy, an HTTP endpoint that takes what it is sent, and what both write down."""

from __future__ import annotations

import http.client
import json
import random
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=headrace/20250101/us-east-1/sns/aws4_request, SignedHeaders=host, Signature=0"
)
ANSWER = "{http://sns.amazonaws.com/doc/2010-03-31/}"


@dataclass(frozen=True)
class Published:
    """A message as it was published: `number` grows within a group, that is within a publisher's life."""

    text: str
    kind: str
    group: str
    number: int


@dataclass
class Diary:
    """What was published: what is `acknowledged`, and what nobody was told about, in its `batch`."""

    tried: dict[str, Published] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, messages: list[Published]) -> None:
        with self.lock:
            self.tried |= {message.text: message for message in messages}

    def acknowledge(self, messages: list[Published]) -> None:
        with self.lock:
            self.acknowledged |= {message.text for message in messages}


class Caller:
    """A connection to the server that speaks the Query protocol."""

    def __init__(self, endpoint_url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(endpoint_url).netloc, timeout=30)

    def call(self, action: str, params: dict[str, str]) -> ET.Element:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": AUTHORIZATION}
        body = urlencode({"Action": action, "Version": "2010-03-31", **params})
        self._connection.request("POST", "/", body, headers)
        response = self._connection.getresponse()
        answer = response.read()
        assert response.status == http.client.OK, answer
        return ET.fromstring(answer)

    def close(self) -> None:
        self._connection.close()


class Publisher:
    """One thread's publishing to one topic: alone and in batches, until the server does not answer any more."""

    def __init__(self, endpoint_url: str, topic: str, diary: Diary, seed: int) -> None:
        self.caller = Caller(endpoint_url)
        self._topic = topic
        self._diary = diary
        self._rng = random.Random(seed)
        self._group = f"{topic.rpartition(':')[2]}-{seed}"
        self._number = 0

    def publish(self) -> None:
        while True:
            messages = [self._message() for _ in range(self._rng.choice([1, 1, 1, 3, 10]))]
            self._diary.note(messages)
            params = {"TopicArn": self._topic}
            if len(messages) == 1:
                self.caller.call("Publish", params | self._params(messages[0], ""))
            else:
                for at, message in enumerate(messages, 1):
                    prefix = f"PublishBatchRequestEntries.member.{at}."
                    params |= {f"{prefix}Id": str(at), **self._params(message, prefix)}
                answer = self.caller.call("PublishBatch", params)
                assert len(answer.findall(f".//{ANSWER}Successful/{ANSWER}member")) == len(messages)
            self._diary.acknowledge(messages)

    def _message(self) -> Published:
        self._number += 1
        kind = self._rng.choice(["placed", "cancelled"])
        return Published(f"{self._group}-{self._number}", kind, self._group, self._number)

    def _params(self, message: Published, prefix: str) -> dict[str, str]:
        params = {
            "Message": message.text,
            "MessageAttributes.entry.1.Name": "kind",
            "MessageAttributes.entry.1.Value.DataType": "String",
            "MessageAttributes.entry.1.Value.StringValue": message.kind,
        }
        if self._topic.endswith(".fifo"):
            params |= {"MessageGroupId": message.group, "MessageDeduplicationId": message.text}
        return {prefix + name: value for name, value in params.items()}


class WebEndpoint:
    """An HTTP endpoint that outlives the servers which send to it. It confirms, and keeps the texts it got."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.texts: list[str] = []
        self.changed = threading.Condition()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                endpoint.take(message)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A killed server breaks its connections; nobody need hear of it."""

        self._server = Server((host, 0), Handler)
        self.url = f"http://{host}:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, message: dict[str, Any]) -> None:
        if message["Type"] == "SubscriptionConfirmation":
            urllib.request.urlopen(message["SubscribeURL"], timeout=30).close()
            return
        with self.changed:
            self.texts.append(message["Message"])
            self.changed.notify_all()

    def wait_until(self, complete: Callable[[set[str]], bool], timeout_s: float) -> bool:
        """Whether what was got is complete, within some time."""
        with self.changed:
            return self.changed.wait_for(lambda: complete(set(self.texts)), timeout_s)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
