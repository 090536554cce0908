"""What all simulations share: the engines they run on.

All runs are on the engine that HEADRACE_TEST_ENGINE names in the environment. Without it they are on the embedded one,
and the first few of those with seeds on the cluster engine too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.clock import VirtualClock
from headrace.engines.sqlite import group_order
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.primitives.engine import Engine

HERE = Path(__file__).parent
ENGINE = os.environ.get("HEADRACE_TEST_ENGINE")
FEW = 2
"""Seeds that are run on the cluster engine when all are run on the embedded one."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have every simulation run on the engines that were asked for."""
    if "engine_name" in metafunc.fixturenames:
        metafunc.parametrize("engine_name", [ENGINE] if ENGINE else ["sqlite", "nats"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of runs that are made on the embedded engine too, leave out all but a few on the cluster engine."""
    many = {item for item in items if item.path.is_relative_to(HERE) and _is_more(item)}
    items[:] = [item for item in items if item not in many]
    config.hook.pytest_deselected(items=list(many))


def _is_more(item: pytest.Item) -> bool:
    chosen = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if chosen.get("engine_name") != "nats":
        return False
    if chosen.get("slow_disk"):  # its disk is NATS's
        return True
    return not ENGINE and chosen.get("seed", FEW) >= FEW


@pytest.fixture
def build(engine_name: str, request: pytest.FixtureRequest) -> Callable[[str, VirtualClock], Engine]:
    """What builds the engine under test, given its directory and its clock. On NATS the directory is a prefix."""
    if engine_name == "sqlite":
        return SqliteEngine
    from headrace.engines.nats.engine import NatsEngine
    from headrace.engines.nats.options import Options

    urls = request.getfixturevalue("nats_servers")(1)

    def on_nats(directory: str, clock: VirtualClock) -> Engine:
        prefix = "s" + hashlib.sha256(directory.encode()).hexdigest()[:12]
        return NatsEngine(Options(urls=urls, prefix=prefix), clock)

    return on_nats


@pytest.fixture(autouse=True)
def few_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have FIFO groups written down so often that they are half in memory, half in their table, at all times."""
    monkeypatch.setattr(group_order, "FRESH_MAX", 7)
    monkeypatch.setattr(group_order, "WRITTEN_AT_ONCE", 3)
