"""HTTP/1.1 as clients speak it, well and badly."""

import pytest

from headrace import limits

CHUNKED = "Transfer-Encoding: chunked"


def test_a_connection_is_kept_for_the_next_request(raw, call):
    first, second = raw.ask(call("ListQueues")), raw.ask(call("ListQueues"))
    assert (first.status, first.body, second.status) == (200, b"{}", 200)
    assert first.headers["x-amzn-requestid"] != second.headers["x-amzn-requestid"]


def test_requests_may_be_sent_ahead(raw, call):
    raw.send(call("CreateQueue", QueueName="a") + call("CreateQueue", QueueName="b") + call("ListQueues"))
    assert [raw.answer().status for _ in range(2)] == [200, 200]
    assert len(raw.answer().json["QueueUrls"]) == 2


def test_a_client_may_ask_for_the_end_of_the_connection(raw, head):
    answer = raw.ask(head("ListQueues", "Content-Length: 2", "Connection: close") + b"{}")
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert raw.is_closed()


def test_http_1_0(raw):
    assert raw.ask(b"GET /_headrace/health HTTP/1.0\r\n\r\n").json["status"] == "ok"
    assert raw.is_closed()


def test_a_head_request_has_no_body(raw, call):
    raw.send(b"HEAD / HTTP/1.1\r\nHost: raw.test\r\n\r\n")
    assert raw.answer(head_only=True).status == 200
    assert raw.ask(call("ListQueues")).status == 200


def test_a_body_in_chunks(raw, head, call):
    answer = raw.ask(head("ListQueues", CHUNKED) + b"1\r\n{\r\n1;extension=1\r\n}\r\n0\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"{}")
    assert raw.ask(call("ListQueues")).status == 200


def test_a_body_in_chunks_with_a_trailer(raw, head):
    trailer = head("ListQueues", CHUNKED, "Trailer: x-checksum") + b"2\r\n{}\r\n0\r\nx-checksum: 1\r\n\r\n"
    assert raw.ask(trailer).status == 200


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n{}\r\n0\r\n\r\n", b"1\r\n{\r\nzz\r\n}\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n{}", b"2\r\n{}0\r\n\r\n"],
)
def test_chunks_that_are_not_well_formed(raw, head, body):
    answer = raw.ask(head("ListQueues", CHUNKED) + body)
    assert (answer.status, answer.headers["x-amzn-query-error"]) == (400, "IncompleteBody;Sender")
    assert raw.is_closed()


def test_a_body_that_ends_early(raw, head):
    raw.send(head("ListQueues", "Content-Length: 10") + b"{}")
    raw.close_sending()
    assert raw.is_closed() or raw.answer().status == 400


def test_expect_100_continue(raw, head):
    raw.send(head("ListQueues", "Content-Length: 2", "Expect: 100-continue"))
    assert raw.answer().status == 100
    assert raw.ask(b"{}").status == 200


def test_a_body_too_large_is_not_asked_for(raw, head):
    length = limits.MAX_REQUEST_BYTES + 1
    assert raw.ask(head("ListQueues", f"Content-Length: {length}", "Expect: 100-continue")).status == 413
    assert raw.is_closed()


def test_a_body_too_large_is_refused_with_the_limit(raw, head, call):
    length = limits.MAX_REQUEST_BYTES + 1
    answer = raw.ask(head("ListQueues", f"Content-Length: {length}") + b"x" * length)
    assert (answer.status, answer.headers["x-amzn-query-error"]) == (413, "RequestEntityTooLarge;Sender")
    assert str(limits.MAX_REQUEST_BYTES) in answer.json["message"]
    assert raw.ask(call("ListQueues")).status == 200


def test_chunks_too_large_together_are_refused(raw, head):
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    count = limits.MAX_REQUEST_BYTES // 0x100000 + 1
    assert raw.ask(head("ListQueues", CHUNKED) + chunk * count + b"0\r\n\r\n").status == 413


def test_the_largest_body_is_read(raw, head):
    body = b'{"Stranger": "' + b"x" * (limits.MAX_REQUEST_BYTES - 16) + b'"}'
    assert len(body) == limits.MAX_REQUEST_BYTES
    assert raw.ask(head("ListQueues", f"Content-Length: {len(body)}") + body).status == 200


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: x"],
        ["Content-Length: -1"],
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 99999999999999999999999"],
        ["Bad Header: x"],
        ["X: " + "x" * limits.MAX_HEAD_BYTES],
        [f"X{number}: x" for number in range(500)],
    ],
)
def test_heads_that_are_not_well_formed(raw, head, lines):
    assert raw.ask(head("ListQueues", *lines) + b"{}").status in {400, 413, 431}
    assert raw.is_closed()


@pytest.mark.parametrize(
    "text", [b"\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"]
)
def test_what_is_not_http(raw, text):
    assert raw.ask(text).status == 400
    assert raw.is_closed()


def test_a_length_and_chunks_at_once_end_the_connection(raw, head):
    # The chunks count, as RFC 9112 demands; what came after might be smuggled, so it is not read.
    raw.send(head("ListQueues", "Content-Length: 2", CHUNKED) + b"2\r\n{}\r\n0\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n")
    assert raw.answer().status == 200
    assert raw.is_closed()


def test_an_upgrade_is_not_taken(raw):
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    assert raw.ask(b"GET / HTTP/1.1\r\nHost: raw.test\r\n" + upgrade + key + b"\r\n").status == 200


def test_headers_that_are_not_text_are_passed_over(raw, head):
    request = head("ListQueues", "Content-Length: 2")[:-2] + b"X-Odd: \xff\r\nAuthorization: \xff\r\n\r\n{}"
    assert raw.ask(request).status == 200
