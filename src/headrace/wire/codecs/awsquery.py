"""AWS Query: the operation and its parameters in a form or a query string, the answer in XML.

Follows the protocol's description in AWS's Smithy documentation, and for SQS the names of its last Query model.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from headrace.errors import ServiceError
from headrace.wire.auth import sigv4
from headrace.wire.catalog import Catalog, Operation, Service
from headrace.wire.codecs.errors import describe
from headrace.wire.codecs.form import Read, nest, reader
from headrace.wire.codecs.schema import Recursive, converter, schema_of
from headrace.wire.codecs.xml import Write, escape, writer
from headrace.wire.messages import FORM_TYPES, Request, Response
from headrace.wire.validation import check

Check = Callable[[dict[str, Any]], None]
"""Raises the ServiceError that says what is wrong with an operation's parameters."""

_DECLARATION: Final = '<?xml version="1.0"?>'
_METHODS: Final = frozenset({"GET", "POST"})


class _Frame:
    """What every answer of an operation has around its result (`write`, None without one) and the request's id."""

    __slots__ = ("after", "before", "between", "write")

    def __init__(self, operation: Operation) -> None:
        wrapper = operation.result_wrapper
        self.before = f'{_DECLARATION}<{operation.name}Response xmlns="{operation.service.xml_namespace}">'
        self.before += f"<{wrapper}>" if wrapper else ""
        self.write: Write | None = writer(operation.output) if wrapper else None
        self.between = (f"</{wrapper}>" if wrapper else "") + "<ResponseMetadata><RequestId>"
        self.after = f"</RequestId></ResponseMetadata></{operation.name}Response>"


class QueryCodec:
    """The protocol, for all services. Readers and writers are compiled on an operation's first call."""

    def __init__(self, catalog: Catalog) -> None:
        self._services = catalog.services
        self._readers: dict[Operation, tuple[Read, Check]] = {}
        self._frames: dict[Operation, _Frame] = {}
        self._paths = [
            (re.compile(pattern), service) for service in self._services.values() for pattern in service.overlay.paths
        ]

    def service(self, request: Request) -> Service | None:
        """The service the caller has signed for; for a call that is not signed, the one its host, its path, the API
        version or the action tells.
        """
        try:
            fields = request.fields()
            signed_for = sigv4.authenticate(request).service
        except ServiceError:
            fields, signed_for = {}, ""
        if signed_for:
            return self._services.get(signed_for)
        return self._by_host(request) or self._by_path(request) or self._by_fields(fields)

    def operation(self, request: Request) -> Operation:
        """The operation that `Action` names. Raises ServiceError `MissingAction` or `UnknownOperationException`."""
        if request.method not in _METHODS:
            raise ServiceError("MethodNotAllowed", f"{request.method} is not supported; use POST or GET.", status=405)
        action = request.fields().get("Action")
        if not action:
            raise _no_action(request)
        service = self.service(request)
        if service is None:
            served = ", ".join(self._services)
            raise ServiceError(
                "InvalidAction", f"The action {action} is not valid for this endpoint; it serves {served}."
            )
        return service.operation(action)

    def decode(self, operation: Operation, request: Request) -> dict[str, Any]:
        """The operation's parameters. Raises the ServiceError that says what is wrong with them."""
        compiled = self._readers.get(operation)
        if compiled is None:
            compiled = self._readers[operation] = reader(operation.input), _checker(operation)
        read, check_params = compiled
        params: dict[str, Any] = read(nest(request.fields()), "")
        overlay = operation.service.overlay
        wanted = overlay.path_member in operation.input.members and overlay.path_member not in params
        if wanted and self._by_path(request) is operation.service:
            params[overlay.path_member] = request.base_url + request.path
        check_params(params)
        return params

    def encode(self, operation: Operation, result: dict[str, Any], request_id: str) -> Response:
        """The answer that carries an operation's result."""
        frame = self._frames.get(operation)
        if frame is None:
            frame = self._frames[operation] = _Frame(operation)
        out = [frame.before]
        if frame.write is not None:
            frame.write(result, out)
        out += (frame.between, request_id, frame.after)
        return _answer(200, request_id, out)

    def refuse(self, service: Service | None, error: ServiceError, request_id: str) -> Response:
        """The answer that carries an error."""
        failure = describe(service, error)
        namespace = f' xmlns="{service.xml_namespace}"' if service is not None else ""
        out = [
            _DECLARATION,
            f"<ErrorResponse{namespace}><Error><Type>{failure.fault}</Type><Code>{escape(failure.code)}</Code>",
            f"<Message>{escape(failure.query_message)}</Message><Detail/></Error>",
            f"<RequestId>{request_id}</RequestId></ErrorResponse>",
        ]
        return _answer(failure.status, request_id, out)

    def _by_host(self, request: Request) -> Service | None:
        labels = request.authority.partition(":")[0].split(".")[:-1]
        for service in self._services.values():
            if service.name in labels or not service.overlay.host_labels.isdisjoint(labels):
                return service
        return None

    def _by_path(self, request: Request) -> Service | None:
        return next((service for pattern, service in self._paths if pattern.fullmatch(request.path)), None)

    def _by_fields(self, fields: dict[str, str]) -> Service | None:
        version, action = fields.get("Version"), fields.get("Action")
        for service in self._services.values():
            if version == service.api_version or (not version and action in service.operations):
                return service
        return None


def _checker(operation: Operation) -> Check:
    """What holds parameters against the operation's model: in compiled code, and slowly when they do not fit there."""
    shape, style = operation.input, operation.service.overlay.style

    def explain(params: dict[str, Any]) -> None:
        check(style, shape, params)

    try:
        convert = converter(schema_of(shape, style))
    except Recursive:
        return explain

    def fits(params: dict[str, Any]) -> None:
        try:
            convert(params)
        except (ValueError, RecursionError):
            explain(params)

    return fits


def _no_action(request: Request) -> ServiceError:
    """Why a request without an action is none."""
    if request.body and request.content_type not in FORM_TYPES:
        return ServiceError(
            "UnsupportedMediaType",
            f"A body of type {request.content_type} cannot be read; AWS JSON is sent as application/x-amz-json-1.0, "
            "AWS Query as application/x-www-form-urlencoded.",
            status=415,
        )
    if request.headers.get("x-amz-target") is not None:
        return ServiceError(
            "UnsupportedMediaType",
            "A request with X-Amz-Target is sent with the content type application/x-amz-json-1.0.",
            status=415,
        )
    return ServiceError("MissingAction", "The request must contain the parameter Action.")


def _answer(status: int, request_id: str, out: list[str]) -> Response:
    headers = [("content-type", "text/xml"), ("x-amzn-requestid", request_id)]
    return Response(status, headers, "".join(out).encode())
