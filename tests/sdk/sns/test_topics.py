"""CreateTopic, DeleteTopic, ListTopics, GetTopicAttributes, SetTopicAttributes."""

import json

import pytest


def test_a_topic_is_made_listed_described_and_deleted(sns, topic_attributes):
    arn = sns.create_topic(Name="orders")["TopicArn"]
    assert arn == "arn:aws:sns:us-east-1:000000000000:orders"
    assert sns.list_topics()["Topics"] == [{"TopicArn": arn}]
    attributes = topic_attributes(arn)
    assert attributes["TopicArn"] == arn
    assert attributes["Owner"] == "000000000000"
    assert attributes["DisplayName"] == ""
    counts = [attributes[f"Subscriptions{state}"] for state in ("Confirmed", "Pending", "Deleted")]
    assert counts == ["0", "0", "0"]
    sns.delete_topic(TopicArn=arn)
    assert sns.list_topics()["Topics"] == []
    sns.delete_topic(TopicArn=arn)


def test_what_a_new_topic_shows_is_what_aws_shows(topic, topic_attributes):
    attributes = topic_attributes(topic)
    policy = json.loads(attributes["Policy"])
    assert policy["Id"] == "__default_policy_ID"
    assert policy["Statement"][0]["Resource"] == topic
    assert policy["Statement"][0]["Condition"] == {"StringEquals": {"AWS:SourceOwner": "000000000000"}}
    assert json.loads(attributes["EffectiveDeliveryPolicy"]) == {
        "http": {
            "defaultHealthyRetryPolicy": {
                "minDelayTarget": 20,
                "maxDelayTarget": 20,
                "numRetries": 3,
                "numMaxDelayRetries": 0,
                "numNoDelayRetries": 0,
                "numMinDelayRetries": 0,
                "backoffFunction": "linear",
            },
            "disableSubscriptionOverrides": False,
            "defaultRequestPolicy": {"headerContentType": "text/plain; charset=UTF-8"},
        }
    }
    assert "FifoTopic" not in attributes


def test_a_fifo_topic_says_so(fifo_topic, topic_attributes):
    attributes = topic_attributes(fifo_topic)
    assert (attributes["FifoTopic"], attributes["ContentBasedDeduplication"]) == ("true", "false")


def test_making_it_again_gives_the_same_topic(sns, topic, refused):
    assert sns.create_topic(Name="orders")["TopicArn"] == topic
    assert sns.create_topic(Name="orders", Attributes={"DisplayName": ""})["TopicArn"] == topic
    with refused(
        "InvalidParameter", "Invalid parameter: Attributes Reason: Topic already exists with different attributes"
    ):
        sns.create_topic(Name="orders", Attributes={"DisplayName": "Orders"})


def test_tags_that_differ_are_a_conflict(sns, refused):
    tags = [{"Key": "team", "Value": "shop"}]
    arn = sns.create_topic(Name="orders", Tags=tags)["TopicArn"]
    assert sns.create_topic(Name="orders")["TopicArn"] == arn
    assert sns.create_topic(Name="orders", Tags=tags)["TopicArn"] == arn
    with refused("InvalidParameter", "Invalid parameter: Tags Reason: Topic already exists with different tags"):
        sns.create_topic(Name="orders", Tags=[*tags, {"Key": "stage", "Value": "test"}])


@pytest.mark.parametrize("name", ["", "a b", "orders.fifo", "x" * 257, "ümlaut"])
def test_names_that_are_none(sns, refused, name):
    with refused("InvalidParameter", "Invalid parameter: Topic Name"):
        sns.create_topic(Name=name)


@pytest.mark.parametrize("name", ["orders", ".fifo", "x" * 252 + ".fifo"])
def test_names_that_are_no_fifo_topics(sns, refused, name):
    with refused("InvalidParameter"):
        sns.create_topic(Name=name, Attributes={"FifoTopic": "true"})


def test_longest_names(sns):
    sns.create_topic(Name="x" * 256)
    sns.create_topic(Name="x" * 251 + ".fifo", Attributes={"FifoTopic": "true"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DisplayName", "Orders"),
        ("KmsMasterKeyId", "alias/aws/sns"),
        ("SignatureVersion", "2"),
        ("TracingConfig", "Active"),
        ("MaximumMessageSize", "1048576"),
        ("HTTPSuccessFeedbackRoleArn", "arn:aws:iam::000000000000:role/SNS"),
        ("SQSSuccessFeedbackSampleRate", "100"),
        ("DeliveryPolicy", '{"http":{"defaultThrottlePolicy":{"maxReceivesPerSecond":5}}}'),
        (
            "Policy",
            '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sns:Publish","Resource":"*"}]}',
        ),
    ],
)
def test_attributes_are_set_and_taken_away(sns, topic, topic_attributes, name, value):
    before = topic_attributes(topic)
    sns.set_topic_attributes(TopicArn=topic, AttributeName=name, AttributeValue=value)
    assert topic_attributes(topic)[name] == value
    sns.set_topic_attributes(TopicArn=topic, AttributeName=name, AttributeValue="")
    assert topic_attributes(topic) == before


