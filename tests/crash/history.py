"""What clients did and were answered, in times of one clock: the evidence that `checker` judges.

An event whose `ended` is None was never answered: the server may have done it or not.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Event:
    """A call, or its part for one message. `started` and `ended` are seconds."""

    queue: str
    started: float
    ended: float | None = None

    @property
    def answered(self) -> bool:
        return self.ended is not None

    @property
    def latest(self) -> float:
        """The last moment at which the server can have done it."""
        return float("inf") if self.ended is None else self.ended


@dataclass(kw_only=True)
class Send(Event):
    body: str
    group: str | None = None
    dedup_id: str | None = None
    message_id: str | None = None
    sequence: int | None = None
    batch: str | None = None
    """The same for all that were sent in one call."""


@dataclass
class Got:
    """A message that a receive gave."""

    body: str
    message_id: str
    receipt: str
    count: int
    group: str | None = None
    sequence: int | None = None


@dataclass(kw_only=True)
class Receive(Event):
    timeout: float
    messages: list[Got] = field(default_factory=list)


@dataclass(kw_only=True)
class Delete(Event):
    """`refused`: the server answered with an error."""

    receipt: str
    refused: bool = False


@dataclass(kw_only=True)
class Change(Event):
    receipt: str
    timeout: float
    refused: bool = False


class History:
    """All events of a run, in the order they ended; threads add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sends: list[Send] = []
        self.receives: list[Receive] = []
        self.deletes: list[Delete] = []
        self.changes: list[Change] = []

    def add(self, *events: Event) -> None:
        with self._lock:
            for event in events:
                match event:
                    case Send():
                        self.sends.append(event)
                    case Receive():
                        self.receives.append(event)
                    case Delete():
                        self.deletes.append(event)
                    case Change():
                        self.changes.append(event)
