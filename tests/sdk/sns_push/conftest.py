"""Push services of the tests' own making: Apple's over HTTP/2 with TLS, the others over HTTP/1.1."""

import contextlib
import http.server
import json
import socket
import ssl
import threading
import time
import urllib.parse

import h2.config
import h2.connection
import h2.events
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

PATIENCE_S = 30


class Listening(http.server.ThreadingHTTPServer):
    """Takes as many connections at once as a test makes."""

    request_queue_size = 256
    daemon_threads = True


class Called:
    """A request as it came in."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode()))


class Service:
    """What all services have: calls that came, and what the next ones are answered with: status, body, headers."""

    def __init__(self):
        self.calls, self.answers, self.connections = [], [], 0
        self._changed = threading.Condition()

    def take(self, call):
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
            return self.answers.pop(0) if self.answers else (200, {}, {})

    def wait(self, count, patience_s):
        with self._changed:
            return self._changed.wait_for(lambda: len(self.calls) >= count, patience_s)

    def expect(self, count):
        assert self.wait(count, PATIENCE_S), [call.path for call in self.calls]
        return self.calls[:count]


class Plain(Service):
    """A service over HTTP/1.1. What is asked under a path that ends in `granted` is granted an access token."""

    def __init__(self, granted=()):
        super().__init__()
        self.grants, self.lifetime_s = [], 3600
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                call = Called(self.path, self.headers, body)
                if self.path.endswith(tuple(granted)):
                    status, said, headers = service.grant(call)
                else:
                    status, said, headers = service.take(call)
                octets = json.dumps(said).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, *_):
                pass

        self._server = Listening(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def grant(self, call):
        self.grants.append(call)
        return 200, {"access_token": f"access-{len(self.grants)}", "expires_in": self.lifetime_s}, {}

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Apple(Service):
    """Apple's service: HTTP/2 over TLS, answers with a status, and a reason in JSON."""

    def __init__(self, tls):
        super().__init__()
        self._tls = tls
        self.certificates = []
        self._sockets = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                sock = self._tls.wrap_socket(plain, server_side=True)
                assert sock.selected_alpn_protocol() == "h2"
                self.connections += 1
                self.certificates.append(sock.getpeercert())
                self._sockets.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        requests = {}
        with contextlib.suppress(OSError), sock:
            sock.sendall(connection.data_to_send())
            while data := sock.recv(65_536):
                for event in connection.receive_data(data):
                    self._handle(connection, requests, event)
                sock.sendall(connection.data_to_send())

    def _handle(self, connection, requests, event):
        if isinstance(event, h2.events.RequestReceived):
            requests[event.stream_id] = (dict(event.headers), bytearray())
        elif isinstance(event, h2.events.DataReceived):
            requests[event.stream_id][1].extend(event.data)
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            headers, body = requests.pop(event.stream_id)
            status, said, _ = self.take(Called(headers[":path"], headers, bytes(body)))
            connection.send_headers(event.stream_id, [(":status", str(status)), ("apns-id", "1")], end_stream=not said)
            if said:
                connection.send_data(event.stream_id, json.dumps(said).encode(), end_stream=True)

    def close(self):
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def apple(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["h2"])
    apple = Apple(context)
    yield apple
    apple.close()


@pytest.fixture
def service():
    service = Plain(granted=("/token", "/accesstoken.srf"))
    yield service
    service.close()


def pem_of(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="session")
def apple_key():
    """A signing key, and its PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key, pem_of(key)


@pytest.fixture(scope="session")
def google_key():
    key = rsa.generate_private_key(65_537, 2_048)
    return key, pem_of(key)


@pytest.fixture
def public_pem():
    return lambda key: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def serve_with(serve):
    """A function that starts a Headrace with these settings; ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serve(**settings))


@pytest.fixture
def sns(headrace):
    return headrace.client("sns")


@pytest.fixture
def until():
    """A function that waits until something holds."""

    def until(holds, what="it did not come to pass"):
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline_s, what
            time.sleep(0.01)

    return until


@pytest.fixture
def until_called():
    """A function that moves a server's clock on until a service was called so often."""

    def until_called(server, service, count, step_s=10):
        for _ in range(100):
            if service.wait(count, 0.2):
                return service.calls[:count]
            server.advance(step_s)
        raise AssertionError(f"{len(service.calls)} calls came, not {count}")

    return until_called