def test_a_delivery_policy_is_in_effect(sns, topic, topic_attributes):
    policy = '{"http":{"defaultThrottlePolicy":{"maxReceivesPerSecond":5}}}'
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DeliveryPolicy", AttributeValue=policy)
    effective = json.loads(topic_attributes(topic)["EffectiveDeliveryPolicy"])
    assert effective["http"]["defaultThrottlePolicy"] == {"maxReceivesPerSecond": 5}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DisplayName", "x" * 101),
        ("DisplayName", "two\nlines"),
        ("SignatureVersion", "3"),
        ("TracingConfig", "active"),
        ("MaximumMessageSize", "1023"),
        ("MaximumMessageSize", "1048577"),
        ("MaximumMessageSize", "large"),
        ("SQSSuccessFeedbackSampleRate", "101"),
        ("SQSFailureFeedbackRoleArn", "me"),
        ("DeliveryPolicy", "no JSON"),
        ("Policy", "{}"),
        ("FifoTopic", "true"),
        ("ContentBasedDeduplication", "true"),
        ("FifoThroughputScope", "Topic"),
        ("ArchivePolicy", '{"MessageRetentionPeriod":"30"}'),
        ("NoSuchThing", "1"),
    ],
)
def test_attributes_that_a_standard_topic_does_not_take(sns, topic, topic_attributes, refused, name, value):
    before = topic_attributes(topic)
    with refused("InvalidParameter"):
        sns.set_topic_attributes(TopicArn=topic, AttributeName=name, AttributeValue=value)
    assert topic_attributes(topic) == before
    with refused("InvalidParameter"):
        sns.create_topic(Name="another", Attributes={name: value})


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("ContentBasedDeduplication", "TRUE", "true"),
        ("FifoThroughputScope", "MessageGroup", "MessageGroup"),
        ("ArchivePolicy", '{"MessageRetentionPeriod": 365}', '{"MessageRetentionPeriod":"365"}'),
    ],
)
def test_attributes_of_fifo_topics(sns, fifo_topic, topic_attributes, name, value, shown):
    sns.set_topic_attributes(TopicArn=fifo_topic, AttributeName=name, AttributeValue=value)
    assert topic_attributes(fifo_topic)[name] == shown


@pytest.mark.parametrize("days", ["0", "366", "x", ""])
def test_archives_of_no_length(sns, fifo_topic, refused, days):
    policy = json.dumps({"MessageRetentionPeriod": days})
    with refused("InvalidParameter"):
        sns.set_topic_attributes(TopicArn=fifo_topic, AttributeName="ArchivePolicy", AttributeValue=policy)


def test_topics_that_are_not_there(sns, topic, refused):
    with refused("NotFound", "Topic does not exist", 404):
        sns.get_topic_attributes(TopicArn=f"{topic}x")
    with refused("InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1"):
        sns.get_topic_attributes(TopicArn="orders")
    with refused("InvalidParameter", "Invalid parameter: TopicArn"):
        sns.get_topic_attributes(TopicArn="arn:aws:sns:eu-west-1:000000000000:orders/x")


def test_each_region_and_account_has_its_own(sns, topic, connect_sns, refused):
    elsewhere = connect_sns(region="eu-west-1")
    assert elsewhere.list_topics()["Topics"] == []
    assert elsewhere.create_topic(Name="orders")["TopicArn"] == "arn:aws:sns:eu-west-1:000000000000:orders"
    assert connect_sns(account="123456789012").list_topics()["Topics"] == []
    # AWS: a topic is reached in its own region only.
    with refused("InvalidParameter", "Invalid parameter: TopicArn"):
        elsewhere.get_topic_attributes(TopicArn=topic)
    assert sns.list_topics()["Topics"] == [{"TopicArn": topic}]


def test_topics_are_listed_a_hundred_at_a_time(sns, refused):
    made = [sns.create_topic(Name=f"topic-{number:03}")["TopicArn"] for number in range(101)]
    first = sns.list_topics()
    assert [each["TopicArn"] for each in first["Topics"]] == made[:100]
    second = sns.list_topics(NextToken=first["NextToken"])
    assert [each["TopicArn"] for each in second["Topics"]] == made[100:]
    assert "NextToken" not in second
    with refused("InvalidParameter", "Invalid parameter: NextToken"):
        sns.list_topics(NextToken="!")


def test_a_topic_goes_with_its_subscriptions(sns, topic, make_queue, subscribe, refused):
    arn = subscribe(topic, make_queue("q"))
    sns.delete_topic(TopicArn=topic)
    assert sns.list_subscriptions()["Subscriptions"] == []
    with refused("NotFound", "Subscription does not exist", 404):
        sns.get_subscription_attributes(SubscriptionArn=arn)
    assert sns.create_topic(Name="orders")["TopicArn"] == topic
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_large_topics_have_queues_only(sns, topic, make_queue, subscribe, refused):
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.test")
    with refused("InvalidParameter"):
        sns.set_topic_attributes(TopicArn=topic, AttributeName="MaximumMessageSize", AttributeValue="262145")
    large = sns.create_topic(Name="large", Attributes={"MaximumMessageSize": "1048576"})["TopicArn"]
    with refused("InvalidParameter"):
        sns.subscribe(TopicArn=large, Protocol="email", Endpoint="a@example.test")
    subscribe(large, make_queue("q"))
