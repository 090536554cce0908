"""What is served: the operations of each service's model, tied to the functions that carry them out.

The models are botocore's, read as data; `overlays/<service>.json` adds what they lack. The only module that knows
botocore.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import botocore
import msgspec

from headrace.context import Context, ResourcePolicy
from headrace.errors import ServiceError
from headrace.wire.overlays import Overlay, read_overlay
from headrace.wire.shapes import Member, Shape

Action = Callable[[Context, dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]
"""What carries an operation out: from parameters to result, both by the model's member names."""

Together = Callable[[Context, Sequence[dict[str, Any]]], Coroutine[Any, Any, None]]
"""What carries out many calls of an operation as one."""

PolicyOf = Callable[[Context, dict[str, Any]], ResourcePolicy | Coroutine[Any, Any, ResourcePolicy]]
"""What finds the policy of the resource that a call with these parameters is for: at once, or when it is awaited."""


class Operation(msgspec.Struct, frozen=True, eq=False):
    """One AWS action: the shapes of what goes in and comes out, and what carries it out."""

    name: str
    service: Service
    input: Shape
    output: Shape
    result_wrapper: str
    """The element around a Query result; "" when there is none."""
    action: Action
    together: Together | None = None
    permission: str = ""
    """What the resource's policy must allow a service that calls (`sqs:SendMessage`); "" where it is not asked."""
    event_member: str = ""
    """The member of the output that is an async iterator of events; "" where the answer comes whole."""

    def __repr__(self) -> str:
        """In one line, as an operation and its service hold each other."""
        return f"Operation({self.service.name} {self.name})"


class Service(msgspec.Struct, eq=False, kw_only=True):
    """One service: its model, as far as the wire needs it, and its overlay.

    `name` is what requests are signed for; `target_prefix` begins `X-Amz-Target` and is empty for a service that does
    not speak AWS JSON; `errors` are the names of the model's error shapes. `resource_policy` is there if the overlay
    names permissions.
    """

    name: str
    full_name: str
    api_version: str
    target_prefix: str
    xml_namespace: str
    overlay: Overlay
    resource_policy: PolicyOf | None = None
    errors: frozenset[str] = frozenset()
    operations: dict[str, Operation] = {}

    def __repr__(self) -> str:
        """In one line, as a service and its operations hold each other."""
        return f"Service({self.name})"

    def operation(self, name: str) -> Operation:
        """The operation of that name. Raises ServiceError when the service has none."""
        try:
            return self.operations[name]
        except KeyError:
            raise unknown_operation(self, name) from None


def unknown_operation(service: Service, name: str) -> ServiceError:
    """The answer to a call of an operation that the service does not have."""
    return ServiceError("UnknownOperationException", f"The action {name} is not valid for {service.full_name}.")


class Catalog:
    """All services that are served, by the name their requests are signed for.

    `targets` finds an operation by its whole `X-Amz-Target` in one step.
    """

    def __init__(self, services: Mapping[str, ModuleType]) -> None:
        self.services = {name: read_service(name, operations) for name, operations in services.items()}
        self.targets = {
            f"{service.target_prefix}.{operation.name}": operation
            for service in self.services.values()
            if service.target_prefix
            for operation in service.operations.values()
        }

    def service_of_target(self, target: str) -> Service | None:
        """The service an `X-Amz-Target` names, whether or not it has the operation."""
        prefix = target.rpartition(".")[0]
        return next((service for service in self.services.values() if prefix and service.target_prefix == prefix), None)


def read_service(name: str, operations: ModuleType) -> Service:
    """The service that requests are signed for as `name`, carried out by the functions of `operations`.

    `SendMessage` is `operations.send_message`; an operation without a function answers that it is not supported.
    Raises FileNotFoundError when botocore has no such model.
    """
    overlay = read_overlay(name)
    model = _read_model(overlay.model or name)
    service = Service(
        name=name,
        full_name=model.metadata.serviceFullName,
        api_version=model.metadata.apiVersion,
        target_prefix=model.metadata.targetPrefix,
        xml_namespace=overlay.xml_namespace or model.metadata.xmlNamespace,
        overlay=overlay,
        resource_policy=getattr(operations, "resource_policy", None),
        errors=frozenset(shape for shape, raw in model.shapes.items() if raw.exception),
    )
    shapes = _Shapes(model, overlay)
    for raw in model.operations.values():
        wrapper = raw.output.resultWrapper or (
            overlay.result_wrapper.format(operation=raw.name) if raw.output.shape else ""
        )
        output = shapes.get(raw.output.shape)
        function = botocore.xform_name(raw.name)
        service.operations[raw.name] = Operation(
            name=raw.name,
            service=service,
            input=shapes.get(raw.input.shape),
            output=output,
            result_wrapper=wrapper,
            action=getattr(operations, function, None) or _unsupported(service, raw.name),
            together=getattr(operations, f"{function}_together", None),
            permission=overlay.permissions.get(raw.name, ""),
            event_member=next((name for name, member in output.members.items() if member.shape.streams), ""),
        )
    return service


