"""Small records, kept in one stream and mirrored in the memory of every process.

The newest message of a subject is a record, its sequence the record's revision; a deletion is a message too, which
the server removes after a while. Reads are answered from the mirror, which follows the stream; a record that the mirror
does not have is looked for on the stream's leader before anybody is told that there is none. Writes are compared and
made by the server, and answered when the mirror has them. `spaces` keep kinds of records apart.
"""

from __future__ import annotations

import asyncio
import bisect
import builtins
import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final

from headrace.engines.nats import frames
from headrace.engines.nats.connection import Message
from headrace.engines.nats.faults import ApiError, Unavailable
from headrace.engines.nats.following import Delivery, Follower
from headrace.engines.nats.jetstream import (
    DUPLICATE_WINDOW_NS,
    EXPECTED,
    MAX_BATCH,
    WRONG_LAST_SEQUENCE,
    JetStream,
    Outbound,
)
from headrace.engines.nats.naming import key_of, token
from headrace.errors import StorageError
from headrace.primitives.metadata import Change, Conflict, Entry, Write

SPACES: Final = "kgq"
"""Records of metadata, definitions of logs, definitions of queues."""
TOMBSTONE_S: Final = 3_600
"""How long the server keeps a deletion."""
FORGET_S: Final = TOMBSTONE_S / 2
"""A mirror that was cut off for longer than this reads everything again: deletions may be gone."""
MIRROR_TIMEOUT_S: Final = 8.0
"""How long a write waits for the mirror to follow."""
START_TIMEOUT_S: Final = 60.0
ATTEMPTS: Final = 20
"""Comparisons that a write makes at most before it gives up: each is lost to another writer."""
CONTEST_S: Final = 0.005
"""Pause before each further attempt, times the attempts made: the other write may not be decided yet."""
TOMBSTONES_KEPT: Final = 100_000
"""Deletions remembered by the mirror, so that a key can be made anew in one attempt."""

_DELETED: Final = b"Headrace-Deleted"


class Mirror:
    """All small records of a deployment. `start` it before anything is asked of its spaces."""

    def __init__(self, jetstream: JetStream) -> None:
        self.jetstream = jetstream
        self.stream = f"{jetstream.prefix}_records"
        self._base = f"{jetstream.prefix}.r."
        self._spaces = {name: Space(self, name) for name in SPACES}
        self._applied = 0
        self._boundary = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._current = asyncio.Event()
        self._seen: set[tuple[str, str]] | None = None
        self._left_s: float | None = None
        self._follower = Follower(
            jetstream,
            self.stream,
            [f"{self._base}{space}.*" for space in SPACES] + [f"{self._base}reset", f"{self._base}sync"],
            on_message=self._receive,
            resume=self._resume,
            on_current=self._caught_up,
            reached=self._reached,
        )

    def space(self, name: str) -> Space:
        """The records of one kind."""
        return self._spaces[name]

    async def start(self) -> None:
        """Make the stream when it is not there, and read all of it. Raises StorageError."""
        await self.jetstream.ensure_stream(
            self.stream,
            {
                "subjects": [f"{self._base}>"],
                "max_msgs_per_subject": 1,
                "allow_msg_ttl": True,
                "allow_atomic": True,
                "duplicate_window": DUPLICATE_WINDOW_NS,
            },
        )
        await self._follower.start()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._current.wait()
        except TimeoutError:
            raise Unavailable("The records on NATS could not be read in time.") from None

    async def close(self) -> None:
        """Stop following."""
        await self._follower.close()
        waiting, self._waiting = self._waiting, []
        for _, _, future in waiting:
            if not future.done():
                future.set_exception(Unavailable("The connection to NATS was closed."))
                future.exception()

    async def reset(self) -> None:
        """Delete every record of every space, here and in every other process."""
        ack = await self.jetstream.publish(f"{self._base}reset", b"")
        await self.until(ack.sequence)
        await self.jetstream.call(f"STREAM.PURGE.{self.stream}", {"seq": ack.sequence})

    async def sync(self) -> None:
        """Return when the mirror has all that was stored before the call. Raises StorageError.

        What was stored before this message was comes before it. A leader that was asked instead might be one that the
        others have given up.
        """
        ack = await self.jetstream.publish_once(self.stream, [Outbound(f"{self._base}sync", b"", {})])
        await self.until(ack.sequence)

    @property
    def waiting(self) -> int:
        """Writers that wait until the mirror shows what they have stored."""
        return len(self._waiting)

    async def until(self, sequence: int) -> None:
        """Return when the mirror has what the stream had at that sequence. Raises Unavailable."""
        if self._applied >= sequence:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (sequence, next(self._numbers), future))
        try:
            async with asyncio.timeout(MIRROR_TIMEOUT_S):
                await future
        except TimeoutError:
            raise Unavailable("NATS stored the change, but does not show it in time.") from None

    def subject(self, space: str, key: str) -> str:
        """Where a record stands."""
        return f"{self._base}{space}.{token(key)}"

    # --- following ---

    def _resume(self) -> int | None:
        """After which sequence to go on; None to read everything, then `_seen` gathers what there still is."""
        now_s = asyncio.get_running_loop().time()
        if self._left_s is not None and now_s - self._left_s < FORGET_S:
            return self._applied
        self._seen = set()
        return None

    def _reached(self) -> int | None:
        """The sequence up to which all is known; None while everything is read."""
        return self._applied if self._current.is_set() and self._seen is None else None

    def _receive(self, message: Message, placed: Delivery) -> None:
        if self._seen is None and placed.sequence <= self._applied:
            return
        self._left_s = asyncio.get_running_loop().time() if self._current.is_set() else None
        space, _, rest = message.subject[len(self._base) :].decode().partition(".")
        if space == "reset":
            for one in self._spaces.values():
                one.clear_before(placed.sequence)
        elif space in self._spaces:
            key = key_of(rest.encode())
            deleted = frames.header(message.headers, _DELETED) is not None
            if self._seen is not None and not deleted:
                self._seen.add((space, key))
            self._spaces[space].receive(key, None if deleted else message.payload, placed.sequence)
        self._advance(placed.sequence)

    def _advance(self, sequence: int) -> None:
        self._applied = max(self._applied, sequence)
        while self._waiting and self._waiting[0][0] <= self._applied:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    def _caught_up(self) -> None:
        """All that there is was read: what was not seen any more has been deleted meanwhile."""
        if self._seen is not None:
            seen, self._seen = self._seen, None
            for name, space in self._spaces.items():
                space.keep_only({key for of, key in seen if of == name})
        self._left_s = asyncio.get_running_loop().time()
        self._current.set()


