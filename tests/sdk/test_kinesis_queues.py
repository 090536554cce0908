"""Stream queues with boto3: made, received from, acknowledged, given up as dead letters and restored."""

from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def kinesis(headrace):
    return headrace.client("kinesis")


@pytest.fixture
def stream_arn(headrace, kinesis):
    """A stream in on-demand mode."""
    return make_stream(headrace, kinesis, "clicks")


@pytest.fixture
def make_queue(headrace, kinesis, stream_arn):
    """A function that makes a queue on the stream, ACTIVE unless told otherwise; its ARN."""

    def make(name="work", position=None, *, active=True, tags=None, **attributes):
        configuration = {"StreamARN": stream_arn} | ({"StartingPosition": position} if position else {})
        options = ({"QueueAttributes": attributes} if attributes else {}) | ({"Tags": tags} if tags else {})
        made = kinesis.create_queue(QueueName=name, StreamConfigurationList=[configuration], **options)
        if active:
            headrace.advance(1)
        return made["QueueDescription"]["QueueARN"]

    return make


@pytest.fixture
def queue(make_queue):
    return make_queue()


def make_stream(headrace, kinesis, name, **options):
    kinesis.create_stream(StreamName=name, **(options or {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}))
    headrace.advance(1)
    return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]


def put(kinesis, stream_arn, *bodies, key="k"):
    for body in bodies:
        kinesis.put_record(StreamARN=stream_arn, PartitionKey=key, Data=body.encode())


def receive(kinesis, queue, **options):
    return kinesis.receive_queue_records(QueueARN=queue, WaitTimeSeconds=1, **options)["QueueRecords"]


def receive_dead(kinesis, queue, **options):
    return kinesis.receive_dead_letter_queue_records(QueueARN=queue, WaitTimeSeconds=1, **options)["QueueRecords"]


def receive_all(kinesis, queue, count):
    """That many records, however many receives they take."""
    found = []
    while len(found) < count:
        found += receive(kinesis, queue)
    return found


def bodies(records):
    return [record["Data"].decode() for record in records]


