"""The SQLite database under the embedded engine, and its group commit.

Every statement that writes runs on the event-loop thread inside the *turn's* transaction: the first
writer of a loop turn begins it, the loop commits it as soon as it has turned without a further writer
(`TURN_LOOKS` times at most), and only then is any of its writers answered. One fsync so makes a whole
turn's work durable. Where the device takes long to sync (measured at start), and where a turn has stored
much, the COMMIT runs on a thread instead; writers that come meanwhile wait for it and then share the
next turn. A statement or COMMIT that fails takes its whole turn back: every writer in it gets a
StorageError, nothing of theirs is kept, and `on_rollback` lets caches forget what did not happen.

The WAL is moved into the database file by a second connection on a thread; only the few pages that
were written meanwhile are moved on the loop. See https://sqlite.org/wal.html.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from headrace.engines.sqlite import migrations
from headrace.errors import StorageCorrupt, StorageError, StorageFull, StorageLocked, StorageReadOnly

T = TypeVar("T")

CACHE_KIB: Final = 16_384
"""Page cache of the writing connection."""
STATEMENTS_CACHED: Final = 200
CHECKPOINT_PAGES: Final = 16_384
"""WAL pages (64 MiB) after which it is moved into the database file."""
CHECKPOINT_REST_PAGES: Final = 256
"""At most this many pages are moved on the loop's own thread."""
CHECKPOINT_PASSES: Final = 8
WAL_KEPT_BYTES: Final = 64 * 1024 * 1024
"""A WAL that one huge turn made longer than this is cut when it starts over."""
SLOW_SYNC_S: Final = 0.002
"""A device whose fsync takes longer than this has its commits made on a thread."""
TURN_LOOKS: Final = 4
"""How often at most a turn that is about to be committed waits for the loop once more, as long as writers come."""
LARGE_TURN_BYTES: Final = 256 * 1024
"""A turn that stored more than this is committed on a thread, however fast the device's fsync is."""
QUICK_CHECK_BYTES: Final = 32 * 1024 * 1024
"""Files up to this size are checked whole at start."""


def storage_error(cause: Exception) -> StorageError:
    """The StorageError that tells what `cause` means for the caller."""
    if isinstance(cause, apsw.FullError):
        return StorageFull("The device that holds the data is full. Nothing was stored; free some space and retry.")
    if isinstance(cause, (apsw.ReadOnlyError, apsw.PermissionsError, apsw.CantOpenError)):
        return StorageReadOnly(f"The data directory cannot be written: {cause}.")
    if isinstance(cause, (apsw.CorruptError, apsw.NotADBError)):
        return StorageCorrupt(f"The data file is damaged: {cause}. Restore it from a backup.")
    if isinstance(cause, (apsw.BusyError, apsw.LockedError)):
        return StorageLocked("Another process holds the data file locked.")
    return StorageError(f"The data could not be stored: {cause}.")


