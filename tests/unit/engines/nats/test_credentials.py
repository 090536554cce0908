"""Credentials: seeds, nkeys and credentials files, against real servers that ask for them."""

import asyncio
import base64
import json
import os

import pytest
import trustme

from headrace.engines.nats.credentials import Credentials, CredentialsWrong, Signer, crc16, read_creds
from headrace.engines.nats.engine import NatsEngine
from headrace.engines.nats.options import Options
from headrace.errors import StorageError
from headrace.primitives.logs import Appending, LogSettings
from headrace.primitives.queues import Outcome, Outgoing, QueueSettings

SEED_PREFIX = bytes([18 << 3 | 20 << 3 >> 5, (20 << 3 & 31) << 3])
"""A seed (S) of a user (U)."""


def new_seed():
    raw = SEED_PREFIX + os.urandom(32)
    return base64.b32encode(raw + crc16(raw).to_bytes(2, "little")).rstrip(b"=").decode()


def test_a_seed_has_a_public_key():
    seed = new_seed()
    assert seed.startswith("SU")
    assert Signer(seed).public.startswith("U")
    assert len(Signer(seed).public) == 56


@pytest.mark.parametrize("seed", ["", "SU", "SUA" + "A" * 55, "no seed at all"])
def test_what_is_no_seed(seed):
    with pytest.raises(CredentialsWrong):
        Signer(seed)


def test_a_seed_may_stand_in_a_file(tmp_path):
    seed = new_seed()
    (tmp_path / "seed").write_text(f"# mine\n{seed}\n")
    (tmp_path / "other").write_text("nothing")
    assert Credentials(nkey=str(tmp_path / "seed")).fields(None)["nkey"] == Signer(seed).public
    with pytest.raises(CredentialsWrong, match="no nkey seed"):
        Credentials(nkey=str(tmp_path / "other"))


def test_a_credentials_file(tmp_path):
    seed = new_seed()
    begin, end = "-----BEGIN {}-----", "------END {}------"
    text = "\n".join(
        [
            begin.format("NATS USER JWT"), "e.y.J", end.format("NATS USER JWT"), "",
            begin.format("USER NKEY SEED"), seed, end.format("USER NKEY SEED"),
        ]
    )  # fmt: skip
    (tmp_path / "me.creds").write_text(text)
    assert read_creds(str(tmp_path / "me.creds")) == ("e.y.J", seed)
    fields = Credentials(creds=str(tmp_path / "me.creds")).fields("nonce")
    assert fields == {"jwt": "e.y.J", "sig": Signer(seed).sign("nonce")}
    (tmp_path / "no.creds").write_text("nothing")
    with pytest.raises(CredentialsWrong, match="no NATS credentials file"):
        read_creds(str(tmp_path / "no.creds"))


@pytest.mark.parametrize("how", ["user", "token", "nkey"])
async def test_a_server_takes_them_and_refuses_others(own_server, connect, how):
    seed = new_seed()
    asked = {
        "user": "authorization {user: me, password: secret}",
        "token": "authorization {token: secret}",
        "nkey": f"authorization {{users: [{{nkey: {Signer(seed).public}}}]}}",
    }[how]
    given = {"user": {"user": "me", "password": "secret"}, "token": {"token": "secret"}, "nkey": {"nkey": seed}}[how]
    server = own_server(extra=f"\n{asked}\n")
    server.launch()
    await until_it_listens(server)
    connection = await connect(server.url, **given)
    await connection.flush()
    with pytest.raises(StorageError, match="Authorization Violation"):
        await connect(server.url)


PERMITTED = {
    "publish": ["headrace.>", "$JS.API.>", "$JS.FC.>", "_INBOX.>"],
    "subscribe": ["headrace.>", "_INBOX.>"],
}
"""What docs/CLUSTER.md says that a user of Headrace's must be permitted."""


async def test_a_user_who_may_do_no_more_than_is_needed(own_server, clock):
    user = {"user": "me", "password": "secret", "permissions": PERMITTED}
    server = own_server(extra=f"\nauthorization {{users: {json.dumps([user])}}}\n")
    server.launch()
    await until_it_listens(server)
    engines = [NatsEngine(Options(urls=server.url, user="me", password="secret"), clock) for _ in range(2)]
    for engine in engines:
        await engine.start()
    one, other = engines
    await one.queues.open("q", QueueSettings(fifo=True))
    await one.queues.send("q", [Outgoing(body="a", header=b"", group="g", dedup_id="d")])
    [received] = await other.queues.receive("q", max_messages=1)
    assert await other.queues.delete("q", [received.receipt]) == [Outcome.DONE]
    await one.logs.open("l", LogSettings(retention_ms=None))
    waiting = asyncio.create_task(other.logs.wait("l", 0, wait_ms=20_000))
    await one.logs.append("l", [Appending("k", b"data")] * 100)
    assert await waiting
    assert len(await other.logs.read("l", 0, max_records=1000, max_bytes=1 << 20)) == 100
    await one.metadata.put("key", b"value")
    await other.metadata.sync()
    assert (await other.metadata.get("key")).value == b"value"
    lease = await one.metadata.lease("work", holder="me", ttl_ms=5000)
    assert lease is not None
    await lease.release()
    for engine in engines:
        await engine.close()
    assert "Violation" not in server.log


async def until_it_listens(server):
    while not server._answers():
        pass


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_tls(own_server, connect, tmp_path, scheme):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    server = own_server(extra=f'\ntls {{cert_file: "{tmp_path}/cert.pem", key_file: "{tmp_path}/key.pem"}}\n')
    await server.start()
    url = server.url.replace("nats", scheme, 1)
    connection = await connect(url, tls_ca=str(tmp_path / "ca.pem"))
    await connection.flush()
    with pytest.raises(StorageError, match="certificate"):
        await connect(url)
