"""Numbered schema changes: `0001_queues.sql`, `0002_…`, each applied once, in order, in a transaction of its own.

`PRAGMA user_version` counts those applied. A file that landed is never edited: a change is a new number.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

import apsw

from headrace.errors import StorageCorrupt

APPLICATION_ID: Final = 0x48445243
"""Marks a database file as Headrace's ("HDRC")."""


def scripts() -> list[tuple[int, str]]:
    """Number and SQL text of every migration, in order."""
    files = [entry for entry in resources.files(__name__).iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name[:4]), entry.read_text()) for entry in files)


def migrate(connection: apsw.Connection) -> None:
    """Bring the schema up to date. Raises StorageCorrupt for a file of another program or a newer version."""
    application_id = connection.execute("PRAGMA application_id").get
    version: int = connection.execute("PRAGMA user_version").get
    known = scripts()
    if application_id != APPLICATION_ID:
        if application_id or version or connection.execute("SELECT count(*) FROM sqlite_schema").get:
            raise StorageCorrupt(f"{connection.filename}: this is a database of another program.")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    if version > known[-1][0]:
        raise StorageCorrupt(
            f"{connection.filename}: written by a newer Headrace (schema {version}; this one knows {known[-1][0]})."
        )
    for number, sql in known:
        if number > version:
            with connection:
                connection.execute(sql)
                connection.execute(f"PRAGMA user_version = {number}")
