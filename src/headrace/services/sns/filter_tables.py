"""Where the filter policies that ask for something at one path stand, to be found by what a message has there. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

from headrace.services.sns.filter_gates import Gate
from headrace.services.sns.filter_values import Range, Value

Names = dict[str, None]
"""Names in the order they were added."""


class Table:
    """Candidates by what stands at one path.

    `present` is for those that any value speaks for; prefixes and suffixes stand by their lengths.
    """

    __slots__ = ("_affixes", "_exact", "_folded", "_present", "_ranges")

    def __init__(self) -> None:
        self._present: Names = {}
        self._exact: dict[Any, Names] = {}
        self._folded: dict[Any, Names] = {}
        self._affixes: dict[tuple[str, int], dict[Any, Names]] = {}
        self._ranges = Ranges()

    def __bool__(self) -> bool:
        return bool(self._present or self._exact or self._folded or self._affixes or self._ranges.names)

    def add(self, gate: Gate, name: str) -> None:
        """Note a candidate."""
        if gate.kind == "present":
            self._present[name] = None
        else:
            self._column(gate).setdefault(gate.value, {})[name] = None

    def remove(self, gate: Gate, name: str) -> None:
        """Forget a candidate that was noted."""
        if gate.kind == "present":
            self._present.pop(name, None)
            return
        column = self._column(gate)
        found = column.get(gate.value)
        if found is not None:
            found.pop(name, None)
            if not found:
                del column[gate.value]
        if not column and gate.kind in ("prefix", "suffix"):
            self._affixes.pop(_affix(gate), None)

    def _column(self, gate: Gate) -> dict[Any, Names]:
        """Where candidates of a gate's kind stand, by its value."""
        match gate.kind:
            case "exact":
                return self._exact
            case "folded":
                return self._folded
            case "range":
                self._ranges.forget_order()
                return self._ranges.names
            case _:
                return self._affixes.setdefault(_affix(gate), {})

    def find(self, values: Iterable[Value]) -> Iterator[Names]:
        """The candidates that the values speak for."""
        if self._present:
            yield self._present
        for value in values:
            if (found := self._exact.get(value)) is not None:
                yield found
            if isinstance(value, str):
                yield from self._find_text(value)
            elif isinstance(value, int) and self._ranges.names:
                yield from self._ranges.find(value)

    def _find_text(self, value: str) -> Iterator[Names]:
        if self._folded and (found := self._folded.get(value.lower())) is not None:
            yield found
        for (kind, length), names in self._affixes.items():
            affix = value[:length] if kind == "prefix" else value[len(value) - length :]
            if length <= len(value) and (found := names.get(affix)) is not None:
                yield found


def _affix(gate: Gate) -> tuple[str, int]:
    return gate.kind, len(str(gate.value))


class Ranges:
    """Candidates by ranges of numbers, ordered when they are first looked for after a change.

    In the order of where they begin, and of where they end among those that begin together. With each stands how far
    the ranges up to it reach: looking back from a number ends where none reaches it any more.
    """

    __slots__ = ("_ordered", "_reach", "_starts", "names")

    def __init__(self) -> None:
        self.names: dict[Range, Names] = {}
        self._starts: list[int] | None = None
        self._ordered: list[Range] = []
        self._reach: list[int] = []

    def forget_order(self) -> None:
        """The ranges are about to change."""
        self._starts = None

    def find(self, value: int) -> Iterator[Names]:
        """The candidates whose ranges the number lies in."""
        starts = self._starts if self._starts is not None else self._order()
        at = bisect_right(starts, value) - 1
        while at >= 0 and self._reach[at] >= value:
            span = self._ordered[at]
            if span[1] >= value:
                yield self.names[span]
            at -= 1

    def _order(self) -> list[int]:
        self._ordered = sorted(self.names)
        self._reach = []
        reach = None
        for _, end in self._ordered:
            reach = end if reach is None else max(reach, end)
            self._reach.append(reach)
        self._starts = [start for start, _ in self._ordered]
        return self._starts
