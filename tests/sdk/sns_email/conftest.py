"""Mail servers that are real (aiosmtpd), and a Headrace that hands its e-mail in there."""

import asyncio
import contextlib
import email
import email.policy
import re
import ssl
import threading
import urllib.request

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

PATIENCE_S = 30


class Mailbox:
    """What a mail server does with what is handed in. `replies` are what the next messages are answered with."""

    def __init__(self):
        self.mails = []
        self.envelopes = []
        self.peers = set()
        self.replies = []
        self.refused = {}
        self.refusals = 0
        self.logins = []
        self.tls = []
        self._changed = threading.Condition()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        if address in self.refused:
            with self._changed:
                self.refusals += 1
                self._changed.notify_all()
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        with self._changed:
            reply = self.replies.pop(0) if self.replies else "250 taken"
            if reply.startswith("250"):
                self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
                self.envelopes.append(envelope)
            self.peers.add(session.peer)
            self.tls.append(session.ssl is not None)
            self._changed.notify_all()
        return reply

    def authenticate(self, server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"s3cret")

    def wait(self, count, patience_s=PATIENCE_S):
        with self._changed:
            return self._changed.wait_for(lambda: len(self.mails) >= count, patience_s)

    def expect_refusals(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: self.refusals >= count, PATIENCE_S), "nobody was refused"

    def expect(self, count):
        assert self.wait(count), f"{len(self.mails)} e-mails came, not {count}"
        return self.mails[:count]


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def mail_server():
    """A function that starts a mail server with these options; its mailbox and its port."""
    with contextlib.ExitStack() as stack:

        def start(**options):
            mailbox = Mailbox()
            if options.pop("asks_login", False):
                options |= {"authenticator": mailbox.authenticate, "auth_required": True}
            tls = options.pop("ssl_context", None)
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, daemon=True)
            thread.start()

            async def listen():
                return await loop.create_server(lambda: SMTP(mailbox, **options), "127.0.0.1", 0, ssl=tls)

            async def stop(server):
                server.close()
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()
                    await asyncio.wait({task})
                await server.wait_closed()

            def end():
                asyncio.run_coroutine_threadsafe(stop(server), loop).result(PATIENCE_S)
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
                loop.close()

            server = asyncio.run_coroutine_threadsafe(listen(), loop).result(PATIENCE_S)
            stack.callback(end)
            return mailbox, server.sockets[0].getsockname()[1]

        yield start


@pytest.fixture
def serve_with(serve):
    """A function that starts a Headrace with these settings; ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serve(**settings))


@pytest.fixture
def visit():
    """A function that opens a link; with data it posts that."""

    def visit(url, data=None):
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=PATIENCE_S) as response:
            return response.read().decode()

    return visit


@pytest.fixture
def link_in():
    """A function that gives the first link in a text."""
    return lambda text: re.search(r"https?://\S+", text)[0]


@pytest.fixture
def until_mailed():
    """A function that moves a server's clock on until so many e-mails have come."""

    def until_mailed(server, mailbox, count, step_s=60):
        for _ in range(200):
            if mailbox.wait(count, 0.2):
                return mailbox.mails[:count]
            server.advance(step_s)
        raise AssertionError(f"{len(mailbox.mails)} e-mails came, not {count}")

    return until_mailed
