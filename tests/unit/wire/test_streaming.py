import asyncio
import os
from pathlib import Path

import pytest

from headrace import limits
from headrace.errors import ServiceError
from headrace.wire.messages import Response
from headrace.wire.streaming import Streams

PIPE_BYTES = 65_536


class Pieces:
    """A body whose pieces are made when they are asked for."""

    def __init__(self, *pieces):
        self._pieces = pieces
        self.made = 0
        self.closed = False

    async def __call__(self):
        try:
            for piece in self._pieces:
                self.made += 1
                yield piece
        finally:
            self.closed = True


@pytest.fixture
def start(exchange_of):
    """Starts to send pieces; the exchange and the task."""

    async def start(pieces):
        exchange = exchange_of()
        body = pieces()
        sending = asyncio.create_task(
            Streams().send(exchange, Response(200, [("content-type", "text/plain")], body), body)
        )
        await settle()
        return exchange, sending

    return start


def open_files():
    return len([*Path("/dev/fd").iterdir()])


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_pieces_go_out_one_after_the_other(start):
    pieces = Pieces(b"0", b"1", b"2")
    exchange, sending = await start(pieces)
    assert (exchange.status, exchange.headers) == (200, {"content-type": "text/plain"})
    assert (exchange.take(), pieces.made) == (b"0", 1)
    await sending
    assert (exchange.take(), exchange.take(), pieces.closed) == (b"12", None, True)
    exchange.hang_up()


async def test_an_answer_without_pieces_is_empty(exchange_of):
    exchange, body = exchange_of(), Pieces()()
    await Streams().send(exchange, Response(200, [], body), body)
    assert (exchange.status, exchange.body) == (200, b"")


async def test_a_reader_who_does_not_read_keeps_the_maker_waiting(start):
    pieces = Pieces(*[b"x" * 50_000] * 100)
    exchange, sending = await start(pieces)
    exchange.take(1)
    await settle()
    assert pieces.made == 2
    for _ in range(10):
        while exchange.take():
            pass
        await settle()
    assert 2 < pieces.made < 25
    while (taken := exchange.take()) is not None:
        if not taken:
            await asyncio.sleep(0)
    await sending
    assert (len(exchange.body), pieces.closed) == (5_000_000, True)
    exchange.hang_up()


async def test_there_is_a_limit_to_how_many_there_are(start, monkeypatch, exchange_of):
    monkeypatch.setattr(limits, "MAX_STREAMS", 1)
    streams = Streams()
    streams.check()
    body = Pieces(b"0", b"1")()
    exchange = exchange_of()
    sending = asyncio.create_task(streams.send(exchange, Response(200, [], body), body))
    await settle()
    with pytest.raises(ServiceError) as refused:
        streams.check()
    assert (refused.value.code, refused.value.status) == ("ServiceUnavailable", 503)
    exchange.take()
    await sending
    exchange.hang_up()
    streams.check()


async def test_a_piece_larger_than_the_pipe_arrives_whole(start):
    piece = os.urandom(5 * PIPE_BYTES)
    exchange, sending = await start(Pieces(piece))
    while exchange.take(1_000) is not None:
        await settle()
    await sending
    assert exchange.body == piece
    exchange.hang_up()


async def test_who_hangs_up_ends_it(start):
    pieces = Pieces(b"0", b"x" * 2 * PIPE_BYTES, *[b"more"] * 10)
    exchange, sending = await start(pieces)
    assert exchange.take()
    await settle()
    while exchange.take():
        await settle()
    exchange.hang_up()
    await sending
    assert pieces.closed


async def test_who_hangs_up_before_the_answer_begins_ends_it(exchange_of, monkeypatch):
    gone = asyncio.Event()
    monkeypatch.setattr(exchange_of, "client_disconnect", lambda _: gone.wait())
    monkeypatch.setattr(exchange_of, "response_file", lambda *_: None)
    pieces = Pieces(*[b"x" * PIPE_BYTES] * 10)
    body = pieces()
    sending = asyncio.create_task(Streams().send(exchange_of(), Response(200, [], body), body))
    await settle()
    assert not sending.done()
    gone.set()
    await sending
    assert pieces.closed


async def test_one_who_is_cancelled_leaves_nothing_open(start):
    before = open_files()
    pieces = Pieces(*[b"x" * PIPE_BYTES] * 10)
    exchange, sending = await start(pieces)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    exchange.hang_up()
    assert pieces.closed
    assert open_files() == before
