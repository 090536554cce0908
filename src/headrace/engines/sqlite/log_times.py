"""Where in a log a moment lies.

The times of chunks grow with their sequences, so a moment is found by halving, through the index by sequence. An index
by time would be one more page to write for every log that is appended to.
"""

from __future__ import annotations

from typing import Final

from headrace.engines.sqlite.connection import Connection

_CHUNK_AFTER: Final = """
SELECT first_sequence, last_sequence, appended_at_ms FROM log_chunks
WHERE log = ? AND last_sequence > ? ORDER BY last_sequence LIMIT 1"""


def first_since(connection: Connection, number: int, low: int, high: int, at_ms: int) -> int | None:
    """The first sequence of the first chunk appended at or after `at_ms`, of those with sequences above `low` up to
    `high`; None when there is none.
    """
    found: int | None = None
    while low < high:
        middle = (low + high) // 2
        chunk = connection.execute(_CHUNK_AFTER, (number, middle)).fetchone()
        if chunk is None:
            high = middle
            continue
        first, last, appended_at_ms = chunk
        if appended_at_ms >= at_ms:
            found, high = first, min(middle, first - 1)
        else:
            low = last
    return found
