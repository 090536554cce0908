"""Credentials, redirects and certificates of HTTP(S) endpoints."""

import base64
import hashlib
import re

import pytest


@pytest.fixture
def raw(sns, topic, subscribe):
    """A function that subscribes a subscriber at a URL to raw messages, without any demand on it yet."""
    return lambda subscriber, url: subscribe(subscriber, url, RawMessageDelivery="true")


def with_user(url, path="/"):
    return url.replace("http://", "http://shop:p%40ss@") + path


def test_basic_credentials_are_sent_when_they_are_asked_for(sns, topic, subscriber, raw, behaviour):
    raw(subscriber, with_user(subscriber.url))
    challenge = behaviour.answer(401, WWW_Authenticate='Basic realm="orders"')
    subscriber.behaviours = [challenge]
    sns.publish(TopicArn=topic, Message="one")
    asked, given = subscriber.expect(2)
    assert asked.headers["authorization"] is None
    assert given.headers["authorization"] == "Basic " + base64.b64encode(b"shop:p@ss").decode()
    assert given.body == b"one"
    sns.publish(TopicArn=topic, Message="two")
    assert subscriber.expect(3)[2].headers["authorization"] == given.headers["authorization"]


@pytest.mark.parametrize(("algorithm", "digest"), [("MD5", hashlib.md5), ("SHA-256", hashlib.sha256)])
def test_digest_credentials(algorithm, digest, sns, topic, subscriber, raw, behaviour):
    raw(subscriber, with_user(subscriber.url, "/in?a=1"))
    nonce = 'WWW-Authenticate: Digest realm="r", nonce="n1", qop="auth", opaque="o", algorithm=' + algorithm
    subscriber.behaviours = [behaviour.answer(401, WWW_Authenticate=nonce.partition(": ")[2])]
    sns.publish(TopicArn=topic, Message="one")
    header = subscriber.expect(2)[1].headers["authorization"]
    fields = dict(re.findall(r'(\w+)="?([^",]+)"?', header.removeprefix("Digest ")))
    assert (fields["username"], fields["uri"], fields["opaque"], fields["nc"]) == ("shop", "/in?a=1", "o", "00000001")

    def hashed(*parts):
        return digest(":".join(parts).encode()).hexdigest()

    secret, request = hashed("shop", "r", "p@ss"), hashed("POST", "/in?a=1")
    assert fields["response"] == hashed(secret, "n1", "00000001", fields["cnonce"], "auth", request)
    sns.publish(TopicArn=topic, Message="two")
    assert "nc=00000002" in subscriber.expect(3)[2].headers["authorization"]


def test_a_nonce_that_is_stale_is_replaced(sns, topic, subscriber, raw, behaviour):
    raw(subscriber, with_user(subscriber.url))
    subscriber.behaviours = [
        behaviour.answer(401, WWW_Authenticate='Digest realm="r", nonce="n1", qop="auth"'),
        behaviour.answer(200),
        behaviour.answer(401, WWW_Authenticate='Digest realm="r", nonce="n2", qop="auth", stale=true'),
        behaviour.answer(200),
    ]
    sns.publish(TopicArn=topic, Message="one")
    subscriber.expect(2)
    sns.publish(TopicArn=topic, Message="two")
    assert 'nonce="n2"' in subscriber.expect(4)[3].headers["authorization"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_followed(status, sns, topic, make_subscriber, raw, behaviour):
    old, new = make_subscriber(), make_subscriber()
    raw(old, with_user(old.url))
    old.behaviours = [behaviour.answer(status, Location=f"{new.url}/moved")]
    sns.publish(TopicArn=topic, Message="one")
    posted = new.expect(1)[0]
    assert (posted.path, posted.body) == ("/moved", b"one")
    assert posted.headers["authorization"] is None


def test_credentials_do_not_go_to_another_host(sns, topic, make_subscriber, raw, behaviour):
    old, new = make_subscriber(), make_subscriber()
    raw(old, with_user(old.url))
    old.behaviours = [behaviour.answer(307, Location=new.url)]
    new.behaviours = [behaviour.answer(401, WWW_Authenticate='Basic realm="mine"')]
    sns.publish(TopicArn=topic, Message="one")
    new.expect(1)
    sns.publish(TopicArn=topic, Message="two")
    old.expect(2)
    assert [posted.headers["authorization"] for posted in new.posted] == [None]


def test_a_redirect_in_a_circle_ends(sns, topic, subscriber, raw, behaviour):
    raw(subscriber, subscriber.url)
    there, back = behaviour.answer(307, Location="/b"), behaviour.answer(307, Location="/a")
    subscriber.behaviours = [there, back] * 10
    sns.publish(TopicArn=topic, Message="one")
    subscriber.expect(5)
    subscriber.behaviours = []
    sns.publish(TopicArn=topic, Message="two")
    assert subscriber.expect(6)[5].body == b"two"
    assert len(subscriber.posted) == 6


def test_tls_with_an_authority_of_ones_own(tmp_path, authority, server_tls, make_subscriber, visit, serve_with):
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    subscriber = make_subscriber(server_tls)
    with serve_with(outgoing_ca=str(ca_file)) as server:
        sns = server.client("sns")
        topic = sns.create_topic(Name="orders")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=subscriber.url)
        visit(subscriber.expect(1)[0].json["SubscribeURL"])
        sns.publish(TopicArn=topic, Message="one")
        assert subscriber.expect(2)[1].json["Message"] == "one"
