"""The pytest plugin: a test that takes `headrace` gets a running server with nothing in it.

    def test_late_orders_are_seen(headrace):
        sqs = headrace.client("sqs")
        url = sqs.create_queue(QueueName="orders")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="one", DelaySeconds=600)
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
        headrace.advance(600)
        assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "one"

The server is one a session (under pytest-xdist: one a worker), emptied before each test. It is imported only once a
test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from headrace.testing.endpoint import Endpoint


@pytest.fixture(scope="session")
def headrace_settings() -> dict[str, Any]:
    """Settings of the session's server; override the fixture in a conftest.py to choose (`{"quotas": "none"}`)."""
    return {}


@pytest.fixture(scope="session")
def headrace_server(headrace_settings: dict[str, Any]) -> Iterator[Endpoint]:
    """The session's server: free port, in memory, virtual clock."""
    from headrace.testing.thread import serve

    with serve(**headrace_settings) as server:
        yield server


@pytest.fixture
def headrace(headrace_server: Endpoint) -> Iterator[Endpoint]:
    """The server, with nothing in it: `.client("sqs")`, `.endpoint_url`, `.advance(seconds)`, `.reset()`."""
    headrace_server.reset()
    yield headrace_server
    headrace_server.close_clients()
