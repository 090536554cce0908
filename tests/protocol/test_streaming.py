"""Answers that are sent piece by piece."""

import asyncio
import threading

from headrace.wire.messages import Response
from headrace.wire.streaming import Streams

TIMEOUT_S = 30


class Streaming:
    """A handler that sends one piece, then another each time it is told to."""

    def __init__(self):
        self.more, self.closed = asyncio.Queue(), threading.Event()

    async def __call__(self, _scope, exchange):
        body = self.pieces()
        await Streams().send(exchange, Response(200, [("content-type", "text/plain")], body), body)

    async def pieces(self):
        try:
            yield b"first"
            while (piece := await self.more.get()) is not None:
                yield piece
        finally:
            self.closed.set()


def test_a_piece_arrives_before_the_next_is_made(run_server, open_raw, call):
    handler = Streaming()
    server = run_server(handler)
    connection = open_raw(server.url)
    assert connection.ask(call("SubscribeToShard")).headers["transfer-encoding"] == "chunked"
    assert connection.chunk() == b"first"
    server.call(lambda: handler.more.put_nowait(b"second"))
    assert connection.chunk() == b"second"
    server.call(lambda: handler.more.put_nowait(None))
    assert connection.chunk() == b""
    assert handler.closed.wait(TIMEOUT_S)


def test_over_http2(run_server, open_h2):
    handler = Streaming()
    server = run_server(handler)
    connection = open_h2(server.url)
    stream_id = connection.request({})
    server.call(lambda: handler.more.put_nowait(b"second"))
    server.call(lambda: handler.more.put_nowait(None))
    assert connection.answer(stream_id).body == b"firstsecond"


def test_a_client_that_leaves_ends_it(run_server, open_raw, call):
    handler = Streaming()
    server = run_server(handler)
    connection = open_raw(server.url)
    connection.ask(call("SubscribeToShard"))
    assert connection.chunk() == b"first"
    connection.close()

    def go_on():
        handler.more.put_nowait(b"more")
        if not handler.closed.is_set():
            server.loop.call_later(0.01, go_on)

    server.call(go_on)
    assert handler.closed.wait(TIMEOUT_S)


class Endless:
    """A handler that sends pieces without end, and counts them by path."""

    def __init__(self):
        self.made: dict[str, int] = {}

    async def __call__(self, scope, exchange):
        await exchange()
        body = self.pieces(scope.path)
        await Streams().send(exchange, Response(200, [("content-type", "text/plain")], body), body)

    async def pieces(self, path):
        while True:
            self.made[path] = self.made.get(path, 0) + 1
            yield b"x" * PIECE_BYTES


PIECE_BYTES = 50_000
ENOUGH = 2_000
"""Pieces, a hundred megabytes of them: far more than all buffers on the way hold."""


def test_one_who_does_not_read_over_http1_holds_up_nobody_else(run_server, open_raw):
    handler = Endless()
    server = run_server(handler)
    request = b"POST /%s HTTP/1.1\r\nHost: raw.test\r\nContent-Length: 0\r\n\r\n"
    stalled, reading = open_raw(server.url), open_raw(server.url)
    stalled.ask(request % b"stalled")
    reading.ask(request % b"reading")
    while handler.made.get("/reading", 0) < ENOUGH:
        assert reading.chunk()
    assert 0 < handler.made["/stalled"] < ENOUGH / 4


def test_one_who_does_not_read_over_http2_holds_up_nobody_on_the_connection(run_server, open_h2):
    handler = Endless()
    server = run_server(handler)
    connection = open_h2(server.url)
    stalled = connection.request({}, path="/stalled")
    reading = connection.request({}, path="/reading")
    while handler.made.get("/reading", 0) < ENOUGH:
        connection.read_on({reading})
    assert connection.answers[stalled].status == 200
    assert 0 < handler.made["/stalled"] < ENOUGH / 4
    connection.reset(stalled)
    connection.reset(reading)
