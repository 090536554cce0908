"""The database: an SQLite file where every order is a transaction of its own, as a shop's would be.

One durable commit an order makes it slower than the spike.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Self

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    key TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID
"""

# The key makes a second delivery harmless: it is counted, not stored again.
_STORE = """
INSERT INTO orders (key, document) VALUES (?, ?)
ON CONFLICT (key) DO UPDATE SET deliveries = deliveries + 1
"""

BUSY_TIMEOUT_S = 60


class Ledger:
    """A connection to the database; every process opens its own."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(_SCHEMA)

    def __enter__(self) -> Self:
        """Closed at the end of `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._db.close()

    def store(self, key: str, document: str) -> None:
        """Keep the order; committed when this returns."""
        self._db.execute(_STORE, (key, document))

    def count(self) -> int:
        """Orders kept."""
        return int(self._db.execute("SELECT count(*) FROM orders").fetchone()[0])

    def duplicates(self) -> int:
        """Deliveries beyond each order's first."""
        return int(self._db.execute("SELECT coalesce(sum(deliveries - 1), 0) FROM orders").fetchone()[0])

    def documents(self) -> dict[str, str]:
        """Every order by its key."""
        return dict(self._db.execute("SELECT key, document FROM orders"))