def in_time(headrace, call):
    """What a call answers that waits for the clock."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call)
        while not future.done():
            headrace.advance(1)
        return future.result()


def handles(records):
    return [{"ReceiptHandle": record["ReceiptHandle"]} for record in records]


def acknowledge(kinesis, queue, records):
    answer = kinesis.acknowledge_queue_records(QueueARN=queue, Entries=handles(records))
    assert answer["Failed"] == []
    return answer["Successful"]


def refusal(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return response["Error"]["Code"]


# Queues themselves


def test_a_queue_is_made_and_described(headrace, kinesis, stream_arn):
    made = kinesis.create_queue(QueueName="work", StreamConfigurationList=[{"StreamARN": stream_arn}])
    described = made["QueueDescription"]
    arn = described["QueueARN"]
    assert arn.startswith("arn:aws:kinesis:us-east-1:000000000000:queue/")
    assert "work" not in arn
    assert described["QueueStatus"] == "CREATING"
    assert described["StreamConfigurationList"] == [{"StreamARN": stream_arn, "StartingPosition": {"Type": "LATEST"}}]
    assert described["QueueAttributes"] == {
        "VisibilityTimeoutSeconds": 30,
        "DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 6},
    }
    headrace.advance(1)
    described = kinesis.describe_queue(QueueARN=arn)["QueueDescription"]
    assert (described["QueueName"], described["QueueStatus"]) == ("work", "ACTIVE")
    position = described["StreamConfigurationList"][0]["StartingPosition"]
    assert position == {"Type": "LATEST", "Timestamp": described["QueueCreationTimestamp"]}


def test_attributes_are_changed_once_the_queue_is_active_again(headrace, kinesis, make_queue, stream_arn):
    queue = make_queue(VisibilityTimeoutSeconds=60)
    changed = kinesis.update_queue(QueueARN=queue, QueueAttributes={"VisibilityTimeoutSeconds": 5})["QueueDescription"]
    assert changed["QueueStatus"] == "UPDATING"
    assert changed["QueueAttributes"]["VisibilityTimeoutSeconds"] == 5
    again = {"QueueARN": queue, "QueueAttributes": {"VisibilityTimeoutSeconds": 6}}
    assert refusal(kinesis.update_queue, **again) == "ResourceInUseException"
    headrace.advance(1)
    off = {"DeadLetterConfiguration": {"TargetType": "NONE"}}
    kinesis.update_queue(QueueARN=queue, QueueAttributes=off)
    headrace.advance(1)
    described = kinesis.describe_queue(QueueARN=queue)["QueueDescription"]
    assert (described["QueueStatus"], described["QueueAttributes"]) == ("ACTIVE", {"VisibilityTimeoutSeconds": 5} | off)
    put(kinesis, stream_arn, "a")
    assert len(receive(kinesis, queue)) == 1
    headrace.advance(6)
    assert receive(kinesis, queue)[0]["ReceiveCount"] == 2


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"QueueName": "no spaces"}, "ValidationException"),
        ({"QueueName": "x" * 129}, "ValidationException"),
        ({"StreamConfigurationList": []}, "ValidationException"),
        ({"QueueAttributes": {"VisibilityTimeoutSeconds": 43_201}}, "ValidationException"),
        ({"QueueAttributes": {"DeadLetterConfiguration": {"TargetType": "BUILT_IN"}}}, "ValidationException"),
        (
            {"QueueAttributes": {"DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 1_001}}},
            "ValidationException",
        ),
        ({"Tags": {f"k{number}": "" for number in range(51)}}, "InvalidArgumentException"),
        ({"Tags": {"aws:own": "x"}}, "InvalidArgumentException"),
    ],
)
def test_what_no_queue_is_made_of(headrace, stream_arn, params, code):
    kinesis = headrace.client("kinesis", config=unchecked())
    good = {"QueueName": "work", "StreamConfigurationList": [{"StreamARN": stream_arn}]}
    assert refusal(kinesis.create_queue, **(good | params)) == code
    assert kinesis.list_queues()["QueueSummaries"] == []


@pytest.mark.parametrize(
    "position", [{"Type": "AT_TIMESTAMP"}, {"Type": "LATEST", "Timestamp": 1}, {"Type": "TRIM_HORIZON", "Timestamp": 1}]
)
def test_only_at_timestamp_has_a_timestamp(kinesis, stream_arn, position):
    configuration = {"StreamARN": stream_arn, "StartingPosition": position}
    params = {"QueueName": "work", "StreamConfigurationList": [configuration]}
    assert refusal(kinesis.create_queue, **params) == "ValidationException"
    params["StreamConfigurationList"] = [{"StreamARN": stream_arn}] * 2
    assert refusal(kinesis.create_queue, **params) == "ValidationException"


def unchecked():
    from botocore.config import Config

    return Config(parameter_validation=False)


def test_a_queue_needs_an_on_demand_stream_of_its_account(headrace, kinesis, stream_arn):
    provisioned = make_stream(headrace, kinesis, "provisioned", ShardCount=1)

    def make(arn, client=kinesis):
        return refusal(client.create_queue, QueueName="work", StreamConfigurationList=[{"StreamARN": arn}])

    assert make(provisioned) == "ValidationException"
    assert make(f"{stream_arn}-not-there") == "ResourceNotFoundException"
    other = headrace.client("kinesis", aws_access_key_id="123456789012")
    assert make(stream_arn, other) == "ResourceNotFoundException"
    kinesis.create_stream(StreamName="coming", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert make(stream_arn.replace("clicks", "coming")) == "ResourceInUseException"


def test_a_name_is_taken_until_its_queue_is_gone(headrace, kinesis, stream_arn, make_queue):
    queue = make_queue()
    again = {"QueueName": "work", "StreamConfigurationList": [{"StreamARN": stream_arn}]}
    assert refusal(kinesis.create_queue, **again) == "ResourceInUseException"
    kinesis.delete_queue(QueueARN=queue)
    assert refusal(kinesis.create_queue, **again) == "ResourceInUseException"
    headrace.advance(1)
    assert make_queue() != queue
    elsewhere = headrace.client("kinesis", region_name="eu-west-1")
    other = make_stream(headrace, elsewhere, "clicks")
    made = elsewhere.create_queue(QueueName="work", StreamConfigurationList=[{"StreamARN": other}])
    assert ":eu-west-1:" in made["QueueDescription"]["QueueARN"]


def test_a_deleted_queue_delivers_nothing_and_is_gone_soon(headrace, kinesis, stream_arn, queue):
    put(kinesis, stream_arn, "a", "b")
    [record] = receive(kinesis, queue, Limit=1)
    kinesis.delete_queue(QueueARN=queue)
    assert kinesis.describe_queue(QueueARN=queue)["QueueDescription"]["QueueStatus"] == "DELETING"
    kinesis.delete_queue(QueueARN=queue)
    gone = "ResourceNotFoundException"
    assert refusal(kinesis.receive_queue_records, QueueARN=queue) == gone
    assert refusal(kinesis.acknowledge_queue_records, QueueARN=queue, Entries=handles([record])) == gone
    headrace.advance(1)
    assert refusal(kinesis.describe_queue, QueueARN=queue) == gone
    assert refusal(kinesis.delete_queue, QueueARN=queue) == gone
    assert kinesis.list_queues()["QueueSummaries"] == []


def test_who_waits_is_told_that_the_queue_is_deleted(kinesis, queue):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(refusal, kinesis.receive_queue_records, QueueARN=queue, WaitTimeSeconds=20)
        time.sleep(0.1)
        kinesis.delete_queue(QueueARN=queue)
        assert waiting.result() == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("arn:aws:kinesis:us-east-1:000000000000:queue/0123", "ResourceNotFoundException"),
        ("arn:aws:kinesis:us-east-1:000000000000:queue/what-ever/else", "ResourceNotFoundException"),
        ("arn:aws:kinesis:us-east-1:000000000000:stream/clicks", "ValidationException"),
        ("work", "ValidationException"),
    ],
)
def test_queues_that_are_not_there(kinesis, arn, code):
    entries = [{"ReceiptHandle": "x"}]
    hidden = [{"ReceiptHandle": "x", "VisibilityTimeoutSeconds": 1}]
    for call, more in (
        (kinesis.describe_queue, {}),
        (kinesis.delete_queue, {}),
        (kinesis.update_queue, {"QueueAttributes": {}}),
        (kinesis.receive_queue_records, {}),
        (kinesis.receive_dead_letter_queue_records, {}),
        (kinesis.acknowledge_queue_records, {"Entries": entries}),
        (kinesis.acknowledge_dead_letter_queue_records, {"Entries": entries}),
        (kinesis.restore_dead_letter_queue_records, {"Entries": entries}),
        (kinesis.update_queue_records_visibility, {"Entries": hidden}),
        (kinesis.update_dead_letter_queue_records_visibility, {"Entries": hidden}),
    ):
        assert refusal(call, QueueARN=arn, **more) == code


def test_queues_are_listed_by_name_in_pages(headrace, kinesis, stream_arn, make_queue):
    names = ["b", "a", "d", "c"]
    for name in names:
        make_queue(name)
    pages = kinesis.get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 3})
    listed = [[summary["QueueName"] for summary in page["QueueSummaries"]] for page in pages]
    assert listed == [["a", "b", "c"], ["d"]]
    first = kinesis.list_queues(MaxResults=4)
    assert "NextToken" not in first
    created = kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"][
        "StreamCreationTimestamp"
    ]
    for summary in first["QueueSummaries"]:
        assert summary["Streams"] == [{"StreamARN": stream_arn, "StreamCreationTimestamp": created}]
        assert summary["QueueStatus"] == "ACTIVE"
    assert refusal(kinesis.list_queues, NextToken="nonsense") == "InvalidArgumentException"
    token = kinesis.list_queues(MaxResults=1)["NextToken"]
    headrace.advance(301)
    assert refusal(kinesis.list_queues, NextToken=token) == "ExpiredNextTokenException"


def test_queues_of_one_stream(headrace, kinesis, stream_arn, make_queue):
    make_queue("one")
    other = make_stream(headrace, kinesis, "other")
    kinesis.create_queue(QueueName="two", StreamConfigurationList=[{"StreamARN": other}])

    def listed(**stream):
        return [each["QueueName"] for each in kinesis.list_queues(StreamFilter=[stream])["QueueSummaries"]]

    created = kinesis.describe_stream_summary(StreamName="other")["StreamDescriptionSummary"]["StreamCreationTimestamp"]
    assert listed(StreamARN=other) == ["two"]
    assert listed(StreamARN=other, StreamCreationTimestamp=created) == ["two"]
    assert listed(StreamARN=other, StreamCreationTimestamp=created - dt.timedelta(days=1)) == []
    assert listed(StreamARN=stream_arn) == ["one"]


def test_a_stream_with_queues_is_neither_deleted_nor_provisioned(headrace, kinesis, stream_arn, queue):
    summary = kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]
    assert (summary["QueueCount"], summary["ConsumerCount"]) == (1, 0)
    deleting = {"StreamName": "clicks", "EnforceConsumerDeletion": True}
    assert refusal(kinesis.delete_stream, **deleting) == "ResourceInUseException"
    mode = {"StreamARN": stream_arn, "StreamModeDetails": {"StreamMode": "PROVISIONED"}}
    assert refusal(kinesis.update_stream_mode, **mode) == "ResourceInUseException"
    kinesis.delete_queue(QueueARN=queue)
    headrace.advance(1)
    assert kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]["QueueCount"] == 0
    kinesis.delete_stream(**deleting)


def test_a_stream_has_twenty_consumers_at_most_queues_included(kinesis, stream_arn, make_queue):
    for number in range(20):
        make_queue(f"q{number}")
    more = {"QueueName": "one-more", "StreamConfigurationList": [{"StreamARN": stream_arn}]}
    assert refusal(kinesis.create_queue, **more) == "LimitExceededException"


def test_five_queues_are_created_at_a_time(headrace, kinesis, stream_arn, make_queue):
    for number in range(5):
        make_queue(f"q{number}", active=False)
    more = {"QueueName": "one-more", "StreamConfigurationList": [{"StreamARN": stream_arn}]}
    assert refusal(kinesis.create_queue, **more) == "LimitExceededException"
    headrace.advance(1)
    kinesis.create_queue(**more)


def test_tags(headrace, kinesis, make_queue):
    queue = make_queue(tags={"team": "a", "stage": "test"})
    kinesis.tag_resource(ResourceARN=queue, Tags={"team": "b", "cost": "1"})
    kinesis.untag_resource(ResourceARN=queue, TagKeys=["stage"])
    tags = kinesis.list_tags_for_resource(ResourceARN=queue)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "b", "cost": "1"}
    kinesis.delete_queue(QueueARN=queue)
    headrace.advance(1)
    assert refusal(kinesis.list_tags_for_resource, ResourceARN=queue) == "ResourceNotFoundException"


# Where a queue begins


def test_latest_is_what_comes_after_the_queue_was_made(headrace, kinesis, stream_arn, make_queue):
    put(kinesis, stream_arn, "before")
    queue = make_queue(active=False)
    put(kinesis, stream_arn, "while it was created")
    headrace.advance(1)
    put(kinesis, stream_arn, "after")
    assert sorted(bodies(receive_all(kinesis, queue, 2))) == ["after", "while it was created"]


def test_trim_horizon_is_the_oldest_record(headrace, kinesis, stream_arn, make_queue):
    put(kinesis, stream_arn, "old")
    headrace.advance(23 * 3600)
    put(kinesis, stream_arn, "young")
    headrace.advance(2 * 3600)
    queue = make_queue(position={"Type": "TRIM_HORIZON"})
    assert bodies(receive_all(kinesis, queue, 1)) == ["young"]
    described = kinesis.describe_queue(QueueARN=queue)["QueueDescription"]
    position = described["StreamConfigurationList"][0]["StartingPosition"]
    assert described["QueueCreationTimestamp"] - position["Timestamp"] == dt.timedelta(hours=24)


def test_at_timestamp_is_what_came_at_or_after_it(headrace, kinesis, stream_arn, make_queue):
    put(kinesis, stream_arn, "early", key="a")
    now_s = headrace.advance(10)
    put(kinesis, stream_arn, "late", key="a")
    position = {"Type": "AT_TIMESTAMP", "Timestamp": int(now_s)}
    queue = make_queue(position=position)
    assert bodies(receive_all(kinesis, queue, 1)) == ["late"]
    described = kinesis.describe_queue(QueueARN=queue)["QueueDescription"]["StreamConfigurationList"][0]
    assert described["StartingPosition"]["Timestamp"].timestamp() == int(now_s)


def test_at_timestamp_may_lie_ahead(headrace, kinesis, stream_arn, make_queue):
    now_s = headrace.advance(1)
    queue = make_queue(position={"Type": "AT_TIMESTAMP", "Timestamp": int(now_s) + 60})
    put(kinesis, stream_arn, "too early")
    headrace.advance(120)
    put(kinesis, stream_arn, "in time")
    assert bodies(receive_all(kinesis, queue, 1)) == ["in time"]


# Receiving


def test_a_record_as_it_is_received(headrace, kinesis, stream_arn, queue):
    kinesis.put_record(StreamARN=stream_arn, PartitionKey="käse", Data=b"\x00\xff")
    now_s = headrace.advance(5)
    [record] = receive(kinesis, queue)
    assert set(record) == {
        "ReceiptHandle", "RecordId", "PartitionKey", "Data", "ApproximateArrivalTimestamp", "FirstReceiveTimestamp",
        "ReceiveCount",
    }  # fmt: skip
    assert (record["PartitionKey"], record["Data"], record["ReceiveCount"]) == ("käse", b"\x00\xff", 1)
    assert 4 < record["FirstReceiveTimestamp"].timestamp() - record["ApproximateArrivalTimestamp"].timestamp() < 60
    assert record["FirstReceiveTimestamp"].timestamp() >= now_s
    assert record["RecordId"].isalnum()


def test_a_record_that_is_not_acknowledged_comes_again(headrace, kinesis, stream_arn, queue):
    put(kinesis, stream_arn, "a")
    [first] = receive(kinesis, queue)
    headrace.advance(25)
    assert in_time(headrace, lambda: receive(kinesis, queue)) == []
    headrace.advance(30)
    [second] = receive(kinesis, queue)
    assert second["ReceiveCount"] == 2
    same = ("RecordId", "Data", "PartitionKey", "ApproximateArrivalTimestamp", "FirstReceiveTimestamp")
    assert all(first[name] == second[name] for name in same)
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    assert acknowledge(kinesis, queue, [second]) == handles([second])
    headrace.advance(60)
    assert in_time(headrace, lambda: receive(kinesis, queue)) == []


def test_a_receive_gives_up_to_ten_records(kinesis, stream_arn, queue):
    put(kinesis, stream_arn, *(str(number) for number in range(25)))
    seen = []
    while len(seen) < 25:
        found = receive(kinesis, queue)
        assert 1 <= len(found) <= 10
        seen += bodies(found)
    assert sorted(seen, key=int) == [str(number) for number in range(25)]
    assert len(receive_all(kinesis, queue, 0)) == 0


def test_the_limit_of_a_receive(headrace, kinesis, stream_arn, queue):
    put(kinesis, stream_arn, "a", "b", "c")
    assert len(receive(kinesis, queue, Limit=1)) == 1
    assert len(receive(kinesis, queue, Limit=2)) == 2
    strict = headrace.client("kinesis", config=unchecked())
    for params in ({"Limit": 0}, {"Limit": 11}, {"WaitTimeSeconds": 0}, {"WaitTimeSeconds": 21}):
        assert refusal(strict.receive_queue_records, QueueARN=queue, **params) == "ValidationException"


def test_a_receive_waits_for_a_record(kinesis, stream_arn, queue):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(kinesis.receive_queue_records, QueueARN=queue, WaitTimeSeconds=20)
        put(kinesis, stream_arn, "at last")
        assert bodies(waiting.result()["QueueRecords"]) == ["at last"]


def test_a_receive_waits_for_a_record_to_be_visible_again(headrace, kinesis, stream_arn, queue):
    put(kinesis, stream_arn, "a")
    receive(kinesis, queue, VisibilityTimeoutSeconds=5)
    [again] = in_time(headrace, lambda: kinesis.receive_queue_records(QueueARN=queue))["QueueRecords"]
    assert again["ReceiveCount"] == 2


def test_a_queue_that_is_created_can_be_waited_on(headrace, kinesis, stream_arn, make_queue):
    queue = make_queue(active=False)
    put(kinesis, stream_arn, "a")
    assert bodies(in_time(headrace, lambda: receive(kinesis, queue))) == ["a"]


def test_queues_do_not_take_from_each_other(kinesis, stream_arn, make_queue):
    one, other = make_queue("one"), make_queue("other")
    put(kinesis, stream_arn, "a")
    [first], [second] = receive(kinesis, one), receive(kinesis, other)
    assert first["RecordId"] == second["RecordId"]
    answer = kinesis.acknowledge_queue_records(QueueARN=other, Entries=handles([first]))
    assert [failed["ErrorCode"] for failed in answer["Failed"]] == ["InvalidArgumentException"]
    acknowledge(kinesis, one, [first])
    acknowledge(kinesis, other, [second])


def test_consumer_instances_share_a_queue(kinesis, stream_arn, queue):
    total = 120
    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(receive_until, kinesis, queue) for _ in range(3)]
        for first in range(0, total, 40):
            records = [{"PartitionKey": str(n), "Data": str(n).encode()} for n in range(first, first + 40)]
            kinesis.put_records(StreamARN=stream_arn, Records=records)
        seen = [body for worker in workers for body in worker.result()]
    assert sorted(seen, key=int) == [str(number) for number in range(total)]


def receive_until(kinesis, queue):
    """Receive and acknowledge until nothing came for a second."""
    seen = []
    while found := receive(kinesis, queue):
        acknowledge(kinesis, queue, found)
        seen += bodies(found)
    return seen


def test_records_that_expire_are_not_delivered(headrace, kinesis, stream_arn, queue):
    put(kinesis, stream_arn, "a", "b")
    [given] = receive(kinesis, queue, Limit=1)
    headrace.advance(25 * 3600)
    put(kinesis, stream_arn, "c")
    assert bodies(receive_all(kinesis, queue, 1)) == ["c"]
    answer = kinesis.acknowledge_queue_records(QueueARN=queue, Entries=handles([given]))
    assert [failed["ErrorCode"] for failed in answer["Failed"]] == ["ResourceNotFoundException"]


def test_large_records_come_in_parts(headrace, kinesis, stream_arn, queue):
    kinesis.update_max_record_size(StreamARN=stream_arn, MaxRecordSizeInKiB=10_240)
    headrace.advance(1)
    for letter in (b"a", b"b", b"c"):
        kinesis.put_record(StreamARN=stream_arn, PartitionKey="k", Data=letter * 7_000_000)
        headrace.advance(20)
    found = receive(kinesis, queue)
    assert len(found) == 2
    [last] = receive(kinesis, queue)
    assert last["ReceiveCount"] == 1
    assert sorted(record["Data"][:1] for record in [*found, last]) == [b"a", b"b", b"c"]


# Acknowledging, hiding


def test_each_entry_is_answered_by_itself(headrace, kinesis, stream_arn, queue):
    put(kinesis, stream_arn, "a", "b")
    records = receive_all(kinesis, queue, 2)
    entries = [*handles(records), {"ReceiptHandle": "nonsense"}]
    answer = kinesis.acknowledge_queue_records(QueueARN=queue, Entries=entries)
    assert answer["Successful"] == handles(records)
    [failed] = answer["Failed"]
    assert (failed["ReceiptHandle"], failed["ErrorCode"]) == ("nonsense", "InvalidArgumentException")
    assert failed["ErrorMessage"]
    again = kinesis.acknowledge_queue_records(QueueARN=queue, Entries=handles(records))
    assert [entry["ErrorCode"] for entry in again["Failed"]] == ["ResourceNotFoundException"] * 2
    strict = headrace.client("kinesis", config=unchecked())
    for entries in ({}, {"Entries": []}, {"Entries": [{"ReceiptHandle": "x"}] * 11}, {"Entries": [{}]}):
        assert refusal(strict.acknowledge_queue_records, QueueARN=queue, **entries) == "ValidationException"


def test_a_record_is_hidden_for_longer_or_shown_at_once(headrace, kinesis, stream_arn, queue):
    put(kinesis, stream_arn, "a")
    [record] = receive(kinesis, queue, VisibilityTimeoutSeconds=10)

    def hide(seconds):
        entry = {"ReceiptHandle": record["ReceiptHandle"], "VisibilityTimeoutSeconds": seconds}
        return kinesis.update_queue_records_visibility(QueueARN=queue, Entries=[entry])

    assert hide(100)["Successful"] == handles([record])
    headrace.advance(60)
    assert in_time(headrace, lambda: receive(kinesis, queue)) == []
    assert hide(0)["Failed"] == []
    assert [failed["ErrorCode"] for failed in hide(5)["Failed"]] == ["InvalidArgumentException"]
    [again] = receive(kinesis, queue)
    assert again["ReceiveCount"] == 2
    acknowledge(kinesis, queue, [again])
    assert [failed["ErrorCode"] for failed in hide(5)["Failed"]] == ["ResourceNotFoundException"]


# Dead letters


def spend(headrace, kinesis, queue, times):
    """Receive the one record so often without acknowledging it; the last time's."""
    for _ in range(times):
        [record] = receive(kinesis, queue, VisibilityTimeoutSeconds=5)
        headrace.advance(6)
    return record


