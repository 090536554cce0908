"""Frames: whatever pieces they come in, they come out whole and in order."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.engines.nats import frames

HEADED = b"NATS/1.0\r\nA: b\r\n\r\n"
WIRE = (
    b'INFO {"server_name":"n"}\r\n'
    b"MSG a.b 1 5\r\nhello\r\n"
    b"PING\r\n"
    b"MSG a.b 12 reply.to 0\r\n\r\n"
    b"HMSG x 3 %d %d\r\n%b\r\n\r\n"
    % (len(HEADED), len(HEADED) + 2, HEADED)
    + b"HMSG x 4 r.s 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"
    b"+OK\r\n-ERR 'Slow Consumer'\r\nPONG\r\n"
)
READ = [
    b'INFO {"server_name":"n"}',
    (1, b"a.b", b"", b"", b"hello"),
    b"PING",
    (12, b"a.b", b"reply.to", b"", b""),
    (3, b"x", b"", HEADED, b"\r\n"),
    (4, b"x", b"r.s", b"NATS/1.0 503\r\n\r\n", b""),
    b"+OK",
    b"-ERR 'Slow Consumer'",
    b"PONG",
]


def reader():
    read = []
    return frames.FrameReader(lambda *message: read.append(message), read.append), read


def test_frames_in_one_piece():
    one, read = reader()
    one.feed(WIRE)
    assert read == READ


def test_frames_byte_by_byte():
    one, read = reader()
    for place in range(len(WIRE)):
        one.feed(WIRE[place : place + 1])
    assert read == READ


@given(st.lists(st.integers(0, len(WIRE)), max_size=12))
def test_frames_in_any_pieces(cuts):
    one, read = reader()
    places = [0, *sorted(cuts), len(WIRE)]
    for start, stop in itertools.pairwise(places):
        one.feed(WIRE[start:stop])
    assert read == READ


@given(st.binary(max_size=300))
def test_what_is_no_frame_breaks_the_session_or_waits(noise):
    one, _ = reader()
    try:
        one.feed(b"MSG a 1 " + noise + b"\r\n")
    except frames.ProtocolBroken:
        return
    one.feed(b"PING\r\n")


def test_a_line_without_an_end():
    one, _ = reader()
    with pytest.raises(frames.ProtocolBroken):
        one.feed(b"I" * (frames.MAX_LINE_BYTES + 1))


def test_what_is_written_is_read():
    one, read = reader()
    block = frames.header_block({"Nats-TTL": "5s", "N": 7})
    one.feed(frames.pub("s", "r", block, b"body").replace(b"HPUB s r", b"HMSG s 9 r"))
    one.feed(frames.pub("s", "", b"", b"body").replace(b"PUB s ", b"MSG s 9 "))
    assert read == [(9, b"s", b"r", block, b"body"), (9, b"s", b"", b"", b"body")]
    assert frames.header_map(block) == {"Nats-TTL": "5s", "N": "7"}


def test_headers():
    block = frames.header_block({"First": "a: b", "Second": 2})
    assert frames.header(block, b"First") == b"a: b"
    assert frames.header(block, b"Second") == b"2"
    assert frames.header(block, b"Third") is None
    assert frames.header(b"", b"First") is None
    assert frames.header_block({}) == b""


@pytest.mark.parametrize(
    ("block", "status", "description"),
    [
        (b"NATS/1.0 404 Message Not Found\r\n\r\n", 404, "Message Not Found"),
        (b"NATS/1.0 503\r\n\r\n", 503, ""),
        (b"NATS/1.0\r\nA: b\r\n\r\n", 0, ""),
        (b"", 0, ""),
    ],
)
def test_status(block, status, description):
    assert frames.status(block) == status
    if status:
        assert frames.description(block) == description
