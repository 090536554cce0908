"""The whole engine on servers that ask who comes: JWTs, client certificates, permissions, accounts, a domain."""

import base64
import json
import os

import pytest
import trustme

from headrace.clock import SystemClock
from headrace.engines.nats.credentials import Signer, crc16
from headrace.engines.nats.engine import NatsEngine
from headrace.engines.nats.options import Options
from headrace.errors import StorageError
from headrace.primitives.logs import Appending, LogSettings
from headrace.primitives.queues import Outcome, Outgoing, QueueSettings

OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3
"""What the nkeys of each begin with."""
UNLIMITED = dict.fromkeys(
    ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams"), -1
)


async def use(engine):
    """Do something with each primitive."""
    await engine.start()
    try:
        revision = await engine.metadata.put("k", b"v")
        assert (await engine.metadata.get("k")).revision == revision
        lease = await engine.metadata.lease("l", ttl_ms=10_000, holder="me")
        await lease.release()
        await engine.logs.open("log", LogSettings())
        assert await engine.logs.append("log", [Appending(key="k", data=b"d")])
        assert [each.data for each in await engine.logs.read("log", 0, max_records=9, max_bytes=999)] == [b"d"]
        await engine.queues.open("q", QueueSettings())
        await engine.queues.send("q", [Outgoing(body="b", header=b"")])
        [message] = await engine.queues.receive("q", max_messages=1)
        assert await engine.queues.delete("q", [message.receipt]) == [Outcome.DONE]
        await engine.reset()
    finally:
        await engine.drain()
        await engine.close()


def engine_on(server, **options):
    return NatsEngine(Options(urls=server.url, **options), SystemClock())


def new_key(kind):
    """The seed of a new nkey."""
    raw = bytes([18 << 3 | kind >> 5, (kind & 31) << 3]) + os.urandom(32)
    return base64.b32encode(raw + crc16(raw).to_bytes(2, "little")).rstrip(b"=").decode()


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def jwt(issuer, subject, kind, **claims):
    """A JWT of NATS, signed with an nkey."""
    header = {"typ": "JWT", "alg": "ed25519-nkey"}
    body = {"jti": "x", "iat": 1, "iss": Signer(issuer).public, "sub": Signer(subject).public, "name": kind}
    signed = f"{encoded(header)}.{encoded(body | {'nats': {'type': kind, 'version': 2} | claims})}"
    return f"{signed}.{Signer(issuer).sign(signed)}"


async def test_a_credentials_file(own_server, tmp_path):
    operator, system, account, user = new_key(OPERATOR), new_key(ACCOUNT), new_key(ACCOUNT), new_key(USER)
    limits = UNLIMITED | {"wildcards": True, "consumer": -1}
    accounts = {
        Signer(each).public: jwt(operator, each, "account", limits=limits if each == account else {"conn": -1})
        for each in (system, account)
    }
    preload = "\n".join(f"{name}: {text}" for name, text in accounts.items())
    server = own_server(
        extra=f"\noperator: {jwt(operator, operator, 'operator')}\nsystem_account: {Signer(system).public}\n"
        f"resolver: MEMORY\nresolver_preload {{\n{preload}\n}}\n"
    )
    await server.start()
    token = jwt(account, user, "user", pub={}, sub={}, subs=-1, data=-1, payload=-1)
    file = tmp_path / "me.creds"
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user}\n------END USER NKEY SEED------\n"
    )
    await use(engine_on(server, creds=str(file)))
    file.write_text(file.read_text().replace(user, new_key(USER)))
    with pytest.raises(StorageError, match="Authorization Violation"):
        await engine_on(server, creds=str(file)).start()


async def test_a_client_certificate(own_server, tmp_path):
    authority = trustme.CA()
    paths = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key", "own_cert", "own_key")}
    authority.cert_pem.write_to_path(paths["ca"])
    for prefix, leaf in (("", authority.issue_cert("127.0.0.1")), ("own_", authority.issue_cert("headrace"))):
        leaf.cert_chain_pems[0].write_to_path(paths[f"{prefix}cert"])
        leaf.private_key_pem.write_to_path(paths[f"{prefix}key"])
    tls = {"cert_file": paths["cert"], "key_file": paths["key"], "ca_file": paths["ca"], "verify": True}
    server = own_server(extra=f"\ntls {json.dumps(tls)}\n")
    await server.start()
    await use(engine_on(server, tls_ca=paths["ca"], tls_cert=paths["own_cert"], tls_key=paths["own_key"]))
    with pytest.raises(StorageError, match="No NATS server can be used"):
        await engine_on(server, tls_ca=paths["ca"]).start()


async def test_a_user_who_may_use_a_prefix_alone(own_server):
    permissions = {
        "publish": ["mine.>", "_INBOX.>", "$JS.API.>", "$JS.FC.>"],
        "subscribe": ["mine.>", "_INBOX.>"],
    }
    users = [{"user": "me", "password": "secret", "permissions": permissions}]
    server = own_server(extra=f"\nauthorization {json.dumps({'users': users})}\n")
    await server.start()
    await use(engine_on(server, user="me", password="secret", prefix="mine"))


async def test_deployments_of_two_accounts_on_one_server(own_server):
    def account(name):
        return {"jetstream": "enabled", "users": [{"user": name, "password": "secret"}]}

    server = own_server(extra=f"\naccounts {json.dumps({'A': account('a'), 'B': account('b')})}\n")
    await server.start()
    first, second = (engine_on(server, user=name, password="secret") for name in ("a", "b"))
    await first.start()
    await first.metadata.put("k", b"of a")
    await second.start()
    assert await second.metadata.get("k") is None
    await first.close()
    await second.close()


async def test_a_domain(own_server, tmp_path):
    server = own_server(extra=f'\njetstream {{domain: hub, store_dir: "{tmp_path}/store"}}\n')
    await server.start()
    await use(engine_on(server, domain="hub"))
    await use(engine_on(server))


async def test_without_jetstream(own_server):
    server = own_server(extra="\njetstream: false\n")
    await server.start()
    engine = engine_on(server)
    with pytest.raises(StorageError, match="JetStream is off"):
        await engine.start()
    await engine.close()
