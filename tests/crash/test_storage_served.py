"""A served engine whose storage fails answers 503 in words, and serves again when it can."""

from __future__ import annotations

import subprocess

import pytest
from botocore.exceptions import ClientError

from headrace.testing import spawn
from headrace.testing.process import StartError


@pytest.fixture
def device(tmp_path):
    path = tmp_path / "device"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(device):
    with (device / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError:
            return


def send_until_refused(sqs, url):
    sent = set()
    for number in range(1000):
        try:
            sent.add(sqs.send_message(QueueUrl=url, MessageBody=f"{number}" * 5000)["MessageId"])
        except ClientError as error:
            return sent, error
    raise AssertionError("it never got full")


def receive_all(sqs, url):
    received = set()
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        received |= {message["MessageId"] for message in batch}
    return received


def test_a_full_device_is_told_and_service_goes_on_with_space(device):
    with spawn(data=str(device / "data")) as server:
        sqs = server.client("sqs")
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        fill(device)
        sent, error = send_until_refused(sqs, url)
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert "free some space" in error.response["Error"]["Message"]
        (device / "ballast").unlink()
        sent.add(sqs.send_message(QueueUrl=url, MessageBody="after")["MessageId"])
        assert receive_all(sqs, url) == sent


def test_a_server_that_cannot_use_its_data_says_why_and_ends(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "headrace.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(StartError) as refusal:
        spawn(data=str(data))
    assert "not a database" in str(refusal.value)
    assert "Traceback" not in str(refusal.value)


def test_a_second_server_on_the_same_data_says_so_and_ends(tmp_path):
    with spawn(data=str(tmp_path)) as first:
        with pytest.raises(StartError) as refusal:
            spawn(data=str(tmp_path))
        assert "another Headrace process" in str(refusal.value)
        assert "Traceback" not in str(refusal.value)
        assert first.client("sqs").list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
