"""Options: URLs, and what is refused before anything is connected."""

import pytest

from headrace.engines.nats.options import Options, OptionsWrong, Server, servers
from headrace.errors import StorageError


def test_urls():
    assert servers("nats://a, tls://u:p%40ss@b:4333,c:1,[::1]:2,tok@d") == [
        Server("a", 4222),
        Server("b", 4333, tls=True, user="u", password="p@ss"),
        Server("c", 1),
        Server("::1", 2),
        Server("d", 4222, user="tok"),
    ]


@pytest.mark.parametrize("urls", ["", ",", "http://a", "nats://", "nats://a:port", "nats://a/path", "nats://a:0"])
def test_what_is_no_url(urls):
    with pytest.raises(OptionsWrong):
        servers(urls)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"replicas": 2}, "replicas is 1, 3 or 5, not 2"),
        ({"prefix": "a.b"}, "The NATS prefix"),
        ({"prefix": ""}, "The NATS prefix"),
        ({"domain": "*"}, "The NATS domain"),
        ({"tls_cert": "cert.pem"}, "needs its key"),
        ({"tls_ca": "nothing.pem"}, "The NATS certificates cannot be used"),
        ({"creds": "nothing.creds"}, "nothing.creds cannot be read"),
        ({"nkey": "nothing.nk"}, "nothing.nk cannot be read"),
    ],
)
def test_wrong_options_are_told(options, said):
    with pytest.raises(StorageError) as caught:
        Options(urls="nats://a", **options).check()
    assert said in str(caught.value)


def test_the_url_s_user_goes_before_the_option_s():
    options = Options(urls="nats://a", user="me", password="secret")
    assert options.credentials(Server("a", 1)).fields(None) == {"user": "me", "pass": "secret"}
    assert options.credentials(Server("a", 1, user="u", password="p")).fields(None) == {"user": "u", "pass": "p"}
    assert options.credentials(Server("a", 1, user="t")).fields(None) == {"auth_token": "t"}
