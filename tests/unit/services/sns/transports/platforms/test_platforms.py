"""What is put to push services, and what their answers mean, as far as the tests over a socket do not show it."""

import json

import pytest

from headrace.services.sns.records import MessageAttribute
from headrace.services.sns.transports import Verdict, push
from headrace.services.sns.transports.platforms import BadMessage, Push, adm, apns, baidu, fcm, jwt, mpns, wns
from headrace.services.sns.transports.responses import Answer

ACCOUNT = {"PlatformCredential": json.dumps({"private_key": "x", "project_id": "p"})}
APPLE = {"ApplePlatformBundleID": "b", "ApplePlatformTeamID": "t"}


def pushed(platform, text="hello", *, own=False, token="t", base_url="https://push.example", **changes):
    given = {
        "application": {"GCM": ACCOUNT, "APNS": APPLE}.get(platform, {}),
        "device": {},
        "attributes": {},
        "now_ms": 1_700_000_000_000,
    }
    return Push(platform=platform, base_url=base_url, token=token, text=text, own=own, **(given | changes))


def attributes(**values):
    return {
        f"AWS.SNS.MOBILE.{name.replace('__', '.')}": MessageAttribute("String", each) for name, each in values.items()
    }


@pytest.mark.parametrize("module", [apns, adm, fcm])
@pytest.mark.parametrize("text", ["no JSON", "[]", "5", "[" * 100_000])
def test_texts_that_are_no_object(module, text):
    platform = {apns: "APNS", adm: "ADM", fcm: "GCM"}[module]
    with pytest.raises(BadMessage, match="not a JSON object"):
        module.request(pushed(platform, text, own=True))


@pytest.mark.parametrize(
    "document",
    [
        {"data": []},
        {"notification": "x"},
        {"fcmV1Message": []},
        {"fcmV1Message": {"message": 5}},
        {"fcmV1Message": {"message": {"android": []}}},
    ],
)
def test_messages_that_google_would_not_take(document):
    with pytest.raises(BadMessage):
        fcm.request(pushed("GCM", json.dumps(document), own=True))


def test_google_takes_no_api_keys():
    with pytest.raises(BadMessage, match="service account"):
        fcm.request(pushed("GCM", application={"PlatformCredential": "key"}))


def test_a_push_type_that_apple_does_not_know():
    with pytest.raises(BadMessage, match="shout"):
        apns.request(pushed("APNS", attributes=attributes(APNS__PUSH_TYPE="shout")))


def test_attributes_cannot_smuggle_a_header_in():
    request = apns.request(pushed("APNS", attributes=attributes(APNS__COLLAPSE_ID="a\r\nx: y", APNS__TTL="soon")))
    assert "apns-collapse-id" not in request.headers
    assert "apns-expiration" not in request.headers


def test_now_or_never():
    assert apns.request(pushed("APNS", attributes=attributes(APNS__TTL="0"))).headers["apns-expiration"] == "0"