@pytest.fixture
def dead(headrace, kinesis, stream_arn, make_queue):
    """A queue with a dead letter, "a"."""
    queue = make_queue(DeadLetterConfiguration={"TargetType": "BUILT_IN", "MaxReceiveCount": 2})
    put(kinesis, stream_arn, "a")
    spend(headrace, kinesis, queue, 2)
    return queue


def test_a_record_received_too_often_is_a_dead_letter(headrace, kinesis, stream_arn, queue):
    put(kinesis, stream_arn, "a")
    spent = spend(headrace, kinesis, queue, 6)
    assert spent["ReceiveCount"] == 6
    assert in_time(headrace, lambda: receive(kinesis, queue)) == []
    [letter] = receive_dead(kinesis, queue)
    same = ("RecordId", "Data", "PartitionKey", "ApproximateArrivalTimestamp", "FirstReceiveTimestamp")
    assert all(spent[name] == letter[name] for name in same)
    headrace.advance(40)
    [letter] = receive_dead(kinesis, queue)
    answer = kinesis.acknowledge_dead_letter_queue_records(QueueARN=queue, Entries=handles([letter]))
    assert (answer["Successful"], answer["Failed"]) == (handles([letter]), [])
    headrace.advance(40)
    assert in_time(headrace, lambda: receive_dead(kinesis, queue)) == []


