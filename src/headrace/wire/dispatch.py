"""The pipeline from a request to its answer."""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog

from headrace.context import REQUEST_ID, Context, Principal, ResourcePolicy, Server
from headrace.errors import ServiceError, StorageError
from headrace.wire.auth.policies import Policies
from headrace.wire.auth.sigv4 import Caller, authenticate
from headrace.wire.catalog import Catalog, Operation
from headrace.wire.control import Control, is_for_headrace
from headrace.wire.messages import Exchange, Request, Response, Scope, read_body
from headrace.wire.routing import Codec, Router, region_of
from headrace.wire.streaming import Events, Streams
from headrace.wire.validation import check


class Dispatcher:
    """Answers requests: over HTTP through `handle`, from within the process through `invoke`."""

    def __init__(
        self, *, catalog: Catalog, server: Server, states: Mapping[str, Any], control: Control, policies: Policies
    ) -> None:
        self._catalog = catalog
        self._server = server
        self._states = states
        self._control = control
        self._policies = policies
        self._router = Router(catalog)
        self._streams = Streams()
        self._new_request_id = _request_ids()
        self._log = structlog.get_logger().bind()
        self._logs_calls = _logs_debug(self._log)

    async def handle(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request, whatever it is. Ends without an answer only when the client has hung up."""
        request = Request(scope, self._new_request_id())
        REQUEST_ID.set(request.id)
        own = is_for_headrace(request)
        codec = self._router.codec(request, own=own)
        call = ""
        try:
            request.body = await read_body(request, exchange)
            if own:
                response = await self._control.answer(request)
            else:
                operation = codec.operation(request)
                call = operation.name
                caller = authenticate(request)
                params = codec.decode(operation, request)
                request.body = b""  # a call may wait long, and a body may be large
                context = self._context(operation, caller, request, exchange)
                await self._authorise(context, operation, params)
                if operation.event_member:
                    self._streams.check()
                result = await operation.action(context, params)
                if operation.event_member:
                    result[operation.event_member] = Events(result[operation.event_member], self._failing(request))
                response = codec.encode(operation, result, request.id)
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the caller gets an answer
            response = self._refuse(request, codec, error)
        if self._logs_calls:
            self._log.debug("answered", method=request.method, path=request.path, call=call, status=response.status)
        if isinstance(response.body, bytes):
            exchange.response_bytes(response.status, response.headers, response.body)
        else:
            await self._streams.send(exchange, response, response.body)

    async def invoke(
        self, service: str, operation: str, params: dict[str, Any], *, principal: Principal, region: str
    ) -> dict[str, Any]:
        """Call an operation from within the process, as `handle` does without HTTP, codec and signature.

        Raises ServiceError as the operation does.
        """
        called = self._catalog.services[service].operation(operation)
        check(called.service.overlay.style, called.input, params)
        context = self._context_within(called, principal, region)
        await self._authorise(context, called, params)
        return await called.action(context, params)

    def prepare(
        self, service: str, operation: str, *, principal: Principal, region: str
    ) -> Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]:
        """Make ready to call an operation many times (`context.Prepare`)."""
        called = self._catalog.services[service].operation(operation)
        context = self._context_within(called, principal, region)

        async def call(params: dict[str, Any]) -> dict[str, Any]:
            await self._authorise(context, called, params)
            return await called.action(context, params)

        return call

    def prepare_together(
        self, service: str, operation: str, *, principal: Principal, region: str
    ) -> Callable[[Sequence[dict[str, Any]]], Coroutine[Any, Any, None]]:
        """Make ready to call an operation many times at once (`context.PrepareTogether`)."""
        called = self._catalog.services[service].operation(operation)
        context = self._context_within(called, principal, region)
        together, names_resource = called.together, called.service.overlay.path_member
        assert together is not None, f"there is no {operation} of many calls"

        async def call(calls: Sequence[dict[str, Any]]) -> None:
            for params in {params[names_resource]: params for params in calls}.values():
                await self._authorise(context, called, params)
            await together(context, calls)

        return call

    async def _authorise(self, context: Context, operation: Operation, params: dict[str, Any]) -> None:
        """Raise ServiceError `AccessDenied` unless the caller may call the operation with these parameters.

        Whoever calls over HTTP may call everything. A service that calls for a resource of its own needs the leave of
        the resource that it calls. Raises what the called service does when there is no such resource.
        """
        if operation.permission and context.principal.service:
            find = operation.service.resource_policy
            assert find is not None, f"no policies are known of what {operation.name} is for"
            found = find(context, params)
            resource = found if isinstance(found, ResourcePolicy) else await found
            self._policies.check(resource, context.principal, operation.permission)

    def _context(self, operation: Operation, caller: Caller, request: Request, exchange: Exchange) -> Context:
        return Context(
            server=self._server,
            state=self._states[operation.service.name],
            principal=caller.principal,
            region=caller.region or region_of(request),
            request_id=request.id,
            origin=request,
            hangup=exchange.client_disconnect,
            trace=request.headers.get("x-amzn-trace-id"),
        )

    def _context_within(self, operation: Operation, principal: Principal, region: str) -> Context:
        """The surroundings of a call from within the process."""
        return Context(
            server=self._server,
            state=self._states[operation.service.name],
            principal=principal,
            region=region,
            request_id=self._new_request_id(),
            origin=self._server,
        )

    def _refuse(self, request: Request, codec: Codec, error: Exception) -> Response:
        """The answer to a request that failed, in the protocol it was made in."""
        refusal = self._service_error(error, request)
        self._log.debug("refused", code=refusal.code, reason=refusal.message)
        response = codec.refuse(codec.service(request), refusal, request.id)
        if response.status == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers.append(("allow", "GET, POST"))
        return response

    def _failing(self, request: Request) -> Callable[[Exception], ServiceError]:
        """What makes errors on the way of an answer that has begun into those that the caller is to see."""
        return lambda error: self._service_error(error, request)

    def _service_error(self, error: Exception, request: Request) -> ServiceError:
        """Any error as the caller is to see it; what is not the caller's fault is logged."""
        if isinstance(error, ServiceError):
            return error
        if isinstance(error, StorageError):
            self._log.error("storage failed", reason=str(error))
            return ServiceError("ServiceUnavailable", str(error), status=503)
        self._log.error("request failed", path=request.path, exc_info=error)
        message = f"The request failed for a reason unforeseen; the log tells of request {request.id}."
        return ServiceError("InternalFailure", message, status=500)


def _logs_debug(log: Any) -> bool:
    """Whether the logger passes debug lines on; the one that another program's tests have set up may not say."""
    is_enabled_for = getattr(log, "is_enabled_for", None)
    return is_enabled_for is None or bool(is_enabled_for(logging.DEBUG))


def _request_ids() -> Callable[[], str]:
    """Makes request ids of a UUID's form: a random beginning, this process's own, and a count."""
    prefix = str(uuid.uuid4())[:24]
    count = itertools.count(1)
    return lambda: f"{prefix}{next(count):012x}"
