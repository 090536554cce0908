import contextlib
import http.client
import json
import threading
from urllib.parse import urlsplit

import pytest

from headrace.settings import SettingsError
from headrace.testing import serve


def servers() -> set[threading.Thread]:
    """The threads of running servers; other tests of this process may have one, too."""
    return {thread for thread in threading.enumerate() if thread.name == "headrace"}


def test_it_serves_while_the_block_runs():
    before = servers()
    with serve() as headrace:
        assert headrace.health()["clock"] == "virtual"
        assert len(servers() - before) == 1
    assert servers() == before
    with pytest.raises(ConnectionRefusedError):
        headrace.health()


def test_several_serve_beside_each_other():
    with serve() as one, serve() as other:
        assert one.endpoint_url != other.endpoint_url
        one.client("sqs").create_queue(QueueName="orders")
        assert "QueueUrls" not in other.client("sqs").list_queues()


def test_a_waiting_call_is_ended_with_the_server():
    with serve() as headrace:
        sqs = headrace.client("sqs")
        url = sqs.create_queue(QueueName="orders")["QueueUrl"]
        waiting = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        headers = {"X-Amz-Target": "AmazonSQS.ReceiveMessage", "Content-Type": "application/x-amz-json-1.0"}
        waiting.request("POST", "/", json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}), headers)
        for _ in range(10):  # answers that show the server has read what came before
            sqs.get_queue_url(QueueName="orders")
    with contextlib.closing(waiting):
        answer = waiting.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, {})


def test_what_is_on_disk_is_there_the_next_time(tmp_path):
    for turn in range(2):
        with serve(data=str(tmp_path)) as headrace:
            assert len(headrace.client("sqs").list_queues().get("QueueUrls", [])) == turn
            headrace.client("sqs").create_queue(QueueName="orders")


def test_what_keeps_it_from_starting_is_raised(tmp_path):
    with pytest.raises(SettingsError, match="cuckoo"), serve(clock="cuckoo"):
        pass
    with serve() as headrace:
        port = int(headrace.endpoint_url.rpartition(":")[2])
        with pytest.raises(OSError, match=str(port)), serve(port=port):
            pass


def test_a_clock_that_is_not_virtual_is_not_moved():
    with serve(clock="system") as headrace, pytest.raises(RuntimeError, match="clock"):
        headrace.advance(1)


def test_without_test_endpoints_nothing_is_reset():
    with serve(test_endpoints=False) as headrace, pytest.raises(RuntimeError, match="test endpoints"):
        headrace.reset()
