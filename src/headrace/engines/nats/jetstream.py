"""JetStream's API over the connection: streams, publishing with an answer, and direct gets in bulk."""

from __future__ import annotations

import asyncio
import base64
import itertools
import secrets
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import orjson

from headrace.engines.nats import frames
from headrace.engines.nats.connection import REQUEST_TIMEOUT_S, Connection, Message
from headrace.engines.nats.faults import ApiError, NoResponders, NoRoom, Unavailable
from headrace.errors import StorageError

API_TIMEOUT_S: Final = 10.0
"""How long a call of the API may take with all its attempts: within it a cluster elects a new leader.

NATS elects one between 4 and 9 seconds after the last was heard of.
"""
ATTEMPT_S: Final = (0.5, 1.0, 2.0)
"""How long each attempt waits, the last one's time for all further ones. What was asked may have been sent to a server
that is cut off, which others do not notice for a while; the next attempt may reach another.
"""
WRITE_ATTEMPT_S: Final = (0.5,)
"""The same for what is published: it is small, and asked again under the same id."""
READ_ATTEMPT_S: Final = (0.25, 0.5, 1.0, 2.0)
"""The same for what any replica answers. Each time one of them is chosen by the servers, be it one that is paused."""
COPIES: Final = 3
"""When such a request was lost, so many are sent at once for a while, to have one of them reach a replica."""
DOUBT_S: Final = 10.0
PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 0.5
WRITE_TIMEOUT_S: Final = 10.0
"""How long `publish_once` goes on asking."""
DUPLICATE_WINDOW_NS: Final = 30 * 10**9
"""How long streams remember ids, where they are for `publish_once` alone."""
MAX_BATCH: Final = 1_000
"""Messages in one atomic batch: what the server takes."""

EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
"""Header: the sequence of the newest message of the subject, 0 for none, without which this is refused."""

STREAM_NOT_FOUND: Final = 10059
STREAM_NAME_IN_USE: Final = 10058
CONSUMER_NOT_FOUND: Final = 10014
WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
"""What was expected is not so; the second while a write that is not decided yet says otherwise."""
DUPLICATE_IN_BATCH: Final = 10201
MESSAGE_NOT_FOUND: Final = 10037
_NO_ROOM: Final = frozenset({10023, 10047, 10077, 10122, 10002, 10028})
"""insufficient resources, storage exceeded, maximum bytes exceeded, and the account's limits."""
_NO_LEADER: Final = frozenset({10008, 10009, 10112, 10074, 10075, 10114, 10158, 10005})
"""System temporarily unavailable, not the leader, shutting down, and servers that have not found one another yet, so
that there are too few of them for a stream: it helps to ask again."""

_NOT_FOUND: Final = 404
_END_OF_BATCH: Final = 204
_REQUEST_TIMEOUT: Final = 408


T = TypeVar("T")


class Ack(NamedTuple):
    """Where a published message stands; a `duplicate` (its Nats-Msg-Id was known) has the sequence of the first."""

    sequence: int
    duplicate: bool


class Stored(NamedTuple):
    """A message of a stream: its subject, sequence, time (ns since 1970), own headers included, and payload."""

    subject: str
    sequence: int
    headers: bytes
    payload: bytes


class Outbound(NamedTuple):
    """A message to publish."""

    subject: str
    payload: bytes
    headers: Mapping[str, str | int]


class _Error(msgspec.Struct):
    code: int = 500
    err_code: int = 0
    description: str = ""


class _PubAck(msgspec.Struct):
    error: _Error | None = None
    seq: int = 0
    duplicate: bool = False


_PUB_ACK: Final = msgspec.json.Decoder(_PubAck)


