"""Headrace for tests: `serve()` in this process, `spawn()` in its own, and the pytest fixture `headrace`.

    from headrace.testing import serve

    with serve() as headrace:
        sqs = headrace.client("sqs")
        url = sqs.create_queue(QueueName="orders")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="one", DelaySeconds=600)
        headrace.advance(600)
        assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "one"

Nothing is imported but what is used: boto3 by `client`, the server itself by `serve`.
"""

from __future__ import annotations

from headrace.testing.endpoint import Endpoint
from headrace.testing.process import Process, StartError, spawn
from headrace.testing.thread import serve

__all__ = ["Endpoint", "Process", "StartError", "serve", "spawn"]
