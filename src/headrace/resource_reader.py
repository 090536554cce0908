"""Reads the YAML file of resources: its nodes, unlike plain values, know the lines they stand on."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import yaml

from headrace.settings import SettingsError


class ResourcesError(SettingsError):
    """The file cannot be used as it is; the message is one line with its name, the line's number and what is wrong."""


class Place(msgspec.Struct, frozen=True):
    """Where in the file something stands."""

    path: str
    line: int

    def error(self, message: str) -> ResourcesError:
        """What to raise about this place."""
        return ResourcesError(f"{self.path}:{self.line}: {message}")


Call = Callable[[Place, str, str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Calls an operation of a service for a place in the file, which its error names."""


class Attributes(msgspec.Struct, frozen=True):
    """Attributes under the API's own names, as text, each with its place."""

    values: dict[str, str]
    places: dict[str, Place]


class Reader:
    """Turns the nodes of one file into values."""

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

    def elements(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        """The elements of a list, none for nothing."""
        if node is None or _is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.place(node).error(f"{what} must be a list")
        return list(node.value)

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

    def attributes(self, node: yaml.Node | None) -> Attributes:
        """The attributes of something."""
        found = [(key, value) for key, value in self.items(node, "attributes")]
        values = {key.value: self.value(value) for key, value in found}
        return Attributes(values, {key.value: self.place(key) for key, _ in found})

    def tags(self, node: yaml.Node | None) -> dict[str, str]:
        """The tags of something."""
        return {key.value: self.value(value) for key, value in self.items(node, "tags")}


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
