import pytest

from headrace.errors import ServiceError
from headrace.services.sns import platform_records, platform_rules

ENDPOINT = "arn:aws:sns:us-east-1:000000000000:endpoint/GCM/shop.1/5e3e9847-3183-3f18-a7e8-671c3a57d4b3"


@pytest.mark.parametrize("name", ["a", "Shop_1.x-y", "x" * 256])
def test_names_that_are_taken(name):
    platform_rules.check_new_application(name, "GCM", {"PlatformCredential": "x"})


@pytest.mark.parametrize("name", ["", "a b", "é", "a/b", "x" * 257])
def test_names_that_are_refused(name):
    with pytest.raises(ServiceError, match="Name Reason"):
        platform_rules.check_new_application(name, "GCM", {"PlatformCredential": "x"})


def test_credentials_are_not_shown():
    stored = {"PlatformCredential": "secret", "PlatformPrincipal": "who", "EventEndpointCreated": "arn"}
    shown = platform_rules.show_application("ADM", stored)
    assert shown == {"Enabled": "true", "EventEndpointCreated": "arn"}
    assert platform_rules.show_application("APNS", stored)["AuthenticationMethod"] == "certificate"
    assert platform_rules.show_application("APNS", {"ApplePlatformTeamID": "t"})["AuthenticationMethod"] == "token"
    assert (
        platform_rules.show_application("GCM", {"PlatformCredential": ' {"a": 1}'})["AuthenticationMethod"] == "token"
    )


def test_an_empty_value_takes_an_attribute_away():
    stored = {"EventEndpointCreated": "arn", "PlatformCredential": "x"}
    assert platform_rules.merge_application(stored, {"EventEndpointCreated": ""}) == {"PlatformCredential": "x"}


def test_apples_tokens_are_in_lower_case():
    assert platform_rules.check_token("APNS_SANDBOX", "AB12") == "ab12"
    assert platform_rules.check_token("GCM", "AB:12") == "AB:12"


@pytest.mark.parametrize("token", ["", "x" * 2049, "a\nb"])
def test_tokens_that_are_refused(token):
    with pytest.raises(ServiceError, match="Token Reason"):
        platform_rules.check_token("GCM", token)


def test_baidu_names_its_channel():
    given = {"ChannelId": "c", "UserId": "u"}
    assert platform_rules.new_endpoint("BAIDU", "c", None, given)["ChannelId"] == "c"
    with pytest.raises(ServiceError, match="must be the ChannelId"):
        platform_rules.new_endpoint("BAIDU", "other", None, given)
    with pytest.raises(ServiceError, match="UserId: cannot be empty"):
        platform_rules.new_endpoint("BAIDU", "c", None, {"ChannelId": "c"})
    with pytest.raises(ServiceError, match="Invalid attribute name: UserId"):
        platform_rules.new_endpoint("GCM", "c", None, {"UserId": "u"})


def test_arns_are_read_as_they_were_written():
    application, endpoint_id = platform_records.parse_endpoint(ENDPOINT)
    assert application.endpoint_arn(endpoint_id) == ENDPOINT
    assert platform_records.parse_application(application.arn) == application
    china = "arn:aws-cn:sns:cn-north-1:000000000000:app/APNS/shop"
    assert platform_records.parse_application(china).arn == china


@pytest.mark.parametrize(
    "arn",
    ["", "arn:aws:sns:us-east-1:000000000000:orders", ENDPOINT + "/x", ENDPOINT.replace("shop.1", "a/b"), "x" * 9],
)
def test_arns_that_are_none(arn):
    assert platform_records.parse_endpoint(arn) is None
    assert platform_records.parse_application(arn) is None
