"""The floor: a Granian RSGI application that answers every request with its own body, and does nothing else."""

from typing import Any

_HEADERS = [("content-type", "application/x-amz-json-1.0")]


class _Echo:
    async def __rsgi__(self, _scope: Any, protocol: Any) -> None:
        protocol.response_bytes(200, _HEADERS, await protocol())


app = _Echo()
