"""A running server as a test sees it: clients for it, its clock, and a clean slate."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any
from urllib.parse import urlencode, urlsplit


class Endpoint:
    """A server at `endpoint_url`, started with test endpoints and, for `advance`, a virtual clock."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self._clients: list[Any] = []
        self._session: Any = None
        self._making_client = threading.Lock()  # a session serves one thread at a time

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client for the service, with credentials of no worth, in us-east-1, and without retries.

        `options` are boto3's own and go before these: `aws_access_key_id="123456789012"` is another account. The client
        is closed with the server (under the pytest fixture: with the test).
        """
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1, "mode": "standard"})
        if "config" in options:
            config = config.merge(options.pop("config"))
        given = {
            "endpoint_url": self.endpoint_url,
            "region_name": "us-east-1",
            "aws_access_key_id": "headrace",
            "aws_secret_access_key": "headrace",
        }
        with self._making_client:
            self._session = self._session or boto3.session.Session()
            client = self._session.client(service, config=config, **(given | options))
            self._clients.append(client)
        return client

    def advance(self, seconds: float) -> float:
        """Move the server's clock on, running on the way what comes due; the time it shows then, in epoch seconds."""
        now_ms: int = self.call("POST", "clock", {"advance_s": seconds})["now_ms"]
        return now_ms / 1000

    def reset(self) -> None:
        """Have the server forget everything but the resources it was started with. Its clock does not go back."""
        self.call("POST", "reset")

    def health(self) -> dict[str, Any]:
        """What the server says of itself."""
        return self.call("GET", "health")

    def outbox(self, *, wait_s: int = 5, **filters: str | int) -> list[dict[str, Any]]:
        """E-mails, SMS and pushed messages that filters let through, oldest first, as soon as there is one.

        Filters are `protocol`, `to`, `kind`, `topic_arn`, `subscription_arn`, `message_id`, `account`, `region`,
        `contains`, `after` and `limit`: `headrace.outbox(protocol="email", to="ada@example.com")`.
        """
        query = urlencode({"wait_s": wait_s, **filters})
        messages: list[dict[str, Any]] = self.call("GET", f"outbox?{query}")["messages"]
        return messages

    def call(self, method: str, name: str, body: Any = None) -> dict[str, Any]:
        """Ask one of the server's own endpoints, `/_headrace/<name>`. Raises RuntimeError with the server's reason."""
        connection = http.client.HTTPConnection(urlsplit(self.endpoint_url).netloc, timeout=60)
        try:
            connection.request(method, f"/_headrace/{name}", None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} /_headrace/{name}: {response.status} {text}")
        answer: dict[str, Any] = json.loads(text or "{}")
        return answer

    def close_clients(self) -> None:
        """Close the connections of all clients handed out so far."""
        while self._clients:
            self._clients.pop().close()
