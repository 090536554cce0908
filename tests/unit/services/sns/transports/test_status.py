import pytest

from headrace.services.sns.transports import Verdict, status

ROLE = "arn:aws:iam::000000000000:role/x"


@pytest.mark.parametrize(
    ("attributes", "verdict", "names", "expected"),
    [
        ({}, Verdict.DELIVERED, status.APPLICATION, False),
        ({}, Verdict.FAILED, status.APPLICATION, False),
        ({"FailureFeedbackRoleArn": ROLE}, Verdict.FAILED, status.APPLICATION, True),
        ({"FailureFeedbackRoleArn": ROLE}, Verdict.RETRY, status.APPLICATION, True),
        ({"SuccessFeedbackRoleArn": ROLE}, Verdict.DELIVERED, status.APPLICATION, False),
        (
            {"SuccessFeedbackRoleArn": ROLE, "SuccessFeedbackSampleRate": "100"},
            Verdict.DELIVERED,
            status.APPLICATION,
            True,
        ),
        (
            {"DeliveryStatusIAMRole": ROLE, "DeliveryStatusSuccessSamplingRate": "0"},
            Verdict.DELIVERED,
            status.SMS,
            False,
        ),
        ({"DeliveryStatusIAMRole": ROLE}, Verdict.FAILED, status.SMS, True),
    ],
)
def test_what_is_logged(attributes, verdict, names, expected, delivery_to):
    assert status.wanted(delivery_to("+15550100", "sms"), verdict, attributes, names) is expected
