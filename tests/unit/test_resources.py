import json

import pytest

from headrace.errors import ServiceError
from headrace.resources import ResourcesError, create_resources, read_resources

WHOLE = """\
account: "123456789012"
region: eu-west-1
queues:
  orders:
    attributes:
      VisibilityTimeout: 60
      SqsManagedSseEnabled: true
      RedriveAllowPolicy: {redrivePermission: denyAll}
    tags: {team: shop, year: 2013}
    dead_letter: {queue: orders-failed, max_receives: 5}
  orders-failed:
  steps.fifo:
    attributes: {FifoQueue: true, ContentBasedDeduplication: true}
"""


@pytest.fixture
def read(tmp_path):
    def read(text: str):
        path = tmp_path / "file.yaml"
        path.write_text(text)
        return read_resources(str(path))

    return read


class Recorder:
    """Stands for the server's pipeline: notes the calls, answers CreateQueue, refuses what it is told to."""

    def __init__(self, refuse: str = "") -> None:
        self.calls: list[tuple[str, dict]] = []
        self.refuse = refuse

    async def __call__(self, service, operation, params, *, principal, region):
        assert service == "sqs"
        self.calls.append((operation, params))
        self.caller = (principal.account, principal.arn, region)
        if self.refuse and self.refuse in params.get("Attributes", {}):
            raise ServiceError("InvalidAttributeValue", "Invalid value for the parameter.")
        return {"QueueUrl": f"url/{params['QueueName']}"} if operation == "CreateQueue" else {}


async def test_queues_are_made_then_set_then_aimed(read):
    recorder = Recorder()
    await create_resources(read(WHOLE), recorder)
    assert recorder.caller == ("123456789012", "arn:aws:iam::123456789012:root", "eu-west-1")
    target = {"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:orders-failed", "maxReceiveCount": 5}
    assert recorder.calls == [
        ("CreateQueue", {"QueueName": "orders"}),
        ("SetQueueAttributes", {"QueueUrl": "url/orders", "Attributes": {"VisibilityTimeout": "60"}}),
        ("SetQueueAttributes", {"QueueUrl": "url/orders", "Attributes": {"SqsManagedSseEnabled": "true"}}),
        (
            "SetQueueAttributes",
            {"QueueUrl": "url/orders", "Attributes": {"RedriveAllowPolicy": '{"redrivePermission": "denyAll"}'}},
        ),
        ("TagQueue", {"QueueUrl": "url/orders", "Tags": {"team": "shop", "year": "2013"}}),
        ("CreateQueue", {"QueueName": "orders-failed"}),
        ("CreateQueue", {"QueueName": "steps.fifo", "Attributes": {"FifoQueue": "true"}}),
        ("SetQueueAttributes", {"QueueUrl": "url/steps.fifo", "Attributes": {"ContentBasedDeduplication": "true"}}),
        ("SetQueueAttributes", {"QueueUrl": "url/orders", "Attributes": {"RedrivePolicy": json.dumps(target)}}),
    ]


@pytest.mark.parametrize("text", ["", "queues:\n", "queues: {}\n", "region: eu-west-1\n", "# nothing\n"])
async def test_a_file_may_name_nothing(read, text):
    recorder = Recorder()
    await create_resources(read(text), recorder)
    assert recorder.calls == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("queues:\n  orders: {\n", "file.yaml:3: not valid YAML"),
        (
            "queue:\n  orders:\n",
            "file.yaml:1: unknown key queue in file (known: account, queues, region, streams, topics)",
        ),
        ("queues:\n  orders:\n    atributes: {}\n", "file.yaml:3: unknown key atributes in queue orders"),
        ("queues: [orders]\n", "file.yaml:1: queues must be a mapping"),
        ("queues:\n  orders: yes\n", "file.yaml:2: queue orders must be a mapping"),
        ("queues:\n  orders:\n  other:\n  orders:\n", "file.yaml:4: orders stands twice in queues"),
        ("queues:\n  [a]: {}\n", "file.yaml:2: a key of queues must be a plain name"),
        ("queues:\n  orders:\n    dead_letter: {queue: x}\n", "file.yaml:3: dead_letter needs max_receives"),
        ("queues:\n  orders:\n    dead_letter: {max_receives: 5}\n", "file.yaml:3: dead_letter needs queue"),
        (
            "queues:\n  orders:\n    dead_letter:\n      queue: x\n      max_receives: lots\n",
            "file.yaml:5: max_receives must be a whole number, not lots",
        ),
        (
            "queues:\n  orders:\n    attributes: {RedrivePolicy: x}\n    dead_letter: {queue: x, max_receives: 1}\n",
            "file.yaml:4: dead_letter and RedrivePolicy say the same thing",
        ),
        ("\naccount: 12\n", "file.yaml:2: account must be 12 digits in quotes, not 12"),
        ("- orders\n", "file.yaml:1: file must be a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(read, text, said):
    with pytest.raises(ResourcesError) as caught:
        read(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("attribute", "line"),
    [("VisibilityTimeout", 6), ("RedriveAllowPolicy", 8), ("RedrivePolicy", 10), ("FifoQueue", 12)],
)
async def test_what_the_service_refuses_is_named_with_its_line(read, attribute, line):
    with pytest.raises(ResourcesError, match=rf"file.yaml:{line}: \w+: Invalid value for the parameter."):
        await create_resources(read(WHOLE), Recorder(refuse=attribute))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ResourcesError, match="No such file"):
        read_resources(str(tmp_path / "nothing.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ResourcesError, match="not valid YAML"):
        read_resources(str(tmp_path / "binary.yaml"))
