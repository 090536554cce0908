import pytest

from headrace import limits
from headrace.errors import ServiceError
from headrace.wire import messages
from headrace.wire.messages import read_body


def test_what_the_client_called_the_server(request_of):
    assert request_of().base_url == "http://headrace.test:4566"
    assert request_of(scheme="https", authority="h2.test").base_url == "https://h2.test"


def test_media_types_are_read_without_case_and_parameters(request_of):
    assert request_of(headers={"Content-Type": "Text/XML; charset=utf-8"}).content_type == "text/xml"
    assert request_of().content_type == ""


def test_fields_of_a_form_go_over_those_of_the_query_string(request_of):
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert request_of(b"a=1", query_string="a=0&b=2", headers=form).fields() == {"a": "1", "b": "2"}
    assert request_of(b"a=1", query_string="b=2").fields() == {"a": "1", "b": "2"}
    assert request_of(b'{"a":1}', query_string="b=2", headers={"Content-Type": "text/json"}).fields() == {"b": "2"}


async def test_a_body_of_announced_length_is_read_whole(request_of, exchange_of):
    request = request_of(headers={"Content-Length": "3"})
    assert await read_body(request, exchange_of(b"abc")) == b"abc"


async def test_a_body_in_chunks_is_put_together(request_of, exchange_of):
    assert await read_body(request_of(), exchange_of(pieces=[b"ab", b"c", b""])) == b"abc"


async def test_a_body_that_ends_early_is_refused(request_of, exchange_of):
    with pytest.raises(ServiceError) as refused:
        await read_body(request_of(headers={"Content-Length": "3"}), exchange_of(broken=True))
    assert refused.value.code == "IncompleteBody"


async def test_a_body_with_a_bad_chunk_is_refused_and_one_with_trailers_is_not(request_of, exchange_of):
    with pytest.raises(ServiceError) as refused:
        await read_body(request_of(), exchange_of(pieces=[b"ab", b"", b""]))
    assert refused.value.code == "IncompleteBody"
    with_trailer = request_of(headers={"Trailer": "x-checksum"})
    assert await read_body(with_trailer, exchange_of(pieces=[b"ab", b"", b""])) == b"ab"


async def test_a_body_that_is_too_large_is_read_on_and_refused(request_of, exchange_of):
    size = limits.MAX_REQUEST_BYTES + 1
    for exchange in (exchange_of(b"x" * size), exchange_of(pieces=[b"x" * size, b"x", b""])):
        request = request_of(headers={"Content-Length": str(size)} if exchange._pieces is None else {})
        with pytest.raises(ServiceError, match=str(limits.MAX_REQUEST_BYTES)) as refused:
            await read_body(request, exchange)
        assert (refused.value.code, refused.value.status) == ("RequestEntityTooLarge", 413)
        assert exchange.read >= size


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": str(limits.MAX_REQUEST_BYTES + 1), "Expect": "100-continue"},
        {"Content-Length": str(messages.MAX_DRAINED_BYTES + 1)},
    ],
)
async def test_a_body_is_not_read_on_when_it_is_not_sent_or_has_no_end(request_of, exchange_of, headers):
    exchange = exchange_of(b"x")
    with pytest.raises(ServiceError):
        await read_body(request_of(headers=headers), exchange)
    assert exchange.read == 0


async def test_an_endless_body_is_given_up(request_of, exchange_of, monkeypatch):
    monkeypatch.setattr(limits, "MAX_REQUEST_BYTES", 10)
    monkeypatch.setattr(messages, "MAX_DRAINED_BYTES", 20)
    exchange = exchange_of(pieces=[b"xxxxx"] * 100)
    with pytest.raises(ServiceError):
        await read_body(request_of(), exchange)
    assert exchange.read == 25


async def test_the_largest_body_is_read(request_of, exchange_of, monkeypatch):
    monkeypatch.setattr(limits, "MAX_REQUEST_BYTES", 10)
    assert await read_body(request_of(), exchange_of(pieces=[b"xxxxx", b"xxxxx", b""])) == b"x" * 10
