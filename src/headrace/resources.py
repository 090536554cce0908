"""What a server has from its start: a YAML file that names queues and streams, made through its own pipeline.

    region: eu-west-1             # us-east-1 unless given
    account: "123456789012"       # 000000000000 unless given
    queues:
      orders:
        attributes: {VisibilityTimeout: 60}
        tags: {team: shop}
        dead_letter: {queue: orders-failed, max_receives: 5}
      orders-failed:
    streams: …                    # see `stream_resources`

Reading checks the whole file and names the line that is wrong; making is idempotent, so that a server can be started
with the same file, or a changed one, as often as one likes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from headrace.context import Invoke, Principal
from headrace.errors import ServiceError
from headrace.settings import SettingsError
from headrace.stream_resources import StreamSpec, create_streams, read_stream

DEFAULT_ACCOUNT: Final = "000000000000"
DEFAULT_REGION: Final = "us-east-1"


class ResourcesError(SettingsError):
    """The file cannot be used as it is; the message is one line with its name, the line's number and what is wrong."""


class Place(msgspec.Struct, frozen=True):
    """Where in the file something stands."""

    path: str
    line: int

    def error(self, message: str) -> ResourcesError:
        """What to raise about this place."""
        return ResourcesError(f"{self.path}:{self.line}: {message}")


class DeadLetter(msgspec.Struct, frozen=True):
    """Where a queue's messages go when they were received `max_receives` times in vain: a queue's name."""

    queue: str
    max_receives: int
    place: Place


class QueueSpec(msgspec.Struct, frozen=True):
    """A queue to be there. Attributes are the API's own (`VisibilityTimeout`), as text, each with its place."""

    name: str
    place: Place
    attributes: dict[str, str]
    attribute_places: dict[str, Place]
    tags: dict[str, str]
    dead_letter: DeadLetter | None


class Resources(msgspec.Struct, frozen=True):
    """All that a file names, in its order."""

    account: str
    region: str
    queues: list[QueueSpec]
    streams: list[StreamSpec]


def read_resources(path: str) -> Resources:
    """Read and check the file. Raises ResourcesError."""
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ResourcesError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    reader = Reader(path)
    top = reader.section(root, "file", known=("account", "queues", "region", "streams"))
    account = reader.text(top.get("account"), DEFAULT_ACCOUNT)
    if not re.fullmatch(r"\d{12}", account):
        raise reader.place(top["account"]).error(f"account must be 12 digits in quotes, not {account}")
    queues = [reader.queue(name, node) for name, node in reader.items(top.get("queues"), "queues")]
    streams = [read_stream(reader, name, node) for name, node in reader.items(top.get("streams"), "streams")]
    region = reader.text(top.get("region"), DEFAULT_REGION)
    return Resources(account=account, region=region, queues=queues, streams=streams)


def _unreadable(path: str, error: Exception) -> ResourcesError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return Place(path, mark.line + 1 if mark else 1).error(f"not valid YAML: {problem}")


