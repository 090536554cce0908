from __future__ import annotations

import asyncio
import base64
import threading

import pytest

from headrace.services.sns.signing_threads import CannotSign, NativeKey, SigningThreads


@pytest.fixture
def threads():
    made = []

    def make(sign):
        made.append(SigningThreads(sign))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def test_each_gets_its_own_signature(threads):
    signing = threads(lambda data, version: version.encode() + data)
    futures = [signing.begin(b"%d" % n, "2") for n in range(50)]
    made = [base64.b64decode(signature) for signature in await asyncio.gather(*futures)]
    assert made == [b"2%d" % n for n in range(50)]


async def test_the_loop_goes_on_meanwhile(threads):
    release = threading.Event()

    def sign(data, version):
        assert release.wait(30)
        return data

    future = threads(sign).begin(b"x", "1")
    for _ in range(10):
        await asyncio.sleep(0)
    assert not future.done()
    release.set()
    assert base64.b64decode(await future) == b"x"


async def test_who_waits_is_told_of_a_failure(threads):
    def sign(data, version):
        raise CannotSign("no")

    with pytest.raises(CannotSign):
        await threads(sign).begin(b"x", "1")


async def test_who_does_not_wait_any_more_is_passed_over(threads):
    signing = threads(lambda data, version: data)
    given_up, kept = signing.begin(b"a", "1"), signing.begin(b"b", "1")
    given_up.cancel()
    assert base64.b64decode(await kept) == b"b"


async def test_after_the_end_nothing_is_signed(threads):
    signing = threads(lambda data, version: data)
    signing.close()
    with pytest.raises(RuntimeError):
        await signing.begin(b"x", "1")


def test_a_key_that_is_none():
    with pytest.raises(CannotSign):
        NativeKey(b"nothing", 256, lambda data, version: b"")
