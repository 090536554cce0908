import pytest

from headrace.errors import ServiceError
from headrace.services.sns import rules


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        ("t", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1"),
        (
            "arn:aws:sns:r:000000000000",
            "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 5",
        ),
        ("arn:aws:sqs:r:000000000000:t", "Invalid parameter: TopicArn"),
        ("arn:aws:sns:r:00000000000:t", "Invalid parameter: TopicArn"),
        ("arn:aws:sns:r:000000000000:", "Invalid parameter: TopicArn"),
        ("arn:aws:sns:r:000000000000:t:id", "Invalid parameter: TopicArn"),
        ("arn:aws:sns:r:000000000000:a/b", "Invalid parameter: TopicArn"),
        ("arn:aws:sns:r/s:000000000000:t", "Invalid parameter: TopicArn"),
    ],
)
def test_arns_that_are_no_topics(arn, message):
    with pytest.raises(ServiceError) as caught:
        rules.parse_topic_arn(arn)
    assert (caught.value.code, caught.value.message) == ("InvalidParameter", message)


def test_arns():
    assert rules.topic_arn("cn-north-1", "000000000000", "t") == "arn:aws-cn:sns:cn-north-1:000000000000:t"
    assert rules.parse_topic_arn("arn:aws:sns:r:000000000000:t") == ("r", "000000000000", "t")
    assert rules.parse_subscription_arn("arn:aws:sns:r:000000000000:t:i") == ("r", "000000000000", "t", "i")
    assert rules.parse_queue_arn("arn:aws:sqs:r:000000000000:q") == ("r", "000000000000", "q")


@pytest.mark.parametrize("arn", ["arn:aws:sns:r:000000000000:t", "arn:aws:sns:r:000000000000:t:a/b"])
def test_arns_that_are_no_subscriptions(arn):
    with pytest.raises(ServiceError, match="SubscriptionId"):
        rules.parse_subscription_arn(arn)


@pytest.mark.parametrize(
    "arn", ["q", "arn:aws:sns:r:000000000000:q", "arn:aws:sqs:r:me:q", "arn:aws:sqs::000000000000:q"]
)
def test_arns_that_are_no_queues(arn):
    assert rules.parse_queue_arn(arn) is None


@pytest.mark.parametrize("text", ["", "a b", "x" * 129, "ü", "a\n"])
def test_ids_that_no_message_has(text):
    with pytest.raises(ServiceError, match="MessageGroupId"):
        rules.check_token_text(text, "MessageGroupId")


def test_tokens_come_back():
    assert rules.decode_token(rules.encode_token("orders/ü")) == "orders/ü"
    assert rules.decode_token(None) == ""
    for wrong in ("!", "YQ", "_w=="):
        with pytest.raises(ServiceError, match="NextToken"):
            rules.decode_token(wrong)
