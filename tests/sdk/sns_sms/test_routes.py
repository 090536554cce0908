"""Short messages through a message centre and through a gateway."""

import base64
import json
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

NUMBER = "+15550100"


@pytest.fixture
def through_centre(centre, serve_with):
    url = f"smpp://shop:s3cret@127.0.0.1:{centre.port}?system_type=SMPP"
    return serve_with(sms_url=url, sms_number="+15550000")


def send(server, text, number=NUMBER, **attributes):
    values = {name.replace("__", "."): {"DataType": "String", "StringValue": each} for name, each in attributes.items()}
    return server.client("sns").publish(PhoneNumber=number, Message=text, MessageAttributes=values)


def until_submitted(server, centre, count):
    for _ in range(100):
        if centre.wait("submitted", count, 0.2):
            return centre.submitted[:count]
        server.advance(10)
    raise AssertionError(f"{len(centre.submitted)} messages came, not {count}")


def test_a_message_is_submitted(through_centre, centre):
    send(through_centre, "hello @home")
    sms = centre.expect("submitted", 1)[0]
    assert centre.binds == [[b"shop", b"s3cret", b"SMPP"]]
    assert (sms.destination_ton, sms.destination, sms.source_ton, sms.source) == (1, "15550100", 1, "15550000")
    assert (sms.octets, sms.data_coding, sms.esm_class, sms.priority) == (b"hello \0home", 0, 0, 0)


def test_one_session_for_many_messages(through_centre, centre):
    for n in range(30):
        send(through_centre, str(n))
    got = {sms.octets for sms in centre.expect("submitted", 30)}
    assert got == {str(n).encode() for n in range(30)}
    assert len(centre.binds) == 1


def test_a_sender_and_a_type(through_centre, centre):
    send(through_centre, "one", AWS__SNS__SMS__SenderID="Shop", AWS__SNS__SMS__SMSType="Transactional")
    sms = centre.expect("submitted", 1)[0]
    assert (sms.source_ton, sms.source, sms.priority) == (5, "Shop", 1)


def test_other_alphabets(through_centre, centre):
    send(through_centre, "Привет 👋")
    sms = centre.expect("submitted", 1)[0]
    assert sms.data_coding == 8
    assert sms.octets.decode("utf-16-be") == "Привет 👋"


def test_a_long_message_goes_in_parts(through_centre, centre):
    text = "0123456789" * 40
    send(through_centre, text)
    parts = centre.expect("submitted", 3)
    assert [part.header[1:] for part in parts] == [(3, 1), (3, 2), (3, 3)]
    assert len({part.header[0] for part in parts}) == 1
    assert {part.esm_class for part in parts} == {0x40}
    assert b"".join(part.octets[6:] for part in parts).decode() == text


@pytest.mark.parametrize("status", [0x58, 0x14, 0x08])
def test_what_passes_is_tried_again(status, through_centre, centre):
    centre.statuses = [status]
    send(through_centre, "one")
    assert [sms.octets for sms in until_submitted(through_centre, centre, 2)] == [b"one", b"one"]


def test_what_lasts_is_not_tried_again(through_centre, centre):
    centre.statuses = [0x0B]
    send(through_centre, "one")
    centre.expect("submitted", 1)
    through_centre.advance(100)
    send(through_centre, "two")
    assert [sms.octets for sms in centre.expect("submitted", 2)] == [b"one", b"two"]


def test_a_session_that_ends_is_opened_anew(through_centre, centre):
    send(through_centre, "one")
    centre.expect("submitted", 1)
    centre.cut()
    send(through_centre, "two")
    assert until_submitted(through_centre, centre, 2)[1].octets == b"two"
    assert len(centre.binds) == 2


def test_a_session_that_ends_is_opened_anew_without_a_message(through_centre, centre):
    send(through_centre, "one")
    centre.expect("submitted", 1)
    centre.cut()
    for _ in range(100):
        if centre.wait("binds", 2, 0.2):
            break
        through_centre.advance(10)
    centre.deliver("15550100", b"STOP")
    assert centre.expect("answers", 1) == [(0x80000005, 0)]
    assert through_centre.client("sns").list_phone_numbers_opted_out()["phoneNumbers"] == [NUMBER]


def test_wrong_credentials_hold_messages_back(through_centre, centre):
    centre.accepts = False
    send(through_centre, "one")
    centre.expect("binds", 1)
    centre.accepts = True
    assert until_submitted(through_centre, centre, 1)[0].octets == b"one"


def test_a_session_is_kept_alive(through_centre, centre):
    send(through_centre, "one")
    centre.expect("submitted", 1)
    for _ in range(100):
        if centre.enquiries:
            break
        through_centre.advance(30)
    assert centre.enquiries >= 1


