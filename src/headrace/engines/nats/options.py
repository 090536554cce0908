"""Where the NATS servers are and how to speak to them, read from what the settings say."""

from __future__ import annotations

import re
import ssl
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from headrace.engines.nats.credentials import Credentials
from headrace.errors import StorageError

DEFAULT_PORT: Final = 4222
SCHEMES: Final = ("nats", "tls")
REPLICAS: Final = (1, 3, 5)


class OptionsWrong(StorageError):
    """Options that cannot be connected with; the message says what to change."""


class Server(msgspec.Struct, frozen=True):
    """One server to connect to; `tls` demands an encrypted connection."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """All that the engine is told about the cluster.

    `urls` are comma-separated (`nats://host:port`, `tls://user:password@host`). `prefix` begins the name of every
    stream and subject, so that several deployments share a cluster; `domain` is the JetStream domain. The NATS account
    is the one that the credentials belong to.
    """

    urls: str
    replicas: int = 1
    prefix: str = "headrace"
    domain: str | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    nkey: str | None = None
    creds: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None

    def check(self) -> None:
        """Raise OptionsWrong (or CredentialsWrong, for files that cannot be read) for what cannot be connected with."""
        servers(self.urls)
        if self.replicas not in REPLICAS:
            raise OptionsWrong(f"The number of replicas is 1, 3 or 5, not {self.replicas}.")
        for what, text in (("prefix", self.prefix), ("domain", self.domain)):
            if text is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", text):
                raise OptionsWrong(f"The NATS {what} is 1 to 32 letters, digits, - and _, not {text!r}.")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise OptionsWrong("A NATS client certificate needs its key, and a key its certificate.")
        self.credentials()
        self.ssl_context()

    def credentials(self, server: Server | None = None) -> Credentials:
        """The credentials for a server: those of its URL, or else those of the options."""
        if server is not None and server.user is not None:
            if server.password is None:
                return Credentials(token=server.user)
            return Credentials(user=server.user, password=server.password)
        return Credentials(user=self.user, password=self.password, token=self.token, nkey=self.nkey, creds=self.creds)

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS settings: the CA file's certificates, or the system's; a client certificate when given."""
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
            if self.tls_cert is not None:
                context.load_cert_chain(self.tls_cert, self.tls_key)
        except (OSError, ssl.SSLError) as cause:
            raise OptionsWrong(f"The NATS certificates cannot be used: {cause}.") from cause
        return context

    @property
    def wants_tls(self) -> bool:
        """Whether TLS was asked for by more than a URL."""
        return self.tls_ca is not None or self.tls_cert is not None


def servers(urls: str) -> list[Server]:
    """The servers of comma-separated URLs; a bare `host:port` is `nats://`. Raises OptionsWrong."""
    found = [_server(url.strip()) for url in urls.split(",") if url.strip()]
    if not found:
        raise OptionsWrong("The cluster engine needs the URLs of NATS servers: --nats nats://host:4222")
    return found


def _server(url: str) -> Server:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    try:
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError:
        port = 0
    if parts.scheme not in SCHEMES or not parts.hostname or not port or parts.path.strip("/"):
        raise OptionsWrong(f"{url} is no NATS URL: nats://host:port or tls://host:port")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return Server(parts.hostname, port, parts.scheme == "tls", user, password)
