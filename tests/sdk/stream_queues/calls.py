"""The calls that the tests of stream queues make most, written short."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError


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
    """What a call answers that waits for the clock, which is moved on by two seconds at most."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call)
        for _ in range(2):
            if not future.done():
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


def unchecked():
    return Config(parameter_validation=False)