def test_an_answer_opts_out(through_centre, centre):
    send(through_centre, "one")
    centre.expect("submitted", 1)
    centre.deliver("15550100", b" Stop\r\n")
    assert centre.expect("answers", 1) == [(0x80000005, 0)]
    sns = through_centre.client("sns")
    assert sns.check_if_phone_number_is_opted_out(phoneNumber=NUMBER)["isOptedOut"] is True
    send(through_centre, "two")
    send(through_centre, "three", number="+15550101")
    assert centre.expect("submitted", 2)[1].destination == "15550101"


def test_bytes_that_are_no_message_do_not_end_the_session(through_centre, centre):
    send(through_centre, "one")
    centre.expect("submitted", 1)
    centre.send(0x05, b"xx")
    assert centre.expect("answers", 1) == [(0x80000005, 8)]
    send(through_centre, "two")
    centre.expect("submitted", 2)
    assert len(centre.binds) == 1


def test_a_gateway_that_is_called_with_get(gateway, serve_with):
    server = serve_with(sms_url=f"http://{gateway.address}/send?to={{to}}&text={{text}}&t={{type}}")
    send(server, "a&b ✓ {to}")
    method, path, _, _ = gateway.expect(1)[0]
    assert method == "GET"
    assert parse_qs(urlsplit(path).query) == {"to": [NUMBER], "text": ["a&b ✓ {to}"], "t": ["promotional"]}


def test_a_gateway_that_takes_json(gateway, serve_with):
    body = '{"to": ["{to}"], "from": "{from}", "body": "{text}", "ref": "{id}"}'
    url = f"http://shop:s3cret@{gateway.address}/v1/messages"
    server = serve_with(sms_url=url, sms_body=body, sms_number="+15550000")
    sent = send(server, 'say "hi"\n{from}')
    method, path, headers, received = gateway.expect(1)[0]
    assert (method, path, headers["content-type"]) == ("POST", "/v1/messages", "application/json")
    assert headers["authorization"] == "Basic " + base64.b64encode(b"shop:s3cret").decode()
    assert json.loads(received) == {
        "to": [NUMBER],
        "from": "+15550000",
        "body": 'say "hi"\n{from}',
        "ref": sent["MessageId"],
    }


def test_a_gateway_that_takes_a_form(gateway, serve_with):
    server = serve_with(sms_url=f"http://{gateway.address}/", sms_body="To={to}&Body={text}")
    send(server, "1 + 1 = 2 & more")
    _, _, headers, received = gateway.expect(1)[0]
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(received.decode()) == {"To": [NUMBER], "Body": ["1 + 1 = 2 & more"]}


@pytest.mark.parametrize("status", [500, 429, 401])
def test_a_gateway_that_fails_is_called_again(status, gateway, serve_with):
    server = serve_with(sms_url=f"http://{gateway.address}/?text={{text}}")
    gateway.statuses = [status]
    send(server, "one")
    for _ in range(100):
        if gateway.wait(2, 0.2):
            break
        server.advance(10)
    assert [path for _, path, _, _ in gateway.calls] == ["/?text=one", "/?text=one"]


def test_a_gateway_that_refuses_is_not(gateway, serve_with):
    server = serve_with(sms_url=f"http://{gateway.address}/?text={{text}}")
    gateway.statuses = [400]
    send(server, "one")
    gateway.expect(1)
    server.advance(100)
    send(server, "two")
    assert [path for _, path, _, _ in gateway.expect(2)] == ["/?text=one", "/?text=two"]


def test_a_gateway_hands_answers_on_with_its_credentials(gateway, serve_with):
    server = serve_with(sms_url=f"http://shop:s3cret@{gateway.address}/", test_endpoints=False)
    sns = server.client("sns")

    def answer(credentials):
        body = json.dumps({"from": NUMBER, "text": "STOP"}).encode()
        headers = {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}
        request = urllib.request.Request(f"{server.endpoint_url}/_headrace/sms", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert answer("shop:guess") == 403
    assert sns.check_if_phone_number_is_opted_out(phoneNumber=NUMBER)["isOptedOut"] is False
    assert answer("shop:s3cret") == 200
    assert sns.check_if_phone_number_is_opted_out(phoneNumber=NUMBER)["isOptedOut"] is True


def test_nobody_hands_answers_on_without_credentials(gateway, serve_with):
    server = serve_with(sms_url=f"http://{gateway.address}/", test_endpoints=False)
    with pytest.raises(RuntimeError, match="404"):
        server.call("POST", "sms", {"from": NUMBER, "text": "STOP"})
    with pytest.raises(RuntimeError, match="404"):
        server.call("GET", "outbox")
