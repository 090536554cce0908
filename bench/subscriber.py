"""Takes the events of SubscribeToShard, in a process of its own.

Reads what to do from its input as JSON: the server's `url`, the `consumers` (ARNs), `shard`, `position`, `seconds`,
`expected` (records for each consumer, after which it stops early; 0 for as long as it lasts) and `aged` (whether the
records' data tell when they were put). Prints a line `ready` once every consumer has had its first event, and what it
got as JSON at the end. With `idle` it takes no more than that first event, and stops when its input ends.
"""

from __future__ import annotations

import base64
import json
import re
import selectors
import socket
import sys
import time
from typing import Any, Final
from urllib.parse import urlsplit

import streams

READ_BYTES: Final = 1024 * 1024
HEAD_END: Final = b"\r\n\r\n"
EVENT: Final = b"SubscribeToShardEvent"
PRELUDE_BYTES: Final = 12
DATA: Final = re.compile(rb'"Data":\s*"([^"]+)"')
ENDLESS: Final = 1 << 62


class Subscription:
    """One consumer's connection. Chunks (RFC 9112) and event-stream messages are taken apart as they come."""

    def __init__(self, url: str, consumer: str, asked: dict[str, Any]) -> None:
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port))
        if asked.get("idle"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = {"ConsumerARN": consumer, "ShardId": asked["shard"], "StartingPosition": asked["position"]}
        self.socket.sendall(_request(address.netloc, json.dumps(body).encode()))
        self.records = self.events = 0
        self.ages_ms: list[float] = []
        self._aged = bool(asked["aged"])
        self._head = False
        self._raw = bytearray()
        self._body = bytearray()
        self._chunk_left = 0

    def take(self) -> bool:
        """Take what has come; False when the answer has ended. Raises RuntimeError when it is none of success."""
        data = self.socket.recv(READ_BYTES)
        self._raw += data
        if not self._head:
            self._take_head()
        if self._head:
            self._take_chunks()
            self._take_messages()
        return bool(data)

    def _take_head(self) -> None:
        end = self._raw.find(HEAD_END)
        if end < 0:
            return
        head = bytes(self._raw[:end]).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(bytes(self._raw[:300]))
        self._head = True
        self._chunk_left = 0 if b"transfer-encoding: chunked" in head else ENDLESS
        del self._raw[: end + len(HEAD_END)]

    def _take_chunks(self) -> None:
        at = 0
        while at < len(self._raw):
            if self._chunk_left:
                piece = self._raw[at : at + self._chunk_left]
                self._body += piece
                self._chunk_left -= len(piece)
                at += len(piece)
                continue
            end = self._raw.find(b"\r\n", at)
            if end < 0:
                break
            self._chunk_left = int(self._raw[at:end] or b"0", 16)
            at = end + 2
        del self._raw[:at]

    def _take_messages(self) -> None:
        at = 0
        while len(self._body) - at >= PRELUDE_BYTES:
            length = int.from_bytes(self._body[at : at + 4])
            if len(self._body) - at < length:
                break
            self._take_message(bytes(self._body[at : at + length]))
            at += length
        del self._body[:at]

    def _take_message(self, message: bytes) -> None:
        headers_end = PRELUDE_BYTES + int.from_bytes(message[4:8])
        if EVENT not in message[:headers_end]:
            return
        self.events += 1
        self.records += message.count(b'"PartitionKey"', headers_end)
        if self._aged:
            now_ns = time.monotonic_ns()
            for data in DATA.findall(message, headers_end):
                self.ages_ms.append((now_ns - int(base64.b64decode(data))) / 1e6)


def _request(authority: str, body: bytes) -> bytes:
    headers = {**streams.HEADERS, "Host": authority, "X-Amz-Target": "Kinesis_20131202.SubscribeToShard"}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return f"POST / HTTP/1.1\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode() + body


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Subscribe, and take what comes; what all consumers have got together."""
    waiting = selectors.DefaultSelector()
    subscriptions = []
    began = time.monotonic()
    for consumer in asked["consumers"]:
        each = Subscription(asked["url"], consumer, asked)
        waiting.register(each.socket, selectors.EVENT_READ, each)
        subscriptions.append(each)
    ready, last = False, began
    until = began + asked["seconds"]
    while (now := time.monotonic()) < until:
        for key, _ in waiting.select(until - now):
            if not key.data.take() or (asked.get("idle") and key.data.events):
                waiting.unregister(key.fileobj)
            last = time.monotonic()
        if not ready and all(each.events for each in subscriptions):
            ready = True
            print("ready", flush=True)
            if asked.get("idle"):
                sys.stdin.read()
                break
        if asked["expected"] and all(each.records >= asked["expected"] for each in subscriptions):
            break
    return {
        "records": sum(each.records for each in subscriptions),
        "events": sum(each.events for each in subscriptions),
        "least": min(each.records for each in subscriptions),
        "seconds": last - began,
        "ages_ms": [age for each in subscriptions for age in each.ages_ms],
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.stdin.readline()))), flush=True)