class Reader:
    """Turns the nodes of one file into specs; nodes, unlike plain values, know their lines."""

    def __init__(self, path: str) -> None:
        self.path = path

    def place(self, node: yaml.Node) -> Place:
        """Where a node stands."""
        return Place(self.path, node.start_mark.line + 1)

    def items(self, node: yaml.Node | None, what: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """The pairs of a mapping, none for nothing; keys are scalars and occur once."""
        if node is None or _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            raise self.place(node).error(f"{what} must be a mapping of names to values")
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.place(key).error(f"a key of {what} must be a plain name")
            if key.value in seen:
                raise self.place(key).error(f"{key.value} stands twice in {what}")
            seen.add(key.value)
            yield key, value

    def section(self, node: yaml.Node | None, what: str, known: tuple[str, ...]) -> dict[str, yaml.Node]:
        """A mapping that may have these keys only."""
        section = {}
        for key, value in self.items(node, what):
            if key.value not in known:
                raise self.place(key).error(f"unknown key {key.value} in {what} (known: {', '.join(known)})")
            section[key.value] = value
        return section

    def text(self, node: yaml.Node | None, default: str) -> str:
        """A scalar as the text that the API takes."""
        return default if node is None else self.value(node)

    def value(self, node: yaml.Node) -> str:
        """A value as the API takes it: text as it stands, true and false in small letters, a mapping as JSON."""
        if isinstance(node, yaml.ScalarNode):
            boolean = node.tag == "tag:yaml.org,2002:bool"
            return str(node.value).lower() if boolean else str(node.value)
        return json.dumps(yaml.SafeLoader("").construct_document(node))

    def queue(self, name: yaml.ScalarNode, node: yaml.Node) -> QueueSpec:
        """One queue. AWS: a name that ends in .fifo is a FIFO queue's, and no other queue's."""
        parts = self.section(node, f"queue {name.value}", known=("attributes", "dead_letter", "tags"))
        attributes = {key.value: (key, value) for key, value in self.items(parts.get("attributes"), "attributes")}
        if "RedrivePolicy" in attributes and "dead_letter" in parts:
            raise self.place(parts["dead_letter"]).error("dead_letter and RedrivePolicy say the same thing; keep one")
        return QueueSpec(
            name=name.value,
            place=self.place(name),
            attributes={key: self.value(value) for key, (_, value) in attributes.items()},
            attribute_places={key: self.place(at) for key, (at, _) in attributes.items()},
            tags={key.value: self.value(value) for key, value in self.items(parts.get("tags"), "tags")},
            dead_letter=self.dead_letter(parts.get("dead_letter")),
        )

    def dead_letter(self, node: yaml.Node | None) -> DeadLetter | None:
        """A queue's dead-letter target; the queue may be of this file or be there already."""
        if node is None:
            return None
        parts = self.section(node, "dead_letter", known=("max_receives", "queue"))
        for key in ("queue", "max_receives"):
            if key not in parts:
                raise self.place(node).error(f"dead_letter needs {key}")
        receives = self.value(parts["max_receives"])
        if not receives.isdecimal():
            raise self.place(parts["max_receives"]).error(f"max_receives must be a whole number, not {receives}")
        return DeadLetter(self.value(parts["queue"]), int(receives), self.place(node))


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


async def create_resources(resources: Resources, invoke: Invoke) -> None:
    """Make what is not there and give what is there the attributes and tags of the file; nothing is removed.

    Raises ResourcesError that names the line whose value the service refused.
    """
    call = _caller(resources, invoke, "sqs")
    urls = {queue.name: await _create_queue(queue, call) for queue in resources.queues}
    for queue in resources.queues:
        if queue.dead_letter is not None:
            await _aim_dead_letters(resources, queue.dead_letter, urls[queue.name], call)
    await create_streams(resources.streams, _caller(resources, invoke, "kinesis"))


Call = Callable[[Place, str, dict[str, Any]], Awaitable[dict[str, Any]]]


def _caller(resources: Resources, invoke: Invoke, service: str) -> Call:
    """Calls a service as the root of the file's account; an error names the place in the file that the call is for."""
    account = resources.account
    root = Principal(account=account, access_key_id="", user_id=account, arn=f"arn:aws:iam::{account}:root")

    async def call(place: Place, operation: str, params: dict[str, Any]) -> dict[str, Any]:
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
    url: str = (await call(queue.place, "CreateQueue", {"QueueName": queue.name, **fifo}))["QueueUrl"]
    for name, value in queue.attributes.items():
        if name != "FifoQueue" or not fifo:
            change = {"QueueUrl": url, "Attributes": {name: value}}
            await call(queue.attribute_places[name], "SetQueueAttributes", change)
    if queue.tags:
        await call(queue.place, "TagQueue", {"QueueUrl": url, "Tags": queue.tags})
    return url


async def _aim_dead_letters(resources: Resources, dead_letter: DeadLetter, url: str, call: Call) -> None:
    target = f"arn:aws:sqs:{resources.region}:{resources.account}:{dead_letter.queue}"
    policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": dead_letter.max_receives})
    change = {"QueueUrl": url, "Attributes": {"RedrivePolicy": policy}}
    await call(dead_letter.place, "SetQueueAttributes", change)
