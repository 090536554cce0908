"""An HTTP endpoint that takes messages: a Granian RSGI application. It confirms, counts, and on `/slow` takes its time.

`GET` answers how many messages each path has got.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections import Counter
from typing import Any

SLOW_S = 10
_HEADERS = [("content-type", "application/json")]


class _Sink:
    def __init__(self) -> None:
        self._got: Counter[str] = Counter()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.method == "GET":
            protocol.response_bytes(200, _HEADERS, json.dumps(self._got).encode())
            return
        body = await protocol()
        if scope.headers.get("x-amz-sns-message-type") == "SubscriptionConfirmation":
            url = json.loads(body)["SubscribeURL"]
            await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=30).close())
        else:
            if scope.path == "/slow":
                await asyncio.sleep(SLOW_S)
            self._got[scope.path] += 1
        protocol.response_bytes(200, _HEADERS, b"")


app = _Sink()
