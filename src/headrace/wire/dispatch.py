"""The pipeline from a request to its answer."""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from collections.abc import Mapping
from typing import Any

import structlog

from headrace.context import Context, Principal, Server
from headrace.errors import ServiceError, StorageError
from headrace.wire import control
from headrace.wire.auth import sigv4
from headrace.wire.catalog import Catalog, Service
from headrace.wire.codecs.awsjson import JsonCodec
from headrace.wire.control import Control
from headrace.wire.messages import Exchange, Request, Scope, read_body, send
from headrace.wire.validation import check


class Dispatcher:
    """Answers requests: over HTTP through `handle`, from within the process through `invoke`."""

    def __init__(self, *, catalog: Catalog, server: Server, states: Mapping[str, Any], control: Control) -> None:
        self._catalog = catalog
        self._server = server
        self._states = states
        self._control = control
        self._json = {
            version: JsonCodec(version) for version in ("application/x-amz-json-1.0", "application/x-amz-json-1.1")
        }
        self._new_request_id = _request_ids()
        self._log = structlog.get_logger().bind()
        self._logs_calls = self._log.is_enabled_for(logging.DEBUG)

    async def handle(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request, whatever it is. Ends without an answer only when the client has hung up."""
        request = Request(scope, self._new_request_id())
        codec = self._json["application/x-amz-json-1.0"]
        service: Service | None = None
        try:
            request.body = await read_body(request, exchange)
            if request.path.startswith(control.PREFIX):
                response = await self._control.answer(request)
                await send(exchange, response)
                return
            operation = self._catalog.targets[request.headers.get("x-amz-target", "")]
            service = operation.service
            caller = sigv4.read_authorization(request.headers.get("authorization", ""))
            params = codec.decode(operation, request)
            ctx = self._context(service, caller.principal, caller.region or sigv4.DEFAULT_REGION, request, exchange)
            result = await operation.action(ctx, params)
            response = codec.encode(operation, result, request.id)
        except asyncio.CancelledError:
            return
        except Exception as error:
            response = codec.refuse(service, self._service_error(error, request.id), request.id)
        await send(exchange, response)

    async def invoke(
        self, service: str, operation: str, params: dict[str, Any], *, principal: Principal, region: str
    ) -> dict[str, Any]:
        """Call an operation from within the process. Raises ServiceError as the operation does."""
        called = self._catalog.services[service].operation(operation)
        check(called.service.overlay.style, called.input, params)
        ctx = Context(
            server=self._server,
            state=self._states[service],
            principal=principal,
            region=region,
            request_id=self._new_request_id(),
            base_url=self._server.base_url,
        )
        return await called.action(ctx, params)

    def _context(
        self, service: Service, principal: Principal, region: str, request: Request, exchange: Exchange
    ) -> Context:
        return Context(
            server=self._server,
            state=self._states[service.name],
            principal=principal,
            region=region,
            request_id=request.id,
            base_url=request.base_url,
            hangup=exchange.client_disconnect,
        )

    def _service_error(self, error: Exception, request_id: str) -> ServiceError:
        """Any error as the caller is to see it."""
        if isinstance(error, ServiceError):
            return error
        if isinstance(error, StorageError):
            self._log.error("storage", request_id=request_id, error=str(error))
            return ServiceError("ServiceUnavailable", str(error), status=503)
        self._log.exception("unexpected error", request_id=request_id, exc_info=error)
        return ServiceError("InternalFailure", f"Request {request_id} failed for an unexpected reason.", status=500)


def _request_ids():
    """Request ids in the form of a UUID: the process's own random beginning, then a count."""
    prefix = str(uuid.uuid4())[:24]
    count = itertools.count(1)
    return lambda: f"{prefix}{next(count):012x}"