@pytest.mark.parametrize(
    ("module", "platform", "answer", "verdict", "rejected"),
    [
        (apns, "APNS", Answer(413, {}, b'{"reason": "PayloadTooLarge"}'), Verdict.FAILED, False),
        (apns, "APNS", Answer(429, {}, b'{"reason": "TooManyRequests"}'), Verdict.RETRY, False),
        (apns, "APNS", Answer(410, {}, b"no JSON"), Verdict.FAILED, True),
        (fcm, "GCM", Answer(500, {}, b"[]"), Verdict.RETRY, False),
        (
            fcm,
            "GCM",
            Answer(400, {}, b'{"error": {"status": "INVALID_ARGUMENT", "details": [5]}}'),
            Verdict.FAILED,
            False,
        ),
        (adm, "ADM", Answer(413, {}, b'{"reason": "MessageTooLarge"}'), Verdict.FAILED, False),
        (adm, "ADM", Answer(503, {}, b""), Verdict.RETRY, False),
        (baidu, "BAIDU", Answer(400, {}, b'{"error_code": 30699}'), Verdict.RETRY, False),
        (baidu, "BAIDU", Answer(400, {}, b'{"error_code": 30602}'), Verdict.FAILED, False),
        (baidu, "BAIDU", Answer(200, {}, b'{"request_id": 1}'), Verdict.DELIVERED, False),
        (wns, "WNS", Answer(406, {}), Verdict.RETRY, False),
        (wns, "WNS", Answer(200, {"x-wns-status": "dropped"}), Verdict.FAILED, False),
        (wns, "WNS", Answer(200, {"x-wns-status": "channelThrottled"}), Verdict.RETRY, False),
        (wns, "WNS", Answer(404, {}), Verdict.FAILED, True),
        (mpns, "MPNS", Answer(404, {}), Verdict.FAILED, True),
        (mpns, "MPNS", Answer(412, {}), Verdict.RETRY, False),
        (mpns, "MPNS", Answer(406, {}), Verdict.RETRY, False),
        (mpns, "MPNS", Answer(200, {"x-notificationstatus": "QueueFull"}), Verdict.RETRY, False),
        (mpns, "MPNS", Answer(200, {"x-notificationstatus": "Received"}), Verdict.DELIVERED, False),
    ],
)
def test_answers(module, platform, answer, verdict, rejected):
    result = module.judge(answer, pushed(platform))
    assert (result.outcome.verdict, result.rejected) == (verdict, rejected)


def test_an_hour_for_a_device_that_is_away():
    assert mpns.judge(Answer(412, {}), pushed("MPNS")).outcome.retry_after_ms == 3_600_000


@pytest.mark.parametrize(
    ("module", "platform", "base_url", "token", "allowed"),
    [
        (wns, "WNS", wns.PRODUCTION, "https://db5.notify.windows.com/?token=1", True),
        (wns, "WNS", wns.PRODUCTION, "http://db5.notify.windows.com/?token=1", False),
        (wns, "WNS", wns.PRODUCTION, "https://notify.windows.com.evil.example/", False),
        (wns, "WNS", wns.PRODUCTION, "https://127.0.0.1/", False),
        (wns, "WNS", "http://localhost:1", "http://localhost:1/x", True),
        (wns, "WNS", "http://localhost:1", "http://localhost:2/x", False),
        (mpns, "MPNS", mpns.PRODUCTION, "https://s.notify.live.net/u/1", True),
        (mpns, "MPNS", mpns.PRODUCTION, "https://user@evil.example/notify.live.net", False),
    ],
)
def test_channels_are_the_services_own(module, platform, base_url, token, allowed):
    given = pushed(platform, base_url=base_url, token=token)
    if allowed:
        assert module.request(given).url == token
    else:
        with pytest.raises(BadMessage, match="is not one of"):
            module.request(given)


def test_a_toast_for_windows_phone():
    given = pushed("MPNS", "a < b", base_url=mpns.PRODUCTION, token="https://s.notify.live.net/u/1")
    request = mpns.request(given)
    assert (request.headers["X-WindowsPhone-Target"], request.headers["X-NotificationClass"]) == ("toast", "2")
    assert b"<wp:Text1>a &lt; b</wp:Text1>" in request.body


def test_keys_that_are_none():
    with pytest.raises(BadMessage, match="cannot be read"):
        jwt.signed({}, key_id="k", key_pem="no key")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("GCM=http://localhost:1/", {"GCM": "http://localhost:1"}),
        ("APNS=https://a, ADM=https://b", {"APNS": "https://a", "ADM": "https://b"}),
    ],
)
def test_the_setting(text, expected):
    assert push.read_setting(text) == expected


def test_the_setting_for_all():
    found = push.read_setting("APNS=https://mine,providers")
    assert (found["APNS"], found["APNS_SANDBOX"]) == ("https://mine", "https://api.sandbox.push.apple.com")
    assert len(found) == 11


@pytest.mark.parametrize("text", ["GCM", "PIGEON=http://a", "GCM=ftp://a", "all"])
def test_settings_that_are_none(text):
    with pytest.raises(ValueError, match="is neither providers nor PLATFORM=URL"):
        push.read_setting(text)
