"""The order buffer, on a slice of its orders and a server of its own, with consumers killed on the way."""

from __future__ import annotations

import csv
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "order_buffer"
SAMPLE = EXAMPLE / "sample.csv"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / "run.py"), "--flights", str(SAMPLE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def sample_keys() -> set[str]:
    with SAMPLE.open(newline="") as lines:
        return {"/".join((r["time_hour"], r["carrier"], r["flight"], r["origin"])) for r in csv.DictReader(lines)}


def test_every_order_is_stored_exactly_once_though_consumers_are_killed(tmp_path):
    database = tmp_path / "orders.db"
    ran = run("--kills", "2", "--visibility-timeout", "2", "--database", str(database))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "each order exactly once │ yes" in ran.stdout
    assert "consumers killed        │ 2" in ran.stdout
    with sqlite3.connect(database) as opened:
        stored = [key for (key,) in opened.execute("SELECT key FROM orders")]
    opened.close()
    assert len(stored) == len(set(stored))
    assert set(stored) == sample_keys()


@pytest.mark.parametrize("damage", ["DELETE FROM orders", "UPDATE orders SET document = '{}'"])
def test_a_lost_or_changed_order_is_told(tmp_path, monkeypatch, damage):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import flights
    import ledger
    import workers

    import run as example

    database = tmp_path / "orders.db"
    with ledger.Ledger(database) as kept:
        for key, document in flights.orders(SAMPLE, 20):
            kept.store(key, document)
    task = workers.Task("", "", SAMPLE, 20, database)
    assert example.verdict(task) == []
    with sqlite3.connect(database) as opened:
        opened.execute(f"{damage} WHERE key IN (SELECT key FROM orders LIMIT 3)")
    opened.close()
    assert len(example.verdict(task)) == 3


def test_a_second_delivery_is_counted_not_stored_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import ledger

    with ledger.Ledger(tmp_path / "orders.db") as kept:
        for _ in range(3):
            kept.store("a", "{}")
        kept.store("b", "{}")
        assert kept.count() == 2
        assert kept.duplicates() == 2
