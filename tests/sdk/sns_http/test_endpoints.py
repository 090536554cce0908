"""HTTP endpoints: the handshake, what they are sent, and how they leave."""

import json


def test_the_handshake(sns, topic, subscriber, visit):
    answer = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"{subscriber.url}/orders?shop=1")
    assert answer["SubscriptionArn"] == "pending confirmation"
    asked = subscriber.expect(1)[0]
    assert asked.path == "/orders?shop=1"
    assert asked.kind == asked.json["Type"] == "SubscriptionConfirmation"
    assert asked.headers["x-amz-sns-topic-arn"] == asked.json["TopicArn"] == topic
    assert asked.headers["content-type"] == "text/plain; charset=UTF-8"
    assert asked.headers["user-agent"] == "Amazon Simple Notification Service Agent"
    status, content_type, text = visit(asked.json["SubscribeURL"])
    assert (status, content_type) == (200, "text/xml")
    [subscription] = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert f"<SubscriptionArn>{subscription['SubscriptionArn']}</SubscriptionArn>" in text


def test_confirming_with_the_api(sns, topic, subscriber):
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=subscriber.url)
    token = subscriber.expect(1)[0].json["Token"]
    arn = sns.confirm_subscription(TopicArn=topic, Token=token)["SubscriptionArn"]
    found = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert (found["PendingConfirmation"], found["ConfirmationWasAuthenticated"]) == ("false", "true")


def test_a_wrong_token_is_refused_in_the_browser_too(topic, headrace, visit):
    link = f"{headrace.endpoint_url}/?Action=ConfirmSubscription&TopicArn={topic}&Token=00"
    status, _, text = visit(link)
    assert status == 400
    assert "<Code>InvalidParameter</Code>" in text


def test_nothing_comes_before_the_confirmation(sns, topic, subscriber):
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=subscriber.url)
    token = subscriber.expect(1)[0].json["Token"]
    sns.publish(TopicArn=topic, Message="too early")
    sns.confirm_subscription(TopicArn=topic, Token=token)
    sns.publish(TopicArn=topic, Message="in time")
    assert subscriber.expect(2)[1].json["Message"] == "in time"


def test_a_notification(sns, topic, subscriber, subscribe):
    arn = subscribe(subscriber)
    sent = sns.publish(
        TopicArn=topic,
        Message="Größe ✓",
        Subject="An order",
        MessageAttributes={"state": {"DataType": "String", "StringValue": "placed"}},
    )
    posted = subscriber.expect(1)[0]
    assert posted.kind == "Notification"
    assert posted.headers["x-amz-sns-message-id"] == posted.json["MessageId"] == sent["MessageId"]
    assert posted.headers["x-amz-sns-subscription-arn"] == arn
    assert posted.headers["x-amz-sns-rawdelivery"] is None
    assert (posted.json["Message"], posted.json["Subject"]) == ("Größe ✓", "An order")
    assert posted.json["MessageAttributes"] == {"state": {"Type": "String", "Value": "placed"}}


def test_raw_delivery_with_a_content_type_of_its_own(sns, topic, subscriber, subscribe):
    policy = {"requestPolicy": {"headerContentType": "application/json"}}
    subscribe(subscriber, RawMessageDelivery="true", DeliveryPolicy=json.dumps(policy))
    sns.publish(TopicArn=topic, Message='{"order": 1}')
    posted = subscriber.expect(1)[0]
    assert posted.headers["x-amz-sns-rawdelivery"] == "true"
    assert posted.headers["content-type"] == "application/json"
    assert posted.json == {"order": 1}


def test_a_text_of_its_own_for_http(sns, topic, subscriber, subscribe):
    subscribe(subscriber, RawMessageDelivery="true")
    texts = {"default": "for all", "http": "for http"}
    sns.publish(TopicArn=topic, Message=json.dumps(texts), MessageStructure="json")
    assert subscriber.expect(1)[0].body == b"for http"


def test_leaving_by_the_link_and_coming_back(sns, topic, subscriber, subscribe, visit):
    arn = subscribe(subscriber)
    sns.publish(TopicArn=topic, Message="one")
    link = subscriber.expect(1)[0].json["UnsubscribeURL"]
    assert visit(link)[0] == 200
    told = subscriber.expect(2)[1]
    assert told.kind == told.json["Type"] == "UnsubscribeConfirmation"
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    assert visit(told.json["SubscribeURL"])[0] == 200
    [restored] = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert restored["SubscriptionArn"] == arn
    sns.publish(TopicArn=topic, Message="two")
    assert subscriber.expect(3)[2].json["Message"] == "two"


def test_links_work_for_topics_of_other_regions_and_accounts(headrace, subscriber, visit):
    sns = headrace.client("sns", region_name="eu-west-1", aws_access_key_id="123456789012")
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=subscriber.url)
    assert visit(subscriber.expect(1)[0].json["SubscribeURL"])[0] == 200
    sns.publish(TopicArn=topic, Message="one")
    link = subscriber.expect(2)[1].json["UnsubscribeURL"]
    assert visit(link)[0] == 200
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    assert visit(link)[0] == 200  # once more is no error
