"""A publication in the envelope that AWS puts it in, signed once for all subscribers that get the same text.

The forms are pure; only the key to sign with has to be waited for.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from headrace.context import Server
from headrace.services.sns import limits, signing
from headrace.services.sns.records import MessageAttribute, Publication

CERTIFICATE_PATH: Final = "/SimpleNotificationService-{}.pem"
NOTIFICATION: Final = "Notification"

json_text: Final = json.JSONEncoder(ensure_ascii=False).encode
"""A string as JSON. Unlike others this takes halves of surrogate pairs."""


# Links and times


def base_url(server: Server) -> str:
    """Where subscribers reach the server."""
    return (server.channels.public_url or server.base_url).rstrip("/")


def timestamp(time_ms: int) -> str:
    """A time as AWS writes it: `2012-05-02T00:54:06.655Z`."""
    return f"{_second(time_ms // 1000)}.{time_ms % 1000:03}Z"


@functools.lru_cache(maxsize=limits.SECONDS_CACHED)
def _second(time_s: int) -> str:
    return f"{dt.datetime.fromtimestamp(time_s, dt.UTC):%Y-%m-%dT%H:%M:%S}"


def certificate_url(base: str, certificate_id: str) -> str:
    """Where the certificate is that signatures are checked with."""
    return base + CERTIFICATE_PATH.format(certificate_id)


def unsubscribe_url(base: str, subscription_arn: str) -> str:
    """The link that ends a subscription."""
    return f"{base}/?Action=Unsubscribe&SubscriptionArn={quote(subscription_arn, safe=':')}"


def subscribe_url(base: str, topic_arn: str, token: str) -> str:
    """The link that confirms a subscription."""
    return f"{base}/?Action=ConfirmSubscription&TopicArn={quote(topic_arn, safe=':')}&Token={quote(token)}"


# What is signed


def canonical(members: Mapping[str, str]) -> str:
    """The text that is signed: names and values of the members given, each on a line, the names in order."""
    return "".join(f"{name}\n{members[name]}\n" for name in sorted(members))


def signed_members(delivery_kind: str, publication: Publication, text: str, **more: str) -> dict[str, str]:
    """The members of a message that its signature covers; `more` are a confirmation's Token and SubscribeURL."""
    members = {
        "Message": text,
        "MessageId": publication.message_id,
        "Timestamp": timestamp(publication.published_at_ms),
        "TopicArn": publication.topic_arn,
        "Type": delivery_kind,
        **more,
    }
    if delivery_kind == NOTIFICATION and publication.subject is not None:
        members["Subject"] = publication.subject
    return members


# The envelope


class Wrapper:
    """A publication in its envelope, signed once for all subscribers that get the same text."""

    __slots__ = ("_after", "_base", "_before")

    def __init__(self, publication: Publication, text: str, signature: str, urls: tuple[str, str]) -> None:
        """`urls` are the server's, and that of the certificate."""
        self._base, certificate = urls
        lines = [
            '  "Type" : "Notification"',
            f'  "MessageId" : {json_text(publication.message_id)}',
            f'  "TopicArn" : {json_text(publication.topic_arn)}',
        ]
        if publication.sequence_number:
            lines.insert(2, f'  "SequenceNumber" : "{publication.sequence_number}"')
        if publication.subject is not None:
            lines.append(f'  "Subject" : {json_text(publication.subject)}')
        lines += [
            f'  "Message" : {json_text(text)}',
            f'  "Timestamp" : "{timestamp(publication.published_at_ms)}"',
            f'  "SignatureVersion" : "{publication.signature_version}"',
            f'  "Signature" : "{signature}"',
            f'  "SigningCertURL" : {json_text(certificate)}',
            '  "UnsubscribeURL" : ',
        ]
        self._before = "{\n" + ",\n".join(lines)
        self._after = _end(publication)

    @classmethod
    async def make(cls, server: Server, publication: Publication, protocol: str = "sqs") -> Wrapper:
        """The envelope that subscribers of a protocol get. Raises StorageError."""
        return (await cls.make_all(server, [publication], protocol))[0]

    @classmethod
    async def make_all(
        cls, server: Server, publications: Sequence[Publication], protocol: str = "sqs"
    ) -> list[Wrapper]:
        """The envelopes of many publications, signed at the same time. Raises StorageError."""
        signer = await signing.signer(server)
        base = base_url(server)
        urls = base, certificate_url(base, signer.certificate_id)
        texts = [each.text_for(protocol) for each in publications]
        begun = [
            signer.begin(canonical(signed_members(NOTIFICATION, each, text)), each.signature_version)
            for each, text in zip(publications, texts, strict=True)
        ]
        return [
            cls(each, text, await signature, urls)
            for each, text, signature in zip(publications, texts, begun, strict=True)
        ]

    def body(self, subscription_arn: str) -> str:
        """The envelope for one subscriber."""
        return self._before + _unsubscribe_member(self._base, subscription_arn) + self._after


@functools.lru_cache(maxsize=limits.LINKS_CACHED)
def _unsubscribe_member(base: str, subscription_arn: str) -> str:
    """The UnsubscribeURL as JSON: the same in every message to a subscription."""
    return json_text(unsubscribe_url(base, subscription_arn))


def _end(publication: Publication) -> str:
    """What comes behind the UnsubscribeURL."""
    end = ""
    if publication.replayed:
        end += ',\n  "Replayed" : "true"'
    if publication.attributes:
        inside = ",\n".join(
            f"    {json_text(name)} : {_attribute(each)}" for name, each in publication.attributes.items()
        )
        end += f',\n  "MessageAttributes" : {{\n{inside}\n  }}'
    return end + "\n}"


def _attribute(attribute: MessageAttribute) -> str:
    value = attribute.text if attribute.data is None else base64.b64encode(attribute.data).decode()
    return f'{{"Type":{json_text(attribute.data_type)},"Value":{json_text(value)}}}'
