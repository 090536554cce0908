"""From starting the process with an empty data directory to the first answered request, and what it then takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import report
import servers

STARTS = 5
SETTLE_S = 1


def scenario(server: str, run: report.Run) -> Iterator[report.Figure]:  # noqa: ARG001 - the number of starts is fixed
    """Start to first answer; idle memory."""
    started: list[float] = []
    resident: list[int] = []
    for _ in range(STARTS):
        with servers.running(server) as subject:
            started.append(time.monotonic() - subject.started_at)
            time.sleep(SETTLE_S)
            resident.append(subject.resident_bytes())
    yield report.Figure("start to first answered request", statistics.median(started), "s", at_most=1)
    yield report.Figure("idle resident memory, all processes", statistics.median(resident) / 1e6, "MB", at_most=80)


if __name__ == "__main__":
    report.main({"start": scenario})
