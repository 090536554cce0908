"""Bytes that are not quite HTTP, and HTTP that is not quite a request: each is refused, none does harm."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from .fuzzing import AUTHORIZATION, JSON_TYPE, check_json, target

BODY = b'{"QueueUrl":"http://x/000000000000/fuzzed","MessageBody":"left over"}'
HEAD = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + JSON_TYPE.encode() + b"\r\n"
    b"X-Amz-Target: AmazonSQS.SendMessage\r\nAuthorization: " + AUTHORIZATION.encode() + b"\r\n"
)
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture(scope="module")
def fuzzed():
    with target() as server:
        yield server


@pytest.fixture(autouse=True)
def after_each(fuzzed):
    """Whatever came, the next request is served."""
    yield
    fuzzed.works()


def refused(answer):
    """No answer at all (the connection was closed), or one that says it is the client's fault."""
    return not answer or answer[9:12] in {
        b"400",
        b"404",
        b"405",
        b"408",
        b"411",
        b"413",
        b"414",
        b"415",
        b"431",
        b"505",
    }


def test_the_request_that_is_cut_up_below_is_good(fuzzed):
    assert fuzzed.exchange(WHOLE).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("seed", range(10))
def test_random_bytes(fuzzed, seed):
    rng = random.Random(seed)
    for _ in range(10):
        noise = rng.randbytes(rng.choice([1, 10, 100, 5000])) + rng.choice([b"", b"\r\n\r\n"])
        assert refused(fuzzed.exchange(noise, half_close=True)), noise


@pytest.mark.parametrize("seed", range(10))
def test_a_request_with_some_bytes_changed(fuzzed, seed):
    rng = random.Random(seed)
    for _ in range(10):
        changed = bytearray(WHOLE)
        for _ in range(rng.randint(1, 5)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        answer = fuzzed.exchange(bytes(changed), half_close=True)
        assert refused(answer) or answer.startswith(b"HTTP/1.1 200"), (changed, answer)


@pytest.mark.parametrize("part", range(0, len(WHOLE), 12))
def test_a_request_cut_off(fuzzed, part):
    assert refused(fuzzed.exchange(WHOLE[:part], half_close=True))


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\nabc\r\n0\r\n\r\n",
        b"-5\r\nabc\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        b"7fffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"5\r\nabcdefgh\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"\r\n\r\n",
        b"3;" + b"x" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n",
        b"3\r\nabc\r\n0\r\n" + b"X-Trailer: y\r\n" * 20_000 + b"\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"1\r\n{\r\n" * 1000,
    ],
    ids=range(12),
)
def test_bad_chunks(fuzzed, chunks):
    assert refused(fuzzed.exchange(CHUNKED + chunks, half_close=True))


def test_good_chunks_of_any_size(fuzzed):
    for size in (1, 7, 50, 1000):
        pieces = [BODY[start : start + size] for start in range(0, len(BODY), size)]
        chunks = b"".join(b"%x;name=value\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        assert fuzzed.exchange(CHUNKED + chunks).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: -1",
        b"Content-Length: five",
        b"Content-Length: 99999999999999999999999",
        b"Content-Length: 5\r\nContent-Length: 70",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, identity",
        b"Transfer-Encoding: chunked, chunked",
        b"Content-Length: 70\r\n folded: line",
        b"No colon here",
        b": no name",
        b"Na me: value",
        b"Name\x00: value",
        b"Name: val\x00ue",
        b"X: " + b"x" * 1_000_000,
        b"\r\n".join(b"X-%d: y" % number for number in range(5000)),
    ],
    ids=range(15),
)
def test_bad_headers(fuzzed, lines):
    answer = fuzzed.exchange(HEAD + lines + b"\r\n\r\n" + BODY, half_close=True)
    assert refused(answer), answer


@pytest.mark.parametrize(
    "line",
    [
        b"POST /",
        b"POST / HTTP/0.9",
        b"POST / HTTP/3.7",
        b"POST / HTTP/1.1 extra",
        b"POST  HTTP/1.1",
        b"\x00POST / HTTP/1.1",
        b"P\xc3\x96ST / HTTP/1.1",
        b"BREW /coffee HTTP/1.1",
        b"CONNECT localhost:1 HTTP/1.1",
        b"TRACE / HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"HEAD / HTTP/1.1",
        b"DELETE /000000000000/fuzzed HTTP/1.1",
        b"POST http:///// HTTP/1.1",
        b"POST /%zz%00%ff HTTP/1.1",
        b"POST /" + b"a" * 1_000_000 + b" HTTP/1.1",
        b"GET /?" + b"a=b&" * 50_000 + b" HTTP/1.1",
        b"GET /../../etc/passwd HTTP/1.1",
    ],
    ids=range(18),
)
def test_bad_request_lines(fuzzed, line):
    answer = fuzzed.exchange(line + b"\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", half_close=True)
    assert refused(answer), answer


@pytest.mark.parametrize(
    "frames",
    [
        b"",
        b"\x00" * 100,
        b"\xff" * 1000,
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff\xff",
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x40\x00\x00\x00\x00\x00\x00\x01" + b"x" * 16384,
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ],
    ids=range(7),
)
def test_bad_http2(fuzzed, frames):
    fuzzed.exchange(H2_PREFACE + frames, half_close=True)


def test_a_body_larger_than_any_request(fuzzed):
    answer = fuzzed.json("SendMessage", b'{"MessageBody": "' + b"x" * 17_000_000 + b'"}')
    assert answer.status == 413
    check_json(answer)


def test_a_body_announced_larger_than_any_request(fuzzed):
    answer = fuzzed.exchange(HEAD + b"Content-Length: 1000000000000\r\n\r\n" + BODY, half_close=True)
    assert refused(answer)


def test_a_client_that_asks_before_it_sends(fuzzed):
    with socket.create_connection(fuzzed.address, timeout=20) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(BODY)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_requests_one_after_another_without_waiting(fuzzed):
    with socket.create_connection(fuzzed.address, timeout=20) as connection:
        connection.sendall(WHOLE * 20)
        received = b""
        while received.count(b"HTTP/1.1 200") < 20:
            chunk = connection.recv(65536)
            assert chunk
            received += chunk


def test_clients_that_leave_at_every_moment(fuzzed):
    """Closed, half closed and reset connections, with requests begun, sent and answered."""
    waiting = BODY.replace(b'"MessageBody":"left over"', b'"WaitTimeSeconds":20')
    poll = HEAD.replace(b"SendMessage", b"ReceiveMessage") + b"Content-Length: %d\r\n\r\n" % len(waiting) + waiting
    for sent in (b"", HEAD, WHOLE[:-5], WHOLE, WHOLE + HEAD, poll, poll + poll):
        for how in ("close", "half", "reset"):
            connection = socket.create_connection(fuzzed.address, timeout=20)
            connection.sendall(sent)
            if how == "half":
                connection.shutdown(socket.SHUT_WR)
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


def test_many_connections_that_say_nothing(fuzzed):
    silent = [socket.create_connection(fuzzed.address, timeout=20) for _ in range(300)]
    fuzzed.works()
    for connection in silent:
        connection.close()
