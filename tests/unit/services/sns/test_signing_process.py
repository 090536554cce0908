from __future__ import annotations

import hashlib
import os
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from headrace.services.sns.signing_process import LENGTH_BYTES, READY, Key, digest, request, serve


@pytest.fixture(scope="module", params=[2_048, 3_072])
def key(request):
    return Key(rsa.generate_private_key(public_exponent=65_537, key_size=request.param))


@pytest.fixture
def pipes():
    """A process as its server sees it, on a thread: where to write and where to read from."""
    source, to_process = os.pipe()
    from_process, target = os.pipe()

    def work():
        try:
            serve(source, target)
        except EOFError:
            os.write(target, b"no key")
        finally:
            os.close(source)
            os.close(target)

    thread = threading.Thread(target=work)
    thread.start()
    with os.fdopen(to_process, "wb", buffering=0) as writing, os.fdopen(from_process, "rb") as reading:
        yield writing, reading
    thread.join()


def test_versions_are_digests():
    assert digest(b"text", "1") == hashlib.sha1(b"text").digest()
    assert digest(b"text", "2") == hashlib.sha256(b"text").digest()


def test_requests_are_answered_in_their_order(key, pipes):
    writing, reading = pipes
    writing.write(len(key.der).to_bytes(LENGTH_BYTES) + key.der)
    assert reading.read(1) == READY
    requests = [request(digest(b"%d" % n, version), version) for n in range(10) for version in "12"]
    sent = b"".join(requests)
    writing.write(sent[:50])
    writing.write(sent[50:])
    writing.close()
    answers = reading.read()
    expected = [key.answer(each) for each in requests]
    assert len(set(expected)) == 20
    assert {len(each) for each in expected} == {key.signature_chars}
    assert answers == b"".join(expected)


def test_an_end_without_a_key(pipes):
    writing, reading = pipes
    writing.write(b"\0\0")
    writing.close()
    assert reading.read() == b"no key"
