"""Headrace processes that share NATS servers: real ones, reached over their sockets."""

from __future__ import annotations

import http.server
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from headrace.testing import Endpoint, Process, spawn

PATIENCE_S = 60.0
T = TypeVar("T")


@pytest.fixture(scope="module")
def two(nats_servers: Callable[[int], str]) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Two processes on one NATS server, which are not killed."""
    with spawn_on(nats_servers(1)) as first, spawn_on(nats_servers(1), first.nats_prefix) as second:
        yield first, second


@pytest.fixture
def start(nats_servers: Callable[[int], str]) -> Iterator[Callable[..., Process]]:
    """A function that starts one more process of a deployment of this test's own; ended with the test."""
    prefix, running = f"t{secrets.token_hex(6)}", []

    def start(**settings: Any) -> Process:
        running.append(spawn_on(nats_servers(1), prefix, **settings))
        return running[-1]

    yield start
    for process in running:
        process.kill()


def spawn_on(urls: str, prefix: str | None = None, **settings: Any) -> Process:
    """A process on these NATS servers, of a deployment of its own or of another one's."""
    prefix = prefix or f"t{secrets.token_hex(6)}"
    process = spawn(**{"engine": "nats", "nats": urls, "nats_prefix": prefix, "quotas": "none"} | settings)
    process.nats_prefix = prefix  # type: ignore[attr-defined]
    return process


@pytest.fixture
def name() -> str:
    """A name for a queue, topic or stream that no other test uses."""
    return f"n{secrets.token_hex(6)}"


@pytest.fixture
def until() -> Callable[[Callable[[], T]], T]:
    """A function that asks again and again, and gives the first answer that is true."""

    def until(ask: Callable[[], T]) -> T:
        deadline_s = time.monotonic() + PATIENCE_S
        while not (answer := ask()):
            assert time.monotonic() < deadline_s, "it did not come to that"
            time.sleep(0.02)
        return answer

    return until


class WebEndpoint:
    """An HTTP endpoint: `status` is what it answers, `heard` the texts of the notifications that came."""

    def __init__(self) -> None:
        self.status = 200
        self.heard: list[str] = []
        self.asked: list[str] = []
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if body["Type"] == "SubscriptionConfirmation":
                    endpoint.asked.append(body["Token"])
                    self.send_response(200)
                else:
                    endpoint.heard.append(body["Message"])
                    self.send_response(endpoint.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def web_endpoint() -> Iterator[WebEndpoint]:
    endpoint = WebEndpoint()
    yield endpoint
    endpoint.close()