def test_who_waits_for_dead_letters_gets_them_as_they_come(headrace, kinesis, stream_arn, make_queue):
    queue = make_queue(DeadLetterConfiguration={"TargetType": "BUILT_IN", "MaxReceiveCount": 1})
    put(kinesis, stream_arn, "a")
    receive(kinesis, queue, VisibilityTimeoutSeconds=5)
    letters = in_time(headrace, lambda: kinesis.receive_dead_letter_queue_records(QueueARN=queue, WaitTimeSeconds=20))
    assert bodies(letters["QueueRecords"]) == ["a"]


def test_the_last_receive_is_acknowledged_like_any_other(headrace, kinesis, stream_arn, make_queue):
    queue = make_queue(DeadLetterConfiguration={"TargetType": "BUILT_IN", "MaxReceiveCount": 1})
    put(kinesis, stream_arn, "a")
    [record] = receive(kinesis, queue, VisibilityTimeoutSeconds=5)
    entry = {"ReceiptHandle": record["ReceiptHandle"], "VisibilityTimeoutSeconds": 100}
    assert kinesis.update_queue_records_visibility(QueueARN=queue, Entries=[entry])["Failed"] == []
    headrace.advance(50)
    assert in_time(headrace, lambda: receive_dead(kinesis, queue)) == []
    acknowledge(kinesis, queue, [record])
    again = kinesis.acknowledge_queue_records(QueueARN=queue, Entries=handles([record]))
    assert [failed["ErrorCode"] for failed in again["Failed"]] == ["ResourceNotFoundException"]
    headrace.advance(100)
    assert in_time(headrace, lambda: receive_dead(kinesis, queue)) == []


