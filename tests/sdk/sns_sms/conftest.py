"""A message centre that speaks SMPP 3.4 and a gateway that is called over HTTP, both of the tests' own making."""

import contextlib
import http.server
import json
import socket
import struct
import threading
import time
import urllib.parse

import pytest

PATIENCE_S = 30


class Listening(http.server.ThreadingHTTPServer):
    """Takes as many connections at once as a test makes."""

    request_queue_size = 256
    daemon_threads = True


BIND, SUBMIT, DELIVER, UNBIND, ENQUIRE = 0x09, 0x04, 0x05, 0x06, 0x15
RESPONSE = 0x80000000


class Submitted:
    """A `submit_sm` as it came in, read field by field from the specification."""

    def __init__(self, body):
        self.service_type, body = self._text(body)
        self.source_ton, body = body[0], body[2:]
        self.source, body = self._text(body)
        self.destination_ton, body = body[0], body[2:]
        self.destination, body = self._text(body)
        self.esm_class, self.priority, body = body[0], body[2], body[3:]
        _, body = self._text(body)
        _, body = self._text(body)
        self.data_coding, length, body = body[2], body[4], body[5:]
        self.octets = body[:length]

    @staticmethod
    def _text(body):
        text, _, rest = body.partition(b"\0")
        return text.decode("latin-1"), rest

    @property
    def header(self):
        """Reference, count and number of a part of several."""
        assert self.octets[:3] == b"\x05\x00\x03"
        return tuple(self.octets[3:6])


class Centre:
    """A message centre. `statuses` are what the next messages are answered with."""

    def __init__(self):
        self.submitted, self.statuses, self.binds, self.answers, self.enquiries = [], [], [], [], 0
        self.accepts = True
        self._connections = []
        self._changed = threading.Condition()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
            while len(head := reader.read(16)) == 16:
                length, command, status, sequence = struct.unpack(">IIII", head)
                body = reader.read(length - 16)
                with self._changed:
                    answer = self._answer(command, status, body)
                    self._changed.notify_all()
                if answer is not None:
                    code, said = answer
                    pdu = struct.pack(">IIII", 16 + len(said), command | RESPONSE, code, sequence) + said
                    connection.sendall(pdu)

    def _answer(self, command, status, body):
        if command & RESPONSE:
            self.answers.append((command, status))
            return None
        if command == BIND:
            self.binds.append(body.split(b"\0")[:3])
            return (0, b"centre\0") if self.accepts else (0x0E, b"")
        if command == SUBMIT:
            self.submitted.append(Submitted(body))
            return (self.statuses.pop(0) if self.statuses else 0), b"id%d\0" % len(self.submitted)
        if command == ENQUIRE:
            self.enquiries += 1
        return 0, b""

    def expect(self, what, count):
        """Wait until so many have come of `submitted`, `binds` or `answers`."""
        assert self.wait(what, count, PATIENCE_S), getattr(self, what)
        return getattr(self, what)[:count]

    def wait(self, what, count, patience_s):
        with self._changed:
            return self._changed.wait_for(lambda: len(getattr(self, what)) >= count, patience_s)

    def deliver(self, source, octets, data_coding=0):
        """Send what a person has written."""
        body = b"\0\1\1" + source.encode() + b"\0\1\1" + b"15550000\0" + b"\0\0\0\0\0\0\0"
        self.send(DELIVER, body + bytes([data_coding, 0, len(octets)]) + octets)

    def send(self, command, body):
        pdu = struct.pack(">IIII", 16 + len(body), command, 0, 7) + body
        self._connections[-1].sendall(pdu)

    def cut(self):
        """End all sessions without a word."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE_S)


class Gateway:
    """An HTTP server that keeps what it is called with. `statuses` are what the next calls are answered with."""

    def __init__(self):
        self.calls, self.statuses = [], []
        self._changed = threading.Condition()
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with gateway._changed:
                    gateway.calls.append((self.command, self.path, self.headers, body))
                    status = gateway.statuses.pop(0) if gateway.statuses else 202
                    gateway._changed.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self):
                self.do_GET()

            def log_message(self, *_):
                pass

        self._server = Listening(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def expect(self, count):
        assert self.wait(count, PATIENCE_S), self.calls
        return self.calls[:count]

    def wait(self, count, patience_s):
        with self._changed:
            return self._changed.wait_for(lambda: len(self.calls) >= count, patience_s)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def centre():
    centre = Centre()
    yield centre
    centre.close()


@pytest.fixture
def gateway():
    gateway = Gateway()
    yield gateway
    gateway.close()


@pytest.fixture
def serve_with(serve):
    """A function that starts a Headrace with these settings; ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serve(**settings))


@pytest.fixture
def sns(headrace):
    return headrace.client("sns")


@pytest.fixture
def outbox(headrace):
    """A function that waits until the outbox shows so many messages that filters let through."""

    def outbox(count, server=headrace, **filters):
        query = urllib.parse.urlencode(filters)
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            found = server.call("GET", f"outbox?{query}")["messages"]
            if len(found) >= count or time.monotonic() > deadline_s:
                assert len(found) == count, json.dumps(found, indent=1)
                return found
            time.sleep(0.01)

    return outbox