class Database:
    """One database file (or `:memory:`), its writing connection and the turn's transaction."""

    def __init__(self, data: str) -> None:
        self.in_memory = data == ":memory:"
        self.directory = Path() if self.in_memory else Path(data)
        self.file = ":memory:" if self.in_memory else str(self.directory / "headrace.db")
        self.sync_s = 0.0
        self.turns = 0
        """Turns that were begun."""
        self.on_rollback: list[Callable[[], None]] = []
        self._connection: apsw.Connection | None = None
        self._readers: list[apsw.Connection] = []
        self._asides: set[Future[Any]] = set()
        self._asides_held: asyncio.Future[None] | None = None
        self._lock_fd = -1
        self._loop: asyncio.AbstractEventLoop
        """The loop that the database was opened on. Asking for it is a system call before Python 3.12."""
        self._turn_open = False
        self._turn_bytes = 0
        self._looks = 0
        self._joined = 0
        """Writers of the turn when it was last looked at."""
        self._waiting: list[asyncio.Future[None]] = []
        self._callbacks: list[Callable[[], object]] = []
        self._commit_job: Future[StorageError | None] | None = None
        self._idling: list[asyncio.Future[None]] = []
        self._commit_on_thread = False
        self._committer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-commit")
        self._threads = ThreadPoolExecutor(max_workers=3, thread_name_prefix="sqlite")
        self._closed = False
        self._wal_pages = 0
        self._wal_left = 0
        self._wal_rest_due = False
        self._checkpoint: asyncio.Task[None] | None = None

    @property
    def connection(self) -> apsw.Connection:
        """The writing connection; for use inside `read` and `write` only."""
        if self._connection is None:
            raise StorageError("The database is closed.")
        return self._connection

    def describe(self) -> str:
        """Where the data is and how durable it is, in a line for people."""
        if self.in_memory:
            return "data in memory only: it is gone when the process ends"
        where = "on a thread" if self._commit_on_thread else "on the loop"
        return f"data in {self.file}, fsynced before it is acknowledged ({self.sync_s * 1000:.2f} ms a sync, {where})"

    # --- opening and closing ---

    def open(self) -> None:
        """Open, check and migrate, on the event loop. Raises StorageError saying what is wrong and where."""
        self._loop = asyncio.get_running_loop()
        try:
            if not self.in_memory:
                self._claim_directory()
                self._commit_on_thread = self.sync_s > SLOW_SYNC_S
            self._connection = apsw.Connection(self.file, statementcachesize=STATEMENTS_CACHED)
            self._prepare(self._connection)
            migrations.migrate(self._connection)
            self._quick_check()
            self._connection.set_wal_hook(self._note_wal)
        except apsw.Error as cause:
            self.close()
            error = storage_error(cause)
            raise type(error)(f"{self.file}: {error}") from cause
        except StorageError:
            self.close()
            raise

    def _claim_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock_fd = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.sync_s = _measure_sync(self.directory)
        except BlockingIOError as cause:
            raise StorageLocked(
                f"{self.directory}: another Headrace process uses this data directory. Stop it or choose another."
            ) from cause
        except OSError as cause:
            if cause.errno == 28:  # noqa: PLR2004 ENOSPC
                raise StorageFull(f"{self.directory}: no space left on the device.") from cause
            raise StorageReadOnly(
                f"{self.directory}: cannot be used as data directory: {cause.strerror}. Choose another --data."
            ) from cause

    def _prepare(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(2_000)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # else new values of a LIMIT are planned for anew
        migrations.verify(connection)  # before anything is changed in a file that is not ours
        if connection.readonly("main"):
            raise StorageReadOnly(f"{self.file}: the data file cannot be written.")
        connection.execute("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        connection.execute(
            f"PRAGMA cache_size = -{CACHE_KIB}; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;"
            f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}"
        )

    def _quick_check(self) -> None:
        if self.in_memory or Path(self.file).stat().st_size > QUICK_CHECK_BYTES:
            return
        found = self.connection.execute("PRAGMA quick_check(1)").get
        if found != "ok":
            raise StorageCorrupt(f"{self.file}: the data file is damaged ({found}). Restore it from a backup.")

    def close(self) -> None:
        """Commit the open turn, move the WAL in and release the directory. Idempotent."""
        self._closed = True
        self._committer.shutdown(wait=True)
        self._threads.shutdown(wait=True)
        if self._commit_job is not None:
            self._commit_ended()
        elif self._turn_open:
            self._settle(self._commit())
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        if self._connection is not None:
            with contextlib.suppress(apsw.Error):
                self._connection.close()
            self._connection = None
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    # --- reading and writing ---

    @property
    def busy(self) -> bool:
        """Whether a COMMIT is under way on a thread."""
        return self._commit_job is not None

    async def idle(self) -> None:
        """Return when no COMMIT is under way on a thread (with commits on the loop: at once).

        Who waits here goes on before those whom the COMMIT answers, and so takes part in the next turn however
        many of them come again at once.
        """
        while self._commit_job is not None:
            ended: asyncio.Future[None] = self._loop.create_future()
            self._idling.append(ended)
            await ended

    async def settled(self) -> None:
        """Return when the open turn, if there is one, has ended in whichever way."""
        await self.idle()
        if self._turn_open:
            await asyncio.wait([self.committed()])

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        """Run `work(*args)` inside the turn's transaction; its result once that is durable.

        `work` runs without interruption and must raise nothing once it has written: an exception takes
        the whole turn back. Raises StorageError.
        """
        if self._commit_job is not None:
            await self.idle()
        if not self._turn_open:
            self._begin()
        try:
            result = work(*args)
        except Exception as cause:
            error = storage_error(cause) if isinstance(cause, apsw.Error) else StorageError("The write failed.")
            self._abort(error)
            if isinstance(cause, apsw.Error):
                raise error from cause
            raise
        await self.committed()
        return result

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        """Run `work(*args)`; its result once everything it may have seen is durable. Raises StorageError."""
        if self._commit_job is not None:
            await self.idle()
        try:
            result = work(*args)
        except apsw.Error as cause:
            raise storage_error(cause) from cause
        if self._turn_open:
            await self.committed()
        return result

    async def read_aside(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run a long read on a thread with a connection of its own, which sees what is committed.

        In memory there is no second connection: it runs on the loop.
        """
        if self.in_memory:
            return await self.read(work, self.connection)
        while self._asides_held is not None:
            await asyncio.shield(self._asides_held)
        if self._closed:
            raise StorageError("The database is closed.")
        job = self._threads.submit(self._with_reader, work)
        self._asides.add(job)
        job.add_done_callback(self._asides.discard)
        try:
            return await asyncio.wrap_future(job)
        except apsw.Error as cause:
            raise storage_error(cause) from cause

    def _with_reader(self, work: Callable[[apsw.Connection], T]) -> T:
        try:
            reader = self._readers.pop()
        except IndexError:
            reader = apsw.Connection(self.file, flags=apsw.SQLITE_OPEN_READONLY, statementcachesize=20)
            reader.set_busy_timeout(2_000)
        try:
            return work(reader)
        finally:
            self._readers.append(reader)  # no more than there are threads

    def committed(self) -> asyncio.Future[None]:
        """A future of the caller's own, done when the open turn is durable; fails with its StorageError."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(done)
        return done

    def when_durable(self, callback: Callable[[], object]) -> None:
        """Inside `write`: have `callback` run once the turn is durable, before its writers are answered.

        Callbacks run in the order they were given, and not at all when the turn is taken back.
        """
        self._callbacks.append(callback)

    def weigh(self, size_bytes: int) -> None:
        """Inside `write`: say that so much was stored, where that may be much."""
        self._turn_bytes += size_bytes

    # --- the turn ---

    def _begin(self) -> None:
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except apsw.Error as cause:
            raise storage_error(cause) from cause
        self._turn_open = True
        self.turns += 1
        self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        if not self._turn_open or self._commit_job is not None:
            return  # an abort ended the turn this was called for, and its call ended the next one
        on_thread = self._commit_on_thread or (self._turn_bytes > LARGE_TURN_BYTES and not self.in_memory)
        comes_more = self._joined < len(self._waiting) and self._looks < TURN_LOOKS
        if comes_more and not on_thread and not self.in_memory:
            # Requests come in bursts, as clients are answered together: the rest of one is to share the fsync.
            self._joined, self._looks = len(self._waiting), self._looks + 1
            self._loop.call_soon(self._end_turn)
        elif on_thread:
            self._commit_job = self._committer.submit(self._commit)
            self._commit_job.add_done_callback(lambda _job: _call_soon(self._loop, self._commit_ended))
        else:
            self._settle(self._commit())

    def _commit_ended(self) -> None:
        if self._commit_job is None:
            return  # `close` was faster
        error = self._commit_job.result()
        self._commit_job = None
        idling, self._idling = self._idling, []
        for ended in idling:
            if not ended.done():
                ended.set_result(None)
        self._settle(error)

    def _commit(self) -> StorageError | None:
        """Make the turn durable; what went wrong, if anything. Runs on the loop or on the committing thread."""
        try:
            self.connection.execute("COMMIT")
        except (apsw.Error, MemoryError) as cause:
            return storage_error(cause)
        if self._wal_rest_due:
            self._wal_rest_due = False
            with contextlib.suppress(apsw.Error):  # the data is safe in the WAL; the next round tries again
                pages, moved = self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                self._wal_pages = 0 if moved == pages else pages
        return None

    def _settle(self, error: StorageError | None) -> None:
        if error is None:
            self._answer(None)
        else:
            self._abort(error)

    def _abort(self, error: StorageError) -> None:
        # SQLite has rolled back by itself after some errors (disk full), after others not.
        if self.connection.in_transaction:
            with contextlib.suppress(apsw.Error):
                self.connection.execute("ROLLBACK")
        for forget in self.on_rollback:
            forget()
        self._answer(error)

    def _answer(self, error: StorageError | None) -> None:
        self._turn_open = False
        self._turn_bytes = self._looks = self._joined = 0
        waiting, self._waiting = self._waiting, []
        callbacks, self._callbacks = self._callbacks, []
        for done in waiting:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        if self._wal_pages > self._wal_left + CHECKPOINT_PAGES and self._checkpoint is None and not self._closed:
            self._checkpoint = self._loop.create_task(self._move_wal())
        if error is None:
            for callback in callbacks:  # the writers go on in the loop's next turn
                callback()

    # --- the WAL ---

    def _note_wal(self, _connection: apsw.Connection, _schema: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    async def _move_wal(self) -> None:
        """Checkpoint on a thread until little is left; then one commit moves that, and the WAL starts over."""
        try:
            for _ in range(CHECKPOINT_PASSES):
                _, moved = await self._loop.run_in_executor(self._threads, self._checkpoint_aside)
                if self._wal_pages - moved <= CHECKPOINT_REST_PAGES:
                    break
            await self._move_rest()
        except (apsw.Error, StorageError, RuntimeError):
            return  # closing, or the device failed: the data is safe in the WAL, and a later commit tries again
        finally:
            self._checkpoint = None
            self._wal_left = self._wal_pages  # what could not be moved is tried again when as much has come again

    async def _move_rest(self) -> None:
        """Move what is left while nobody reads aside: as long as one does, the WAL cannot start over."""
        self._asides_held = held = self._loop.create_future()
        try:
            if self._asides:
                await asyncio.wait([asyncio.wrap_future(job) for job in tuple(self._asides)])
            self._wal_rest_due = True
            await self.write(_nothing)
        finally:
            self._asides_held = None
            held.set_result(None)

    def _checkpoint_aside(self) -> tuple[int, int]:
        connection = apsw.Connection(self.file)
        try:
            connection.execute("PRAGMA schema_version")  # a connection that has read nothing knows of no WAL to move
            return connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        finally:
            connection.close()


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Have the loop call `callback`, unless it was closed; from any thread."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _nothing() -> None:
    """Write nothing, but take part in a turn."""


def _measure_sync(directory: Path) -> float:
    """Seconds that making a small write durable takes here: the least of five, since noise only adds."""
    probe = directory / "sync-probe"
    took = []
    fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        for _ in range(5):
            started = time.perf_counter()
            os.write(fd, b"\0" * 4096)
            os.fdatasync(fd)
            took.append(time.perf_counter() - started)
    finally:
        os.close(fd)
        probe.unlink()
    return min(took)
