"""Answers that are sent piece by piece."""

import asyncio
import threading

from headrace.wire.messages import Response, stream

TIMEOUT_S = 30


class Streaming:
    """A handler that sends one piece, then another each time it is told to."""

    def __init__(self):
        self.more, self.closed = asyncio.Queue(), threading.Event()

    async def __call__(self, _scope, exchange):
        body = self.pieces()
        await stream(exchange, Response(200, [("content-type", "text/plain")], body), body)

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