def test_the_last_receive_may_be_given_up_at_once(kinesis, stream_arn, make_queue):
    queue = make_queue(DeadLetterConfiguration={"TargetType": "BUILT_IN", "MaxReceiveCount": 1})
    put(kinesis, stream_arn, "a")
    [record] = receive(kinesis, queue)
    entry = {"ReceiptHandle": record["ReceiptHandle"], "VisibilityTimeoutSeconds": 0}
    kinesis.update_queue_records_visibility(QueueARN=queue, Entries=[entry])
    assert bodies(receive_dead(kinesis, queue)) == ["a"]


def test_a_restored_record_begins_anew(headrace, kinesis, dead):
    [letter] = receive_dead(kinesis, dead)
    restored = kinesis.restore_dead_letter_queue_records(QueueARN=dead, Entries=handles([letter]))
    assert (restored["Successful"], restored["Failed"]) == (handles([letter]), [])
    again = kinesis.restore_dead_letter_queue_records(QueueARN=dead, Entries=handles([letter]))
    assert [failed["ErrorCode"] for failed in again["Failed"]] == ["ResourceNotFoundException"]
    for count in (1, 2):
        [record] = receive(kinesis, dead, VisibilityTimeoutSeconds=5)
        assert (record["ReceiveCount"], record["RecordId"]) == (count, letter["RecordId"])
        headrace.advance(6)
    assert bodies(receive_dead(kinesis, dead)) == ["a"]


