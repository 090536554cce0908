"""Several calls begun in one turn of the event loop, so that an engine that commits by the turn makes them one commit.

`asyncio.gather` would make a task of each, to begin in the turn after; here each call is run at once, up to where it
first has to wait. What they write before that, they write together, all or nothing.

So all calls share the task that began them, and none of them may use `asyncio.timeout`, which cancels the task it is
in: that would be the end of all of them. Calls to an engine that waits for other machines are `Apart`.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Coroutine, Generator, Iterable
from typing import Any, ClassVar, Generic, TypeVar

from headrace.context import Server
from headrace.services.sns import limits

T = TypeVar("T")


class Call(Generic[T]):
    """A call that was begun: `done`, and then its `result` or its `error`."""

    __slots__ = ("done", "error", "result")

    def __init__(self) -> None:
        self.done = False
        self.result: T | None = None
        self.error: Exception | None = None


class _Driven(Call[T]):
    """A call that is run by hand, in the task that began it."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        super().__init__()
        self._coroutine = coroutine
        self._waits_for: asyncio.Future[Any] | None = None
        self.go_on()

    @property
    def ready(self) -> bool:
        """Whether what the call waits for has come."""
        return self._waits_for is None or self._waits_for.done()

    def go_on(self) -> None:
        """Run the call up to where it next has to wait."""
        try:
            self._waits_for = self._coroutine.send(None)
        except StopIteration as stop:
            self.done, self.result = True, stop.value
        except Exception as error:  # noqa: BLE001 - it is whoever looks at `error` who decides
            self.done, self.error = True, error
        else:
            if self._waits_for is not None:
                # What a task does with a future that its coroutine gives it: the future wants to be told.
                self._waits_for._asyncio_future_blocking = False  # noqa: SLF001

    def wait(self) -> Generator[Any, None, None]:
        """Give the task that runs this what the call waits for."""
        future = self._waits_for
        if future is None:
            yield None
        elif not future.done():
            future._asyncio_future_blocking = True  # noqa: SLF001
            # A task passes on what its future failed with; it is the call that is to see that, when it goes on.
            with contextlib.suppress(Exception):
                yield future

    def close(self) -> None:
        """Give up a call that has not ended."""
        if not self.done:
            self.done = True
            self._coroutine.close()


class Together:
    """Calls that belong together: `begin` each, look at those that ended at once, then `finish` them all."""

    __slots__ = ("_calls",)
    at_once: ClassVar[bool] = True
    """Whether a call that has to wait for nothing has ended when it was begun."""

    def __init__(self) -> None:
        self._calls: list[_Driven[Any]] = []

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Call[T]:
        """Begin a call, here and now."""
        call = _Driven(coroutine)
        if not call.done:
            self._calls.append(call)
        return call

    @types.coroutine
    def finish(self) -> Generator[Any, None, None]:
        """Return when all calls have ended, well or not. Those that waited for the same thing go on together."""
        try:
            while self._calls:
                yield from self._calls[0].wait()
                waiting = self._calls
                for call in waiting:
                    if call.ready:
                        call.go_on()
                self._calls = [call for call in waiting if not call.done]
        finally:
            for call in self._calls:
                call.close()
            self._calls = []


class Apart:
    """Calls that are each a task of their own, to be used like `Together`."""

    __slots__ = ("_tasks",)
    at_once: ClassVar[bool] = False

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Call[T]:
        """Begin a call."""
        call: Call[T] = Call()
        self._tasks.append(asyncio.get_running_loop().create_task(_run(call, coroutine)))
        return call

    async def finish(self) -> None:
        """Return when all calls have ended, well or not."""
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)


async def _run(call: Call[T], coroutine: Coroutine[Any, Any, T]) -> None:
    try:
        call.result = await coroutine
    except Exception as error:  # noqa: BLE001 - it is whoever looks at `error` who decides
        call.error = error
    call.done = True


Calls = Together | Apart


def calls_of(server: Server) -> Calls:
    """What several calls to the server's engine are begun with."""
    return Together() if server.engine.name in limits.ENGINES_OF_ONE_PROCESS else Apart()


def raise_errors(calls: Iterable[Call[Any]]) -> None:
    """Raise what a call failed with, of those that have ended."""
    for call in calls:
        if call.error is not None:
            raise call.error
