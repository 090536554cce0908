"""Filter policies: which messages reach which subscribers."""

import json

import pytest


@pytest.fixture
def publish(sns, topic):
    """A function that publishes a text with attributes: strings, numbers and lists."""

    def publish(text, **attributes):
        sns.publish(TopicArn=topic, Message=text, MessageAttributes={k: attribute(v) for k, v in attributes.items()})

    return publish


def attribute(value):
    if isinstance(value, list):
        return {"DataType": "String.Array", "StringValue": json.dumps(value)}
    if isinstance(value, str):
        return {"DataType": "String", "StringValue": value}
    return {"DataType": "Number", "StringValue": str(value)}


@pytest.fixture
def filtered(topic, make_queue, subscribe):
    """A function that subscribes a queue, raw, with a filter policy; the queue."""

    def filtered(name, policy, **attributes):
        queue = make_queue(name)
        subscribe(topic, queue, RawMessageDelivery="true", FilterPolicy=json.dumps(policy), **attributes)
        return queue

    return filtered


def test_each_subscriber_gets_what_it_asked_for(filtered, publish):
    placed = filtered("placed", {"event": ["order_placed"]})
    dear = filtered("dear", {"event": [{"prefix": "order_"}], "price": [{"numeric": [">", 100]}]})
    other = filtered("other", {"event": [{"anything-but": ["order_placed", "order_cancelled"]}]})
    either = filtered("either", {"$or": [{"price": [{"numeric": ["<=", 10]}]}, {"vip": [{"exists": True}]}]})
    publish("1", event="order_placed", price=101)
    publish("2", event="order_placed", price=9.5)
    publish("3", event="order_cancelled", price=1e3, vip="yes")
    publish("4", event=["order_placed", "other"])
    publish("5")
    assert sorted(placed.gather_bodies(3)) == ["1", "2", "4"]
    assert sorted(dear.gather_bodies(2)) == ["1", "3"]
    assert sorted(other.gather_bodies(1)) == ["4"]
    assert sorted(either.gather_bodies(2)) == ["2", "3"]


def test_on_the_body(filtered, publish):
    policy = {"order": {"state": ["placed"], "items": {"sku": [{"suffix": "-x"}], "count": [{"numeric": [">", 1]}]}}}
    queue = filtered("q", policy, FilterPolicyScope="MessageBody")
    items = [{"sku": "a-x", "count": 2}, {"sku": "b", "count": 1}]
    publish(json.dumps({"order": {"state": "placed", "items": items}, "n": 1}))
    publish(json.dumps({"order": {"state": "placed", "items": items[1:]}}))
    publish(json.dumps({"order": {"state": "placed"}}))
    publish("no JSON", order="placed")
    assert [json.loads(body)["n"] for body in queue.gather_bodies(1)] == [1]


def test_a_text_for_queues_is_what_queues_filter(sns, topic, filtered):
    queue = filtered("q", {"a": [1]}, FilterPolicyScope="MessageBody")
    for at, texts in enumerate([{"default": '{"a":2}', "sqs": '{"a":1}'}, {"default": '{"a":1}', "sqs": '{"a":2}'}]):
        sns.publish(TopicArn=topic, Message=json.dumps(texts), MessageStructure="json", Subject=str(at))
    assert queue.gather_bodies(1) == ['{"a":1}']


def test_each_message_of_a_batch_is_filtered_by_itself(sns, topic, filtered):
    queue = filtered("q", {"n": [{"numeric": [">=", 2]}]})
    entries = [{"Id": str(n), "Message": str(n), "MessageAttributes": {"n": attribute(n)}} for n in range(4)]
    assert len(sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)["Successful"]) == 4
    assert sorted(queue.gather_bodies(2)) == ["2", "3"]


def test_a_policy_is_changed_and_taken_away(sns, topic, make_queue, subscribe, publish):
    queue = make_queue("q")
    arn = subscribe(topic, queue, RawMessageDelivery="true", FilterPolicy='{"a": ["x"]}')

    def change(value, name="FilterPolicy"):
        sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName=name, AttributeValue=value)

    publish("1", a="y")
    change('{"a": ["y"]}')
    publish("2", a="y")
    publish("3", a="x")
    change("MessageBody", "FilterPolicyScope")
    publish('{"a": "y"}', a="z")
    change("{}")
    publish("5")
    assert sorted(queue.gather_bodies(3)) == ["2", "5", '{"a": "y"}']


def test_on_fifo_topics(sns, fifo_topic, make_queue, subscribe):
    queue = make_queue("q.fifo", FifoQueue="true")
    subscribe(fifo_topic, queue, RawMessageDelivery="true", FilterPolicy='{"n": [{"numeric": [">", 1]}]}')
    for n in range(4):
        sns.publish(
            TopicArn=fifo_topic,
            Message=str(n),
            MessageGroupId="g",
            MessageDeduplicationId=str(n),
            MessageAttributes={"n": attribute(n)},
        )
    assert queue.gather_bodies(2) == ["2", "3"]


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ('{"key":[["value"]]}', "Match value must be String, number, true, false, or null"),
        ('{"key":[{"numeric":[">",3,"<",1]}]}', "Bottom must be less than top"),
        ('{"key":"value"}', '"key" must be an object or an array'),
        (json.dumps({f"k{n}": ["v"] for n in range(6)}), "Filter policy can not have more than 5 keys"),
        (json.dumps({"k": [f"v{n}" for n in range(151)]}), "Filter policy is too complex"),
        ("nope", "failed to parse JSON."),
    ],
)
def test_bad_policies_are_refused_in_both_ways_to_set_them(sns, topic, queue, subscribe, refused, policy, problem):
    with refused("InvalidParameter", status=400):
        subscribe(topic, queue, FilterPolicy=policy)
    arn = subscribe(topic, queue)
    with pytest.raises(sns.exceptions.InvalidParameterException, match=f"Invalid parameter: FilterPolicy: {problem}"):
        sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue=policy)


def test_a_nested_policy_is_for_bodies(topic, queue, subscribe, refused):
    policy = '{"object":{"key":[{"prefix":"auto-"}]}}'
    with refused("InvalidParameter", status=400):
        subscribe(topic, queue, FilterPolicy=policy)
    subscribe(topic, queue, FilterPolicy=policy, FilterPolicyScope="MessageBody")