def test_a_dead_letter_is_hidden_and_shown(headrace, kinesis, dead):
    [letter] = receive_dead(kinesis, dead, VisibilityTimeoutSeconds=5)

    def hide(seconds):
        entry = {"ReceiptHandle": letter["ReceiptHandle"], "VisibilityTimeoutSeconds": seconds}
        return kinesis.update_dead_letter_queue_records_visibility(QueueARN=dead, Entries=[entry])

    assert hide(60)["Successful"] == handles([letter])
    headrace.advance(30)
    assert in_time(headrace, lambda: receive_dead(kinesis, dead)) == []
    assert hide(0)["Failed"] == []
    assert len(receive_dead(kinesis, dead)) == 1


def test_handles_are_for_the_actions_of_their_kind(kinesis, stream_arn, dead):
    put(kinesis, stream_arn, "b")
    [record], [letter] = receive(kinesis, dead), receive_dead(kinesis, dead)
    hidden = [{**handle, "VisibilityTimeoutSeconds": 1} for handle in handles([letter])]
    for call, entries in (
        (kinesis.acknowledge_queue_records, handles([letter])),
        (kinesis.update_queue_records_visibility, hidden),
        (kinesis.acknowledge_dead_letter_queue_records, handles([record])),
        (kinesis.restore_dead_letter_queue_records, handles([record])),
    ):
        [failed] = call(QueueARN=dead, Entries=entries)["Failed"]
        assert failed["ErrorCode"] == "InvalidArgumentException"


