"""Kinesis calls that are wrong in every member, and made-up ones: each has a well-formed answer that blames the caller.

`HEADRACE_FUZZ_CALLS=100000 HEADRACE_FUZZ_SEED=7 pytest tests/protocol/test_fuzz_kinesis.py` makes more and other ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from botocore.model import Shape

from .calls import STRANGE, mutations
from .fuzzing import Target, check_json, target
from .kinesis_calls import ACCOUNT, GOOD, HALF, good_call, kinesis_model

CALLS = int(os.environ.get("HEADRACE_FUZZ_CALLS", "1000"))
SEED = int(os.environ.get("HEADRACE_FUZZ_SEED", "0"))
ELSEWHERE = {"SubscribeToShard"}
"""Answers with an event stream, which has tests of its own."""
OPERATIONS = sorted(set(kinesis_model().operation_names) - ELSEWHERE)
RECEIVES = {"ReceiveQueueRecords", "ReceiveDeadLetterQueueRecords"}
RECORDS = 150
HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "Authorization": "AWS4-HMAC-SHA256 Credential=headrace/20250101/us-east-1/kinesis/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


class Fuzzed:
    """A server with streams and queues that have something in them."""

    def __init__(self, server: Target) -> None:
        self.server = server
        self.client = server.process.client("kinesis")
        self.client.create_stream(StreamName="fuzzed", ShardCount=2)
        self.client.create_stream(StreamName="queued", StreamModeDetails={"StreamMode": "ON_DEMAND"})
        server.process.advance(1)
        records = [{"PartitionKey": str(number), "Data": b"x"} for number in range(RECORDS)]
        self.client.put_records(StreamName="queued", Records=records)
        self.queue = self.make_queue("work", {"TargetType": "NONE"})
        self.dead = self.make_queue("dead", {"TargetType": "BUILT_IN", "MaxReceiveCount": 1})
        got = 0
        while got < RECORDS:
            answer = self.client.receive_queue_records(QueueARN=self.dead, VisibilityTimeoutSeconds=0)
            got += len(answer["QueueRecords"])

    def make_queue(self, name: str, letters: dict[str, Any]) -> str:
        position = {"Type": "TRIM_HORIZON"}
        made = self.client.create_queue(
            QueueName=name,
            StreamConfigurationList=[{"StreamARN": f"{ACCOUNT}:stream/queued", "StartingPosition": position}],
            QueueAttributes={"DeadLetterConfiguration": letters},
        )
        self.server.process.advance(1)
        arn: str = made["QueueDescription"]["QueueARN"]
        return arn

    def json(self, operation: str, body: Any) -> Any:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.server.post(text, HEADERS | {"X-Amz-Target": f"Kinesis_20131202.{operation}"})

    def queue_for(self, operation: str) -> str:
        """The queue in which a receive finds something; deletions are of one that is not there."""
        if operation == "DeleteQueue":
            return f"{ACCOUNT}:queue/0123"
        return self.dead if "DeadLetter" in operation else self.queue


@pytest.fixture(scope="module")
def fuzzed():
    with target() as server:
        yield Fuzzed(server)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_values_for_every_member(fuzzed, operation):
    model = kinesis_model().operation_model(operation)
    for params in mutations(model, good_call(operation, fuzzed.queue_for(operation))):
        check_json(fuzzed.json(operation, params), operation, params)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"[" * 100_000, b'{"a":' * 100_000, b'{"StreamName":"\xff"}', b'{"Limit":NaN}'],
    ids=range(9),
)
def test_bodies_that_are_no_call(fuzzed, body):
    for operation in ("PutRecords", "ListStreams", "GetRecords", "ReceiveQueueRecords"):
        check_json(fuzzed.json(operation, body))


@pytest.mark.parametrize("count", [0, 501, 20_000])
def test_batches_of_any_size(fuzzed, count):
    records = [{"PartitionKey": "k", "Data": "YQ=="}] * count
    answer = fuzzed.json("PutRecords", {"StreamName": "fuzzed", "Records": records})
    check_json(answer)
    assert answer.status == 400


def test_records_of_any_size(fuzzed):
    for key, size in (("k", 1024 * 1024), ("k" * 256, 1024 * 1024 - 256), ("k" * 257, 1), ("", 1), ("k", 11_000_000)):
        params = {"StreamName": "fuzzed", "PartitionKey": key, "Data": "A" * (size * 4 // 3 // 4 * 4)}
        check_json(fuzzed.json("PutRecord", params), key, size)


NUMBERS = [0, 1, -1, 2, 10, 11, 20, 24, 8760, 8761, 1024, 10_240, 10_000, 43_200, 2**31, 1.5]
NAMES = ["fuzzed", "queued", "other", "x", "", "shardId-000000000001", "shardId-0", "0", HALF, str(1 << 128), "TRIM"]
NAMES += ["é" * 10, "\x00", "None", f"{ACCOUNT}:stream/queued", f"{ACCOUNT}:stream/other", f"{ACCOUNT}:queue/0"]


class Author:
    """Makes up calls; uses again what answers gave: iterators, handles, tokens, ids."""

    def __init__(self, seed: int, fuzzed: Fuzzed) -> None:
        self.rng = random.Random(seed)
        self.fuzzed = fuzzed
        self.learned = ["x"]

    def call(self) -> tuple[str, dict[str, Any]]:
        rare = {"DeleteStream", "DeleteQueue"}
        operation = self.rng.choice([name for name in OPERATIONS if name not in rare or self.rng.random() < 0.1])
        shape = kinesis_model().operation_model(operation).input_shape
        params = {} if shape is None else {name: self.value(name, shape.members[name]) for name in self.some(shape)}
        if operation in RECEIVES:
            # Such a call must not wait long: mostly it finds something, and leaves it visible.
            params |= {"WaitTimeSeconds": self.rng.choice([1, 1, 1, 0, 21, "x"]), "VisibilityTimeoutSeconds": 0}
        if "QueueARN" in params and self.rng.random() < 0.8:
            params["QueueARN"] = self.fuzzed.queue_for(operation)
        return operation, params

    def some(self, shape: Shape) -> list[str]:
        likely = {name: 0.95 if name in shape.required_members else 0.3 for name in shape.members}
        return [name for name, likelihood in likely.items() if self.rng.random() < likelihood]

    def value(self, name: str, shape: Shape) -> Any:
        if self.rng.random() < 0.05:
            return self.rng.choice(STRANGE)
        if name in GOOD and self.rng.random() < 0.6:
            return GOOD[name]
        enum = list(getattr(shape, "enum", None) or [])
        makers: dict[str, Callable[[], Any]] = {
            "structure": lambda: {each: self.value(each, shape.members[each]) for each in self.some(shape)},
            "list": lambda: [self.value("", shape.member) for _ in range(self.rng.choice([0, 1, 2, 3, 11]))],
            "map": lambda: {self.rng.choice(NAMES): "v" for _ in range(self.rng.choice([0, 1, 2]))},
            "integer": lambda: self.rng.choice(NUMBERS),
            "timestamp": lambda: self.rng.choice([*NUMBERS, 1_700_000_000, 4e9, 1e15]),
            "boolean": lambda: self.rng.random() < 0.5,
            "blob": lambda: self.rng.choice(["", "YQ==", "not base64!", "A" * 4_000]),
            "string": lambda: self.rng.choice(enum if enum and self.rng.random() < 0.8 else [*NAMES, *self.learned]),
        }
        return makers[shape.type_name]()

    def learn(self, answer: Any) -> None:
        """Keep a few texts that look as if they were for calls to come."""
        found = [value for value in _texts(answer) if len(value) > 20]
        self.learned = [*self.rng.sample(found, min(3, len(found))), *self.learned][:8]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for each in inner for text in _texts(each)]


@pytest.mark.timeout(240 + CALLS // 50)
@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_made_up_calls(fuzzed, seed):
    author = Author(seed, fuzzed)
    for number in range(CALLS):
        if number % 100 == 0:
            begin_anew(fuzzed, author.rng)
        operation, params = author.call()
        answer = fuzzed.json(operation, params)
        check_json(answer, seed, operation, params)
        if answer.status == 200:
            author.learn(json.loads(answer.body or b"{}"))


def begin_anew(fuzzed, rng):
    """Let time pass, and have the stream back that was deleted."""
    fuzzed.server.process.advance(rng.choice([1, 61, 400]))
    with contextlib.suppress(fuzzed.client.exceptions.ClientError):
        fuzzed.client.create_stream(StreamName="fuzzed", ShardCount=2)
    fuzzed.server.process.advance(1)
