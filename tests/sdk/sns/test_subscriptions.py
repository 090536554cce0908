"""Subscribe, Unsubscribe, ConfirmSubscription, and what tells of subscriptions."""

import json

import pytest


def test_a_queue_is_subscribed_and_described(sns, topic, queue, subscribe, subscription_attributes, topic_attributes):
    arn = subscribe(topic, queue)
    assert arn.startswith(f"{topic}:")
    assert subscription_attributes(arn) == {
        "SubscriptionArn": arn,
        "TopicArn": topic,
        "Protocol": "sqs",
        "Endpoint": queue.arn,
        "Owner": "000000000000",
        "RawMessageDelivery": "false",
        "PendingConfirmation": "false",
        "ConfirmationWasAuthenticated": "true",
        "SubscriptionPrincipal": "arn:aws:iam::000000000000:root",
    }
    listed = [
        {
            "SubscriptionArn": arn,
            "Owner": "000000000000",
            "Protocol": "sqs",
            "Endpoint": queue.arn,
            "TopicArn": topic,
        }
    ]
    assert sns.list_subscriptions()["Subscriptions"] == listed
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == listed
    assert topic_attributes(topic)["SubscriptionsConfirmed"] == "1"


def test_subscribing_again_gives_the_same(topic, queue, subscribe, refused):
    arn = subscribe(topic, queue, RawMessageDelivery="true")
    assert subscribe(topic, queue) == arn
    assert subscribe(topic, queue, RawMessageDelivery="TRUE") == arn
    with refused(
        "InvalidParameter",
        "Invalid parameter: Attributes Reason: Subscription already exists with different attributes",
    ):
        subscribe(topic, queue, RawMessageDelivery="false")


def test_unsubscribing_ends_it_and_is_counted(sns, topic, queue, subscribe, topic_attributes, refused):
    arn = subscribe(topic, queue)
    sns.unsubscribe(SubscriptionArn=arn)
    sns.unsubscribe(SubscriptionArn=arn)
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    attributes = topic_attributes(topic)
    assert (attributes["SubscriptionsConfirmed"], attributes["SubscriptionsDeleted"]) == ("0", "1")
    with refused("NotFound", "Subscription does not exist", 404):
        sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="RawMessageDelivery", AttributeValue="true")
    assert subscribe(topic, queue) != arn


def test_arns_that_are_none(sns, topic, refused):
    with refused(
        "InvalidParameter", "Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 1"
    ):
        sns.unsubscribe(SubscriptionArn="PendingConfirmation")
    with refused("InvalidParameter", "Invalid parameter: SubscriptionId"):
        sns.unsubscribe(SubscriptionArn=topic)
    sns.unsubscribe(SubscriptionArn=f"{topic}:00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize(
    ("protocol_name", "endpoint", "message"),
    [
        ("carrier", "pigeon", "Invalid parameter: Amazon SNS does not support this protocol string: carrier"),
        ("sqs", "http://localhost/000000000000/orders", "Invalid parameter: SQS endpoint ARN"),
        ("http", "https://example.test/", "Invalid parameter: Endpoint must match the specified protocol"),
        ("https", "http://example.test/", "Invalid parameter: Endpoint must match the specified protocol"),
        ("email", "nobody", "Invalid parameter: Email address"),
        ("sms", "0123", "Invalid parameter: Invalid SMS endpoint: 0123"),
        ("application", "arn:aws:sns:us-east-1:000000000000:orders", "Invalid parameter: ApplicationEndpoint ARN"),
        (
            "sqs",
            "arn:aws:sqs:us-east-1:000000000000:q.fifo",
            (
                "Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to "
                "standard SNS topics"
            ),
        ),
    ],
)
def test_endpoints_that_are_none(sns, topic, refused, protocol_name, endpoint, message):
    with refused("InvalidParameter", message, 400):
        sns.subscribe(TopicArn=topic, Protocol=protocol_name, Endpoint=endpoint)
    assert sns.list_subscriptions()["Subscriptions"] == []


