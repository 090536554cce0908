"""The example of the guide to testing."""


def test_a_customer_is_told(headrace):
    sns = headrace.client("sns")
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ada@example.com")
    [asked] = headrace.outbox(to="ada@example.com")
    sns.confirm_subscription(TopicArn=topic, Token=asked["token"])
    sns.publish(TopicArn=topic, Subject="Your order", Message="It is on its way.")
    [told] = headrace.outbox(to="ada@example.com", kind="Notification")
    assert told["subject"] == "Your order"
