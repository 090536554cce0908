"""The outbox: where messages to people go as long as there is no way to send them, so that a test can look at them.

It is a log of the engine: what is in it outlives a restart and is the same for all processes. It keeps the newest
messages only, for a week at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from headrace.context import Server
from headrace.primitives.logs import Appending, LogMissing, LogSettings, Record
from headrace.services.sns import limits

LOG: Final = "sns:outbox"
_TRIM_EVERY: Final = 256
"""Messages between two looks at whether the log has to be trimmed."""

_READ_BYTES: Final = 4 * 1024 * 1024
_READ_MESSAGES: Final = 1_000
_FILTERS: Final = ("protocol", "to", "kind", "topic_arn", "subscription_arn", "message_id", "account", "region")
_OTHERS: Final = ("contains", "after", "limit", "wait_s")

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class BadFilter(Exception):
    """A filter that the outbox does not know, or that is not of the right form."""


class Outbox:
    """Takes messages in and shows them; holds nothing in memory but whether its log is open."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._opened = False

    async def put(self, message: Mapping[str, Any]) -> None:
        """Keep a message. Its time is added; durable when this returns."""
        entry = {"at_ms": self._server.clock.now_ms(), **message}
        appending = [Appending("", _encode(entry))]
        logs = self._server.engine.logs
        if not self._opened:
            await self._open()
        try:
            [sequence] = await logs.append(LOG, appending)
        except LogMissing:  # the engine was reset
            await self._open()
            [sequence] = await logs.append(LOG, appending)
        if sequence % _TRIM_EVERY == 0:
            await self._trim(sequence)

    async def read(self, filters: Mapping[str, str]) -> dict[str, Any]:
        """The messages that all filters let through, oldest first, and where to read on (`next`).

        `protocol`, `to`, `kind`, `topic_arn`, `subscription_arn`, `message_id`, `account` and `region` compare the
        member of that name; `contains` looks for a text anywhere in a message; `after` is the sequence to go on from,
        `limit` how many at most, and `wait_s` how long to wait for the first. Raises BadFilter.
        """
        after, most = _number(filters, "after", 0), _number(filters, "limit", limits.OUTBOX_PAGE)
        wait_ms = 1000 * min(_number(filters, "wait_s", 0), limits.OUTBOX_WAIT_S)
        unknown = filters.keys() - {*_FILTERS, *_OTHERS}
        if unknown:
            raise BadFilter(f"There is no filter {min(unknown)}; there are {', '.join((*_FILTERS, *_OTHERS))}.")
        clock = self._server.clock
        until_ms = clock.now_ms() + wait_ms
        while True:
            found, after = await self._find(filters, after, min(most, limits.OUTBOX_PAGE))
            left_ms = until_ms - clock.now_ms()
            if found or left_ms <= 0 or not await self._server.engine.logs.wait(LOG, after, wait_ms=left_ms):
                return {"messages": found, "next": after}

    async def _find(self, filters: Mapping[str, str], after: int, most: int) -> tuple[list[dict[str, Any]], int]:
        """The next messages that the filters let through, and how far was read."""
        found: list[dict[str, Any]] = []
        while len(found) < most and (records := await self._read(after)):
            for record in records:
                after = record.sequence
                message = _decode(record.data)
                if _passes(message, filters, record.data):
                    found.append({"sequence": record.sequence, **message})
                    if len(found) == most:
                        break
        return found, after

    async def _read(self, after: int) -> list[Record]:
        try:
            return await self._server.engine.logs.read(LOG, after, max_records=_READ_MESSAGES, max_bytes=_READ_BYTES)
        except LogMissing:
            await self._open()
            return await self._server.engine.logs.read(LOG, after, max_records=_READ_MESSAGES, max_bytes=_READ_BYTES)

    async def _open(self) -> None:
        await self._server.engine.logs.open(LOG, LogSettings(retention_ms=limits.OUTBOX_RETENTION_MS))
        self._opened = True

    async def _trim(self, sequence: int) -> None:
        """Keep no more than the outbox may hold."""
        logs = self._server.engine.logs
        tip = await logs.tip(LOG)
        through = sequence - limits.OUTBOX_MESSAGES
        if tip.bytes_kept > limits.OUTBOX_BYTES:
            through = max(through, (tip.first + tip.last) // 2)
        if through >= tip.first:
            await logs.trim(LOG, through)


def _passes(message: Mapping[str, Any], filters: Mapping[str, str], data: bytes) -> bool:
    wanted = filters.get("contains", "")
    if wanted and wanted not in _readable(message, data):
        return False
    return all(message.get(name) == filters[name] for name in _FILTERS if name in filters)


def _readable(message: Mapping[str, Any], data: bytes) -> str:
    """All texts of a message as they were written, and all of it as JSON."""
    texts = [value for value in message.values() if isinstance(value, str)]
    return "\n".join([*texts, data.decode("utf-8", "replace")])


def _number(filters: Mapping[str, str], name: str, default: int) -> int:
    value = filters.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(2**63))):
        raise BadFilter(f"{name} must be a whole number, not {value}.")
    return int(value)