@pytest.mark.parametrize("protocol_name", ["lambda", "firehose"])
def test_services_that_are_not_served_cannot_be_subscribed(sns, topic, refused, protocol_name):
    arn = f"arn:aws:{protocol_name}:us-east-1:000000000000:function:f"
    with refused("InvalidParameter"):
        sns.subscribe(TopicArn=topic, Protocol=protocol_name, Endpoint=arn)


def test_an_endpoint_is_needed(sns, topic, refused):
    with refused("InvalidParameter"):
        sns.subscribe(TopicArn=topic, Protocol="sqs")


def test_a_fifo_topic_has_queues_only(sns, fifo_topic, queue, fifo, subscribe, refused):
    subscribe(fifo_topic, queue)
    subscribe(fifo_topic, fifo)
    with refused("InvalidParameter"):
        sns.subscribe(TopicArn=fifo_topic, Protocol="http", Endpoint="http://example.test/")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("RawMessageDelivery", "wrongvalue", "RawMessageDelivery: Invalid value [wrongvalue]. Must be true or false."),
        ("RawMessageDelivery", "", "RawMessageDelivery: Invalid value []. Must be true or false."),
        ("NoSuchThing", "1", "AttributeName"),
        (
            "FilterPolicyScope",
            "Everything",
            "FilterPolicyScope: Invalid value [Everything]. Please use either MessageBody or MessageAttributes",
        ),
        ("RedrivePolicy", '{"deadLetterTargetArn":"q"}', "RedrivePolicy: deadLetterTargetArn is an invalid arn"),
        ("RedrivePolicy", "no JSON", "RedrivePolicy: failed to parse JSON."),
        ("ReplayPolicy", "{}", "ReplayPolicy: is supported by subscriptions to FIFO topics only"),
        ("DeliveryPolicy", "{}", "DeliveryPolicy: Delivery protocol [sqs] does not support a delivery policy."),
        ("SubscriptionRoleArn", "arn", "SubscriptionRoleArn: Delivery protocol [sqs] does not take a role."),
    ],
)
def test_attributes_that_are_none(sns, topic, queue, subscribe, refused, name, value, problem):
    with refused("InvalidParameter", f"Invalid parameter: Attributes Reason: {problem}"):
        subscribe(topic, queue, **{name: value})
    arn = subscribe(topic, queue)
    with refused("InvalidParameter", f"Invalid parameter: {problem}"):
        sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName=name, AttributeValue=value)


def test_a_filter_policy_shows_its_scope(sns, topic, queue, subscribe, subscription_attributes):
    arn = subscribe(topic, queue, FilterPolicyScope="MessageBody")
    assert "FilterPolicyScope" not in subscription_attributes(arn)
    policy = json.dumps({"state": ["placed"]})
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue=policy)
    shown = subscription_attributes(arn)
    assert (shown["FilterPolicy"], shown["FilterPolicyScope"]) == (policy, "MessageBody")
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue="{}")
    assert "FilterPolicy" not in subscription_attributes(arn)


def test_two_hundred_filter_policies_a_topic(sns, topic, make_queue, subscribe, refused):
    queue_arn = make_queue("q").arn
    for number in range(200):
        sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=f"{queue_arn}{number}", Attributes={"FilterPolicy": '{"a":["b"]}'}
        )
    with refused("FilterPolicyLimitExceeded", status=403):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes={"FilterPolicy": '{"a":["b"]}'})
    arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)["SubscriptionArn"]
    with refused("FilterPolicyLimitExceeded"):
        sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue='{"a":["b"]}')


def test_a_fifo_topic_has_a_hundred_subscriptions(sns, fifo_topic, refused):
    for number in range(100):
        endpoint = f"arn:aws:sqs:us-east-1:000000000000:q{number}"
        sns.subscribe(TopicArn=fifo_topic, Protocol="sqs", Endpoint=endpoint)
    with refused("SubscriptionLimitExceeded", status=403):
        sns.subscribe(TopicArn=fifo_topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:one-more")


def test_subscriptions_are_listed_a_hundred_at_a_time(sns, topic):
    endpoints = {f"arn:aws:sqs:us-east-1:000000000000:q{number}" for number in range(101)}
    for endpoint in endpoints:
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)
    for listing, arguments in ((sns.list_subscriptions, {}), (sns.list_subscriptions_by_topic, {"TopicArn": topic})):
        first = listing(**arguments)
        second = listing(NextToken=first["NextToken"], **arguments)
        assert (len(first["Subscriptions"]), len(second["Subscriptions"])) == (100, 1)
        assert {each["Endpoint"] for each in first["Subscriptions"] + second["Subscriptions"]} == endpoints
        assert "NextToken" not in second


