"""What all simulations share."""

import pytest

from headrace.engines.sqlite import group_order


@pytest.fixture(autouse=True)
def few_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have FIFO groups written down so often that they are half in memory, half in their table, at all times."""
    monkeypatch.setattr(group_order, "FRESH_MAX", 7)
    monkeypatch.setattr(group_order, "WRITTEN_AT_ONCE", 3)
