"""Signed notifications: sns-validator, the check that AWS publishes, and the key that they are signed with."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from headrace.testing.process import StartError


def test_sns_validator(javascript, spawn, tls):
    # The validator takes certificates over HTTPS only.
    with spawn(tls_cert=tls["cert"], tls_key=tls["key"]) as headrace:
        command = ["node", "--test", "--test-reporter=spec", "notifications.test.js"]
        environment = os.environ | {"HEADRACE_ENDPOINT": headrace.endpoint_url, "NODE_EXTRA_CA_CERTS": tls["ca"]}
        done = subprocess.run(command, cwd=javascript, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def certificate(headrace):
    """The certificate that a message's signature is checked with."""
    sns, sqs = headrace.client("sns"), headrace.client("sqs")
    topic = sns.create_topic(Name="t")["TopicArn"]
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:q")
    sns.publish(TopicArn=topic, Message="m")
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    with urllib.request.urlopen(json.loads(message["Body"])["SigningCertURL"], timeout=30) as answer:
        return answer.read()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_key_outlives_the_process(spawn, tmp_path, end):
    server = spawn(data=str(tmp_path))
    before = certificate(server)
    getattr(server, end)()
    with spawn(data=str(tmp_path)) as again:
        assert certificate(again) == before


@pytest.fixture
def own_key(tmp_path):
    """The files of a key of one's own, and of its certificate."""
    from headrace.services.sns.signing import make_key

    record = make_key(1_700_000_000_000)
    paths = {"signing_key": tmp_path / "own.key", "signing_cert": tmp_path / "own.pem"}
    paths["signing_key"].write_bytes(record.key)
    paths["signing_cert"].write_bytes(record.certificate)
    return {name: str(path) for name, path in paths.items()}


def test_a_key_of_ones_own(own_key, spawn):
    with spawn(**own_key) as headrace:
        assert certificate(headrace) == Path(own_key["signing_cert"]).read_bytes()


def test_a_key_that_cannot_be_used_ends_the_start(own_key, spawn):
    with pytest.raises(StartError, match="messages cannot be signed with"):
        spawn(signing_key=own_key["signing_cert"], signing_cert=own_key["signing_cert"])
