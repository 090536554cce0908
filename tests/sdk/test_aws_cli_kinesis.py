"""The AWS CLI and Kinesis: each action that it has a command for, and those of a newer model that it is given."""

import base64
import gzip
import json
from pathlib import Path

import botocore
import pytest

SHARD = "shardId-000000000000"
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"
NAMED = ("--stream-name", "clicks")
MODEL = Path("kinesis", "2013-12-02", "service-2.json")


@pytest.fixture
def aws(run_aws):
    """A function that runs `aws kinesis …` and gives what it printed, parsed."""

    def run(*words):
        done = run_aws("kinesis", *words)
        assert (done.returncode, done.stderr) == (0, ""), words
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


@pytest.fixture
def newer_model(tmp_path):
    """The CLI's home has the model of this environment's botocore, which knows stream queues and channels."""
    packed = Path(botocore.__file__).parent / "data" / MODEL.with_name("service-2.json.gz")
    place = tmp_path / ".aws" / "models" / MODEL
    place.parent.mkdir(parents=True)
    place.write_bytes(gzip.decompress(packed.read_bytes()))


@pytest.fixture
def make_stream(aws, headrace):
    def make(*mode):
        aws("create-stream", *NAMED, *(mode or ("--shard-count", "1")))
        headrace.advance(1)

    return make


@pytest.fixture
def queue(newer_model, aws, headrace, make_stream):
    """The ARN of a queue on a stream in on-demand mode."""
    make_stream("--stream-mode-details", "StreamMode=ON_DEMAND")
    configuration = ("--stream-configuration-list", f"StreamARN={ARN}")
    made = aws("create-queue", "--queue-name", "work", *configuration)["QueueDescription"]
    headrace.advance(1)
    return made["QueueARN"]


def encoded(data):
    return base64.b64encode(data).decode()


def test_streams(aws, headrace):
    aws("create-stream", *NAMED, "--shard-count", "2", "--tags", "team=web")
    aws("wait", "stream-exists", *NAMED)
    described = aws("describe-stream", *NAMED)["StreamDescription"]
    assert (described["StreamARN"], len(described["Shards"])) == (ARN, 2)
    summary = aws("describe-stream-summary", "--stream-arn", ARN)["StreamDescriptionSummary"]
    assert (summary["StreamStatus"], summary["OpenShardCount"]) == ("ACTIVE", 2)
    assert aws("list-streams")["StreamNames"] == ["clicks"]
    assert aws("describe-limits")["OpenShardCount"] == 2
    aws("delete-stream", *NAMED, "--enforce-consumer-deletion")
    headrace.advance(1)
    assert aws("list-streams")["StreamNames"] == []


def test_records(aws, make_stream, tmp_path):
    make_stream()
    data = tmp_path / "data"
    data.write_bytes(b"\x00\xff")
    sent = aws("put-record", *NAMED, "--partition-key", "k", "--data", f"fileb://{data}")
    assert sent["ShardId"] == SHARD
    entries = [{"Data": f"{number}", "PartitionKey": "k"} for number in range(3)]
    assert aws("put-records", *NAMED, "--records", json.dumps(entries))["FailedRecordCount"] == 0
    begin = ("--shard-id", SHARD, "--shard-iterator-type")
    iterator = aws("get-shard-iterator", *NAMED, *begin, "TRIM_HORIZON")["ShardIterator"]
    answer = aws("get-records", "--shard-iterator", iterator, "--limit", "2")
    assert [record["Data"] for record in answer["Records"]] == [encoded(b"\x00\xff"), encoded(b"0")]
    answer = aws("get-records", "--shard-iterator", answer["NextShardIterator"])
    assert [record["Data"] for record in answer["Records"]] == [encoded(b"1"), encoded(b"2")]
    after = ("--starting-sequence-number", sent["SequenceNumber"])
    iterator = aws("get-shard-iterator", *NAMED, *begin, "AFTER_SEQUENCE_NUMBER", *after)["ShardIterator"]
    assert len(aws("get-records", "--shard-iterator", iterator)["Records"]) == 3


def test_shards(aws, headrace, make_stream):
    make_stream()
    aws("split-shard", *NAMED, "--shard-to-split", SHARD, "--new-starting-hash-key", str(2**127))
    headrace.advance(1)
    pair = ("--shard-to-merge", "shardId-000000000001", "--adjacent-shard-to-merge", "shardId-000000000002")
    aws("merge-shards", *NAMED, *pair)
    headrace.advance(1)
    scaled = aws("update-shard-count", *NAMED, "--target-shard-count", "2", "--scaling-type", "UNIFORM_SCALING")
    assert (scaled["CurrentShardCount"], scaled["TargetShardCount"]) == (1, 2)
    headrace.advance(1)
    assert len(aws("list-shards", *NAMED)["Shards"]) == 6
    latest = aws("list-shards", "--stream-arn", ARN, "--shard-filter", "Type=AT_LATEST")["Shards"]
    assert [shard["HashKeyRange"]["StartingHashKey"] for shard in latest] == ["0", str(2**127)]


