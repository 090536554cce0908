"""Headrace's own endpoints."""

import httpx
import pytest

from headrace.testing.thread import serve


@pytest.fixture
def http(headrace):
    with httpx.Client(base_url=headrace.endpoint_url) as client:
        yield client


def test_health(http):
    answer = http.get("/_headrace/health")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert (answer.json()["status"], answer.json()["services"]["sqs"]) == ("ok", "running")
    assert answer.headers["x-amzn-requestid"]


def test_the_clock_moves(http):
    before = http.get("/_headrace/health").json()["now_ms"]
    answer = http.post("/_headrace/clock", json={"advance_s": 3600})
    assert answer.json()["now_ms"] >= before + 3_600_000


def test_reset(http, headrace):
    sqs = headrace.client("sqs")
    sqs.create_queue(QueueName="q")
    assert http.post("/_headrace/reset").json() == {"status": "ok"}
    assert "QueueUrls" not in sqs.list_queues()


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/_headrace/nothing", b"", 404),
        ("POST", "/_headrace/health", b"", 405),
        ("POST", "/_headrace/clock", b"{}", 400),
        ("POST", "/_headrace/clock", b"soon", 400),
    ],
)
def test_what_there_is_not(http, method, path, content, status):
    answer = http.request(method, path, content=content)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert answer.json()["message"]


def test_a_look_at_the_root(http):
    assert "Headrace" in http.get("/", headers={"Accept": "text/html"}).json()["message"]


def test_test_endpoints_may_be_off():
    with serve(test_endpoints=False) as server, httpx.Client(base_url=server.endpoint_url) as http:
        assert http.get("/_headrace/health").status_code == 200
        for name in ("reset", "clock"):
            answer = http.post(f"/_headrace/{name}", json={"advance_s": 1})
            assert (answer.status_code, "--test-endpoints" in answer.json()["message"]) == (404, True)


def test_the_machines_clock_is_not_moved():
    with serve(clock="system") as server, httpx.Client(base_url=server.endpoint_url) as http:
        answer = http.post("/_headrace/clock", json={"advance_s": 1})
        assert (answer.status_code, "--clock virtual" in answer.json()["message"]) == (404, True)
