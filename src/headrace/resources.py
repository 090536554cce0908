"""What a server has from its start: a YAML file that names queues, topics and streams, made through its own pipeline.

    region: eu-west-1             # us-east-1 unless given
    account: "123456789012"       # 000000000000 unless given
    queues:
      orders:
        attributes: {VisibilityTimeout: 60}
        tags: {team: shop}
        dead_letter: {queue: orders-failed, max_receives: 5}
      orders-failed:
    topics:
      order-events:
        subscriptions: [{queue: orders}]
    streams: …                   # see `resource_streams`

Reading checks the whole file and names the line that is wrong; making is idempotent, so that a server can be started
with the same file, or a changed one, as often as one likes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from headrace.context import Invoke, Principal
from headrace.errors import ServiceError
from headrace.resource_reader import Attributes, Call, Place, Reader, ResourcesError
from headrace.resource_streams import StreamSpec, create_streams, read_stream
from headrace.resource_topics import TopicSpec, make_topic, read_topic

DEFAULT_ACCOUNT: Final = "000000000000"
DEFAULT_REGION: Final = "us-east-1"


class DeadLetter(msgspec.Struct, frozen=True):
    """Where a queue's messages go when they were received `max_receives` times in vain: a queue's name."""

    queue: str
    max_receives: int
    place: Place


class QueueSpec(msgspec.Struct, frozen=True):
    """A queue to be there. Attributes are the API's own (`VisibilityTimeout`)."""

    name: str
    place: Place
    attributes: Attributes
    tags: dict[str, str]
    dead_letter: DeadLetter | None


class Resources(msgspec.Struct, frozen=True):
    """All that a file names, in its order."""

    account: str
    region: str
    queues: list[QueueSpec]
    streams: list[StreamSpec]
    topics: list[TopicSpec]


def read_resources(path: str) -> Resources:
    """Read and check the file. Raises ResourcesError."""
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ResourcesError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    reader = Reader(path)
    top = reader.section(root, "file", known=("account", "queues", "region", "streams", "topics"))
    account = reader.text(top.get("account"), DEFAULT_ACCOUNT)
    if not re.fullmatch(r"\d{12}", account):
        raise reader.place(top["account"]).error(f"account must be 12 digits in quotes, not {account}")
    return Resources(
        account=account,
        region=reader.text(top.get("region"), DEFAULT_REGION),
        queues=[_read_queue(reader, name, node) for name, node in reader.items(top.get("queues"), "queues")],
        streams=[read_stream(reader, name, node) for name, node in reader.items(top.get("streams"), "streams")],
        topics=[read_topic(reader, name, node) for name, node in reader.items(top.get("topics"), "topics")],
    )


def _unreadable(path: str, error: Exception) -> ResourcesError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return Place(path, mark.line + 1 if mark else 1).error(f"not valid YAML: {problem}")


def _read_queue(reader: Reader, name: yaml.ScalarNode, node: yaml.Node) -> QueueSpec:
    """One queue. AWS: a name that ends in .fifo is a FIFO queue's, and no other queue's."""
    parts = reader.section(node, f"queue {name.value}", known=("attributes", "dead_letter", "tags"))
    attributes = reader.attributes(parts.get("attributes"))
    if "RedrivePolicy" in attributes.values and "dead_letter" in parts:
        raise reader.place(parts["dead_letter"]).error("dead_letter and RedrivePolicy say the same thing; keep one")
    return QueueSpec(
        name=name.value,
        place=reader.place(name),
        attributes=attributes,
        tags=reader.tags(parts.get("tags")),
        dead_letter=_read_dead_letter(reader, parts.get("dead_letter")),
    )


def _read_dead_letter(reader: Reader, node: yaml.Node | None) -> DeadLetter | None:
    """A queue's dead-letter target; the queue may be of this file or be there already."""
    if node is None:
        return None
    parts = reader.section(node, "dead_letter", known=("max_receives", "queue"))
    for key in ("queue", "max_receives"):
        if key not in parts:
            raise reader.place(node).error(f"dead_letter needs {key}")
    receives = reader.value(parts["max_receives"])
    if not receives.isdecimal():
        raise reader.place(parts["max_receives"]).error(f"max_receives must be a whole number, not {receives}")
    return DeadLetter(reader.value(parts["queue"]), int(receives), reader.place(node))


async def create_resources(resources: Resources, invoke: Invoke) -> None:
    """Make what is not there and give what is there the attributes and tags of the file; nothing is removed.

    Raises ResourcesError that names the line whose value the service refused.
    """
    call = _caller(resources, invoke)
    urls = {queue.name: await _create_queue(queue, call) for queue in resources.queues}
    for queue in resources.queues:
        if queue.dead_letter is not None:
            await _aim_dead_letters(resources, queue.dead_letter, urls[queue.name], call)
    for topic in resources.topics:
        await make_topic(topic, call, _queue_arn(resources, ""))
    await create_streams(resources.streams, call)


def _queue_arn(resources: Resources, name: str) -> str:
    return f"arn:aws:sqs:{resources.region}:{resources.account}:{name}"


def _caller(resources: Resources, invoke: Invoke) -> Call:
    """Calls services as the root of the file's account; an error names the place in the file that the call is for."""
    account = resources.account
    root = Principal(account=account, access_key_id="", user_id=account, arn=f"arn:aws:iam::{account}:root")

    async def call(place: Place, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return await invoke(service, operation, params, principal=root, region=resources.region)
        except ServiceError as error:
            raise place.error(f"{operation}: {error.message}") from error

    return call


async def _create_queue(queue: QueueSpec, call: Call) -> str:
    """Make the queue unless it is there, set its attributes one by one and its tags; its URL.

    AWS: CreateQueue refuses attributes that differ from those of a queue that is there, SetQueueAttributes takes them.
    """
    fifo = {"Attributes": {"FifoQueue": "true"}} if queue.name.endswith(".fifo") else {}
    url: str = (await call(queue.place, "sqs", "CreateQueue", {"QueueName": queue.name, **fifo}))["QueueUrl"]
    for name, value in queue.attributes.values.items():
        if name != "FifoQueue" or not fifo:
            change = {"QueueUrl": url, "Attributes": {name: value}}
            await call(queue.attributes.places[name], "sqs", "SetQueueAttributes", change)
    if queue.tags:
        await call(queue.place, "sqs", "TagQueue", {"QueueUrl": url, "Tags": queue.tags})
    return url


async def _aim_dead_letters(resources: Resources, dead_letter: DeadLetter, url: str, call: Call) -> None:
    policy = json.dumps(
        {"deadLetterTargetArn": _queue_arn(resources, dead_letter.queue), "maxReceiveCount": dead_letter.max_receives}
    )
    change = {"QueueUrl": url, "Attributes": {"RedrivePolicy": policy}}
    await call(dead_letter.place, "sqs", "SetQueueAttributes", change)
