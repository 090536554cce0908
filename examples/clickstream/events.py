"""The events: the flights of the order buffer's example, each one something that an aircraft did.

An event's key is its aircraft, and it carries its number among that aircraft's events: so a reader can tell, from what
it reads alone, whether it got all of them and in order.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "order_buffer"))
from flights import FetchFailed, fetch, orders

__all__ = ["Event", "FetchFailed", "Tally", "events", "fetch"]


@dataclass(frozen=True)
class Event:
    """An event as it is put on the stream."""

    aircraft: str
    number: int
    data: bytes


def events(file: Path, limit: int | None = None) -> Iterator[Event]:
    """All events of a file, in its order. A flight that never got an aircraft is its carrier's."""
    numbers: Counter[str] = Counter()
    for _, document in orders(file, limit):
        flight = json.loads(document)
        aircraft = flight["tailnum"] if flight["tailnum"] != "NA" else f"none of {flight['carrier']}"
        data = json.dumps({"aircraft": aircraft, "number": numbers[aircraft], "flight": flight}, separators=(",", ":"))
        yield Event(aircraft, numbers[aircraft], data.encode())
        numbers[aircraft] += 1


class Tally:
    """What a reader has read, and whether it was each aircraft's events from the first on, none missing, none twice."""

    def __init__(self) -> None:
        self.count = 0
        self.wrong: list[str] = []
        self._next: Counter[str] = Counter()

    def read(self, data: bytes) -> None:
        """Take in an event."""
        event = json.loads(data)
        aircraft, number = event["aircraft"], event["number"]
        if number != self._next[aircraft]:
            self.wrong.append(f"{aircraft}: event {number} came when {self._next[aircraft]} was next")
        self._next[aircraft] = number + 1
        self.count += 1

    @property
    def events_of(self) -> dict[str, int]:
        """How many events of each aircraft were read."""
        return dict(self._next)
