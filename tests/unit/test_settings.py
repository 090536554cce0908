import pytest

from headrace.settings import Settings, SettingsError, is_loopback


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"port": -1}, "port must be between 0 and 65535, not -1"),
        ({"port": 65_536}, "port must be between"),
        ({"port": "4566"}, "Expected `int`"),
        ({"data": ""}, "data must be a directory"),
        ({"engine": "paper"}, "Invalid enum value 'paper'"),
        ({"clock": "cuckoo"}, "Invalid enum value 'cuckoo'"),
        ({"quotas": "some"}, "Invalid enum value 'some'"),
        ({"policies": "some"}, "Invalid enum value 'some'"),
        ({"log_level": "loud"}, "Invalid enum value 'loud'"),
        ({"tls_cert": "cert.pem"}, "TLS needs both"),
        ({"tls_key": "key.pem"}, "TLS needs both"),
        ({"tls_cert": "cert.pem", "tls_key": "key.pem"}, "there is no file cert.pem"),
        ({"engine": "nats"}, "the engine nats needs --nats"),
        ({"nats": "nats://a"}, "--nats is for --engine nats"),
        ({"workers": 0}, "workers must be between 1 and 256, not 0"),
        ({"workers": 2}, "several workers need --engine nats"),
        ({"engine": "nats", "nats": "nats://a", "workers": 2, "clock": "virtual"}, "a virtual clock is one process's"),
        ({"engine": "nats", "nats": "embedded", "replicas": 3}, "an embedded NATS server is one"),
        ({"resources": "nothing.yaml"}, "there is no file nothing.yaml"),
        ({"outgoing_ca": "nothing.pem"}, "there is no file nothing.pem"),
        ({"signing_key": "key.pem"}, "there is no file key.pem"),
        ({"signing_cert": "conftest.py", "signing_key": None}, "there is no file conftest.py"),
        ({"public_url": "headrace.example"}, "public_url must be a URL"),
        ({"sms_body": "{}"}, "--sms-body is for an --sms-url that is called over HTTP"),
        ({"sms_url": "smpp://centre", "sms_body": "{}"}, "--sms-body is for"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(given, said):
    with pytest.raises(SettingsError) as caught:
        Settings(**given).check()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_to_sign_with_has_its_certificate(tmp_path):
    file = tmp_path / "key.pem"
    file.touch()
    with pytest.raises(SettingsError, match="--signing-cert"):
        Settings(signing_key=str(file)).check()
    Settings(signing_key=str(file), signing_cert=str(file)).check()


def test_defaults_are_fine():
    Settings().check()
    assert Settings().base_url == "http://127.0.0.1:4566"


def test_tls_makes_the_url_https(tmp_path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    settings = Settings(host="::1", tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"))
    settings.check()
    assert settings.base_url == "https://[::1]:4566"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.7", False),
        ("queue.example", False),
    ],
)
def test_test_endpoints_are_on_where_only_this_machine_reaches_them(host, expected):
    assert is_loopback(host) is expected
    assert Settings(host=host).serves_test_endpoints is expected
    assert Settings(host=host, test_endpoints=not expected).serves_test_endpoints is not expected
