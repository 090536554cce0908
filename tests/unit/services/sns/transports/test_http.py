"""HTTP endpoints as the transport sees them; what is sent and how it is retried is for the SDK tests."""

import asyncio
import ssl

import pytest
import trustme

from headrace.services.sns import limits
from headrace.services.sns.transports import Verdict
from headrace.services.sns.transports.http import HttpTransport
from headrace.services.sns.transports.http_client import HttpClient


@pytest.fixture
async def transport(server):
    transport = HttpTransport(server, HttpClient())
    yield transport
    await transport.close()


@pytest.fixture
async def endpoint():
    """A function that serves a raw answer to each connection; its port."""
    servers = []

    async def serve(answer, tls=None, hangs=False):
        async def handle(reader, writer):
            try:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
                if hangs:
                    await reader.read()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        listening = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        servers.append(listening)
        return listening.sockets[0].getsockname()[1]

    yield serve
    for each in servers:
        each.close()


async def settle(clock, task, duration_ms):
    """Give what waits for a socket its time, then move the clock."""
    await asyncio.wait({task}, timeout=0.3)
    await clock.advance(duration_ms)


async def test_an_endpoint_that_takes_it(transport, endpoint, delivery_to):
    port = await endpoint(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok")
    outcome = await transport.deliver(delivery_to(f"http://127.0.0.1:{port}/"))
    assert (outcome.verdict, outcome.status, outcome.response) == (Verdict.DELIVERED, 202, "ok")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_answers_that_are_none(transport, endpoint, delivery_to, answer):
    port = await endpoint(answer)
    outcome = await transport.deliver(delivery_to(f"http://127.0.0.1:{port}/"))
    assert outcome.verdict is Verdict.RETRY
    assert "did not answer" in outcome.reason


async def test_an_answer_without_an_end(transport, endpoint, delivery_to):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    port = await endpoint(head + b"x" * (limits.RESPONSE_READ_BYTES + 1), hangs=True)
    outcome = await transport.deliver(delivery_to(f"http://127.0.0.1:{port}/"))
    assert (outcome.verdict, len(outcome.response)) == (Verdict.DELIVERED, limits.RESPONSE_KEPT_BYTES)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nslow"])
async def test_an_endpoint_that_hangs(transport, endpoint, delivery_to, clock, answer):
    port = await endpoint(answer, hangs=True)
    task = asyncio.create_task(transport.deliver(delivery_to(f"http://127.0.0.1:{port}/")))
    await settle(clock, task, limits.HTTP_ATTEMPT_MS - 1)
    assert not task.done()
    await settle(clock, task, 1)
    outcome = await task
    assert (outcome.verdict, outcome.status) == (Verdict.RETRY, None)
    assert "within 15 seconds" in outcome.reason


async def test_nobody_listens(transport, endpoint, delivery_to):
    port = await endpoint(b"")
    closed = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = closed.sockets[0].getsockname()[1]
    closed.close()
    await closed.wait_closed()
    outcome = await transport.deliver(delivery_to(f"http://127.0.0.1:{port}/"))
    assert outcome.verdict is Verdict.RETRY


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999/", "http://"])
async def test_what_is_no_address(transport, delivery_to, url):
    outcome = await transport.deliver(delivery_to(url))
    assert outcome.verdict is Verdict.FAILED


async def test_certificates_are_verified(server, endpoint, delivery_to, tmp_path):
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    port = await endpoint(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", tls=tls)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    found = {}
    for name, file in {"none": "", "own": str(ca_file)}.items():
        for host in ("localhost", "127.0.0.1"):
            transport = HttpTransport(server, HttpClient(file))
            found[name, host] = await transport.deliver(delivery_to(f"https://{host}:{port}/"))
            await transport.close()
    assert found["own", "localhost"].verdict is Verdict.DELIVERED
    for key in (("none", "localhost"), ("own", "127.0.0.1")):
        assert found[key].verdict is Verdict.RETRY
        assert "certificate" in found[key].reason
