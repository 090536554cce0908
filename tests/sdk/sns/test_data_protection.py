"""Data protection policies, on real messages to real queues."""

import json

import pytest

ARN = "arn:aws:dataprotection::aws:data-identifier/"


def policy(operation, *names, direction="Inbound"):
    statement = {
        "Sid": "s",
        "DataDirection": direction,
        "Principal": ["*"],
        "DataIdentifier": [ARN + name for name in names],
        "Operation": operation,
    }
    return json.dumps({"Name": "p", "Version": "2021-06-01", "Statement": [statement]})


DENY = policy({"Deny": {}}, "CreditCardNumber")
MASK = policy({"Deidentify": {"MaskConfig": {"MaskWithCharacter": "*"}}}, "EmailAddress", "IpAddress")


@pytest.fixture
def subscribed(topic, queue, subscribe):
    subscribe(topic, queue, RawMessageDelivery="true")
    return queue


def protect(sns, topic, text):
    sns.put_data_protection_policy(ResourceArn=topic, DataProtectionPolicy=text)


def test_a_policy_is_put_and_given_back(sns, topic):
    assert "DataProtectionPolicy" not in sns.get_data_protection_policy(ResourceArn=topic)
    protect(sns, topic, DENY)
    assert sns.get_data_protection_policy(ResourceArn=topic)["DataProtectionPolicy"] == DENY
    made = sns.create_topic(Name="protected", DataProtectionPolicy=MASK)["TopicArn"]
    assert sns.get_data_protection_policy(ResourceArn=made)["DataProtectionPolicy"] == MASK


def test_fifo_topics_have_none(sns, fifo_topic, refused):
    with refused("InvalidParameter", status=400):
        protect(sns, fifo_topic, DENY)
    with refused("InvalidParameter", status=400):
        sns.create_topic(Name="other.fifo", Attributes={"FifoTopic": "true"}, DataProtectionPolicy=DENY)


def test_what_is_denied_is_not_published(sns, topic, subscribed, refused):
    protect(sns, topic, DENY)
    with refused("AuthorizationError", status=403):
        sns.publish(TopicArn=topic, Message="my card is 4111 1111 1111 1111")
    sns.publish(TopicArn=topic, Message="my card is 4111 1111 1111 1112")
    assert subscribed.gather_bodies(1) == ["my card is 4111 1111 1111 1112"]


def test_what_is_masked_never_arrives(sns, topic, subscribed):
    protect(sns, topic, MASK)
    sns.publish(TopicArn=topic, Message="joe@example.com at 10.0.0.1")
    sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[{"Id": "1", "Message": "from 192.168.0.1"}])
    assert sorted(subscribed.gather_bodies(2)) == ["*************** at ********", "from ***********"]


def test_masking_on_the_way_out(sns, topic, make_queue, subscribe):
    plain, wrapped = make_queue("plain"), make_queue("wrapped")
    subscribe(topic, plain, RawMessageDelivery="true")
    subscribe(topic, wrapped, FilterPolicyScope="MessageBody", FilterPolicy='{"mail": [{"suffix": ".com"}]}')
    redact = policy({"Deidentify": {"RedactConfig": {}}}, "EmailAddress", direction="Outbound")
    protect(sns, topic, redact)
    sns.publish(TopicArn=topic, Message='{"mail": "joe@example.com"}')
    # The filter saw what was published; the subscribers see what is let out.
    assert plain.gather_bodies(1) == ['{"mail": ""}']
    assert [json.loads(body)["Message"] for body in wrapped.gather_bodies(1)] == ['{"mail": ""}']


def test_what_is_not_let_out_is_not_delivered(sns, topic, subscribed):
    protect(sns, topic, policy({"Deny": {}}, "Ssn-US", direction="Outbound"))
    sns.publish(TopicArn=topic, Message="123-45-6789")
    sns.publish(TopicArn=topic, Message="nothing")
    assert subscribed.gather_bodies(1) == ["nothing"]


def test_a_policy_is_taken_away(sns, topic, subscribed):
    protect(sns, topic, MASK)
    protect(sns, topic, "")
    sns.publish(TopicArn=topic, Message="10.0.0.1")
    assert subscribed.gather_bodies(1) == ["10.0.0.1"]


def test_policies_that_are_not_in_order(sns, topic, refused):
    for text in ("{", "{}", policy({"Deny": {}}, "Names")):
        with refused("InvalidParameter", status=400):
            protect(sns, topic, text)
    with refused("NotFound", status=404):
        protect(sns, topic + "x", DENY)
    with refused("InvalidParameter", status=400):
        sns.create_topic(Name="bad", DataProtectionPolicy="{}")
