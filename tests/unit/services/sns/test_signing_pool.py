from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from headrace.services.sns import limits
from headrace.services.sns.signing_pool import SigningPool
from headrace.services.sns.signing_process import Key, digest

HASHES = {"1": hashes.SHA1(), "2": hashes.SHA256()}
WAIT_S = 30


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.fixture
async def pool(rsa_key):
    pool = SigningPool(Key(rsa_key))
    yield pool
    await pool.close()


@pytest.fixture
def check(rsa_key):
    """Raises unless a signature is the data's."""

    def check(signature, data, version):
        rsa_key.public_key().verify(base64.b64decode(signature), data, padding.PKCS1v15(), HASHES[version])

    return check


@pytest.fixture
async def busy(pool, monkeypatch):
    """The pool, after as much was asked of it as has its processes started."""
    monkeypatch.setattr(limits, "SIGNED_HERE_PER_S", 3)
    await asyncio.gather(*(pool.begin(digest(b"%d" % n, "2"), "2") for n in range(5)))
    await until(lambda: len(pool.processes) == min(limits.SIGNING_PROCESSES, os.cpu_count()))
    return pool


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - processes tell nothing
            await asyncio.sleep(0.01)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_few_are_signed_on_the_loop(pool, check, version):
    for n in range(10):
        data = b"%d" % n
        check(await pool.begin(digest(data, version), version), data, version)
    assert pool.processes == []


async def test_the_loop_goes_on_meanwhile(pool):
    futures = [pool.begin(digest(b"%d" % n, "1"), "1") for n in range(10)]
    seen = []
    while not all(future.done() for future in futures):
        await asyncio.sleep(0)
        seen.append(sum(future.done() for future in futures))
    assert len(set(seen)) > 2


async def test_who_waits_is_told_of_a_failure(pool, check, monkeypatch):
    answer, answers = pool._key.answer, iter([ValueError("no"), None])

    def fails_once(asked):
        if error := next(answers):
            raise error
        return answer(asked)

    monkeypatch.setattr(pool._key, "answer", fails_once)
    refused, signed = (pool.begin(digest(b"x", "1"), "1") for _ in range(2))
    with pytest.raises(ValueError, match="no"):
        await refused
    check(await signed, b"x", "1")


async def test_many_are_signed_in_processes(busy, check, monkeypatch):
    monkeypatch.setattr(busy._key, "answer", None)  # nothing is signed here any more
    asked = [(b"%d" % n, "12"[n % 2]) for n in range(300)]
    made = await asyncio.gather(*(busy.begin(digest(data, version), version) for data, version in asked))
    for signature, (data, version) in zip(made, asked, strict=True):
        check(signature, data, version)


async def test_what_a_process_does_not_live_to_sign_is_signed_all_the_same(busy, check):
    asked = [b"%d" % n for n in range(200)]
    begun = [busy.begin(digest(data, "2"), "2") for data in asked]
    await asyncio.sleep(0)
    for pid in busy.processes:
        os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(WAIT_S):
        for signature, data in zip(await asyncio.gather(*begun), asked, strict=True):
            check(signature, data, "2")


@pytest.mark.parametrize("killed", [1, limits.SIGNING_PROCESSES])
async def test_processes_that_were_killed_are_started_again(busy, killed):
    before = busy.processes
    for pid in before[:killed]:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: busy.processes == before[killed:])
    busy._not_before_s = 0.0  # a second later
    await asyncio.gather(*(busy.begin(digest(b"%d" % n, "2"), "2") for n in range(5)))
    await until(lambda: len(busy.processes) == len(before))
    assert set(before[:killed]).isdisjoint(busy.processes)


async def test_processes_end_when_there_is_nothing_to_sign(pool, monkeypatch):
    monkeypatch.setattr(limits, "SIGNED_HERE_PER_S", 3)
    monkeypatch.setattr(limits, "SIGNING_IDLE_S", 0.05)
    await asyncio.gather(*(pool.begin(digest(b"%d" % n, "2"), "2") for n in range(5)))
    await until(lambda: pool.processes)
    pids = pool.processes
    await until(lambda: not any(map(alive, pids)))
    assert pool.processes == []


async def test_a_signal_to_all_ends_them_no_sooner_than_their_server(busy, check):
    for pid in busy.processes:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    await asyncio.sleep(0.1)
    assert all(map(alive, busy.processes))
    check(await busy.begin(digest(b"x", "1"), "1"), b"x", "1")


async def test_what_was_begun_is_signed_before_the_end(busy, check):
    pids = busy.processes
    begun = [busy.begin(digest(b"x", "1"), "1") for _ in range(50)]
    await asyncio.sleep(0)
    await busy.close()
    assert not any(map(alive, pids))
    for future in begun:
        check(future.result(), b"x", "1")
    with pytest.raises(RuntimeError):
        busy.begin(digest(b"x", "1"), "1")


async def test_the_end_before_the_processes_are_ready(pool, monkeypatch):
    monkeypatch.setattr(limits, "SIGNED_HERE_PER_S", 1)
    await pool.begin(digest(b"x", "1"), "1")
    await pool.close()
    assert pool.processes == []


async def test_who_does_not_wait_any_more_is_passed_over(busy, check):
    given_up, kept = (busy.begin(digest(data, "1"), "1") for data in (b"a", b"b"))
    given_up.cancel()
    check(await kept, b"b", "1")


@pytest.mark.parametrize("program", ["/nowhere/python", "false"])
async def test_without_processes_all_is_signed_on_the_loop(pool, check, monkeypatch, program):
    monkeypatch.setattr(limits, "SIGNED_HERE_PER_S", 3)
    start, started = pool._start, []

    async def counted(count):
        started.append(program)
        await start(count)

    async def sign_some():
        for n in range(10):
            data = b"%d" % n
            check(await pool.begin(digest(data, "2"), "2"), data, "2")
        await until(lambda: pool._starting is None and not pool._alive)

    monkeypatch.setattr(pool, "_start", counted)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", program)
        await sign_some()
        await sign_some()
    assert pool.processes == []
    assert len(started) == 1
    pool._not_before_s = 0.0  # that long after
    for n in range(10):
        await pool.begin(digest(b"%d" % n, "2"), "2")
    await until(lambda: pool.processes)
