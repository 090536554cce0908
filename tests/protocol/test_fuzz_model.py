"""Calls made up from the service model: right in form, of any content, over both protocols, while time flies.

`HEADRACE_FUZZ_CALLS=100000 HEADRACE_FUZZ_SEED=7 pytest tests/protocol/test_fuzz_model.py` makes more and other ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.model import Shape

from .calls import STRANGE, flatten, model
from .fuzzing import check_json, check_xml, target

CALLS = int(os.environ.get("HEADRACE_FUZZ_CALLS", "1000"))
SEED = int(os.environ.get("HEADRACE_FUZZ_SEED", "0"))
QUEUES = {"fuzzed": {}, "fuzzed.fifo": {"FifoQueue": "true"}}
NUMBERS = [0, 1, 10, -1, 11, 20, 21, 900, 901, 43_200, 43_201, 1000, 1001, 2**31]
BLOBS = ["", "AAAA", "YQ==", "not base64!"]
TEXTS = ["", "x", "fuzzed", "fuzzed.fifo", "true", "false", "0", "30", "1e5", "\x00", "é" * 10, "All", "a.*", "{}"]
TEXTS += ["String", "Number", "Binary", "String.x", "arn:aws:sqs:eu-west-1:1:x", "http://h/000000000000/fuzzed"]
TEXTS += [f"arn:aws:sqs:us-east-1:000000000000:{name}" for name in QUEUES]
TEXTS += ['{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:fuzzed","maxReceiveCount":1}']
TEXTS += ['{"redrivePermission":"denyAll"}', '{"Version":"2012-10-17","Statement":[]}']
KEYS = ["DelaySeconds", "VisibilityTimeout", "FifoQueue", "Policy", "RedrivePolicy", "RedriveAllowPolicy", "a"]
KEYS += [
    "AWSTraceHeader",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "MaximumMessageSize",
]
KEYS += ["MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "KmsMasterKeyId", "SqsManagedSseEnabled"]


class Author:
    """Makes up calls; uses again what answers gave: receipts, tokens, handles."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.learned = ["x"]

    def call(self) -> tuple[str, dict[str, Any]]:
        names = [name for name in model().operation_names if name != "DeleteQueue" or self.rng.random() < 0.1]
        operation = self.rng.choice(names)
        shape = model().operation_model(operation).input_shape
        params = {name: self.value(shape.members[name]) for name in self.some_members(shape)}
        if "QueueUrl" in shape.members and self.rng.random() < 0.8:
            params["QueueUrl"] = f"http://h/000000000000/{self.rng.choice(list(QUEUES))}"
        params.pop("WaitTimeSeconds", None)
        return operation, params

    def some_members(self, shape: Shape) -> list[str]:
        likely = {name: 0.9 if name in shape.required_members else 0.5 for name in shape.members}
        return [name for name, likelihood in likely.items() if self.rng.random() < likelihood]

    def value(self, shape: Shape) -> Any:
        if self.rng.random() < 0.08:
            return self.rng.choice(STRANGE)
        makers: dict[str, Callable[[], Any]] = {
            "structure": lambda: {name: self.value(shape.members[name]) for name in self.some_members(shape)},
            "list": lambda: [self.value(shape.member) for _ in range(self.rng.choice([0, 1, 2, 3, 11]))],
            "map": lambda: {self.rng.choice(KEYS): self.value(shape.value) for _ in range(self.rng.choice([0, 1, 2]))},
            "integer": lambda: self.rng.choice(NUMBERS),
            "blob": lambda: self.rng.choice(BLOBS),
            "string": lambda: self.rng.choice([*TEXTS, *self.learned, *(shape.enum or [])]),
        }
        return makers[shape.type_name]()

    def learn(self, answer: dict[str, Any]) -> None:
        found = [message["ReceiptHandle"] for message in answer.get("Messages", [])]
        found += [answer[name] for name in ("NextToken", "TaskHandle") if name in answer]
        self.learned = [*found, *self.learned][:5]


@pytest.fixture(scope="module")
def fuzzed():
    with target() as server:
        yield server


@pytest.mark.timeout(120 + CALLS // 100)
@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_made_up_calls(fuzzed, seed):
    author = Author(seed)
    for number in range(CALLS):
        if number % 200 == 0:
            begin_anew(fuzzed, author.rng)
        operation, params = author.call()
        if author.rng.random() < 0.5:
            answer = fuzzed.json(operation, params)
            check_json(answer, seed, operation, params)
            if answer.status == 200:
                author.learn(json.loads(answer.body))
        else:
            check_xml(fuzzed.query(urlencode(flatten(operation, params))), seed, operation, params)


def begin_anew(fuzzed, rng):
    """Let time pass, and have the queues back that were deleted."""
    fuzzed.process.advance(rng.choice([1, 61, 400, 100_000]))
    for name, attributes in QUEUES.items():
        # It may have other attributes by now, or have been deleted just now.
        with contextlib.suppress(fuzzed.sqs.exceptions.ClientError):
            fuzzed.sqs.create_queue(QueueName=name, Attributes=attributes)
