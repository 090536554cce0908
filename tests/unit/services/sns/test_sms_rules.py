import pytest

from headrace.errors import ServiceError
from headrace.services.sns import sms_rules
from headrace.services.sns.records import MessageAttribute
from headrace.services.sns.sms_rules import Manner


def attributes(**values):
    return {name.replace("__", "."): MessageAttribute("String", each) for name, each in values.items()}


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [
        ({}, {}, Manner("", False, None)),
        ({"DefaultSMSType": "Transactional", "DefaultSenderID": "Shop"}, {}, Manner("Shop", True, None)),
        (
            {"DefaultSMSType": "Transactional", "DefaultSenderID": "Shop"},
            attributes(AWS__SNS__SMS__SMSType="Promotional", AWS__SNS__SMS__SenderID="Other"),
            Manner("Other", False, None),
        ),
        ({}, attributes(AWS__MM__SMS__OriginationNumber="+15550199"), Manner("+15550199", False, None)),
        (
            {"DefaultSenderID": "Shop"},
            attributes(AWS__MM__SMS__OriginationNumber="nobody"),
            Manner("Shop", False, None),
        ),
        ({}, attributes(AWS__SNS__SMS__SenderID="far too long a name"), Manner("", False, None)),
        ({}, attributes(AWS__SNS__SMS__SenderID="12345"), Manner("", False, None)),
        ({}, attributes(AWS__SNS__SMS__MaxPrice="0.05"), Manner("", False, 5_000)),
        ({}, attributes(AWS__SNS__SMS__MaxPrice="1e9"), Manner("", False, None)),
    ],
)
def test_how_a_message_is_sent(settings, given, expected):
    assert sms_rules.manner(settings, given) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DefaultSMSType", "promotional"),
        ("DefaultSenderID", "12345"),
        ("DefaultSenderID", "with_mark"),
        ("MonthlySpendLimit", "1.5"),
        ("MonthlySpendLimit", "1" * 10),
        ("DeliveryStatusSuccessSamplingRate", "101"),
        ("DeliveryStatusIAMRole", "arn:aws:iam::000000000000:user/x"),
        ("Colour", "blue"),
    ],
)
def test_settings_that_are_refused(name, value):
    with pytest.raises(ServiceError, match=name) as refused:
        sms_rules.check_settings({name: value})
    assert refused.value.code == "InvalidParameter"


def test_settings_that_are_taken():
    sms_rules.check_settings(
        {
            "DefaultSMSType": "Promotional",
            "DefaultSenderID": "A Shop",
            "MonthlySpendLimit": "10",
            "DeliveryStatusSuccessSamplingRate": "100",
            "DeliveryStatusIAMRole": "arn:aws:iam::000000000000:role/x",
            "UsageReportS3Bucket": "",
        }
    )


@pytest.mark.parametrize(("text", "stops"), [("STOP", True), (" stop\n", True), ("Stop it", False), ("", False)])
def test_what_opts_out(text, stops):
    assert sms_rules.is_stop(text) is stops
