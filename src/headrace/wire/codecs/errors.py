"""How an error goes out, whichever protocol the caller speaks: its codes and its status."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from headrace.errors import ServiceError
from headrace.wire.catalog import Service
from headrace.wire.overlays import WireError

_BAD_REQUEST: Final = int(HTTPStatus.BAD_REQUEST)
_NO_WIRE_ERROR: Final = WireError()


class Failure(msgspec.Struct, frozen=True):
    """An error as the wire names it: `type` for JSON, `code` and `query_message` for Query, and whose fault it is."""

    status: int
    type: str
    code: str
    message: str
    query_message: str

    @property
    def fault(self) -> str:
        """`Sender` for a request that is wrong, `Receiver` for a server that could not do its part."""
        return "Receiver" if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "Sender"


def describe(service: Service | None, error: ServiceError) -> Failure:
    """What `error` is called on the wire of `service`; None when the request named no service that is served."""
    if service is None:
        return Failure(error.status or _BAD_REQUEST, error.code, error.code, error.message, error.message)
    overlay = service.overlay
    known = overlay.errors.get(error.code, _NO_WIRE_ERROR)
    namespace = overlay.error_namespace if error.code in service.errors else overlay.coral_namespace
    return Failure(
        status=error.status or known.status or _BAD_REQUEST,
        type=namespace + (known.type or error.code),
        code=known.code or error.code,
        message=error.message,
        query_message=known.query_message or error.message,
    )
