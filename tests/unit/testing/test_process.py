import os
import signal

import pytest

from headrace.settings import Settings
from headrace.testing import StartError, spawn
from headrace.testing.process import _arguments


def test_it_runs_in_a_process_of_its_own():
    with spawn(clock="virtual") as headrace:
        assert headrace.pid != os.getpid()
        os.kill(headrace.pid, 0)
        before_s = headrace.health()["now_ms"] / 1000
        assert headrace.advance(3600) >= before_s + 3600
    assert headrace.stop() == 0


def test_what_was_acknowledged_outlives_a_kill(tmp_path):
    headrace = spawn(data=str(tmp_path))
    sqs = headrace.client("sqs")
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="one")
    headrace.kill()
    assert headrace.wait() == -signal.SIGKILL
    with spawn(data=str(tmp_path)) as headrace:
        sqs = headrace.client("sqs")
        url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
        assert [message["Body"] for message in sqs.receive_message(QueueUrl=url)["Messages"]] == ["one"]


def test_why_it_did_not_start_is_told():
    with pytest.raises(StartError, match="port must be between"):
        spawn(port=70_000)


def test_the_environment_does_not_change_it(monkeypatch):
    monkeypatch.setenv("HEADRACE_QUOTAS", "some")
    with spawn() as headrace:
        assert headrace.health()["status"] == "ok"


def test_settings_become_the_command_line():
    settings = Settings(port=0, data=":memory:", test_endpoints=False, log_level="debug")
    assert _arguments(settings) == ["--port=0", "--data=:memory:", "--no-test-endpoints", "--log-level=debug"]
    assert _arguments(Settings(test_endpoints=True)) == ["--test-endpoints"]
    assert _arguments(Settings()) == []
