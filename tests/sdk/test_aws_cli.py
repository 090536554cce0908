"""The AWS CLI: a session as one would type it, each of SQS's actions touched, its output parsed."""

import json

import pytest


@pytest.fixture
def aws(run_aws):
    """A function that runs `aws sqs …` and gives what it printed, parsed."""

    def run(*words):
        done = run_aws("sqs", *words)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_queues(aws, headrace):
    created = aws("create-queue", "--queue-name", "orders", "--attributes", "DelaySeconds=0", "--tags", "team=shop")
    url = created["QueueUrl"]
    assert url == f"{headrace.endpoint_url}/000000000000/orders"
    assert aws("get-queue-url", "--queue-name", "orders") == created
    assert aws("list-queues") == {"QueueUrls": [url]}
    aws("tag-queue", "--queue-url", url, "--tags", "stage=test")
    aws("untag-queue", "--queue-url", url, "--tag-keys", "team")
    assert aws("list-queue-tags", "--queue-url", url) == {"Tags": {"stage": "test"}}
    aws("set-queue-attributes", "--queue-url", url, "--attributes", "VisibilityTimeout=45,DelaySeconds=1")
    found = aws("get-queue-attributes", "--queue-url", url, "--attribute-names", "VisibilityTimeout", "DelaySeconds")
    assert found == {"Attributes": {"VisibilityTimeout": "45", "DelaySeconds": "1"}}
    aws("delete-queue", "--queue-url", url)
    assert aws("list-queues") is None


def test_messages(aws):
    url = aws("create-queue", "--queue-name", "orders")["QueueUrl"]
    attributes = json.dumps({"weight": {"DataType": "Number", "StringValue": "1.5"}})
    sent = aws(
        "send-message", "--queue-url", url, "--message-body", "Grüße & <more>", "--message-attributes", attributes
    )
    receive = ("receive-message", "--queue-url", url, "--attribute-names", "All", "--message-attribute-names", "All")
    (message,) = aws(*receive)["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "Grüße & <more>")
    assert message["MessageAttributes"]["weight"]["StringValue"] == "1.5"
    handle = ("--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    aws("change-message-visibility", *handle, "--visibility-timeout", "0")
    (again,) = aws(*receive)["Messages"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    aws("delete-message", "--queue-url", url, "--receipt-handle", again["ReceiptHandle"])
    assert aws(*receive) is None


def test_batches(aws):
    url = aws("create-queue", "--queue-name", "orders")["QueueUrl"]
    entries = json.dumps([{"Id": key, "MessageBody": key} for key in "ab"])
    sent = aws("send-message-batch", "--queue-url", url, "--entries", entries)
    assert [entry["Id"] for entry in sent["Successful"]] == ["a", "b"]
    receive = ("receive-message", "--queue-url", url, "--max-number-of-messages", "10", "--wait-time-seconds", "1")
    messages = aws(*receive)["Messages"]
    handles = [{"Id": message["Body"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages]
    hidden = json.dumps([entry | {"VisibilityTimeout": 60} for entry in handles])
    assert len(aws("change-message-visibility-batch", "--queue-url", url, "--entries", hidden)["Successful"]) == 2
    deleted = aws("delete-message-batch", "--queue-url", url, "--entries", json.dumps(handles))
    assert sorted(entry["Id"] for entry in deleted["Successful"]) == ["a", "b"]
    aws("purge-queue", "--queue-url", url)


def test_dead_letters(aws):
    dead = aws("create-queue", "--queue-name", "dead")["QueueUrl"]
    arn = aws("get-queue-attributes", "--queue-url", dead, "--attribute-names", "QueueArn")["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1"})
    attributes = json.dumps({"RedrivePolicy": policy, "VisibilityTimeout": "0"})
    source = aws("create-queue", "--queue-name", "source", "--attributes", attributes)["QueueUrl"]
    assert aws("list-dead-letter-source-queues", "--queue-url", dead) == {"queueUrls": [source]}
    aws("send-message", "--queue-url", source, "--message-body", "poison")
    assert len(aws("receive-message", "--queue-url", source)["Messages"]) == 1
    assert aws("receive-message", "--queue-url", source) is None
    assert aws("start-message-move-task", "--source-arn", arn)["TaskHandle"]
    moved = aws("receive-message", "--queue-url", source, "--wait-time-seconds", "10")
    assert moved["Messages"][0]["Body"] == "poison"
    (task,) = aws("list-message-move-tasks", "--source-arn", arn)["Results"]
    assert (task["SourceArn"], task["ApproximateNumberOfMessagesMoved"]) == (arn, 1)


def test_permissions(aws):
    url = aws("create-queue", "--queue-name", "orders")["QueueUrl"]
    label = ("--queue-url", url, "--label", "share")
    aws("add-permission", *label, "--aws-account-ids", "123456789012", "--actions", "SendMessage", "ReceiveMessage")
    found = aws("get-queue-attributes", "--queue-url", url, "--attribute-names", "Policy")
    statement = json.loads(found["Attributes"]["Policy"])["Statement"][0]
    assert statement["Action"] == ["SQS:SendMessage", "SQS:ReceiveMessage"]
    aws("remove-permission", *label)
    assert aws("get-queue-attributes", "--queue-url", url, "--attribute-names", "Policy") is None


def test_fifo(aws):
    attributes = "FifoQueue=true,ContentBasedDeduplication=true"
    url = aws("create-queue", "--queue-name", "orders.fifo", "--attributes", attributes)["QueueUrl"]
    send = ("send-message", "--queue-url", url, "--message-body", "one", "--message-group-id", "g")
    assert aws(*send)["SequenceNumber"] == aws(*send)["SequenceNumber"]
    assert len(aws("receive-message", "--queue-url", url, "--max-number-of-messages", "10")["Messages"]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["get-queue-url", "--queue-name", "nowhere"],
            (
                "(AWS.SimpleQueueService.NonExistentQueue) when calling the GetQueueUrl operation: "
                "The specified queue does not exist."
            ),
        ),
        (
            ["cancel-message-move-task", "--task-handle", "garbage"],
            (
                "(InvalidParameterValue) when calling the CancelMessageMoveTask operation: "
                "Value for parameter TaskHandle is invalid."
            ),
        ),
    ],
)
def test_errors(run_aws, words, said):
    done = run_aws("sqs", *words)
    assert done.returncode != 0
    assert said in done.stderr
