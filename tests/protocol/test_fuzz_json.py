"""AWS JSON that is no JSON, and JSON that is no call: every request has a well-formed answer that blames the caller."""

from __future__ import annotations

import json
import random

import pytest

from .calls import STRANGE, good_calls, model, mutations
from .fuzzing import AUTHORIZATION, JSON_TYPE, check_json, target

OPERATIONS = sorted(good_calls(""))


@pytest.fixture(scope="module")
def fuzzed():
    with target() as server:
        yield server


def test_every_operation_is_fuzzed():
    assert sorted(model().operation_names) == OPERATIONS


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_values_for_every_member(fuzzed, operation):
    good = good_calls(fuzzed.queue_url)[operation]
    for params in mutations(model().operation_model(operation), good):
        check_json(fuzzed.json(operation, params), params)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b"[",
        b"null",
        b"true",
        b"0",
        b'"x"',
        b"[]",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"QueueUrl":' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"QueueUrl":"x"',
        b'{"QueueUrl":"x",}',
        b"{'QueueUrl':'x'}",
        b'{"QueueUrl":"x"} trailing',
        b'{"QueueUrl":"x"}{"QueueUrl":"y"}',
        b'\xef\xbb\xbf{"QueueUrl":"x"}',
        b'{"QueueUrl":"\xff\xfe"}',
        b'{"QueueUrl":"\xed\xa0\x80"}',
        b'{"QueueUrl":"\\ud800"}',
        b'{"QueueUrl":"\\u0000"}',
        b'{"QueueUrl":"\x00"}',
        b'{"QueueUrl":"\n"}',
        b'{"\\u0000":"x"}',
        b'{"QueueUrl":"x","QueueUrl":"y"}',
        b'{"DelaySeconds":NaN}',
        b'{"DelaySeconds":Infinity}',
        b'{"DelaySeconds":1e999}',
        b'{"DelaySeconds":' + b"9" * 5000 + b"}",
        b'{"DelaySeconds":0x10}',
        b'{"DelaySeconds":01}',
        b"\x00" * 1000,
        b"QueueUrl=x",
        b"<xml/>",
    ],
    ids=range(37),
)
def test_bodies_that_are_no_call(fuzzed, body):
    for operation in ("SendMessage", "ListQueues", "SetQueueAttributes"):
        check_json(fuzzed.json(operation, body))


@pytest.mark.parametrize("seed", range(5))
def test_random_calls(fuzzed, seed):
    rng = random.Random(seed)
    good = good_calls(fuzzed.queue_url)
    for _ in range(200):
        operation = rng.choice(OPERATIONS)
        text = bytearray(json.dumps(good[operation]).encode())
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(text) + 1)
            text[place : place + rng.randrange(3)] = rng.choice([b'"', b"{", b"[", b",", b"\\", b"9", rng.randbytes(2)])
        check_json(fuzzed.json(operation, bytes(text)))


@pytest.mark.parametrize("count", [0, 11, 5000])
def test_batches_of_any_size(fuzzed, count):
    entries = [{"Id": str(place), "MessageBody": "x", "ReceiptHandle": "x"} for place in range(count)]
    for operation in ("SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
        check_json(fuzzed.json(operation, {"QueueUrl": fuzzed.queue_url, "Entries": entries}))


def test_large_and_many_attributes(fuzzed):
    for attributes in (
        {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(1000)},
        {"a": {"DataType": "String", "StringValue": "x" * 2_000_000}},
        {"a" * 10_000: {"DataType": "String", "StringValue": "x"}},
        {"a": {"DataType": "Binary", "BinaryValue": "not base64!"}},
        {"a": {"DataType": "Number", "StringValue": "9" * 10_000}},
        {"a": {"DataType": "String." + "x" * 10_000, "StringValue": "x"}},
    ):
        call = {"QueueUrl": fuzzed.queue_url, "MessageBody": "x", "MessageAttributes": attributes}
        answer = fuzzed.json("SendMessage", call)
        check_json(answer)
        assert answer.status == 400


@pytest.mark.parametrize(
    "name", ["Policy", "RedrivePolicy", "RedriveAllowPolicy", "DelaySeconds", "KmsMasterKeyId", "x"]
)
def test_attributes_that_hold_anything(fuzzed, name):
    texts = [json.dumps(value) for value in STRANGE]
    texts += ["{", "[" * 10_000, '{"Statement": {}}', '{"Statement": [[]]}', '{"maxReceiveCount": {}}', "NaN", "\\"]
    texts += [
        '{"deadLetterTargetArn": [], "maxReceiveCount": 1}',
        '{"deadLetterTargetArn": "x", "maxReceiveCount": 1e99}',
    ]
    texts += ['{"redrivePermission": {}}', '{"redrivePermission": "byQueue", "sourceQueueArns": {}}']
    for text in texts:
        check_json(fuzzed.json("SetQueueAttributes", {"QueueUrl": fuzzed.queue_url, "Attributes": {name: text}}))
        check_json(fuzzed.json("CreateQueue", {"QueueName": "other", "Attributes": {name: text}}))
    reset = {"Policy": "", "RedrivePolicy": "", "RedriveAllowPolicy": "", "DelaySeconds": "0", "KmsMasterKeyId": ""}
    fuzzed.sqs.set_queue_attributes(QueueUrl=fuzzed.queue_url, Attributes=reset)


@pytest.mark.parametrize(
    "name", ["X-Amz-Target", "Authorization", "Content-Type", "X-Amz-Date", "Host", "Content-Encoding"]
)
def test_strange_header_values(fuzzed, name):
    body = json.dumps({"QueueUrl": fuzzed.queue_url, "MessageBody": "x"}).encode()
    good = {"Content-Type": JSON_TYPE, "X-Amz-Target": "AmazonSQS.SendMessage", "Authorization": AUTHORIZATION}
    values = [
        "",
        ".",
        "AmazonSQS",
        "AmazonSQS.",
        "AmazonSQS.SendMessage.x",
        "amazonsqs.sendmessage",
        "x" * 5000,
        "\xff\xfe",
    ]
    values += [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f/g",
        "Basic eA==",
    ]
    values += [
        "application/json",
        "application/x-amz-json-9.9",
        "application/x-amz-json-1.0; charset=latin-1",
        "gzip",
        "%00",
    ]
    for value in values:
        answer = fuzzed.post(body, good | {name: value})
        assert answer.status == 200 or 400 <= answer.status < 500, (value, answer)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"])
def test_other_methods(fuzzed, method):
    for path in ("/", "/000000000000/fuzzed", "/_headrace/health", "/_headrace/reset2", "/_headrace/clock"):
        answer = fuzzed.post(b"", {"Content-Type": JSON_TYPE, "X-Amz-Target": "AmazonSQS.ListQueues"}, path, method)
        assert answer.status == 200 or 400 <= answer.status < 500, (path, answer)


def test_the_clock_takes_nonsense_for_an_answer(fuzzed):
    for body in (
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"advance_s": "x"}',
        b'{"advance_s": -1}',
        b'{"advance_s": 1e300}',
        b"\xff",
    ):
        answer = fuzzed.post(body, {"Content-Type": "application/json"}, "/_headrace/clock")
        assert 400 <= answer.status < 500, (body, answer)
        assert json.loads(answer.body)
