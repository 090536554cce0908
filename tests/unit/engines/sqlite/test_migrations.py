"""Schema changes: each once, in order, whole or not at all; and no file is touched that is not ours."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import apsw
import pytest

from headrace.engines.sqlite import migrations
from headrace.errors import StorageCorrupt

LATEST = migrations.scripts()[-1][0]


@pytest.fixture
def connection(tmp_path):
    connection = apsw.Connection(str(tmp_path / "headrace.db"))
    yield connection
    connection.close()


def tables(connection):
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def version(connection):
    return connection.execute("PRAGMA user_version").get


def test_numbers_are_contiguous_and_files_are_named_for_them():
    assert [number for number, _ in migrations.scripts()] == list(range(1, LATEST + 1))
    for path in Path(migrations.__file__).parent.glob("*.sql"):
        number, _, name = path.stem.partition("_")
        assert len(number) == 4
        assert number.isdigit()
        assert name.isidentifier()


def test_a_new_file_gets_the_whole_schema(connection):
    assert migrations.verify(connection) == 0
    migrations.migrate(connection)
    assert migrations.verify(connection) == LATEST
    assert {"queues", "messages", "metadata", "leases", "logs", "log_chunks"} <= tables(connection)
    assert connection.execute("PRAGMA application_id").get == migrations.APPLICATION_ID


def test_every_table_has_types(connection):
    migrations.migrate(connection)
    listed = connection.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'")
    assert [name for name, strict in listed if not strict and not name.startswith("sqlite_")] == []


def test_migrating_again_changes_nothing(connection):
    migrations.migrate(connection)
    changes = connection.total_changes()
    schema = connection.execute("PRAGMA schema_version").get
    migrations.migrate(connection)
    assert connection.total_changes() == changes
    assert connection.execute("PRAGMA schema_version").get == schema


@pytest.mark.parametrize("have", range(1, LATEST))
def test_an_older_file_gets_what_it_lacks(connection, have):
    with mock.patch.object(migrations, "scripts", return_value=migrations.scripts()[:have]):
        migrations.migrate(connection)
    assert version(connection) == have
    connection.execute("INSERT INTO queues (name, settings, next_sequence) VALUES ('kept', x'', 7)")
    migrations.migrate(connection)
    assert version(connection) == LATEST
    assert connection.execute("SELECT next_sequence FROM queues WHERE name = 'kept'").get == 7


def test_a_migration_that_fails_leaves_the_version_before_it(connection):
    broken = [*migrations.scripts(), (LATEST + 1, "CREATE TABLE half (x); SELECT nothing FROM nowhere")]
    with mock.patch.object(migrations, "scripts", return_value=broken), pytest.raises(apsw.SQLError):
        migrations.migrate(connection)
    assert version(connection) == LATEST
    assert "half" not in tables(connection)


def test_a_newer_file_is_refused(connection):
    migrations.migrate(connection)
    connection.execute(f"PRAGMA user_version = {LATEST + 1}")
    with pytest.raises(StorageCorrupt, match=f"newer Headrace .schema {LATEST + 1}; this one knows {LATEST}"):
        migrations.migrate(connection)


@pytest.mark.parametrize(
    "foreign", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 42", "PRAGMA user_version = 3"]
)
def test_another_programs_file_is_refused(connection, foreign):
    connection.execute(foreign)
    with pytest.raises(StorageCorrupt, match="another program"):
        migrations.migrate(connection)