class JetStream:
    """JetStream as one deployment sees it: names begin with its prefix, streams have its number of replicas."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        options = connection.options
        self.prefix = options.prefix
        self.replicas = options.replicas
        self._in_doubt_until_s = 0.0
        """Until when a replica may be chosen that does not answer."""
        self._name = secrets.token_hex(8)
        self._numbers = itertools.count()
        """With the name, what this connection publishes is told from all else."""
        self.api = f"$JS.{options.domain}.API" if options.domain else "$JS.API"

    # --- the API ---

    async def call(
        self, what: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = API_TIMEOUT_S
    ) -> dict[str, Any]:
        """Call the API (`STREAM.INFO.name`) until it answers; the answer. Raises ApiError, Unavailable.

        A call whose answer was lost is made again: only for calls that may be.
        """
        payload = b"" if body is None else orjson.dumps(body)
        loop = asyncio.get_running_loop()
        deadline_s, pause_s, attempts = loop.time() + timeout_s, PAUSE_S, _attempts()
        while True:
            attempt_s = min(next(attempts), deadline_s - loop.time())
            try:
                answer: dict[str, Any] = orjson.loads(
                    (await self.connection.request(f"{self.api}.{what}", payload, timeout_s=attempt_s)).payload
                )
                if (error := answer.get("error")) is None:
                    return answer
                raise api_error(error.get("code", 500), error.get("err_code", 0), error.get("description", ""))
            except Unavailable:
                if loop.time() + pause_s >= deadline_s:
                    raise
            except ApiError as refused:
                if refused.error not in _NO_LEADER:
                    raise
                if loop.time() + pause_s >= deadline_s:
                    raise Unavailable(str(refused)) from refused
            await asyncio.sleep(pause_s)
            pause_s = min(MAX_PAUSE_S, 2 * pause_s)

    async def ensure_stream(self, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
        """Make the stream, or give an existing one this configuration; its info. Raises ApiError, Unavailable."""
        wanted = {
            "name": name,
            "retention": "limits",
            "storage": "file",
            "num_replicas": self.replicas,
            "discard": "new",
            "allow_direct": True,
            **config,
        }
        try:
            return await self.call(f"STREAM.CREATE.{name}", wanted)
        except ApiError as refused:
            if refused.error != STREAM_NAME_IN_USE:
                raise
        return await self.call(f"STREAM.UPDATE.{name}", wanted)

    async def stream_info(self, name: str) -> dict[str, Any] | None:
        """The stream's info, None when there is no such stream."""
        try:
            return await self.call(f"STREAM.INFO.{name}")
        except ApiError as refused:
            if refused.error == STREAM_NOT_FOUND:
                return None
            raise

    async def delete_stream(self, name: str) -> bool:
        """Delete the stream; whether it was there."""
        try:
            await self.call(f"STREAM.DELETE.{name}")
        except ApiError as refused:
            if refused.error == STREAM_NOT_FOUND:
                return False
            raise
        return True

    async def stream_names(self, subject: str | None = None) -> list[str]:
        """The names of this deployment's streams (or of all that hold `subject`)."""
        names: list[str] = []
        while True:
            body: dict[str, Any] = {"offset": len(names)}
            if subject is not None:
                body["subject"] = subject
            page = await self.call("STREAM.NAMES", body)
            found = page.get("streams") or []
            names += found
            if not found or len(names) >= page["total"]:
                return [name for name in names if name.startswith(f"{self.prefix}_")]

    async def subjects(self, stream: str, pattern: str = ">") -> dict[str, int]:
        """The subjects of a stream that match, each with its number of messages."""
        found: dict[str, int] = {}
        while True:
            info = await self.call(f"STREAM.INFO.{stream}", {"subjects_filter": pattern, "offset": len(found)})
            page = info["state"].get("subjects") or {}
            found |= page
            if not page or len(found) >= info.get("total", 0):
                return found

    # --- publishing ---

    async def publish(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str | int] | bytes = b"",
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> Ack:
        """Publish and wait until it is stored on a majority. Raises ApiError, NoResponders, Unavailable, TooLarge."""
        block = headers if isinstance(headers, bytes) else frames.header_block(headers)
        return acknowledged(await self.connection.request(subject, payload, headers=block, timeout_s=timeout_s))

    async def publish_batch(self, messages: Sequence[Outbound], *, timeout_s: float = REQUEST_TIMEOUT_S) -> Ack:
        """Publish all to one stream (with `allow_atomic`), next to each other, or none; the last one's place.

        At most MAX_BATCH. Raises ApiError, NoResponders, Unavailable, TooLarge.
        """
        if len(messages) == 1:
            return await self.publish(*messages[0], timeout_s=timeout_s)
        batch = f"{self._name}{next(self._numbers):x}"
        for number, message in enumerate(messages[:-1], start=1):
            block = frames.header_block({"Nats-Batch-Id": batch, "Nats-Batch-Sequence": number, **message.headers})
            await self.connection.publish(message.subject, message.payload, headers=block)
        last = messages[-1]
        block = frames.header_block(
            {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": len(messages), "Nats-Batch-Commit": "1", **last.headers}
        )
        return await self.publish(last.subject, last.payload, block, timeout_s=timeout_s)

    async def publish_once(
        self, stream: str, messages: Sequence[Outbound], *, timeout_s: float = WRITE_TIMEOUT_S
    ) -> Ack:
        """Publish all or none to one stream, and exactly once: asked again, under the same ids, while no answer comes.

        Within the stream's duplicate window. Raises ApiError, NoResponders, Unavailable, TooLarge; after Unavailable
        it is not known whether they were stored.
        """
        name = f"{self._name}{next(self._numbers):x}"
        named = [
            message._replace(headers={"Nats-Msg-Id": f"{name}-{number}", **message.headers})
            for number, message in enumerate(messages)
        ]
        loop = asyncio.get_running_loop()
        deadline_s, again, attempts = loop.time() + timeout_s, False, _attempts(WRITE_ATTEMPT_S)
        while True:
            try:
                return await self.publish_batch(named, timeout_s=next(attempts))
            except ApiError as refused:
                if again and (mine := await self._stored_already(stream, named, refused)) is not None:
                    return Ack(mine, duplicate=True)
                if refused.error not in _NO_LEADER or loop.time() + PAUSE_S >= deadline_s:
                    raise
            except Unavailable:
                if loop.time() + PAUSE_S >= deadline_s:
                    raise
            again = True
            await asyncio.sleep(PAUSE_S)

    async def _stored_already(self, stream: str, named: Sequence[Outbound], refused: ApiError) -> int | None:
        """The place of the last message when the refusal came because all had been stored before, None when not.

        Nothing can have come between what the first one expects and itself. A stream with one replica looks at what is
        expected before it looks at ids, others the other way round.
        """
        if refused.error == DUPLICATE_IN_BATCH:
            newest = await self.newest(stream, named[-1].subject)
            return newest[0] if newest else 0
        if refused.error not in WRONG_LAST_SEQUENCE:
            return None
        for number, message in enumerate(named):
            if EXPECTED in message.headers:
                place = int(message.headers[EXPECTED]) + 1
                found = await self._on_leader(stream, {"seq": place, "next_by_subj": message.subject})
                mine = found and frames.header(found[1], b"Nats-Msg-Id") == str(message.headers["Nats-Msg-Id"]).encode()
                return found[0] + len(named) - 1 - number if found and mine else None
        return None

    # --- reading ---

    async def newest(self, stream: str, subject: str) -> tuple[int, bytes, bytes] | None:
        """Sequence, headers and payload of a subject's newest message, as the stream's leader has it.

        Slower than `last`, which any replica answers, also one that is behind.
        """
        return await self._on_leader(stream, {"last_by_subj": subject})

    async def _on_leader(self, stream: str, body: Mapping[str, Any]) -> tuple[int, bytes, bytes] | None:
        try:
            found = await self.call(f"STREAM.MSG.GET.{stream}", body)
        except ApiError as refused:
            if refused.error == MESSAGE_NOT_FOUND:
                return None
            raise
        message = found["message"]
        data, headers = message.get("data") or "", message.get("hdrs") or ""
        return message["seq"], base64.b64decode(headers), base64.b64decode(data)

    async def get(self, stream: str, sequence: int) -> Stored | None:
        """The message with that sequence, None when it is not there (any more)."""
        return await self._get_one(stream, {"seq": sequence})

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The newest message of a subject."""
        message = await self._direct(f"{self.api}.DIRECT.GET.{stream}.{subject}", b"")
        return stored(message)

    async def next(self, stream: str, subject: str, sequence: int) -> Stored | None:
        """The first message of a subject (which may have wildcards) from that sequence on."""
        return await self._get_one(stream, {"next_by_subj": subject, "seq": max(1, sequence)})

    async def get_many(
        self,
        stream: str,
        subject: str,
        *,
        sequence: int = 1,
        max_messages: int,
        max_bytes: int | None = None,
        timeout_s: float = API_TIMEOUT_S,
    ) -> list[Stored]:
        """Messages of a subject (which may have wildcards) from that sequence on, in order, in one request."""
        body: dict[str, Any] = {"batch": max_messages, "next_by_subj": subject, "seq": max(1, sequence)}
        if max_bytes is not None:
            body["max_bytes"] = max_bytes
        return await self._gather(stream, body, timeout_s)

    async def last_of_each(
        self, stream: str, subjects: Sequence[str], *, max_messages: int = 1000, up_to: int | None = None
    ) -> list[Stored]:
        """The newest message of each of the subjects (which may have wildcards), in order of their sequences."""
        body: dict[str, Any] = {"batch": max_messages, "multi_last": list(subjects)}
        if up_to is not None:
            body["up_to_seq"] = up_to
        return await self._gather(stream, body, API_TIMEOUT_S)

    async def _get_one(self, stream: str, body: dict[str, Any]) -> Stored | None:
        return stored(await self._direct(f"{self.api}.DIRECT.GET.{stream}", orjson.dumps(body)))

    async def _direct(self, subject: str, payload: bytes) -> Message:
        """Ask any replica, until there is an answer: a stream may be without a leader for a moment."""
        return await self._until_answered(
            lambda attempt_s: self.connection.request(subject, payload, timeout_s=attempt_s), API_TIMEOUT_S
        )

    async def _gather(self, stream: str, body: dict[str, Any], timeout_s: float) -> list[Stored]:
        subject, payload = f"{self.api}.DIRECT.GET.{stream}", orjson.dumps(body)
        return await self._until_answered(lambda attempt_s: self._gather_once(subject, payload, attempt_s), timeout_s)

    async def _until_answered(self, ask: Callable[[float], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        """Ask, given how long to wait, until there is an answer. Raises Unavailable, ApiError."""
        loop = asyncio.get_running_loop()
        deadline_s, pause_s, attempts = loop.time() + timeout_s, PAUSE_S, _attempts(READ_ATTEMPT_S)
        while True:
            attempt_s = next(attempts)
            try:
                if loop.time() > self._in_doubt_until_s:
                    return await ask(attempt_s)
                return await _first_of([ask(attempt_s) for _ in range(COPIES)])
            except NoResponders:
                if loop.time() + pause_s >= deadline_s:
                    raise
            except Unavailable:
                self._in_doubt_until_s = loop.time() + DOUBT_S
                if loop.time() + pause_s >= deadline_s:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(MAX_PAUSE_S, 2 * pause_s)

    async def _gather_once(self, subject: str, payload: bytes, attempt_s: float) -> list[Stored]:
        gathering = _Gathering()
        end = await self.connection.ask(subject, payload, gathering.add, timeout_s=attempt_s, on_end=gathering.fail)
        try:
            return await gathering.whole
        finally:
            end()


def _attempts(waits_s: Sequence[float] = ATTEMPT_S) -> Iterator[float]:
    """How long each attempt waits, one after the other."""
    return itertools.chain(waits_s, itertools.repeat(waits_s[-1]))


async def _first_of(asked: Sequence[Coroutine[Any, Any, T]]) -> T:
    """The first answer of any; the exception of the last one when none of them is answered."""
    waiting = {asyncio.ensure_future(each) for each in asked}
    try:
        while True:
            ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                if task.exception() is None or (task is [*ended][-1] and not waiting):
                    return task.result()
    finally:
        for task in waiting:
            task.cancel()


class _Gathering:
    """The answers to one direct get of many, until the one that ends them."""

    def __init__(self) -> None:
        self.whole: asyncio.Future[list[Stored]] = asyncio.get_running_loop().create_future()
        self._found: list[Stored] = []

    def add(self, message: Message) -> None:
        """Take the next answer."""
        if self.whole.done():
            return
        code = frames.status(message.headers)
        if not code:
            found = stored(message)
            assert found is not None
            self._found.append(found)
        elif code in (_END_OF_BATCH, _NOT_FOUND):
            self.whole.set_result(self._found)
        elif code == 503:  # noqa: PLR2004 - no responders
            self.whole.set_exception(
                NoResponders("NATS JetStream does not answer: it has no leader or no such stream.")
            )
        else:
            self.whole.set_exception(api_error(code, 0, frames.description(message.headers)))

    def fail(self, reason: StorageError) -> None:
        """No more answers come."""
        if not self.whole.done():
            self.whole.set_exception(reason)


def api_error(code: int, error: int, description: str) -> ApiError:
    """The refusal as an exception."""
    return (NoRoom if error in _NO_ROOM else ApiError)(code, error, description)


def acknowledged(message: Message) -> Ack:
    """The place that the answer to a publish names. Raises ApiError."""
    ack = _PUB_ACK.decode(message.payload)
    if ack.error is not None:
        raise api_error(ack.error.code, ack.error.err_code, ack.error.description)
    return Ack(ack.seq, ack.duplicate)


def stored(message: Message) -> Stored | None:
    """The message that a direct get answered with, None for "not found". Raises ApiError, Unavailable."""
    headers = message.headers
    code = frames.status(headers)
    if code:
        if code == _NOT_FOUND:
            return None
        if code == _REQUEST_TIMEOUT:
            raise Unavailable("NATS JetStream could not answer in time.")
        raise api_error(code, 0, frames.description(headers))
    subject = frames.header(headers, b"Nats-Subject") or b""
    sequence = frames.header(headers, b"Nats-Sequence") or b"0"
    return Stored(subject.decode(), int(sequence), headers, message.payload)
