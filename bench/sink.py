"""An HTTP endpoint that takes messages: `python sink.py PORT`. It confirms, counts, and on `/slow` takes its time.

It is to be fast, and to leave the processors to the server that it is sent messages by: a protocol of asyncio's, which
knows as much of HTTP/1.1 as a client with `Content-Length` needs. `GET` answers how many messages each path has got.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections import Counter
from typing import ClassVar, cast

import uvloop

SLOW_S = 10
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class _Sink(asyncio.Protocol):
    """A connection; all of them count in `got`."""

    got: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (head_end := self._unread.find(_HEAD_END)) >= 0:
            head = self._unread[:head_end].lower()
            at = head.find(_LENGTH)
            length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            end = head_end + len(_HEAD_END) + length
            if len(self._unread) < end:
                return
            body = self._unread[head_end + len(_HEAD_END) : end]
            path = self._unread.split(b" ", 2)[1].decode()
            self._unread = self._unread[end:]
            self._take(head, path, body)

    def _take(self, head: bytes, path: str, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        if head.startswith(b"get "):
            self._answer(json.dumps(self.got).encode())
        elif b"x-amz-sns-message-type: subscriptionconfirmation" in head:
            loop.run_in_executor(None, _confirm, json.loads(body)["SubscribeURL"])
            self._answer()
        elif path == "/slow":
            loop.call_later(SLOW_S, self._count, path)
        else:
            self._count(path)

    def _count(self, path: str) -> None:
        self.got[path] += 1
        self._answer()

    def _answer(self, body: bytes = b"") -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


def _confirm(url: str) -> None:
    urllib.request.urlopen(url, timeout=30).close()


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Sink, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
