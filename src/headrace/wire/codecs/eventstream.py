"""Event streams (`application/vnd.amazon.eventstream`): messages of headers and a payload, each with its checksums.

Follows the description of the encoding in AWS's Smithy documentation. A message is its total length, the length of its
headers and a CRC of these two, then the headers, the payload, and a CRC of all of it. An operation that streams answers
with a message `initial-response`, which holds the other members of its output, then one message an event; an error on
the way is the last message.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from headrace.errors import ServiceError
from headrace.wire.catalog import Operation
from headrace.wire.codecs.errors import describe
from headrace.wire.messages import Response
from headrace.wire.shapes import Member, Shape

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
"""The media type of a body that is an event stream."""

MAX_HEADER_BYTES: Final = 32_767
"""The longest value of a header."""

_INITIAL: Final = "initial-response"
_TEXT: Final = 7
_PRELUDE_BYTES: Final = 12
_CRC_BYTES: Final = 4

Encode = Callable[[Shape, Any], bytes]
"""From a shape and a value of it to a message's payload."""


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """Headers as a message has them, all of text; what is too long for one is cut off."""
    pieces = []
    for name, value in headers.items():
        text = value.encode()[:MAX_HEADER_BYTES].decode(errors="ignore").encode()
        pieces += [len(name).to_bytes(1), name.encode(), _TEXT.to_bytes(1), len(text).to_bytes(2), text]
    return b"".join(pieces)


def encode_message(headers: bytes, payload: bytes = b"") -> bytes:
    """A whole message, with its checksums."""
    total = _PRELUDE_BYTES + len(headers) + len(payload) + _CRC_BYTES
    prelude = struct.pack(">II", total, len(headers))
    prelude_crc = crc32(prelude)
    head = prelude + prelude_crc.to_bytes(4) + headers
    return b"".join((head, payload, crc32(payload, crc32(head)).to_bytes(4)))


def respond(
    operation: Operation, result: dict[str, Any], request_id: str, payload_type: str, encode: Encode
) -> Response:
    """The answer of an operation that streams: its events as messages whose payloads are of `payload_type`."""
    headers = [("content-type", CONTENT_TYPE), ("x-amzn-requestid", request_id)]
    return Response(200, headers, _messages(operation, result, payload_type, encode))


async def _messages(
    operation: Operation, result: dict[str, Any], payload_type: str, encode: Encode
) -> AsyncIterator[bytes]:
    """The messages, one by one, as the events come; what makes the events is closed when nobody takes them any more."""
    kinds = operation.output.members[operation.event_member].shape.members
    events = result[operation.event_member]
    try:
        others = {name: value for name, value in result.items() if name != operation.event_member}
        yield encode_message(_head("event", _INITIAL, payload_type), encode(operation.output, others))
        async for event in events:
            message = event.messages.get(payload_type)
            if message is None:
                ((kind, value),) = event.items()
                payload = encode(kinds[kind].shape, value)
                message = event.messages[payload_type] = encode_message(_head("event", kind, payload_type), payload)
            yield message
    except ServiceError as error:
        yield _failure(operation, kinds, error, payload_type, encode)
    finally:
        await events.aclose()


def _head(message: str, kind: str, payload_type: str) -> bytes:
    return encode_headers({f":{message}-type": kind, ":content-type": payload_type, ":message-type": message})


def _failure(
    operation: Operation, kinds: Mapping[str, Member], error: ServiceError, payload_type: str, encode: Encode
) -> bytes:
    """The last message of a stream that fails: an exception, if the model has it among the events, or else an error."""
    if error.code in kinds:
        value = {"message": error.message, **error.fields}
        return encode_message(_head("exception", error.code, payload_type), encode(kinds[error.code].shape, value))
    failure = describe(operation.service, error)
    headers = {":error-code": failure.code, ":error-message": failure.message, ":message-type": "error"}
    return encode_message(encode_headers(headers))
