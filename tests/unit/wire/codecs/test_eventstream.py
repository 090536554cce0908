import json

import cbor2
import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from headrace.context import Event
from headrace.errors import ServiceError
from headrace.wire.codecs.awsjson import JsonCodec
from headrace.wire.codecs.cbor import CborCodec
from headrace.wire.codecs.eventstream import MAX_HEADER_BYTES, encode_headers, encode_message

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255)


def parsed(data: bytes):
    """The messages in some bytes, as botocore reads them and checks their sums: headers and payload of each."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(dict(message.headers), message.payload) for message in buffer]


@given(headers=st.dictionaries(NAMES, st.text(max_size=50), max_size=5), payload=st.binary(max_size=200))
def test_botocore_reads_what_is_written(headers, payload):
    message = encode_message(encode_headers(headers), payload)
    assert parsed(message + message) == [(headers, payload)] * 2


def test_a_message_byte_by_byte():
    # The message of AWS's own description of the encoding: no headers, payload {'foo':'bar'}.
    prelude, last_crc = bytes.fromhex("0000001d00000000fd528c5a"), bytes.fromhex("c3653936")
    assert encode_message(b"", b"{'foo':'bar'}") == prelude + b"{'foo':'bar'}" + last_crc


def test_a_header_that_is_too_long_is_cut_off_between_characters():
    ((headers, _),) = parsed(encode_message(encode_headers({"x": "é" * MAX_HEADER_BYTES})))
    assert headers == {"x": "é" * (MAX_HEADER_BYTES // 2)}


class Events:
    """Events that come one by one, then an error if there is one."""

    def __init__(self, *events, error=None):
        self._events, self._error = events, error
        self.closed = False

    async def __call__(self):
        try:
            for event in self._events:
                yield Event({"SubscribeToShardEvent": event})
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


@pytest.fixture
def respond(served):
    """Has a codec answer SubscribeToShard with events; the response's headers and its messages."""

    async def respond(events, codec=None):
        codec = codec or JsonCodec("application/x-amz-json-1.1", served)
        operation = served.services["kinesis"].operation("SubscribeToShard")
        response = codec.encode(operation, {"EventStream": events()}, "id")
        assert response.status == 200
        data = b"".join([piece async for piece in response.body])
        return dict(response.headers), parsed(data)

    return respond


EVENT = {
    "Records": [{"Data": b"\0\1", "SequenceNumber": "1", "ApproximateArrivalTimestamp": 1.5, "PartitionKey": "p"}],
    "MillisBehindLatest": 0,
    "ContinuationSequenceNumber": "1",
}


async def test_events_in_json(respond):
    events = Events(EVENT, EVENT)
    headers, messages = await respond(events)
    assert headers == {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "id"}
    kinds = [message[0] for message in messages]
    common = {":content-type": "application/json", ":message-type": "event"}
    assert kinds == [
        common | {":event-type": "initial-response"},
        common | {":event-type": "SubscribeToShardEvent"},
        common | {":event-type": "SubscribeToShardEvent"},
    ]
    assert messages[0][1] == b"{}"
    assert json.loads(messages[1][1])["Records"][0]["Data"] == "AAE="
    assert events.closed


async def test_events_in_cbor(respond, served):
    _, messages = await respond(Events(EVENT), CborCodec(served))
    assert messages[0] == (
        {
            ":event-type": "initial-response",
            ":content-type": "application/x-amz-cbor-1.1",
            ":message-type": "event",
        },
        b"\xa0",
    )
    event = cbor2.loads(messages[1][1], semantic_decoders={1: lambda value, _immutable: value})
    assert event["Records"][0]["ApproximateArrivalTimestamp"] == 1500
    assert event["Records"][0]["Data"] == b"\0\1"


async def test_an_error_that_the_model_knows_is_an_exception(respond):
    events = Events(EVENT, error=ServiceError("ResourceInUseException", "Taken over."))
    _, messages = await respond(events)
    headers, payload = messages[-1]
    assert headers == {
        ":exception-type": "ResourceInUseException",
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    assert json.loads(payload) == {"message": "Taken over."}
    assert events.closed


async def test_any_other_error_is_an_error(respond):
    _, messages = await respond(Events(error=ServiceError("InternalFailure", "Oh no.", status=500)))
    assert messages[-1] == (
        {":error-code": "InternalFailure", ":error-message": "Oh no.", ":message-type": "error"},
        b"",
    )


async def test_nobody_listens_any_more(served):
    events = Events(EVENT, EVENT)
    operation = served.services["kinesis"].operation("SubscribeToShard")
    response = JsonCodec("application/x-amz-json-1.1", served).encode(operation, {"EventStream": events()}, "id")
    assert parsed(await anext(response.body))
    assert parsed(await anext(response.body))
    await response.body.aclose()
    assert events.closed
