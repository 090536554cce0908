import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.services.sns.transports import sms_routes
from headrace.services.sns.transports.smpp import Bind
from headrace.services.sns.transports.smpp_session import Centre
from headrace.services.sns.transports.sms_routes import Sms

SMS = Sms("+15550100", "Shop", "a & b", True, "m1")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smpp://a:b@centre", Centre("centre", 2775, Bind("a", "b"))),
        ("smpps://a:p%40@centre?system_type=X", Centre("centre", 3550, Bind("a", "p@", "X"), tls=True)),
        ("smpp://[::1]:1", Centre("::1", 1, Bind("", ""))),
    ],
)
def test_message_centres(url, expected):
    assert sms_routes.read_centre(url) == expected


@pytest.mark.parametrize("url", ["smpp://", "http://centre", "smpp://a:much-too-long@centre", "smpp://centre:0x"])
def test_what_is_no_message_centre(url):
    with pytest.raises(ValueError, match=r"smpp|SMPP|Port"):
        sms_routes.read_centre(url)


def test_braces_that_are_no_fields_stay():
    request = sms_routes.gateway_request("https://a/?x={y}&to={to}&z={", "", SMS)
    assert request.url == "https://a/?x={y}&to=%2B15550100&z={"
    assert request.method == "GET"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_any_text_is_carried_in_json(text):
    sms = Sms("+15550100", "Shop", text, False, "m1")
    request = sms_routes.gateway_request("https://a/", ' {"text": "{text}", "all": "{from}: {text}"}', sms)
    assert json.loads(request.body) == {"text": text, "all": f"Shop: {text}"}