def _unsupported(service: Service, name: str) -> Action:
    async def action(_context: Context, _params: dict[str, Any]) -> dict[str, Any]:
        raise ServiceError("UnsupportedOperation", f"Headrace does not support {name} of {service.full_name} yet.")

    return action


class _RawRef(msgspec.Struct):
    """A reference to a shape, as a model file has it."""

    shape: str = ""
    locationName: str = ""  # noqa: N815 - the file's own name
    flattened: bool = False
    resultWrapper: str = ""  # noqa: N815 - the file's own name


class _RawShape(msgspec.Struct):
    type: str
    members: dict[str, _RawRef] = {}
    required: list[str] = []
    member: _RawRef | None = None
    key: _RawRef | None = None
    value: _RawRef | None = None
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    enum: list[str] = []
    flattened: bool = False
    exception: bool = False
    eventstream: bool = False


class _RawOperation(msgspec.Struct):
    name: str
    input: _RawRef = msgspec.field(default_factory=_RawRef)
    output: _RawRef = msgspec.field(default_factory=_RawRef)


class _RawMetadata(msgspec.Struct):
    apiVersion: str  # noqa: N815 - the file's own name
    serviceFullName: str  # noqa: N815 - the file's own name
    targetPrefix: str = ""  # noqa: N815 - the file's own name
    xmlNamespace: str = ""  # noqa: N815 - the file's own name


class _RawModel(msgspec.Struct):
    """What the wire reads of a `service-2.json`; its documentation is passed over."""

    metadata: _RawMetadata
    operations: dict[str, _RawOperation]
    shapes: dict[str, _RawShape]


def _read_model(directory: str) -> _RawModel:
    """The newest model of a service that botocore has."""
    versions = Path(str(resources.files(botocore))) / "data" / directory
    newest = max(versions.iterdir())
    packed = newest / "service-2.json.gz"
    text = gzip.decompress(packed.read_bytes()) if packed.exists() else (newest / "service-2.json").read_bytes()
    return msgspec.json.decode(text, type=_RawModel)


class _Shapes:
    """The shapes of a model, each made once, with the names its overlay gives them."""

    def __init__(self, model: _RawModel, overlay: Overlay) -> None:
        self._raw = model.shapes
        self._overlay = overlay
        self._made: dict[str, Shape] = {}

    def get(self, name: str) -> Shape:
        """The shape of that name; the empty structure for an operation that takes or gives nothing."""
        if (made := self._made.get(name)) is not None:
            return made
        raw = self._raw.get(name) or _RawShape("structure")
        entry_names = self._overlay.entries.get(name, ("", ""))
        shape = self._made[name] = Shape(
            name=name,
            kind=raw.type,  # type: ignore[arg-type] # the models hold no other kinds
            required=tuple(raw.required),
            minimum=raw.min,
            maximum=raw.max,
            pattern=raw.pattern,
            enum=tuple(raw.enum),
            flattened=raw.flattened,
            lenient=name in self._overlay.lenient,
            streams=raw.eventstream,
        )
        if raw.member is not None:
            shape.member = self.get(raw.member.shape)
            shape.element_name = self._overlay.elements.get(name) or raw.member.locationName or "member"
        if raw.key is not None and raw.value is not None:
            shape.key, shape.value = self.get(raw.key.shape), self.get(raw.value.shape)
            shape.key_name = entry_names[0] or raw.key.locationName or "key"
            shape.value_name = entry_names[1] or raw.value.locationName or "value"
        for member, ref in raw.members.items():
            shape.members[member] = self._member(name, member, ref)
        return shape

    def _member(self, structure: str, name: str, ref: _RawRef) -> Member:
        """A member, with the name the Query protocol knows it by: a flattened list goes by the name of its elements."""
        shape = self.get(ref.shape)
        if ref.flattened and not shape.flattened:
            shape = msgspec.structs.replace(shape, flattened=True)
        query_name = self._overlay.members.get(structure, {}).get(name) or ref.locationName or name
        if shape.kind == "list" and shape.flattened and shape.element_name != "member":
            query_name = shape.element_name
        return Member(name, query_name, shape)
