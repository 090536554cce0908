"""The orders and what becomes of them: flights of the order buffer's data, which stand for orders.

A flight on time is an order that is placed, one that leaves late an order that is declined, and one that never leaves
an order that is cancelled.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The flights are read by the other example's module.
sys.path.append(str(Path(__file__).parent.parent / "order_buffer"))

import flights

PLACED, DECLINED, CANCELLED = "order_placed", "order_declined", "order_cancelled"
LATE_MIN = 15
NOT_THERE = "NA"

FetchFailed = flights.FetchFailed
fetch = flights.fetch


@dataclass(frozen=True)
class Order:
    """An order as it is published: its key, its JSON text, and the attributes that filters go by."""

    key: str
    text: str
    event: str
    miles: int

    @property
    def attributes(self) -> dict[str, dict[str, str]]:
        """The message attributes."""
        return {
            "event": {"DataType": "String", "StringValue": self.event},
            "miles": {"DataType": "Number", "StringValue": str(self.miles)},
        }


def read(file: Path, limit: int | None = None) -> Iterator[Order]:
    """The orders of a file of flights, in its order."""
    for key, text in flights.orders(file, limit):
        row = json.loads(text)
        event = event_of(row)
        yield Order(key, json.dumps({"event": event, **row}, separators=(",", ":")), event, int(row["distance"]))


def event_of(row: dict[str, Any]) -> str:
    """What became of an order."""
    if row["dep_time"] == NOT_THERE:
        return CANCELLED
    return DECLINED if int(row["dep_delay"]) > LATE_MIN else PLACED
