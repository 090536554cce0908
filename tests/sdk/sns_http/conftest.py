"""HTTP(S) endpoints that behave as the test tells them, and topics that they subscribe to."""

import contextlib
import http.server
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request

import pytest
import trustme

PATIENCE_S = 30
"""How long a test waits for something that has to happen, before it fails."""


class Listening(http.server.ThreadingHTTPServer):
    """Takes as many connections at once as a test makes."""

    request_queue_size = 256
    daemon_threads = True


class Posted:
    """A request as it came in."""

    def __init__(self, handler):
        self.path = handler.path
        self.headers = handler.headers
        self.body = handler.rfile.read(int(handler.headers.get("content-length", 0)))

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def kind(self):
        return self.headers["x-amz-sns-message-type"]


class Subscriber:
    """An HTTP server. Each request takes the next of `behaviours`, a function of the handler, or is answered 200."""

    def __init__(self, tls=None):
        self.posted = []
        self._connections = set()
        self.behaviours = []
        self.released = threading.Event()
        self._changed = threading.Condition()
        subscriber = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                subscriber._take(self)

            def log_message(self, *_):
                pass

        self._server = Listening(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        host = "localhost" if tls else "127.0.0.1"
        self.url = f"{'https' if tls else 'http'}://{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _take(self, handler):
        posted = Posted(handler)
        self._connections.add(handler.connection)
        with self._changed:
            self.posted.append(posted)
            behaviour = self.behaviours.pop(0) if self.behaviours else answer(200)
            self._changed.notify_all()
        behaviour(handler)

    def wait(self, count, patience_s=PATIENCE_S):
        """The first `count` requests, once they have come; None when they do not come in time."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.posted) >= count, patience_s)
        return self.posted[:count] if came else None

    def expect(self, count):
        posted = self.wait(count)
        assert posted is not None, f"{len(self.posted)} requests came, not {count}"
        return posted

    def hang(self, handler):
        """A behaviour: answer nothing until the test lets go."""
        self.released.wait(PATIENCE_S)
        handler.close_connection = True

    def close(self):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        for each in self._connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._thread.join()


def answer(status, body=b"", **headers):
    """A behaviour: answer with this status, these headers and this body."""

    def behave(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def hang_up(handler):
    """A behaviour: close the connection without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def cut(handler):
    """A behaviour: close in the middle of the body."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"only the beginning")
    handler.wfile.flush()
    hang_up(handler)


@pytest.fixture
def behaviour():
    """The behaviours there are, by name."""

    class Behaviours:
        pass

    Behaviours.answer, Behaviours.hang_up, Behaviours.cut = (
        staticmethod(answer),
        staticmethod(hang_up),
        staticmethod(cut),
    )
    return Behaviours


@pytest.fixture
def make_subscriber():
    """A function that makes a subscriber; all are closed with the test."""
    with contextlib.ExitStack() as stack:

        def make(tls=None):
            subscriber = Subscriber(tls)
            stack.callback(subscriber.close)
            return subscriber

        yield make


@pytest.fixture
def subscriber(make_subscriber):
    return make_subscriber()


@pytest.fixture(scope="session")
def authority():
    """A certificate authority that no machine trusts."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def sns(headrace):
    return headrace.client("sns")


@pytest.fixture
def topic(sns):
    return sns.create_topic(Name="orders")["TopicArn"]


@pytest.fixture
def visit():
    """A function that opens a link as a browser does: status, content type and text."""

    def visit(url, data=None):
        request = urllib.request.Request(url, data=data, headers={"User-Agent": "Mozilla/5.0", "Accept": "text/html"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return response.status, response.headers["content-type"], response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["content-type"], error.read().decode()

    return visit


@pytest.fixture
def subscribe(sns, topic, visit):
    """A function that subscribes an endpoint and confirms it by the link it is sent; the subscription's ARN."""

    def subscribe(subscriber, endpoint=None, *, client=sns, to=topic, **attributes):
        url = endpoint or subscriber.url
        arn = client.subscribe(
            TopicArn=to, Protocol=url.partition(":")[0], Endpoint=url, Attributes=attributes, ReturnSubscriptionArn=True
        )["SubscriptionArn"]
        asked = subscriber.expect(1)[0]
        assert asked.kind == "SubscriptionConfirmation"
        assert visit(asked.json["SubscribeURL"])[0] == 200
        subscriber.posted.clear()
        return arn

    return subscribe


@pytest.fixture
def until_posted(headrace):
    """A function that moves the clock on, step by step, until so many requests have come; how far it went, at most."""

    def until_posted(subscriber, count, *, step_s=20, most_s=4_000):
        moved_s = 0
        while subscriber.wait(count, 0.2) is None:
            assert moved_s < most_s, f"{len(subscriber.posted)} requests came, not {count}"
            headrace.advance(step_s)
            moved_s += step_s
        return moved_s

    return until_posted


@pytest.fixture(scope="session")
def serve_with(serve):
    """What serves with settings of the test's own, as a context manager."""
    return serve