def test_settings(aws, headrace, make_stream):
    make_stream()
    for words in (
        ("increase-stream-retention-period", *NAMED, "--retention-period-hours", "72"),
        ("decrease-stream-retention-period", *NAMED, "--retention-period-hours", "48"),
        ("update-max-record-size", "--stream-arn", ARN, "--max-record-size-in-ki-b", "2048"),
        ("start-stream-encryption", *NAMED, "--encryption-type", "KMS", "--key-id", "alias/aws/kinesis"),
    ):
        assert aws(*words) is None
        headrace.advance(1)
    metrics = ("--shard-level-metrics", "IncomingBytes", "OutgoingBytes")
    enabled = aws("enable-enhanced-monitoring", *NAMED, *metrics)
    assert enabled["DesiredShardLevelMetrics"] == list(metrics[1:])
    headrace.advance(1)
    summary = aws("describe-stream-summary", *NAMED)["StreamDescriptionSummary"]
    found = [summary[name] for name in ("RetentionPeriodHours", "MaxRecordSizeInKiB", "EncryptionType", "KeyId")]
    assert found == [48, 2048, "KMS", "alias/aws/kinesis"]
    assert summary["EnhancedMonitoring"] == [{"ShardLevelMetrics": list(metrics[1:])}]
    disabled = aws("disable-enhanced-monitoring", *NAMED, "--shard-level-metrics", "ALL")
    assert disabled["DesiredShardLevelMetrics"] == []
    headrace.advance(1)
    aws("stop-stream-encryption", *NAMED, "--encryption-type", "KMS", "--key-id", "alias/aws/kinesis")
    headrace.advance(1)
    assert aws("describe-stream-summary", *NAMED)["StreamDescriptionSummary"]["EncryptionType"] == "NONE"


