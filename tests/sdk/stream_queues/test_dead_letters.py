"""Dead letters of stream queues with boto3."""

from __future__ import annotations

import pytest

from .calls import acknowledge, bodies, handles, in_time, put, receive, receive_dead


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
