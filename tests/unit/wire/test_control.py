import pytest

from headrace.errors import ServiceError
from headrace.wire.control import Control, is_for_headrace


@pytest.fixture
def calls():
    return []


@pytest.fixture
def control(calls):
    async def reset():
        calls.append("reset")

    async def advance(duration_ms):
        calls.append(duration_ms)
        return 1_000_000 + duration_ms

    async def outbox(filters):
        calls.append(filters)
        return {"messages": []}

    async def answered(number, text):
        calls.append((number, text))

    return Control(health=lambda: {"status": "ok"}, reset=reset, advance=advance, outbox=outbox, answered=answered)


@pytest.mark.parametrize(
    ("given", "own"),
    [
        ({"path": "/_headrace/health", "method": "GET"}, True),
        ({"path": "/_headrace/anything", "method": "POST"}, True),
        ({"path": "/", "method": "GET"}, True),
        ({"path": "/", "method": "HEAD"}, True),
        ({"path": "/", "method": "GET", "query_string": "Action=ListQueues"}, False),
        ({"path": "/", "method": "GET", "headers": {"Authorization": "AWS4-HMAC-SHA256 Credential=a"}}, False),
        ({"path": "/000000000000/queue", "method": "GET"}, False),
        ({"path": "/", "method": "POST"}, False),
    ],
)
def test_what_is_for_headrace(request_of, given, own):
    assert is_for_headrace(request_of(**given)) == own


async def test_health(control, request_of):
    response = await control.answer(request_of(path="/_headrace/health", method="GET"))
    assert (response.status, response.body) == (200, b'{"status":"ok"}')
    assert ("x-amzn-requestid", "the-request-id") in response.headers


async def test_who_can_serve_nobody_says_so(request_of):
    control = Control(health=lambda: {"status": "unreachable"}, reset=None, advance=None)
    response = await control.answer(request_of(path="/_headrace/health", method="GET"))
    assert response.status == 503


async def test_a_look_at_the_root_is_told_where_it_is(control, request_of):
    response = await control.answer(request_of(path="/", method="GET"))
    assert b"Headrace" in response.body


async def test_reset(control, request_of, calls):
    response = await control.answer(request_of(path="/_headrace/reset"))
    assert (response.body, calls) == (b'{"status":"ok"}', ["reset"])


async def test_the_clock_is_moved_by_seconds(control, request_of, calls):
    response = await control.answer(request_of(b'{"advance_s": 1.5}', path="/_headrace/clock"))
    assert (response.body, calls) == (b'{"now_ms":1001500}', [1500])


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"advance_s": "1"}', b'{"advance_s": -1}', b'{"advance_s": 1e300}']
)
async def test_the_clock_is_not_moved_by_anything_else(control, request_of, calls, body):
    with pytest.raises(ServiceError) as refused:
        await control.answer(request_of(body, path="/_headrace/clock"))
    assert (refused.value.code, calls) == ("InvalidRequest", [])


async def test_the_outbox_is_filtered(control, request_of, calls):
    response = await control.answer(
        request_of(path="/_headrace/outbox", method="GET", query_string="protocol=sms&to=%2B1555")
    )
    assert (response.body, calls) == (b'{"messages":[]}', [{"protocol": "sms", "to": "+1555"}])


async def test_what_people_answer_is_taken(control, request_of, calls):
    await control.answer(request_of(b'{"from": "+1555", "text": "STOP"}', path="/_headrace/sms"))
    assert calls == [("+1555", "STOP")]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"from": "+1555"}', b'{"from": 1, "text": "x"}', b'{"from": "1", "text": 5}']
)
async def test_what_is_no_answer_is_refused(control, request_of, calls, body):
    with pytest.raises(ServiceError) as refused:
        await control.answer(request_of(body, path="/_headrace/sms"))
    assert (refused.value.code, calls) == ("InvalidRequest", [])


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/_headrace/nothing", "GET", 404),
        ("/_headrace/", "GET", 404),
        ("/_headrace/health", "POST", 405),
        ("/_headrace/reset", "GET", 405),
        ("/_headrace/outbox", "POST", 405),
    ],
)
async def test_what_there_is_not(control, request_of, path, method, status):
    with pytest.raises(ServiceError, match="/_headrace/") as refused:
        await control.answer(request_of(path=path, method=method))
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("name", "option", "method"),
    [
        ("reset", "--test-endpoints", "POST"),
        ("clock", "--clock virtual", "POST"),
        ("outbox", "--test-endpoints", "GET"),
        ("sms", "--test-endpoints", "POST"),
    ],
)
async def test_an_endpoint_that_is_off_says_how_to_turn_it_on(request_of, name, option, method):
    control = Control(health=dict, reset=None, advance=None)
    with pytest.raises(ServiceError, match=option) as refused:
        await control.answer(request_of(b'{"advance_s": 1}', path=f"/_headrace/{name}", method=method))
    assert refused.value.status == 404


CERTIFICATE_ID = "0123456789abcdef" * 2


async def test_certificates(request_of):
    async def certificate(certificate_id):
        return b"PEM" if certificate_id == CERTIFICATE_ID else None

    control = Control(health=dict, reset=None, advance=None, certificate=certificate)
    request = request_of(path=f"/SimpleNotificationService-{CERTIFICATE_ID}.pem", method="GET")
    assert is_for_headrace(request)
    response = await control.answer(request)
    assert (response.status, response.body) == (200, b"PEM")
    assert ("content-type", "application/x-pem-file") in response.headers


@pytest.mark.parametrize(
    ("name", "method", "status"),
    [(CERTIFICATE_ID, "POST", 405), ("f" * 32, "GET", 404), ("../secret", "GET", 404), ("", "GET", 404)],
)
async def test_certificates_that_there_are_not(control, request_of, name, method, status):
    with pytest.raises(ServiceError, match="SimpleNotificationService") as refused:
        await control.answer(request_of(path=f"/SimpleNotificationService-{name}.pem", method=method))
    assert refused.value.status == status
