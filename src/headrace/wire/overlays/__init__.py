"""What botocore's models lack: one JSON file a service, with the Query protocol's names and the errors' codes."""

from __future__ import annotations

from importlib import resources

import msgspec

from headrace.wire.validation import Style


class WireError(msgspec.Struct, frozen=True):
    """How an error goes out: Query code, JSON type, HTTP status, Query message; "" and 0 where they follow the rule.

    The rule: the code and the JSON type are the error's own name, the status is 400, the message is what was raised.
    """

    code: str = ""
    type: str = ""
    status: int = 0
    query_message: str = ""


class Overlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One service's file. All of it is optional: a service that needs nothing has no file.

    `model` is the directory of botocore's model where it is not the signing name. `error_namespace` goes before the
    JSON type of modeled errors, `coral_namespace` before all others. `members`, `elements` and `entries` are the
    Query protocol's names for structures' members, lists' elements and maps' keys and values. `lenient` names
    structures whose missing members the service's own rules judge. `paths` are patterns of URL paths that name a
    resource of the service; such a URL stands for the parameter `path_member`. `host_labels` are names for the
    service in a host's name, besides its own. `query_error_header` says whether JSON errors carry `x-amzn-query-
    error`. `permissions` tells what a resource's policy must allow for an operation, where services call it.
    """

    model: str = ""
    xml_namespace: str = ""
    result_wrapper: str = ""
    error_namespace: str = ""
    coral_namespace: str = ""
    query_error_header: bool = False
    host_labels: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    path_member: str = ""
    permissions: dict[str, str] = {}
    style: Style = msgspec.field(default_factory=Style)
    lenient: frozenset[str] = frozenset()
    errors: dict[str, WireError] = {}
    members: dict[str, dict[str, str]] = {}
    elements: dict[str, str] = {}
    entries: dict[str, tuple[str, str]] = {}


def read_overlay(service: str) -> Overlay:
    """The overlay of the service that requests are signed for as `service`; an empty one when it has none."""
    file = resources.files(__name__) / f"{service}.json"
    return msgspec.json.decode(file.read_bytes(), type=Overlay) if file.is_file() else Overlay()
