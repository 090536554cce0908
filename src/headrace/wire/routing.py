"""Which protocol a request speaks, and which service and region it is for where nothing in its body says so."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from headrace.errors import ServiceError
from headrace.wire.auth import sigv4
from headrace.wire.catalog import Catalog, Operation, Service
from headrace.wire.codecs.awsjson import JsonCodec
from headrace.wire.codecs.awsquery import QueryCodec
from headrace.wire.codecs.cbor import CONTENT_TYPE as CBOR_TYPE
from headrace.wire.codecs.cbor import CborCodec
from headrace.wire.messages import Request, Response

REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]")


class Codec(Protocol):
    """One protocol: from a request to an operation and its parameters, and from a result or an error to a response."""

    def service(self, request: Request) -> Service | None:
        """The service the request is for, if it is one that is served; never raises."""

    def operation(self, request: Request) -> Operation:
        """The operation the request calls. Raises the ServiceError that says why there is none."""

    def decode(self, operation: Operation, request: Request) -> dict[str, Any]:
        """The operation's parameters. Raises the ServiceError that says what is wrong with them."""

    def encode(self, operation: Operation, result: dict[str, Any], request_id: str) -> Response:
        """The answer that carries an operation's result."""

    def refuse(self, service: Service | None, error: ServiceError, request_id: str) -> Response:
        """The answer that carries an error."""


class Router:
    """Finds the codec for each request by its content type: a body's type names AWS's protocols apart."""

    def __init__(self, catalog: Catalog) -> None:
        self._query = QueryCodec(catalog)
        self._by_content_type: dict[str, Codec] = {
            content_type: JsonCodec(content_type, catalog)
            for content_type in ("application/x-amz-json-1.0", "application/x-amz-json-1.1", "application/json")
        }
        self._by_content_type[CBOR_TYPE] = CborCodec(catalog)

    def codec(self, request: Request, *, own: bool) -> Codec:
        """What the caller speaks; when it does not say, JSON on Headrace's `own` endpoints and Query elsewhere."""
        codec = self._by_content_type.get(request.content_type)
        if codec is None:
            codec = self._by_content_type["application/json"] if own else self._query
        return codec


def region_of(request: Request) -> str:
    """The region a request that is not signed is for: that of its host, as in `sqs.eu-west-1.…`, or the default."""
    host = request.authority.partition(":")[0]
    named = (label for label in host.split(".") if REGION.fullmatch(label))
    return next(named, sigv4.DEFAULT_REGION)