# Confirmation


def test_an_address_is_asked_first(sns, topic, topic_attributes, headrace):
    asked = {"TopicArn": topic, "Protocol": "email", "Endpoint": "a@example.test"}
    assert sns.subscribe(**asked)["SubscriptionArn"] == "pending confirmation"
    arn = sns.subscribe(**asked, ReturnSubscriptionArn=True)["SubscriptionArn"]
    listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [each["SubscriptionArn"] for each in listed] == ["PendingConfirmation"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert (attributes["PendingConfirmation"], attributes["ConfirmationWasAuthenticated"]) == ("true", "false")
    assert topic_attributes(topic)["SubscriptionsPending"] == "1"
    headrace.advance(3 * 86_400)
    assert topic_attributes(topic)["SubscriptionsPending"] == "0"
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    assert sns.subscribe(**asked, ReturnSubscriptionArn=True)["SubscriptionArn"] != arn


@pytest.mark.parametrize(("token", "message"), [("randomtoken", "Invalid token"), ("51b2ff3edb", "Invalid token")])
def test_tokens_that_are_none(sns, topic, refused, token, message):
    with refused("InvalidParameter", message):
        sns.confirm_subscription(TopicArn=topic, Token=token)


def test_a_token_that_was_never_given(sns, topic, refused):
    with refused("InvalidParameter", "Invalid parameter: Token"):
        sns.confirm_subscription(TopicArn=topic, Token="ab" * 72)


# Other accounts


@pytest.fixture
def other(connect_sns):
    """A client of another account."""
    return connect_sns(account="123456789012")


def test_the_owner_of_a_queue_may_subscribe_it_to_anothers_topic(sns, topic, other, connect, make_queue, subscribe):
    queue = make_queue("theirs", client=connect(account="123456789012"))
    arn = subscribe(topic, queue, client=other, RawMessageDelivery="true")
    assert arn.startswith(topic)
    assert [each["Owner"] for each in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]] == [
        "123456789012"
    ]
    assert sns.list_subscriptions()["Subscriptions"] == []
    assert [each["SubscriptionArn"] for each in other.list_subscriptions()["Subscriptions"]] == [arn]
    sns.publish(TopicArn=topic, Message="for all")
    assert queue.bodies(WaitTimeSeconds=5) == ["for all"]
    other.unsubscribe(SubscriptionArn=arn)
    assert other.list_subscriptions()["Subscriptions"] == []


def test_anothers_queue_is_asked_first(sns, topic, connect, make_queue):
    queue = make_queue("theirs", client=connect(account="123456789012"))
    assert sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)["SubscriptionArn"] == (
        "pending confirmation"
    )
    sns.publish(TopicArn=topic, Message="too early")
    (asked,) = [json.loads(body) for body in queue.bodies(WaitTimeSeconds=5)]
    assert (asked["Type"], asked["TopicArn"]) == ("SubscriptionConfirmation", topic)
    arn = sns.confirm_subscription(TopicArn=topic, Token=asked["Token"])["SubscriptionArn"]
    assert sns.confirm_subscription(TopicArn=topic, Token=asked["Token"])["SubscriptionArn"] == arn
    sns.publish(TopicArn=topic, Message="in time")
    assert [json.loads(body)["Message"] for body in queue.bodies(WaitTimeSeconds=5)] == ["in time"]


def test_a_queue_in_another_region(sns, topic, connect, make_queue, subscribe):
    queue = make_queue("far", client=connect(region="eu-west-1"))
    subscribe(topic, queue, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="far away")
    assert queue.bodies(WaitTimeSeconds=5) == ["far away"]
