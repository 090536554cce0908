"""What one may choose about a server, checked: where it listens, where its data is, which clock and quotas it has."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Final, Literal

import msgspec

MEMORY: Final = ":memory:"
"""The data directory that is none: everything is kept in memory and gone with the process."""

DEFAULT_DATA: Final = "./headrace-data"
DEFAULT_PORT: Final = 4566
EMBEDDED: Final = "embedded"
"""The NATS servers that are none: one is started under the data directory."""
MAX_WORKERS: Final = 256
MAX_PORT: Final = 65_535

EngineName = Literal["sqlite", "nats"]
ClockName = Literal["system", "virtual"]
QuotasName = Literal["aws", "none"]
PoliciesName = Literal["given", "aws"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "human", "json"]


class SettingsError(Exception):
    """Settings that cannot be served with; the message is one line that says what to change."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `headrace serve` is told. `port` 0 takes a free one; `test_endpoints` None means on loopback only."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    data: str = DEFAULT_DATA
    engine: EngineName = "sqlite"
    nats: str | None = None
    replicas: int = 1
    workers: int = 1
    nats_prefix: str = "headrace"
    nats_domain: str | None = None
    nats_user: str | None = None
    nats_password: str | None = None
    nats_token: str | None = None
    nats_nkey: str | None = None
    nats_creds: str | None = None
    nats_tls_ca: str | None = None
    nats_tls_cert: str | None = None
    nats_tls_key: str | None = None
    clock: ClockName = "system"
    quotas: QuotasName = "aws"
    policies: PoliciesName = "given"
    tls_cert: str | None = None
    tls_key: str | None = None
    share_port: bool = False
    test_endpoints: bool | None = None
    resources: str | None = None
    public_url: str | None = None
    smtp_url: str | None = None
    smtp_from: str = "no-reply@headrace.local"
    sms_url: str | None = None
    sms_body: str | None = None
    sms_number: str | None = None
    sms_sandbox: bool = False
    push: str | None = None
    outgoing_ca: str | None = None
    signing_key: str | None = None
    signing_cert: str | None = None
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"

    def check(self) -> None:
        """Raise SettingsError when these settings cannot be served with."""
        try:
            msgspec.convert(msgspec.structs.asdict(self), Settings)
        except msgspec.ValidationError as error:
            raise SettingsError(str(error)) from error
        if not 0 <= self.port <= MAX_PORT:
            raise SettingsError(f"port must be between 0 and {MAX_PORT}, not {self.port}")
        if not self.data:
            raise SettingsError(f"data must be a directory or {MEMORY}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("TLS needs both a certificate (--tls-cert) and its key (--tls-key)")
        files = (self.tls_cert, self.tls_key, self.resources, self.outgoing_ca, self.signing_key, self.signing_cert)
        for path in files:
            if path is not None and not Path(path).is_file():
                raise SettingsError(f"there is no file {path}")
        self._check_engine()
        self._check_channels()

    def _check_engine(self) -> None:
        if self.engine == "nats" and not self.nats:
            raise SettingsError(f"the engine nats needs --nats with the URLs of its servers, or --nats {EMBEDDED}")
        if self.engine != "nats" and self.nats:
            raise SettingsError("--nats is for --engine nats")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise SettingsError(f"workers must be between 1 and {MAX_WORKERS}, not {self.workers}")
        if self.workers > 1 and self.engine != "nats":
            raise SettingsError(f"several workers need --engine nats: {self.engine} has its data in one process")
        if self.workers > 1 and self.clock == "virtual":
            raise SettingsError("a virtual clock is one process's own: use it with one worker")
        if self.nats == EMBEDDED and self.replicas > 1:
            raise SettingsError("an embedded NATS server is one: it keeps one replica")

    def _check_channels(self) -> None:
        """What the services that send messages out check is not checked here."""
        if (self.signing_key is None) != (self.signing_cert is None):
            raise SettingsError("messages are signed with a key (--signing-key) and its certificate (--signing-cert)")
        if self.public_url is not None and not self.public_url.startswith(("http://", "https://")):
            raise SettingsError(f"public_url must be a URL like https://headrace.example, not {self.public_url}")
        if self.sms_body is not None and not (self.sms_url or "").startswith(("http://", "https://")):
            raise SettingsError("--sms-body is for an --sms-url that is called over HTTP")

    @property
    def serves_test_endpoints(self) -> bool:
        """Whether anyone who reaches the server may reset it and move its clock."""
        return is_loopback(self.host) if self.test_endpoints is None else self.test_endpoints

    @property
    def base_url(self) -> str:
        """The URL that these settings listen on, as far as it is known before the port is bound."""
        scheme = "https" if self.tls_cert else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`, a name or an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
