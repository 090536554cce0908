"""The order fan-out, on a slice of its orders and servers of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE = EXAMPLES / "order_fanout"
SAMPLE = EXAMPLES / "order_buffer" / "sample.csv"


@pytest.fixture
def example(monkeypatch):
    """The example's module: both examples have one of that name."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    found = importlib.util.spec_from_file_location("order_fanout_run", EXAMPLE / "run.py")
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "order_fanout_run", module)
    found.loader.exec_module(module)
    return module


def test_everybody_gets_what_they_asked_for():
    command = [sys.executable, str(EXAMPLE / "run.py"), "--flights", str(SAMPLE)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "everybody got what they asked for" in ran.stdout
    assert "1,203 orders published" in ran.stdout
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in ran.stdout.splitlines() if "│" in line]
    assert rows == [
        ["warehouse", "sqs", "897"],
        ["payments", "sqs", "306"],
        ["support", "email", "37"],
        ["dispatch", "http", "108"],
        ["audit", "sqs", "1,203"],
    ]


def test_what_is_missing_or_too_much_is_told(example):
    verdict = example.judge(Counter(a=1, b=2, d=1), Counter("abc"))
    assert verdict == example.Verdict(missing=["c"], unwanted=["d"], again=1)


@pytest.mark.parametrize(
    ("dep_time", "dep_delay", "event"),
    [("NA", "NA", "order_cancelled"), ("517", "15", "order_placed"), ("517", "16", "order_declined")],
)
def test_what_becomes_of_orders(example, dep_time, dep_delay, event):
    assert example.orders.event_of({"dep_time": dep_time, "dep_delay": dep_delay}) == event
