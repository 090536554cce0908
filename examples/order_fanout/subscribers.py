"""Those who get the orders: queues, an HTTP endpoint and an e-mail address, each with the filter it asked for.

What a filter should let through is said twice: as the policy that SNS is given, and as a function. The summary holds
the one against the other.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from orders import CANCELLED, DECLINED, PLACED, Order

BATCH = 10
WAIT_S = 1
FAR_MILES = 1000
BODY = "MessageBody"

Wanted = Callable[[Order], bool]


@dataclass
class Inbox:
    """What a subscriber got: how often each order, by its key."""

    got: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, text: str) -> None:
        """Take in an order's text."""
        with self.lock:
            self.got[json.loads(text)["key"]] += 1

    def orders(self) -> Counter[str]:
        """What was got so far."""
        with self.lock:
            return self.got.copy()


@dataclass
class Subscriber:
    """Somebody who gets orders: by which protocol and where, with which filter, and what arrived."""

    name: str
    protocol: str
    wanted: Wanted
    filter_policy: dict[str, Any] | None = None
    scope: str = "MessageAttributes"
    raw: bool = False
    endpoint: str = ""
    inbox: Inbox = field(default_factory=Inbox)

    @property
    def attributes(self) -> dict[str, str]:
        """The subscription's attributes."""
        attributes: dict[str, str] = {}
        if self.filter_policy is not None:
            attributes |= {"FilterPolicy": json.dumps(self.filter_policy), "FilterPolicyScope": self.scope}
        return attributes | ({"RawMessageDelivery": "true"} if self.raw else {})


def everybody() -> list[Subscriber]:
    """The five of this example."""
    return [
        Subscriber("warehouse", "sqs", lambda order: order.event == PLACED, {"event": [PLACED]}, raw=True),
        Subscriber(
            "payments",
            "sqs",
            lambda order: order.event in (DECLINED, CANCELLED),
            {"event": [{"anything-but": {"suffix": "_placed"}}]},
            scope=BODY,
        ),
        Subscriber("support", "email", lambda order: order.event == CANCELLED, {"event": [CANCELLED]}),
        Subscriber(
            "dispatch",
            "http",
            lambda order: order.event == DECLINED and order.miles > FAR_MILES,
            {"event": [{"prefix": "order_decl"}], "miles": [{"numeric": [">", FAR_MILES]}]},
        ),
        Subscriber("audit", "sqs", lambda _: True, raw=True),
    ]


# Queues


def queue_policy(queue_arn: str, topic: str) -> str:
    """The policy of a queue that takes what the topic sends."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def drain(sqs: Any, queue_url: str, subscriber: Subscriber, stop: threading.Event) -> None:
    """Take orders out of a queue until told to stop."""
    while not stop.is_set():
        answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=WAIT_S)
        messages = answer.get("Messages", [])
        for message in messages:
            body = message["Body"]
            subscriber.inbox.take(body if subscriber.raw else json.loads(body)["Message"])
        if messages:
            entries = [{"Id": str(at), "ReceiptHandle": m["ReceiptHandle"]} for at, m in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)


# HTTP


def web_server(subscriber: Subscriber) -> ThreadingHTTPServer:
    """An HTTP endpoint that confirms its subscription and takes orders; sets the subscriber's endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if message["Type"] == "Notification":
                subscriber.inbox.take(message["Message"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if message["Type"] == "SubscriptionConfirmation":
                follow(message["SubscribeURL"])

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    subscriber.endpoint = f"http://127.0.0.1:{server.server_port}/orders"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def follow(url: str) -> None:
    """Open a link, as a person would in a browser."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        answer.read()


# E-mail

LINK = re.compile(r"https?://\S*Action=ConfirmSubscription\S*")


class Mailbox:
    """A mail server's side of an address: takes orders, and confirms when it is asked to."""

    def __init__(self, subscriber: Subscriber) -> None:
        """Take the subscriber's mail."""
        self._subscriber = subscriber

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        """Take a mail."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        body = mail.get_body(("plain",))
        text = body.get_content() if body is not None else ""
        if link := LINK.search(text):
            threading.Thread(target=follow, args=(link[0],), daemon=True).start()
        else:
            self._subscriber.inbox.take(text.splitlines()[0])  # what follows is how to unsubscribe
        return "250 OK"


def mail_server(subscriber: Subscriber, port: int) -> Controller:
    """A mail server on that port, whose only address is the subscriber's; sets the subscriber's endpoint."""
    subscriber.endpoint = f"{subscriber.name}@shop.example"
    controller = Controller(Mailbox(subscriber), hostname="127.0.0.1", port=port)
    controller.start()
    return controller
