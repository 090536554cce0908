import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.services.sns.transports import http_auth
from headrace.services.sns.transports.http_auth import Challenge, Credentials

MUFASA = Credentials("Mufasa", "Circle of Life")
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host/a?b", ("http://host/a?b", None)),
        ("http://shop:p%40ss@host:81/a", ("http://host:81/a", Credentials("shop", "p@ss"))),
        ("https://shop@[::1]/", ("https://[::1]/", Credentials("shop", ""))),
    ],
)
def test_credentials_are_split_off(url, expected):
    assert http_auth.split_credentials(url) == expected


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm, response):
    [challenge] = http_auth.parse(
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, nonce="{NONCE}", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    header = http_auth.authorization(challenge, MUFASA, method="GET", target="/dir/index.html", cnonce=cnonce, count=1)
    assert f'response="{response}"' in header
    assert "nc=00000001" in header
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in header


def test_the_example_of_rfc_2617_without_a_qop():
    challenge = Challenge("digest", {"realm": "r", "nonce": "n"})
    header = http_auth.authorization(challenge, MUFASA, method="POST", target="/", cnonce="c", count=1)
    assert "qop" not in header
    assert 'uri="/"' in header


def test_the_strongest_challenge_is_met():
    headers = [
        'Negotiate, Basic realm="a, b", Digest realm="r", nonce="1", qop="auth"',
        'Digest realm="r", nonce="2", algorithm=SHA-256, qop="auth"',
    ]
    found = http_auth.choose(headers)
    assert (found.scheme, found.parameters["nonce"]) == ("digest", "2")
    assert http_auth.choose(headers[:1]).parameters["nonce"] == "1"
    assert http_auth.choose(['Basic realm="x"']).scheme == "basic"


@pytest.mark.parametrize(
    "header",
    ["Bearer", 'Digest realm="r"', 'Digest nonce="n", algorithm=ROT13', 'Digest nonce="n", qop="auth-int"', "", '="'],
)
def test_challenges_that_cannot_be_met(header):
    assert http_auth.choose([header]) is None


@given(st.text(max_size=200))
def test_whatever_comes_is_read_in_time(header):
    http_auth.choose([header])


def test_a_challenge_cannot_smuggle_a_header_in():
    challenge = Challenge("digest", {"realm": 'a"\r\nx: y', "nonce": "n"})
    header = http_auth.authorization(challenge, MUFASA, method="POST", target="/", cnonce="c", count=1)
    assert "\r" not in header
    assert 'realm="a\\"x: y"' in header