class Space:
    """The records of one kind: what `primitives.metadata.Metadata` says of records and watches."""

    def __init__(self, mirror: Mirror, name: str) -> None:
        self._mirror = mirror
        self._name = name
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._tombstones: dict[str, int] = {}
        self._watches: Sequence[tuple[str, Callable[[Change], None]]] = ()

    # --- asking ---

    async def get(self, key: str) -> Entry | None:
        """The record under the key, or None."""
        return self._entries.get(key) or await self._confirm(key)

    async def sync(self) -> None:
        """See `Mirror.sync`."""
        await self._mirror.sync()

    def known(self, key: str) -> Entry | None:
        """The record as this process knows it, without asking."""
        return self._entries.get(key)

    async def list(self, prefix: str, *, after: str = "", max_entries: int = 1000) -> list[Entry]:
        """Records whose key starts with `prefix` and comes after `after`, in key order."""
        start = bisect.bisect_left(self._keys, prefix)
        if after:
            start = max(start, bisect.bisect_right(self._keys, after))
        found = []
        for key in itertools.islice(self._keys, start, start + max_entries):
            if not key.startswith(prefix):
                break
            found.append(self._entries[key])
        return found

    def watch(self, prefix: str, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call `callback` with every change under `prefix` from now on; returns what ends the watch."""
        watch = (prefix, callback)
        self._watches = (*self._watches, watch)

        def end() -> None:
            self._watches = tuple(other for other in self._watches if other is not watch)

        return end

    # --- changing ---

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        """Store a record; its new revision. Raises Conflict."""
        return await self._change([Write(key=key, value=value, expected=expected)])

    async def delete(self, key: str, *, expected: int | None = None) -> None:
        """Delete the record; harmless when there is none, unless `expected` is given. Raises Conflict."""
        await self._change([Write(key=key, value=None, expected=expected)])

    async def apply(self, writes: Sequence[Write]) -> None:
        """Make all these changes or none; at most MAX_BATCH keys. Raises Conflict."""
        await self._change(writes)

    async def _change(self, writes: Sequence[Write]) -> int:
        """Compare and make the changes; the revision of the last."""
        mirror = self._mirror
        for attempt in range(ATTEMPTS):
            messages = await self._messages(writes)
            if not messages:
                return 0
            try:
                ack = await mirror.jetstream.publish_once(mirror.stream, messages)
            except ApiError as refused:
                if refused.error not in WRONG_LAST_SEQUENCE:
                    raise
                await asyncio.sleep(attempt * CONTEST_S)
                await self._catch_up([write.key for write in writes if write.expected is not None])
                continue
            await mirror.until(ack.sequence)
            return ack.sequence
        raise StorageError("Others change the same records all the time: try again.")

    async def _messages(self, writes: Sequence[Write]) -> builtins.list[Outbound]:
        """What to publish: one message a key, the last that was asked for. Raises Conflict."""
        for write in writes:
            if write.expected is not None:
                await self._compare(write)
            elif write.value is None and write.key not in self._entries:
                await self._confirm(write.key)
        final = {write.key: write for write in writes}
        compared = {write.key for write in writes if write.expected is not None}
        if len(final) > MAX_BATCH:
            raise StorageError(f"No more than {MAX_BATCH} records can be changed together.")
        return [
            self._message(write, compared=key in compared)
            for key, write in final.items()
            if write.value is not None or key in self._entries
        ]

    async def _compare(self, write: Write) -> None:
        """Raise Conflict when the record's revision is known not to be the expected one."""
        entry = self._entries.get(write.key)
        revision = entry.revision if entry else 0
        if revision != write.expected:
            entry = await self._confirm(write.key)
            revision = entry.revision if entry else 0
            if revision != write.expected:
                raise Conflict(f"{write.key} has revision {revision}, not {write.expected}.")

    def _message(self, write: Write, *, compared: bool) -> Outbound:
        headers: dict[str, str | int] = {}
        if compared:
            entry = self._entries.get(write.key)
            headers[EXPECTED] = entry.revision if entry else self._tombstones.get(write.key, 0)
        if write.value is None:
            headers |= {_DELETED.decode(): "1", "Nats-TTL": f"{TOMBSTONE_S}s"}
        return Outbound(self._mirror.subject(self._name, write.key), write.value or b"", headers)

    async def _catch_up(self, keys: Sequence[str]) -> None:
        for key in set(keys):
            await self._confirm(key)

    async def _confirm(self, key: str) -> Entry | None:
        """Bring the mirror up to what the leader has of the key; the record, or None."""
        mirror = self._mirror
        found = await mirror.jetstream.newest(mirror.stream, mirror.subject(self._name, key))
        if found is None:
            self._tombstones.pop(key, None)
        else:
            await mirror.until(found[0])
        return self._entries.get(key)

    # --- following ---

    def receive(self, key: str, value: bytes | None, sequence: int) -> None:
        """Take what the stream tells of a key."""
        known = self._entries.get(key)
        if known is not None and known.revision >= sequence:
            return
        if value is None:
            self._bury(key, sequence)
            if known is not None:
                self._forget(key)
            return
        entry = Entry(key=key, value=value, revision=sequence)
        if known is None:
            bisect.insort(self._keys, key)
            self._tombstones.pop(key, None)
        self._entries[key] = entry
        self._tell(Change(key=key, entry=entry))

    def clear_before(self, sequence: int) -> None:
        """Everything older is gone."""
        self._tombstones.clear()
        for key in [key for key in self._keys if self._entries[key].revision < sequence]:
            self._forget(key)

    def keep_only(self, keys: set[str]) -> None:
        """Everything else is gone."""
        for key in [key for key in self._keys if key not in keys]:
            self._forget(key)

    def _bury(self, key: str, sequence: int) -> None:
        if len(self._tombstones) >= TOMBSTONES_KEPT:
            self._tombstones.pop(next(iter(self._tombstones)))
        self._tombstones[key] = sequence

    def _forget(self, key: str) -> None:
        del self._entries[key]
        del self._keys[bisect.bisect_left(self._keys, key)]
        self._tell(Change(key=key, entry=None))

    def _tell(self, change: Change) -> None:
        for prefix, callback in self._watches:
            if change.key.startswith(prefix):
                _call(callback, change)


def _call(callback: Callable[[Change], None], change: Change) -> None:
    try:
        callback(change)
    except Exception as cause:  # noqa: BLE001 whatever it is, it must reach neither the writer nor other watchers
        message = f"A watcher failed on the change of {change.key}."
        context: dict[str, Any] = {"message": message, "exception": cause}
        asyncio.get_running_loop().call_exception_handler(context)
