from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from headrace.clock import VirtualClock
from headrace.context import Channels, Quotas, Server
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.errors import ServiceError
from headrace.services.sns import limits, signing
from headrace.services.sns.signing_process import digest

START_MS = 1_700_000_000_000


async def no_other_service(*_: Any, **__: Any) -> dict[str, Any]:
    raise AssertionError("signing calls no service")


def process(engine: SqliteEngine, clock: VirtualClock, **channels: str) -> Server:
    """What a process that uses the engine shares."""
    return Server(
        clock=clock,
        engine=engine,
        quotas=Quotas(),
        base_url="http://localhost:4566",
        invoke=no_other_service,
        prepare=no_other_service,
        prepare_together=no_other_service,
        channels=Channels(**channels),
    )


@pytest.fixture
async def engine() -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(":memory:", VirtualClock(START_MS))
    await engine.start()
    yield engine
    await engine.drain()
    await engine.close()


@pytest.fixture
async def server(engine) -> AsyncIterator[Server]:
    server = process(engine, VirtualClock(START_MS))
    yield server
    await signing.close(server)


@pytest.fixture(scope="module")
def own() -> signing.KeyRecord:
    return signing.make_key(START_MS)


@pytest.mark.parametrize(("version", "algorithm"), [("1", hashes.SHA1()), ("2", hashes.SHA256())])
async def test_signatures_hold_against_the_certificate(server, version, algorithm):
    signer = await signing.signer(server)
    key = x509.load_pem_x509_certificate(signer.certificate).public_key()
    signature = base64.b64decode(await signer.begin("text \ud83c\udf0d \ud800", version))
    data = "text \ud83c\udf0d \ud800".encode(errors="surrogatepass")
    key.verify(signature, data, padding.PKCS1v15(), algorithm)
    with pytest.raises(InvalidSignature):
        key.verify(signature, data + b"!", padding.PKCS1v15(), algorithm)


async def test_what_is_sent_to_many_is_signed_once(server, monkeypatch):
    signer = await signing.signer(server)
    begin, begun = signer.pool.begin, []

    def counted(signed, version):
        begun.append((signed, version))
        return begin(signed, version)

    monkeypatch.setattr(signer.pool, "begin", counted)
    monkeypatch.setattr(limits, "SIGNATURES_KEPT", 2)
    given_up = asyncio.ensure_future(signer.begin("a", "1"))
    others = [signer.begin("a", "1") for _ in range(3)]
    given_up.cancel()
    assert len({await each for each in others}) == 1
    assert await signer.begin("a", "2") != await signer.begin("a", "1")
    first, second = (digest(b"a", "1"), "1"), (digest(b"a", "2"), "2")
    assert begun == [first, second]
    for text in ("b", "a"):
        await signer.begin(text, "1")
    assert begun == [first, second, (digest(b"b", "1"), "1"), first]
    assert len(signer._made) == 2


async def test_what_failed_is_signed_anew(server, monkeypatch):
    signer = await signing.signer(server)

    def failing(*_):
        made = asyncio.get_running_loop().create_future()
        made.set_exception(OSError("once"))
        return made

    with monkeypatch.context() as patched:
        patched.setattr(signer.pool, "begin", failing)
        with pytest.raises(OSError, match="once"):
            await signer.begin("a", "1")
    assert await signer.begin("a", "1")


async def test_the_certificate_is_valid_for_years(server):
    certificate = x509.load_pem_x509_certificate((await signing.signer(server)).certificate)
    begins_ms = certificate.not_valid_before_utc.timestamp() * 1000
    assert begins_ms < START_MS
    assert certificate.not_valid_after_utc.timestamp() * 1000 > START_MS + 9 * 365 * 86_400_000


async def test_the_key_is_made_once(server):
    signers = await asyncio.gather(*(signing.signer(server) for _ in range(5)))
    assert len({id(each) for each in signers}) == 1


async def test_processes_share_the_key(engine, server):
    others = [process(engine, VirtualClock(START_MS)) for _ in range(2)]
    signers = await asyncio.gather(*(signing.signer(each) for each in (server, *others)))
    assert len({each.certificate_id for each in signers}) == 1
    assert len({await each.begin("x", "2") for each in signers}) == 1


async def test_certificates_are_found_by_their_ids(engine, server):
    signer = await signing.signer(server)
    elsewhere = process(engine, VirtualClock(START_MS))
    for each in (server, elsewhere):
        assert await signing.certificate(each, signer.certificate_id) == signer.certificate
        assert await signing.certificate(each, "0" * 32) is None


def files(folder, record: signing.KeyRecord) -> dict[str, str]:
    paths = {"signing_key": folder / "key.pem", "signing_cert": folder / "cert.pem"}
    paths["signing_key"].write_bytes(record.key)
    paths["signing_cert"].write_bytes(record.certificate)
    return {name: str(path) for name, path in paths.items()}


async def test_a_key_of_the_settings(engine, server, own, tmp_path):
    before = await signing.signer(server)
    supplied = process(engine, VirtualClock(START_MS), **files(tmp_path, own))
    signer = await signing.signer(supplied)
    assert signer.certificate == own.certificate
    assert await signing.certificate(supplied, signer.certificate_id) == own.certificate
    # What was signed before can still be checked, and what is signed now by whoever has the data.
    assert await signing.certificate(supplied, before.certificate_id) == before.certificate
    assert await signing.certificate(server, signer.certificate_id) == own.certificate


@pytest.mark.parametrize("broken", ["no key", "no file", "another certificate"])
async def test_a_key_that_cannot_be_used(engine, own, tmp_path, broken):
    paths = files(tmp_path, own)
    if broken == "no key":
        (tmp_path / "key.pem").write_text("nothing")
    elif broken == "no file":
        (tmp_path / "key.pem").unlink()
    else:
        (tmp_path / "cert.pem").write_bytes(signing.make_key(START_MS).certificate)
    with pytest.raises(ServiceError) as caught:
        await signing.signer(process(engine, VirtualClock(START_MS), **paths))
    assert caught.value.code == "InternalError"
    assert caught.value.message.startswith("messages cannot be signed with ")


def test_the_record_survives_storage(own):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(own), type=signing.KeyRecord) == own


async def test_a_signer_that_is_let_go_is_loaded_again(server):
    before = await signing.signer(server)
    await signing.close(server)
    await signing.close(server)
    after = await signing.signer(server)
    assert after is not before
    assert after.certificate_id == before.certificate_id
