"""What a scenario measured, and how it is shown: a table with one column a server, and a JSON file a run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import load
import servers

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Run:
    """How long and how often is measured."""

    seconds: float = 6
    rounds: int = 3
    messages: int = 1_000_000
    """The large backlog."""
    groups: int = 100_000
    """The message groups of the large FIFO backlog."""


@dataclass(frozen=True)
class Figure:
    """One measured figure. `ratio` is to `base` (by default the floor); `goal` binds the ratio, or else the value."""

    metric: str
    value: float
    unit: str
    base: str = ""
    base_value: float | None = None
    ratio: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def judged(self) -> float:
        """What the goal is about."""
        return self.value if self.ratio is None else self.ratio

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.at_least is None and self.at_most is None:
            return None
        high_enough = self.at_least is None or self.judged >= self.at_least
        return high_enough and (self.at_most is None or self.judged <= self.at_most)

    @property
    def goal(self) -> str:
        """The goal in words."""
        kind = f" x {self.base}" if self.ratio is not None else f" {self.unit}"
        least = "" if self.at_least is None else f"≥ {self.at_least:g}{kind}"
        most = "" if self.at_most is None else f"≤ {self.at_most:g}{kind}"
        return least or most


Scenario = Callable[[str, Run], Iterable[Figure]]
"""Measures the named server."""


def rated(
    metric: str, unit: str, compared: load.Comparison, *, base: str = "floor", at_least: float | None = None
) -> Figure:
    """A rate held against another."""
    return Figure(metric, compared.rate, unit, base, compared.base_rate, compared.ratio, at_least=at_least)


def processor(metric: str, unit: str, compared: load.Comparison, *, base: str = "floor") -> Figure:
    """Processor time of the server, which another program on the machine disturbs less than it does a rate."""
    ratio = compared.cpu_us / compared.base_cpu_us
    return Figure(f"{metric}: processor", compared.cpu_us, unit, base, compared.base_cpu_us, ratio)


def slowest(
    metric: str, compared: load.Comparison, *, base: str = "floor", at_most: float | None = None
) -> list[Figure]:
    """The 99th percentiles of the latency, of the subject and of its base."""
    ours = Figure(f"{metric}: p99", compared.p99_ms, "ms", at_most=at_most)
    return [ours, Figure(f"{metric}: p99 of the {base}", compared.base_p99_ms, "ms")]


def measure(name: str, scenario: Scenario, server: str, run: Run) -> Iterator[Figure]:
    """The figures of one scenario on one server, printed as they come.

    A server that fails ends this scenario, not the run.
    """
    try:
        for figure in scenario(server, run):
            _print_line(server, figure)
            yield figure
    except (load.LoadFailed, servers.ServerFailed, OSError, Exception) as failure:  # noqa: BLE001 - peers fail in many ways
        print(f"  {server:<10} {name} failed: {failure!r}"[:300], flush=True)


def _print_line(server: str, figure: Figure) -> None:
    ratio = "" if figure.ratio is None else f"  {figure.ratio:.2f} x {figure.base} ({figure.base_value:,.0f})"
    goal = {None: "", True: f"  met: {figure.goal}", False: f"  MISSED: {figure.goal}"}[figure.met]
    print(f"  {server:<10} {figure.metric:<52} {figure.value:>12,.2f} {figure.unit}{ratio}{goal}", flush=True)


def table(figures: dict[str, list[Figure]]) -> Table:
    """Every metric in a row, every server in a column."""
    shown = Table(title="bench", title_justify="left")
    shown.add_column("metric")
    shown.add_column("base", justify="right")
    for server in figures:
        shown.add_column(server, justify="right")
    shown.add_column("goal (headrace)")
    rows = {figure.metric: figure for found in figures.values() for figure in found}
    rows |= {figure.metric: figure for figure in figures.get("headrace", [])}
    for metric, row in rows.items():
        cells = [next((_cell(f) for f in found if f.metric == metric), "—") for found in figures.values()]
        base = "" if row.base_value is None else f"{row.base} {row.base_value:,.0f}"
        judged = row.met if "headrace" in figures else None
        goal = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[judged]
        shown.add_row(f"{metric} ({row.unit})", base, *cells, f"{row.goal} {goal}".strip())
    return shown


def _cell(figure: Figure) -> str:
    value = f"{figure.value:,.0f}" if figure.value >= 100 else f"{figure.value:.2f}"
    return value if figure.ratio is None else f"{value} ({figure.ratio:.2f}x)"


def write(figures: dict[str, list[Figure]], run: Run) -> Path:
    """Keep the run as JSON under `results/`; the file."""
    RESULTS.mkdir(exist_ok=True)
    kept = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "run": asdict(run),
        "figures": {
            server: [{**asdict(figure), "goal": figure.goal, "met": figure.met} for figure in found]
            for server, found in figures.items()
        },
    }
    file = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return file


def main(scenarios: dict[str, Scenario], *, chosen: str = "", servers_measured: str = "headrace") -> None:
    """The command line shared by all scenario scripts and by the run of them all."""
    parser = argparse.ArgumentParser(description="Measure Headrace, and what it is held against.")
    parser.add_argument("scenario", nargs="*", default=[], help=f"of {', '.join(scenarios)}; all by default")
    parser.add_argument(
        "--servers", default=servers_measured, help="comma-separated: headrace, moto, ministack, kinesalite"
    )
    parser.add_argument("--seconds", type=float, default=Run.seconds, help="length of one measurement")
    parser.add_argument(
        "--rounds", type=int, default=Run.rounds, help="measurements a figure, each between two of its base"
    )
    parser.add_argument("--messages", type=int, default=Run.messages, help="the large backlog")
    parser.add_argument("--groups", type=int, default=Run.groups, help="message groups of the large FIFO backlog")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # as Ctrl-C: the servers started here end too
    load.require_wrk()
    run = Run(given.seconds, given.rounds, given.messages, given.groups)
    names = given.scenario or ([chosen] if chosen else list(scenarios))
    if unknown := set(names) - set(scenarios):
        sys.exit(f"bench: no scenario {', '.join(sorted(unknown))}; there are {', '.join(scenarios)}")
    figures: dict[str, list[Figure]] = {server: [] for server in given.servers.split(",")}
    for name in names:
        print(f"{name}: {(scenarios[name].__doc__ or '').splitlines()[0]}", flush=True)
        for server in figures:
            figures[server] += measure(name, scenarios[name], server, run)
    Console(width=max(140, Console().width)).print(table(figures))
    print(f"kept in {write(figures, run).relative_to(servers.ROOT)}")