def test_without_dead_letters_a_record_comes_for_ever(headrace, kinesis, stream_arn, make_queue):
    queue = make_queue(DeadLetterConfiguration={"TargetType": "NONE"})
    put(kinesis, stream_arn, "a")
    assert spend(headrace, kinesis, queue, 9)["ReceiveCount"] == 9


def test_a_new_receive_limit_holds_for_records_received_before(headrace, kinesis, stream_arn, make_queue):
    queue = make_queue(DeadLetterConfiguration={"TargetType": "BUILT_IN", "MaxReceiveCount": 3})
    put(kinesis, stream_arn, "a")
    spend(headrace, kinesis, queue, 2)
    fewer = {"DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 1}}
    kinesis.update_queue(QueueARN=queue, QueueAttributes=fewer)
    headrace.advance(1)
    assert in_time(headrace, lambda: receive(kinesis, queue)) == []
    assert bodies(receive_dead(kinesis, queue)) == ["a"]


def test_a_last_receive_is_none_when_more_are_allowed_meanwhile(headrace, kinesis, stream_arn, make_queue):
    queue = make_queue(DeadLetterConfiguration={"TargetType": "BUILT_IN", "MaxReceiveCount": 1})
    put(kinesis, stream_arn, "a")
    receive(kinesis, queue, VisibilityTimeoutSeconds=20)
    more = {"DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 2}}
    kinesis.update_queue(QueueARN=queue, QueueAttributes=more)
    headrace.advance(21)
    [record] = receive(kinesis, queue)
    assert record["ReceiveCount"] == 2
