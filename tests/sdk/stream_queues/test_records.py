"""Records of stream queues with boto3: where a queue begins, receiving, acknowledging, hiding."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

from .calls import acknowledge, bodies, handles, in_time, put, receive, receive_all, refusal, unchecked

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
