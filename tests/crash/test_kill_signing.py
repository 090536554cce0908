"""The processes that sign are killed under load: every message comes, signed. And none of them outlives its server."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from headrace.testing import Process, spawn

WAIT_S = 30
BATCH = 10
PUBLISHERS = 4
SIGNATURE_CHARS = 344


@pytest.fixture
def server():
    with spawn() as server:
        yield server


def children(pid: int) -> list[int]:
    return [int(each) for task in Path(f"/proc/{pid}/task").glob("*/children") for each in task.read_text().split()]


def is_running(pid: int) -> bool:
    """Whether the process is there, and more than an entry that its parent has not looked at."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def has_signed(pid: int) -> bool:
    """Whether the process has written a signature, which is longer than all else that it writes."""
    with contextlib.suppress(OSError):
        return int(dict(re.findall(r"(\w+): (\d+)", Path(f"/proc/{pid}/io").read_text()))["wchar"]) > SIGNATURE_CHARS
    return False


def until(condition) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come to that"
        time.sleep(0.01)


class Load:
    """Publishes to a queue, in the envelope."""

    def __init__(self, server: Process) -> None:
        self.server = server
        self.sns, self.sqs = server.client("sns"), server.client("sqs")
        self.topic = self.sns.create_topic(Name="orders")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="all")["QueueUrl"]
        arn = "arn:aws:sqs:us-east-1:000000000000:all"
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)
        self.published = 0

    def publish(self, batches: int) -> None:
        def publish_one(number: int) -> None:
            entries = [{"Id": str(at), "Message": f"m{number + at}"} for at in range(BATCH)]
            assert not self.sns.publish_batch(TopicArn=self.topic, PublishBatchRequestEntries=entries)["Failed"]

        first = self.published
        self.published += batches * BATCH
        with ThreadPoolExecutor(PUBLISHERS) as publishers:
            list(publishers.map(publish_one, range(first, self.published, BATCH)))

    def until_processes_sign(self) -> list[int]:
        until(
            lambda: self.publish(20) or sum(map(has_signed, children(self.server.pid))) >= min(2, os.cpu_count() or 1)
        )
        return children(self.server.pid)

    def received(self) -> list[dict[str, str]]:
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(each["Body"]) for each in messages]
        return found


def test_every_message_comes_signed(server):
    load = Load(server)
    for _ in range(3):
        signing = load.until_processes_sign()
        with ThreadPoolExecutor(1) as publishing:
            going = publishing.submit(load.publish, 50)
            for pid in signing:
                time.sleep(0.05)
                os.kill(pid, signal.SIGKILL)
            going.result()
    got = load.received()
    assert sorted(each["Message"] for each in got) == sorted(f"m{number}" for number in range(load.published))
    with urllib.request.urlopen(got[0]["SigningCertURL"]) as answer:
        certificate = x509.load_pem_x509_certificate(answer.read())
    for each in got:
        members = {name: each[name] for name in ("Message", "MessageId", "Timestamp", "TopicArn", "Type")}
        text = "".join(f"{name}\n{members[name]}\n" for name in sorted(members))
        signature = base64.b64decode(each["Signature"])
        certificate.public_key().verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA1())


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_none_outlives_its_server(server, how):
    signing = Load(server).until_processes_sign()
    getattr(server, how)()
    until(lambda: not any(map(is_running, signing)))
