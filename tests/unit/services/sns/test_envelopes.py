"""What subscribers are sent, byte by byte; the signature is looked at by itself."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from headrace.clock import VirtualClock
from headrace.context import Channels, Quotas, Server
from headrace.services.sns import envelopes, signing, wrapping
from headrace.services.sns.records import Delivery, MessageAttribute, Publication

TOPIC = "arn:aws:sns:us-west-2:123456789012:MyTopic"
SUBSCRIPTION = f"{TOPIC}:c9135db0-26c4-47ec-8998-413945fb5a96"
PUBLICATION = Publication(
    message_id="22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    topic_arn=TOPIC,
    region="us-west-2",
    account="123456789012",
    message="Hello world!",
    published_at_ms=1_335_920_046_655,
    subject="My First Message",
)


@pytest.fixture(scope="module")
def signer() -> signing.Signer:
    return signing.Signer(signing.make_key(1_335_920_046_655))


@pytest.fixture
def server(signer) -> Server:
    async def no_service(*_: Any, **__: Any) -> dict[str, Any]:
        raise AssertionError("envelopes call no service")

    return Server(
        clock=VirtualClock(0),
        engine=None,
        quotas=Quotas(),
        base_url="http://localhost:4566",
        invoke=no_service,
        prepare=no_service,
        prepare_together=no_service,
        kept={"sns.signing": signer},
    )


def delivery(publication: Publication = PUBLICATION, **values: Any) -> Delivery:
    defaults = {
        "kind": "Notification",
        "publication": publication,
        "protocol": "sqs",
        "endpoint": "arn:aws:sqs:us-west-2:123456789012:q",
        "subscription_arn": SUBSCRIPTION,
    }
    return Delivery(**{**defaults, **values})


def changed(**values: Any) -> Publication:
    return msgspec.structs.replace(PUBLICATION, **values)


def confirmation(**values: Any) -> Delivery:
    return delivery(
        changed(message="You have chosen…", subject=None), kind="SubscriptionConfirmation", token="2336412f", **values
    )


def check(signer: signing.Signer, body: str, names: list[str]) -> None:
    """The signature of a message holds over these members, in this order."""
    message = json.loads(body)
    text = "".join(f"{name}\n{message[name]}\n" for name in names)
    algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}[message["SignatureVersion"]]
    key = x509.load_pem_x509_certificate(signer.certificate).public_key()
    key.verify(base64.b64decode(message["Signature"]), text.encode(), padding.PKCS1v15(), algorithm)


async def test_a_notification(server, signer):
    attributes = {"n": MessageAttribute("Number", "1"), "b": MessageAttribute("Binary", data=b"\x00\xff")}
    body = await envelopes.queue_body(server, delivery(changed(attributes=attributes)))
    signature = json.loads(body)["Signature"]
    assert body == (
        "{\n"
        '  "Type" : "Notification",\n'
        '  "MessageId" : "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",\n'
        f'  "TopicArn" : "{TOPIC}",\n'
        '  "Subject" : "My First Message",\n'
        '  "Message" : "Hello world!",\n'
        '  "Timestamp" : "2012-05-02T00:54:06.655Z",\n'
        '  "SignatureVersion" : "1",\n'
        f'  "Signature" : "{signature}",\n'
        f'  "SigningCertURL" : "http://localhost:4566/SimpleNotificationService-{signer.certificate_id}.pem",\n'
        f'  "UnsubscribeURL" : "http://localhost:4566/?Action=Unsubscribe&SubscriptionArn={SUBSCRIPTION}",\n'
        '  "MessageAttributes" : {\n'
        '    "n" : {"Type":"Number","Value":"1"},\n'
        '    "b" : {"Type":"Binary","Value":"AP8="}\n'
        "  }\n"
        "}"
    )
    check(signer, body, ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"])


async def test_without_a_subject(server, signer):
    body = await envelopes.queue_body(server, delivery(changed(subject=None, signature_version="2")))
    assert list(json.loads(body)) == [
        "Type",
        "MessageId",
        "TopicArn",
        "Message",
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
        "UnsubscribeURL",
    ]
    check(signer, body, ["Message", "MessageId", "Timestamp", "TopicArn", "Type"])


async def test_of_a_fifo_topic(server):
    body = await envelopes.queue_body(server, delivery(changed(sequence_number="10000000000000003000", replayed=True)))
    message = json.loads(body)
    assert list(message)[:4] == ["Type", "MessageId", "SequenceNumber", "TopicArn"]
    assert message["SequenceNumber"] == "10000000000000003000"
    assert message["Replayed"] == "true"


@pytest.mark.parametrize("text", ['quotes " and \\', "line\nbreak\ttab\x00", "ü € 🌍", "\u2028</script>", "{}"])
async def test_any_text_comes_back_as_it_was(server, signer, text):
    body = await envelopes.queue_body(server, delivery(changed(message=text)))
    assert json.loads(body)["Message"] == text
    check(signer, body, ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"])


async def test_half_a_surrogate_pair_is_not_lost(server):
    assert json.loads(await envelopes.queue_body(server, delivery(changed(message="\ud800"))))["Message"] == "\ud800"


async def test_raw(server):
    assert await envelopes.queue_body(server, delivery(raw=True)) == "Hello world!"
    bodies = {"default": "d", "sqs": "for queues"}
    assert await envelopes.queue_body(server, delivery(changed(bodies=bodies), raw=True)) == "for queues"


async def test_texts_for_protocols(server, signer):
    publication = changed(bodies={"default": "d", "http": "for the web"})
    assert json.loads(await envelopes.queue_body(server, delivery(publication)))["Message"] == "d"
    body = await envelopes.envelope(server, delivery(publication, protocol="http"))
    assert json.loads(body)["Message"] == "for the web"
    check(signer, body, ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"])


async def test_one_envelope_serves_many_subscribers(server):
    wrapper = await wrapping.Wrapper.make(server, PUBLICATION)
    first, second = (json.loads(wrapper.body(f"{TOPIC}:{name}")) for name in "ab")
    assert first.pop("UnsubscribeURL").endswith(":a")
    assert second.pop("UnsubscribeURL").endswith(":b")
    assert first == second


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
async def test_a_confirmation(server, signer, kind):
    body = await envelopes.queue_body(
        server, confirmation(raw=True) if kind[0] == "S" else delivery(PUBLICATION, kind=kind, token="2336412f")
    )
    message = json.loads(body)
    assert list(message) == [
        "Type",
        "MessageId",
        "Token",
        "TopicArn",
        "Message",
        "SubscribeURL",
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
    ]
    assert message["Type"] == kind
    link = f"http://localhost:4566/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f"
    assert message["SubscribeURL"] == link
    check(signer, body, ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"])


async def test_links_lead_to_where_people_reach_the_server(server):
    server.channels = Channels(public_url="https://sns.example.com/")
    message = json.loads(await envelopes.queue_body(server, delivery()))
    assert message["UnsubscribeURL"].startswith("https://sns.example.com/?Action=Unsubscribe")
    assert message["SigningCertURL"].startswith("https://sns.example.com/SimpleNotificationService-")


async def test_an_http_request(server):
    request = await envelopes.http_request(server, delivery(protocol="http"))
    assert request.headers == {
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": PUBLICATION.message_id,
        "x-amz-sns-topic-arn": TOPIC,
        "x-amz-sns-subscription-arn": SUBSCRIPTION,
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
    }
    assert json.loads(request.body)["Message"] == "Hello world!"


async def test_a_raw_http_request(server):
    raw = delivery(changed(message="{ü}"), protocol="http", raw=True, content_type="application/json")
    request = await envelopes.http_request(server, raw)
    assert request.headers["x-amz-sns-rawdelivery"] == "true"
    assert request.headers["Content-Type"] == "application/json"
    assert request.body == "{ü}".encode()


async def test_the_http_request_of_a_confirmation(server):
    request = await envelopes.http_request(server, confirmation(protocol="https", raw=True))
    assert request.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    assert "x-amz-sns-subscription-arn" not in request.headers
    assert "x-amz-sns-rawdelivery" not in request.headers
    assert json.loads(request.body)["Token"] == "2336412f"


async def test_an_email(server):
    publication = changed(bodies={"default": "d", "email": "for people"})
    email = await envelopes.email(server, delivery(publication, protocol="email"))
    link = f"http://localhost:4566/?Action=Unsubscribe&SubscriptionArn={SUBSCRIPTION}"
    assert email.subject == "My First Message"
    assert email.text.startswith("for people\n\n--\n")
    assert link in email.text
    assert email.unsubscribe_url == link


async def test_an_email_without_a_subject(server):
    email = await envelopes.email(server, delivery(changed(subject=None), protocol="email"))
    assert email.subject == "AWS Notification Message"


async def test_an_email_for_programs(server, signer):
    email = await envelopes.email(server, delivery(protocol="email-json"))
    assert json.loads(email.text)["Message"] == "Hello world!"
    check(signer, email.text, ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"])
    email = await envelopes.email(server, confirmation(protocol="email-json"))
    assert json.loads(email.text)["Type"] == "SubscriptionConfirmation"
    assert not email.unsubscribe_url


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("SubscriptionConfirmation", "AWS Notification - Subscription Confirmation"),
        ("UnsubscribeConfirmation", "AWS Notification - Unsubscribe Confirmation"),
    ],
)
async def test_an_email_that_asks(server, kind, subject):
    asking = delivery(changed(topic_arn="arn:<x>"), kind=kind, token="ab&cd", protocol="email")
    email = await envelopes.email(server, asking)
    assert email.subject == subject
    link = "http://localhost:4566/?Action=ConfirmSubscription&TopicArn=arn:%3Cx%3E&Token=ab%26cd"
    assert link in email.text
    assert f'href="{link.replace("&", "&amp;")}"' in email.html
    assert "arn:&lt;x&gt;" in email.html
