import pytest

from headrace.resources import ResourcesError, create_resources, read_resources
from headrace.testing import serve

WHOLE = """\
region: eu-west-1
queues:
  placed:
  steps.fifo:
topics:
  orders:
    attributes: {DisplayName: Orders}
    tags: {team: shop}
    subscriptions:
      - queue: placed
        attributes:
          RawMessageDelivery: true
          FilterPolicy: {state: {kind: [placed]}}
          FilterPolicyScope: MessageBody
      - {protocol: email, endpoint: a@example.test}
  steps.fifo:
    attributes: {FifoTopic: true, ContentBasedDeduplication: true}
    subscriptions: [{queue: steps.fifo}]
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "file.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_topics_are_there_from_the_start(write, tmp_path):
    path, data = write(WHOLE), str(tmp_path / "data")
    with serve(resources=path, data=data) as headrace:
        sns = headrace.client("sns", region_name="eu-west-1")
        orders, steps = [each["TopicArn"] for each in sns.list_topics()["Topics"]]
        assert sns.get_topic_attributes(TopicArn=orders)["Attributes"]["DisplayName"] == "Orders"
        assert sns.get_topic_attributes(TopicArn=steps)["Attributes"]["ContentBasedDeduplication"] == "true"
        assert sns.list_tags_for_resource(ResourceArn=orders)["Tags"] == [{"Key": "team", "Value": "shop"}]
        found = {each["Protocol"]: each for each in sns.list_subscriptions_by_topic(TopicArn=orders)["Subscriptions"]}
        assert found["sqs"]["Endpoint"] == "arn:aws:sqs:eu-west-1:000000000000:placed"
        assert found["email"]["SubscriptionArn"] == "PendingConfirmation"
        shown = sns.get_subscription_attributes(SubscriptionArn=found["sqs"]["SubscriptionArn"])["Attributes"]
        assert (shown["FilterPolicyScope"], shown["RawMessageDelivery"]) == ("MessageBody", "true")
    path = write(
        WHOLE.replace("kind: [placed]", "kind: [cancelled]").replace("DisplayName: Orders", "DisplayName: Sales")
    )
    with serve(resources=path, data=data) as headrace:
        sns = headrace.client("sns", region_name="eu-west-1")
        assert sns.get_topic_attributes(TopicArn=orders)["Attributes"]["DisplayName"] == "Sales"
        after = {each["Protocol"]: each for each in sns.list_subscriptions_by_topic(TopicArn=orders)["Subscriptions"]}
        assert after == found
        changed = sns.get_subscription_attributes(SubscriptionArn=found["sqs"]["SubscriptionArn"])["Attributes"]
        assert changed["FilterPolicy"] == '{"state": {"kind": ["cancelled"]}}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("topics:\n  t:\n    subscription:\n", "3: unknown key subscription in topic t"),
        ("topics:\n  t:\n    subscriptions: {}\n", "3: subscriptions must be a list"),
        ("topics:\n  t:\n    subscriptions:\n    - queue: q\n      endpoint: e\n", "4: a subscription has either"),
        ("topics:\n  t:\n    subscriptions:\n    - endpoint: e\n", "4: a subscription has either"),
        ("topics:\n  t:\n    subscriptions:\n    - protocol: http\n", "4: a subscription has either"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(write, text, said):
    with pytest.raises(ResourcesError, match=f"file.yaml:{said}"):
        read_resources(write(text))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("topics:\n  bad name:\n", 2),
        ("topics:\n  t:\n    attributes:\n      SignatureVersion: 3\n", 4),
        ("topics:\n  t:\n    subscriptions:\n    - {protocol: http, endpoint: nowhere}\n", 4),
    ],
)
def test_what_the_service_refuses_is_named_with_its_line(write, text, line):
    with pytest.raises(ResourcesError, match=f"file.yaml:{line}: "), serve(resources=write(text)):
        pytest.fail("it was to be refused")


async def test_a_file_without_topics_calls_no_sns(write):
    async def invoke(service, operation, params, *, principal, region):
        assert service == "sqs"
        return {"QueueUrl": "url"}

    await create_resources(read_resources(write("queues:\n  q:\n")), invoke)
