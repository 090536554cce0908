"""How many calls a second a FIFO queue takes. Pure: the time is given."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from headrace.services.sqs import limits


class Action(enum.IntEnum):
    """What is counted by itself. AWS: a batch is one call of its action, whatever it holds."""

    SEND = 0
    RECEIVE = 1
    DELETE = 2
    CHANGE_VISIBILITY = 3


class Throughput:
    """The calls of the second that is running, per action and, for sends to high-throughput queues, per group.

    One second's counts are all it remembers, so it never holds more groups than calls are let through.
    """

    __slots__ = ("_calls", "_groups", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._calls = [0] * len(Action)
        self._groups: dict[str, int] = {}

    def take(self, action: Action, now_ms: int, *, per_group: bool, groups: Iterable[str] = ()) -> bool:
        """Count a call; False when it is one too many for this second.

        With `per_group` the queue's own limit is the high one, and each of `groups` has the low one.
        """
        second = now_ms // 1000
        if second != self._second:
            self._second = second
            self._calls = [0] * len(Action)
            self._groups.clear()
        limit = limits.HIGH_THROUGHPUT_CALLS_PER_S if per_group else limits.FIFO_CALLS_PER_S
        if self._calls[action] >= limit:
            return False
        if per_group:
            called = set(groups)
            if any(self._groups.get(group, 0) >= limits.FIFO_CALLS_PER_S for group in called):
                return False
            for group in called:
                self._groups[group] = self._groups.get(group, 0) + 1
        self._calls[action] += 1
        return True
