"""AWS JSON 1.0 and 1.1: one JSON object in, one out; the operation stands in `X-Amz-Target`.

Follows the protocol's description in AWS's Smithy documentation. A request is decoded and checked against its shape in
one pass of compiled code; only one that does not fit is looked at again, slowly, to say what is wrong with it.
"""

from __future__ import annotations

import math
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import Any, Final

import msgspec

from headrace.errors import ServiceError
from headrace.wire.auth.sigv4 import read_authorization
from headrace.wire.catalog import Catalog, Operation, Service, unknown_operation
from headrace.wire.codecs import eventstream
from headrace.wire.codecs.errors import describe
from headrace.wire.codecs.schema import Recursive, schema_of
from headrace.wire.messages import Request, Response
from headrace.wire.shapes import INTEGER_RANGES, Shape
from headrace.wire.validation import check

Decode = Callable[[bytes], dict[str, Any]]

_encode: Final = msgspec.json.Encoder().encode

_ERROR: Final = Shape(name="Error", kind="structure")


class JsonCodec:
    """One version of the protocol, by its content type. Decoders are compiled on an operation's first call.

    `form` is what bodies are written in, for messages; `event_type` the media type of an event's payload.
    """

    form = "JSON"
    event_type = "application/json"

    def __init__(self, content_type: str, catalog: Catalog) -> None:
        self._content_type = content_type
        self._catalog = catalog
        self._targets = catalog.targets
        self._decoders: dict[Operation, Decode] = {}

    def service(self, request: Request) -> Service | None:
        """The service that `X-Amz-Target` names or else the caller has signed for, if it is one that is served."""
        named = self._catalog.service_of_target(request.headers.get("x-amz-target") or "")
        return named or self._catalog.services.get(
            read_authorization(request.headers.get("authorization") or "").service
        )

    def operation(self, request: Request) -> Operation:
        """The operation that `X-Amz-Target` names. Raises ServiceError `UnknownOperationException`."""
        operation = self._targets.get(request.headers.get("x-amz-target"))
        if operation is None or request.method != "POST":
            raise self._no_operation(request)
        return operation

    def decode(self, operation: Operation, request: Request) -> dict[str, Any]:
        """The operation's parameters. Raises the ServiceError that says what is wrong with them."""
        decode = self._decoders.get(operation)
        if decode is None:
            decode = self._decoders[operation] = self._compile(operation)
        return decode(request.body)

    def _compile(self, operation: Operation) -> Decode:
        """What decodes the operation's parameters."""
        shape, style = operation.input, operation.service.overlay.style

        def explain(body: bytes) -> dict[str, Any]:
            """Decode with care: what AWS takes though it does not fit to the letter is taken, the rest is refused."""
            try:
                value = self._parse(shape, body)
            except (ValueError, RecursionError) as error:
                raise _malformed(f"The request body is not {self.form}: {error}.") from error
            params: dict[str, Any] = convert(shape, value)
            check(style, shape, params)
            return params

        try:
            fast = self._reader(shape, schema_of(shape, style))
        except Recursive:
            return explain

        def decode(body: bytes) -> dict[str, Any]:
            try:
                params: dict[str, Any] = fast(body)
            except (ValueError, RecursionError):
                return explain(body)
            return params

        return decode

    def _parse(self, _shape: Shape, body: bytes) -> Any:
        """A body as it stands. Raises ValueError."""
        return msgspec.json.decode(body)

    def _reader(self, _shape: Shape, schema: Any) -> Decode:
        """What reads bodies that are of a shape and meet its schema to the letter; it raises ValueError for others."""
        return msgspec.json.Decoder(schema).decode

    def _no_operation(self, request: Request) -> ServiceError:
        target = request.headers.get("x-amz-target")
        if request.method != "POST":
            return ServiceError("MethodNotAllowed", f"{request.method} is not supported; use POST.", status=405)
        if target is None:
            return ServiceError("UnknownOperationException", "The request has no X-Amz-Target header.")
        service = self._catalog.service_of_target(target)
        if service is not None:
            return unknown_operation(service, target.rpartition(".")[2])
        served = ", ".join(self._catalog.services)
        return ServiceError("UnknownOperationException", f"There is no operation {target}; services served: {served}.")

    def encode(self, operation: Operation, result: dict[str, Any], request_id: str) -> Response:
        """The answer that carries an operation's result."""
        if operation.event_member:
            return eventstream.respond(operation, result, request_id, self.event_type, self._write)
        headers = [("content-type", self._content_type), ("x-amzn-requestid", request_id)]
        return Response(200, headers, self._write(operation.output, result))

    def refuse(self, service: Service | None, error: ServiceError, request_id: str) -> Response:
        """The answer that carries an error."""
        failure = describe(service, error)
        headers = [("content-type", self._content_type), ("x-amzn-requestid", request_id)]
        if service is not None and service.overlay.query_error_header:
            headers.append(("x-amzn-query-error", f"{failure.code};{failure.fault}"))
        body = {"__type": failure.type, "message": failure.message, **error.fields}
        return Response(failure.status, headers, self._write(_ERROR, body))

    def _write(self, _shape: Shape, value: Any) -> bytes:
        """A value of a shape as a body."""
        return _encode(value)


