"""The topics of the resources file, each with its subscriptions.

topics:
  orders:
    attributes: {DisplayName: Orders}
    tags: {team: shop}
    subscriptions:
      - queue: orders-placed            # of the file's account and region
        attributes: {RawMessageDelivery: true, FilterPolicy: {state: [placed]}}
      - {protocol: https, endpoint: "https://shop.example/orders"}
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import yaml

from headrace.resource_reader import Attributes, Call, Place, Reader

_FIRST: Final = "FilterPolicyScope"
"""What a subscription's filter policy is judged by has to be there before it."""


class SubscriptionSpec(msgspec.Struct, frozen=True):
    """A subscription to be there: to a queue by its name, or to an endpoint by its protocol."""

    place: Place
    queue: str
    protocol: str
    endpoint: str
    attributes: Attributes


class TopicSpec(msgspec.Struct, frozen=True):
    """A topic to be there."""

    name: str
    place: Place
    attributes: Attributes
    tags: dict[str, str]
    subscriptions: list[SubscriptionSpec]


def read_topic(reader: Reader, name: yaml.ScalarNode, node: yaml.Node) -> TopicSpec:
    """One topic. AWS: a name that ends in .fifo is a FIFO topic's, and no other topic's. Raises ResourcesError."""
    parts = reader.section(node, f"topic {name.value}", known=("attributes", "subscriptions", "tags"))
    return TopicSpec(
        name=name.value,
        place=reader.place(name),
        attributes=reader.attributes(parts.get("attributes")),
        tags=reader.tags(parts.get("tags")),
        subscriptions=[
            _read_subscription(reader, each) for each in reader.elements(parts.get("subscriptions"), "subscriptions")
        ],
    )


def _read_subscription(reader: Reader, node: yaml.Node) -> SubscriptionSpec:
    parts = reader.section(node, "subscription", known=("attributes", "endpoint", "protocol", "queue"))
    place = reader.place(node)
    if ("queue" in parts) == ("endpoint" in parts) or ("endpoint" in parts) != ("protocol" in parts):
        raise place.error("a subscription has either a queue, or a protocol and an endpoint")
    return SubscriptionSpec(
        place=place,
        queue=reader.text(parts.get("queue"), ""),
        protocol=reader.text(parts.get("protocol"), "sqs"),
        endpoint=reader.text(parts.get("endpoint"), ""),
        attributes=reader.attributes(parts.get("attributes")),
    )


async def make_topic(topic: TopicSpec, call: Call, queue_arn: str) -> None:
    """Make the topic unless it is there, set its attributes one by one and its tags, and subscribe to it.

    `queue_arn` is what the ARNs of the file's queues begin with. Raises ResourcesError.
    """
    fifo = {"Attributes": {"FifoTopic": "true"}} if topic.name.endswith(".fifo") else {}
    arn: str = (await call(topic.place, "sns", "CreateTopic", {"Name": topic.name, **fifo}))["TopicArn"]
    for name, value in topic.attributes.values.items():
        if name != "FifoTopic" or not fifo:
            change = {"TopicArn": arn, "AttributeName": name, "AttributeValue": value}
            await call(topic.attributes.places[name], "sns", "SetTopicAttributes", change)
    if topic.tags:
        tags = [{"Key": key, "Value": value} for key, value in topic.tags.items()]
        await call(topic.place, "sns", "TagResource", {"ResourceArn": arn, "Tags": tags})
    known = await _subscriptions(topic, arn, call) if topic.subscriptions else {}
    for subscription in topic.subscriptions:
        endpoint = f"{queue_arn}{subscription.queue}" if subscription.queue else subscription.endpoint
        await _subscribe(subscription, arn, endpoint, known.get((subscription.protocol, endpoint)), call)


async def _subscriptions(topic: TopicSpec, arn: str, call: Call) -> dict[tuple[str, str], str]:
    """The ARNs of the topic's subscriptions by protocol and endpoint."""
    found: dict[tuple[str, str], str] = {}
    page: dict[str, Any] = {"NextToken": ""}
    while (token := page.get("NextToken")) is not None:
        asked = {"TopicArn": arn, **({"NextToken": token} if token else {})}
        page = await call(topic.place, "sns", "ListSubscriptionsByTopic", asked)
        found |= {(each["Protocol"], each["Endpoint"]): each["SubscriptionArn"] for each in page["Subscriptions"]}
    return found


async def _subscribe(
    subscription: SubscriptionSpec, topic_arn: str, endpoint: str, known: str | None, call: Call
) -> None:
    """Subscribe the endpoint, or give the subscription that it has the attributes of the file.

    One that waits for its confirmation is left alone: it would be asked again at every start.
    """
    values = subscription.attributes.values
    if known is None:
        asked = {"TopicArn": topic_arn, "Protocol": subscription.protocol, "Endpoint": endpoint, "Attributes": values}
        await call(subscription.place, "sns", "Subscribe", asked)
    elif known.startswith("arn:"):
        for name in sorted(values, key=lambda name: name != _FIRST):
            change = {"SubscriptionArn": known, "AttributeName": name, "AttributeValue": values[name]}
            await call(subscription.attributes.places[name], "sns", "SetSubscriptionAttributes", change)
