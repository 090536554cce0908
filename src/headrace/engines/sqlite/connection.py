"""A connection as the statements here use it: rows come back as what the schema says they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Connection(Protocol):
    """The part of `apsw.Connection` that runs statements."""

    def execute(self, statements: str, bindings: Sequence[Any] = ..., /) -> Any:
        """Run SQL; a cursor over its rows, whose `get` is the first row's value (or row) or None."""

    def executemany(self, statements: str, sequenceofbindings: Iterable[Sequence[Any]], /) -> Any:
        """Run SQL once for each set of bindings."""

    def changes(self) -> int:
        """Rows changed by the latest statement."""
