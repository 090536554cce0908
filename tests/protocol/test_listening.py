"""Where the server listens, and how it stops."""

import socket
import threading

import pytest

TIMEOUT_S = 30
GET = b"GET / HTTP/1.1\r\nHost: raw.test\r\n\r\n"


async def hello(_scope, exchange):
    exchange.response_bytes(200, [], b"hello")


def test_a_free_port_is_found(run_server, open_raw):
    first, second = run_server(hello), run_server(hello)
    assert first.url != second.url
    assert open_raw(first.url).ask(GET).body == b"hello"
    assert open_raw(second.url).ask(GET).body == b"hello"


def test_a_port_that_is_taken(run_server):
    port = int(run_server(hello).url.rpartition(":")[2])
    with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .* in use; --port 0 takes a free port"):
        run_server(hello, port=port)


def test_an_address_that_is_not_ours(run_server):
    with pytest.raises(OSError, match=r"cannot listen on 203\.0\.113\.1:0: "):
        run_server(hello, host="203.0.113.1")


def test_a_host_that_is_a_name(run_server, open_raw):
    server = run_server(hello, host="localhost")
    assert server.url.startswith("http://localhost:")
    assert open_raw(server.url.replace("localhost", "127.0.0.1")).ask(GET).body == b"hello"


def test_ipv6(run_server, open_raw):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = run_server(hello, host="::1")
    assert server.url.startswith("http://[::1]:")
    assert open_raw(server.url).ask(GET).body == b"hello"


def test_a_port_may_be_taken_again_at_once(run_server, open_raw):
    server = run_server(hello)
    open_raw(server.url).ask(GET)
    server.stop()
    again = run_server(hello, port=int(server.url.rpartition(":")[2]))
    assert open_raw(again.url).ask(GET).body == b"hello"


def test_stopping_closes_idle_connections(run_server, open_raw):
    server = run_server(hello)
    connection = open_raw(server.url)
    connection.ask(GET)
    server.ask_to_stop()
    assert connection.is_closed()
    assert server.has_stopped()


def test_stopping_answers_what_is_in_progress(run_server, open_raw):
    begun = threading.Event()

    async def slow(_scope, exchange):
        begun.set()
        await server.stop_asked.wait()
        exchange.response_bytes(200, [], b"done")

    server = run_server(slow)
    connection = open_raw(server.url)
    connection.send(GET)
    assert begun.wait(TIMEOUT_S)
    server.ask_to_stop()
    assert connection.answer().body == b"done"
    assert server.has_stopped()


def test_a_handler_that_fails_does_not_end_the_server(run_server, open_raw):
    async def failing(scope, exchange):
        if scope.path == "/fail":
            raise RuntimeError("unforeseen")
        await hello(scope, exchange)

    server = run_server(failing)
    assert open_raw(server.url).ask(b"GET /fail HTTP/1.1\r\nHost: raw.test\r\n\r\n").status == 500
    assert open_raw(server.url).ask(GET).body == b"hello"