def convert(shape: Shape, value: Any) -> Any:
    """A value as JSON or CBOR has it, as its shape has it: blobs as bytes, whole numbers as ints; nulls and strangers
    left out.

    Raises ServiceError `SerializationException`, in AWS's words, for a value of another type.
    """
    match shape.kind:
        case "structure":
            return _structure(shape, _expect(value, dict, "Expected null"))
        case "list":
            assert shape.member is not None
            elements = _expect(value, list, "Expected list or null")
            return [convert(shape.member, element) for element in elements if element is not None]
        case "map":
            assert shape.value is not None
            entries = _expect(value, dict, "Expected map or null")
            return {key: convert(shape.value, inner) for key, inner in entries.items() if inner is not None}
        case _:
            return _SCALARS[shape.kind](value)


def _structure(shape: Shape, value: dict[str, Any]) -> dict[str, Any]:
    params = {}
    for name, inner in value.items():
        if inner is not None and (member := shape.members.get(name)) is not None:
            params[name] = convert(member.shape, inner)
    return params


def _expect(value: Any, kind: type[dict[str, Any] | list[Any]], otherwise: str) -> Any:
    if isinstance(value, kind):
        return value
    raise _malformed(_collection_found(value) or otherwise)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else _mismatch(value, "String")


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else _mismatch(value, "Boolean")


def _whole(kind: str) -> Callable[[Any], int]:
    lowest, highest = INTEGER_RANGES[kind]

    def whole(value: Any) -> int:
        # AWS: fractions are cut off, and what is out of range is taken as the end of the range.
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return int(_mismatch(value, kind.capitalize()))
        return max(lowest, min(highest, int(value)))

    return whole


def _number(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return float(_mismatch(value, "Double"))


def _timestamp(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise _malformed(_collection_found(value) or f"{_token(value)} can not be converted to milliseconds since epoch")


def _blob(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        return bytes(_mismatch(value, "Blob"))
    try:
        return b64decode(value, validate=True)
    except (Base64Error, ValueError) as error:
        raise _malformed(f"'{value}' can not be converted to a Blob: {error}") from error


_SCALARS: Final[dict[str, Callable[[Any], Any]]] = {
    "string": _string,
    "character": _string,
    "boolean": _boolean,
    "integer": _whole("integer"),
    "long": _whole("long"),
    "float": _number,
    "double": _number,
    "timestamp": _timestamp,
    "blob": _blob,
}


def _mismatch(value: Any, wanted: str) -> Any:
    article = "an" if wanted == "Integer" else "a"
    raise _malformed(_collection_found(value) or f"{_token(value)} can not be converted to {article} {wanted}")


def _collection_found(value: Any) -> str:
    if isinstance(value, list):
        return "Start of list found where not expected"
    return "Start of structure or map found where not expected." if isinstance(value, dict) else ""


def _token(value: Any) -> str:
    """What AWS's parser calls a JSON scalar."""
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, bytes):
        return "EMBEDDED_OBJECT"
    return "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"


def _malformed(message: str) -> ServiceError:
    return ServiceError("SerializationException", message)
