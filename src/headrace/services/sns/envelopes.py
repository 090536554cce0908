"""What subscribers are sent, as AWS writes it: envelopes, HTTP requests and e-mails.

The forms are pure; only the key to sign with has to be waited for.
"""

from __future__ import annotations

import html
from typing import Final

import msgspec

from headrace.context import Server
from headrace.services.sns import signing
from headrace.services.sns.records import Delivery
from headrace.services.sns.signing import Signer
from headrace.services.sns.wrapping import (
    NOTIFICATION,
    Wrapper,
    base_url,
    canonical,
    certificate_url,
    json_text,
    signed_members,
    subscribe_url,
    unsubscribe_url,
)

USER_AGENT: Final = "Amazon Simple Notification Service Agent"
TEXT_TYPE: Final = "text/plain; charset=UTF-8"


# Envelopes


async def confirmation(delivery: Delivery, signer: Signer, base: str) -> str:
    """The envelope of a message that asks to confirm a subscription, or to restore one that was ended."""
    publication = delivery.publication
    url = subscribe_url(base, publication.topic_arn, delivery.token)
    members = signed_members(delivery.kind, publication, publication.message, Token=delivery.token, SubscribeURL=url)
    version = publication.signature_version
    values = {
        "Type": delivery.kind,
        "MessageId": publication.message_id,
        "Token": delivery.token,
        "TopicArn": publication.topic_arn,
        "Message": publication.message,
        "SubscribeURL": url,
        "Timestamp": members["Timestamp"],
        "SignatureVersion": version,
        "Signature": await signer.begin(canonical(members), version),
        "SigningCertURL": certificate_url(base, signer.certificate_id),
    }
    return "{\n" + ",\n".join(f"  {json_text(name)} : {json_text(value)}" for name, value in values.items()) + "\n}"


async def envelope(server: Server, delivery: Delivery) -> str:
    """The JSON that a delivery's endpoint gets where it does not get the text alone. Raises StorageError."""
    if delivery.kind != NOTIFICATION:
        return await confirmation(delivery, await signing.signer(server), base_url(server))
    wrapper = await Wrapper.make(server, delivery.publication, delivery.protocol)
    return wrapper.body(delivery.subscription_arn)


async def queue_body(server: Server, delivery: Delivery) -> str:
    """The body of the message that a queue gets: the text alone with raw delivery, else the envelope."""
    if delivery.raw and delivery.kind == NOTIFICATION:
        return delivery.publication.text_for(delivery.protocol)
    return await envelope(server, delivery)


# HTTP


class HttpMessage(msgspec.Struct, frozen=True):
    """What is posted to an endpoint."""

    headers: dict[str, str]
    body: bytes


async def http_request(server: Server, delivery: Delivery) -> HttpMessage:
    """The headers and the body that an HTTP(S) endpoint is posted. Raises StorageError."""
    raw = delivery.raw and delivery.kind == NOTIFICATION
    text = delivery.publication.text_for(delivery.protocol) if raw else await envelope(server, delivery)
    return HttpMessage(http_headers(delivery), text.encode(errors="surrogatepass"))


def http_headers(delivery: Delivery) -> dict[str, str]:
    """The headers of a delivery. AWS: a subscription that is not confirmed has no ARN to tell yet."""
    publication = delivery.publication
    headers = {
        "x-amz-sns-message-type": delivery.kind,
        "x-amz-sns-message-id": publication.message_id,
        "x-amz-sns-topic-arn": publication.topic_arn,
    }
    if delivery.kind != "SubscriptionConfirmation":
        headers["x-amz-sns-subscription-arn"] = delivery.subscription_arn
    if delivery.raw and delivery.kind == NOTIFICATION:
        headers["x-amz-sns-rawdelivery"] = "true"
    headers["Content-Type"] = delivery.content_type or TEXT_TYPE
    headers["User-Agent"] = USER_AGENT
    return headers


# E-mail


class Email(msgspec.Struct, frozen=True):
    """An e-mail: its subject, its text, the same as HTML where there is a link to follow, and how to unsubscribe."""

    subject: str
    text: str
    html: str = ""
    unsubscribe_url: str = ""


async def email(server: Server, delivery: Delivery) -> Email:
    """What an address gets: people a text with a link, programs (`email-json`) the envelope. Raises StorageError."""
    base = base_url(server)
    publication = delivery.publication
    if delivery.kind != NOTIFICATION:
        if delivery.protocol == "email-json":
            return Email(_CONFIRMING[delivery.kind], await envelope(server, delivery))
        return _confirming(delivery, subscribe_url(base, publication.topic_arn, delivery.token))
    subject = publication.subject if publication.subject is not None else "AWS Notification Message"
    leaving = unsubscribe_url(base, delivery.subscription_arn)
    if delivery.protocol == "email-json":
        return Email(subject, await envelope(server, delivery), unsubscribe_url=leaving)
    text = (
        f"{publication.text_for('email')}\n\n--\n"
        f"To stop receiving notifications from this topic, open this link:\n{leaving}\n\n"
        "This message was sent automatically; replies to it are not read.\n"
    )
    return Email(subject, text, unsubscribe_url=leaving)


_CONFIRMING: Final = {
    "SubscriptionConfirmation": "AWS Notification - Subscription Confirmation",
    "UnsubscribeConfirmation": "AWS Notification - Unsubscribe Confirmation",
}


def _confirming(delivery: Delivery, url: str) -> Email:
    topic = delivery.publication.topic_arn
    if delivery.kind == "SubscriptionConfirmation":
        said, asked, link = (
            "Somebody has asked to subscribe this address to the topic",
            "If that is right, confirm it with this link; if it is not, there is nothing to do.",
            "Confirm subscription",
        )
    else:
        said, asked, link = (
            "The subscription of this address has been ended to the topic",
            "If that was a mistake, this link restores it; if it was not, there is nothing to do.",
            "Resubscribe",
        )
    text = f"{said}:\n{topic}\n\n{asked}\n{url}\n"
    page = (
        f"<!DOCTYPE html>\n<html><body>\n<p>{html.escape(said)}:<br><b>{html.escape(topic)}</b></p>\n"
        f'<p>{html.escape(asked)}</p>\n<p><a href="{html.escape(url)}">{link}</a></p>\n</body></html>\n'
    )
    return Email(_CONFIRMING[delivery.kind], text, page)
