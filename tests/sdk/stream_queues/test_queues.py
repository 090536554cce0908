"""Stream queues with boto3: made, described, listed, changed and deleted."""

from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.services.kinesis import queue_limits

from .calls import handles, make_stream, put, receive, refusal, unchecked


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


def test_five_queues_are_created_at_a_time(headrace, kinesis, monkeypatch, stream_arn, make_queue):
    monkeypatch.setattr(queue_limits, "TRANSITION_MS", 60_000)  # however slow the calls are
    for number in range(5):
        make_queue(f"q{number}", active=False)
    more = {"QueueName": "one-more", "StreamConfigurationList": [{"StreamARN": stream_arn}]}
    assert refusal(kinesis.create_queue, **more) == "LimitExceededException"
    headrace.advance(60)
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
