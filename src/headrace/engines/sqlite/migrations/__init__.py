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


def verify(connection: apsw.Connection) -> int:
    """The file's schema version, 0 for a new file. Raises StorageCorrupt when it is another program's or newer."""
    application_id = connection.execute("PRAGMA application_id").get
    version: int = connection.execute("PRAGMA user_version").get
    if application_id != APPLICATION_ID and (
        application_id or version or connection.execute("SELECT count(*) FROM sqlite_schema").get
    ):
        raise StorageCorrupt(f"{connection.filename}: this is a database of another program. Choose another --data.")
    known = scripts()[-1][0]
    if version > known:
        raise StorageCorrupt(
            f"{connection.filename}: written by a newer Headrace (schema {version}; this one knows {known}). "
            "Start that version, or choose another --data."
        )
    return version


def migrate(connection: apsw.Connection) -> None:
    """Bring the schema up to date. Raises StorageCorrupt as `verify` does."""
    version = verify(connection)
    for number, sql in scripts():
        if number > version:
            with connection:
                connection.execute(sql)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}")