def test_modes_and_the_account(aws, headrace, make_stream):
    make_stream()
    aws("update-stream-mode", "--stream-arn", ARN, "--stream-mode-details", "StreamMode=ON_DEMAND")
    headrace.advance(1)
    enable = ("--minimum-throughput-billing-commitment", "Status=ENABLED")
    assert aws("update-account-settings", *enable)["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED"
    assert aws("describe-account-settings")["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED"
    warmed = aws("update-stream-warm-throughput", "--stream-arn", ARN, "--warm-throughput-mi-bps", "8")
    assert warmed["WarmThroughput"]["TargetMiBps"] == 8
    headrace.advance(1)
    summary = aws("describe-stream-summary", *NAMED)["StreamDescriptionSummary"]
    assert (summary["StreamModeDetails"], summary["OpenShardCount"]) == ({"StreamMode": "ON_DEMAND"}, 8)


def test_tags_and_policies(aws, make_stream):
    make_stream("--shard-count", "1", "--tags", "a=1")
    aws("add-tags-to-stream", *NAMED, "--tags", "b=2")
    aws("tag-resource", "--resource-arn", ARN, "--tags", "c=3")
    aws("remove-tags-from-stream", *NAMED, "--tag-keys", "a")
    aws("untag-resource", "--resource-arn", ARN, "--tag-keys", "b")
    assert aws("list-tags-for-stream", *NAMED) == {"Tags": [{"Key": "c", "Value": "3"}], "HasMoreTags": False}
    assert aws("list-tags-for-resource", "--resource-arn", ARN) == {"Tags": [{"Key": "c", "Value": "3"}]}
    statement = {"Effect": "Allow", "Principal": "*", "Action": "kinesis:PutRecord", "Resource": ARN}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws("put-resource-policy", "--resource-arn", ARN, "--policy", policy)
    assert aws("get-resource-policy", "--resource-arn", ARN) == {"Policy": policy}
    aws("delete-resource-policy", "--resource-arn", ARN)


def test_consumers(aws, headrace, make_stream):
    make_stream()
    reader = ("--stream-arn", ARN, "--consumer-name", "reader")
    consumer = aws("register-stream-consumer", *reader)["Consumer"]
    assert consumer["ConsumerStatus"] == "CREATING"
    headrace.advance(1)
    described = aws("describe-stream-consumer", "--consumer-arn", consumer["ConsumerARN"])["ConsumerDescription"]
    assert (described["ConsumerStatus"], described["StreamARN"]) == ("ACTIVE", ARN)
    listed = aws("list-stream-consumers", "--stream-arn", ARN)["Consumers"]
    assert [each["ConsumerName"] for each in listed] == ["reader"]
    aws("deregister-stream-consumer", *reader)
    headrace.advance(1)
    assert aws("list-stream-consumers", "--stream-arn", ARN) == {"Consumers": []}


def test_queues(aws, headrace, queue):
    described = aws("describe-queue", "--queue-arn", queue)["QueueDescription"]
    assert (described["QueueName"], described["QueueStatus"]) == ("work", "ACTIVE")
    updated = aws("update-queue", "--queue-arn", queue, "--queue-attributes", "VisibilityTimeoutSeconds=5")
    assert updated["QueueDescription"]["QueueAttributes"]["VisibilityTimeoutSeconds"] == 5
    headrace.advance(1)
    assert [each["QueueARN"] for each in aws("list-queues")["QueueSummaries"]] == [queue]
    aws("delete-queue", "--queue-arn", queue)
    headrace.advance(1)
    assert aws("list-queues")["QueueSummaries"] == []


def test_records_of_queues(aws, headrace, queue):
    aws("put-record", *NAMED, "--partition-key", "k", "--data", "a")
    once = "VisibilityTimeoutSeconds=20,DeadLetterConfiguration={TargetType=BUILT_IN,MaxReceiveCount=1}"
    aws("update-queue", "--queue-arn", queue, "--queue-attributes", once)
    headrace.advance(1)
    named = ("--queue-arn", queue)
    waiting = (*named, "--wait-time-seconds", "1")

    def hide(command, record):
        entry = {"ReceiptHandle": record["ReceiptHandle"], "VisibilityTimeoutSeconds": 0}
        assert aws(command, *named, "--entries", json.dumps([entry]))["Failed"] == []

    def settle(command, record):
        answer = aws(command, *named, "--entries", json.dumps([{"ReceiptHandle": record["ReceiptHandle"]}]))
        assert len(answer["Successful"]) == 1

    [record] = aws("receive-queue-records", *waiting)["QueueRecords"]
    assert (record["Data"], record["ReceiveCount"]) == (encoded(b"a"), 1)
    hide("update-queue-records-visibility", record)
    [letter] = aws("receive-dead-letter-queue-records", *waiting)["QueueRecords"]
    hide("update-dead-letter-queue-records-visibility", letter)
    [letter] = aws("receive-dead-letter-queue-records", *waiting)["QueueRecords"]
    settle("restore-dead-letter-queue-records", letter)
    [record] = aws("receive-queue-records", *waiting)["QueueRecords"]
    hide("update-queue-records-visibility", record)
    [letter] = aws("receive-dead-letter-queue-records", *waiting)["QueueRecords"]
    settle("acknowledge-dead-letter-queue-records", letter)
    aws("put-record", *NAMED, "--partition-key", "k", "--data", "b")
    [record] = aws("receive-queue-records", *waiting)["QueueRecords"]
    settle("acknowledge-queue-records", record)


def test_distribution_of_records(newer_model, aws, make_stream):
    make_stream("--stream-mode-details", "StreamMode=ON_DEMAND")
    aws("update-stream-record-distribution-strategy", "--stream-arn", ARN, "--record-distribution-strategy", "AUTO")
    summary = aws("describe-stream-summary", *NAMED)["StreamDescriptionSummary"]
    assert summary["RecordDistributionStrategy"] == "AUTO"


CHANNEL = ("--channel-arn", "arn:aws:kinesis:us-east-1:000000000000:channel/c")
CREATE_CHANNEL = (
    "create-channel",
    "--channel-name",
    "c",
    "--service-execution-role-arn",
    "arn:aws:iam::000000000000:role/r",
    "--stream-configuration-list",
    f"StreamARN={ARN},RecordConfiguration={{RecordFormatType=JSON}}",
)


@pytest.mark.parametrize(
    "words",
    [
        CREATE_CHANNEL,
        ("delete-channel", *CHANNEL),
        ("describe-channel", *CHANNEL),
        ("list-channels",),
        ("update-channel", *CHANNEL),
    ],
)
def test_channels_are_not_supported(newer_model, run_aws, words):
    done = run_aws("kinesis", *words)
    assert done.returncode != 0
    assert "(UnsupportedOperationException)" in done.stderr
    assert "does not support" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["describe-stream-summary", "--stream-name", "nowhere"],
            (
                "(ResourceNotFoundException) when calling the DescribeStreamSummary operation: "
                "Stream nowhere under account 000000000000 not found."
            ),
        ),
        (
            ["get-records", "--shard-iterator", "garbage"],
            "(InvalidArgumentException) when calling the GetRecords operation: Invalid ShardIterator.",
        ),
        (
            ["create-stream", "--stream-name", "no name", "--shard-count", "1"],
            (
                "(ValidationException) when calling the CreateStream operation: 1 validation error detected: "
                "Value 'no name' at 'streamName' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
            ),
        ),
    ],
)
def test_errors(run_aws, words, said):
    done = run_aws("kinesis", *words)
    assert done.returncode != 0
    assert said in done.stderr
