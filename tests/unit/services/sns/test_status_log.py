import pytest
from structlog.testing import capture_logs

from headrace.services.sns import status_log
from headrace.services.sns.records import Delivery, Publication
from headrace.services.sns.transports import Verdict, delivered, failed


def delivery(protocol, message_id="id"):
    publication = Publication(
        message_id=message_id, topic_arn="t", region="r", account="a", message="m", published_at_ms=0
    )
    return Delivery(kind="Notification", publication=publication, protocol=protocol, endpoint="e")


@pytest.mark.parametrize(
    ("protocol", "attribute"), [("http", "HTTP"), ("https", "HTTP"), ("sqs", "SQS"), ("application", "Application")]
)
def test_a_role_asks_for_lines(protocol, attribute):
    every = {f"{attribute}SuccessFeedbackRoleArn": "r", f"{attribute}SuccessFeedbackSampleRate": "100"}
    failures = {f"{attribute}FailureFeedbackRoleArn": "r"}
    assert status_log.wanted(every, delivery(protocol), Verdict.DELIVERED)
    assert not status_log.wanted(every, delivery(protocol), Verdict.FAILED)
    assert status_log.wanted(failures, delivery(protocol), Verdict.RETRY)
    assert not status_log.wanted(failures, delivery(protocol), Verdict.DELIVERED)
    assert not status_log.wanted(every | failures, delivery("email"), Verdict.FAILED)


def test_a_sample_is_a_share():
    attributes = {"SQSSuccessFeedbackRoleArn": "r", "SQSSuccessFeedbackSampleRate": "20"}
    drawn = [status_log.wanted(attributes, delivery("sqs", f"id{number}"), Verdict.DELIVERED) for number in range(2000)]
    assert 300 < sum(drawn) < 500
    del attributes["SQSSuccessFeedbackSampleRate"]
    assert not status_log.wanted(attributes, delivery("sqs"), Verdict.DELIVERED)


def test_what_is_lost_is_a_warning():
    with capture_logs() as lines:
        status_log.write(None, delivery("sqs"), failed("no", status=403), attempts=1, dwell_ms=0)
        status_log.write(None, delivery("sqs"), delivered(200), attempts=1, dwell_ms=0)
    assert [(line["event"], line["log_level"], line["status"]) for line in lines] == [("not delivered", "warning", 403)]
