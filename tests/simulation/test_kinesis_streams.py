"""Streams against what was put, in seeded runs: writes, splits, merges, scaling, expiry, restarts, and many readers.

`HEADRACE_SIMULATION_SEEDS=1000:2000 pytest tests/simulation/test_kinesis_streams.py` runs those seeds instead.
"""

from __future__ import annotations

import os

import pytest

from .stream_trial import HOUR_MS, Build, StreamTrial

FIRST, LAST = (int(seed) for seed in os.environ.get("HEADRACE_SIMULATION_SEEDS", "0:10").split(":"))
STEPS = 250
KEYS = [f"key-{number}" for number in range(7)]
READERS = 8
WEIGHTS = {
    "put": 15,
    "put_many": 25,
    "read": 40,
    "advance": 12,
    "begin_reader": 4,
    "split": 4,
    "merge": 4,
    "scale": 2,
    "change_retention": 1,
    "reopen": 2,
}


def step(trial: StreamTrial) -> None:
    rng = trial.rng

    def begin_reader() -> None:
        if len(trial.readers) < READERS:
            trial.begin_reader(rng.choice(["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]))

    def read() -> None:
        if trial.readers:
            trial.read(rng.choice(trial.readers), rng.choice([1, 2, 10, 10_000]))

    steps = {
        "put": lambda: trial.put(rng.choice(KEYS)),
        "put_many": lambda: trial.put_many(rng.choices(KEYS, k=rng.choice([1, 3, 20, 100]))),
        "read": read,
        "advance": lambda: trial.advance(rng.choice([1, 200, 10_000, 301_000, 5 * HOUR_MS, 25 * HOUR_MS])),
        "begin_reader": begin_reader,
        "split": trial.split,
        "merge": trial.merge,
        "scale": trial.scale,
        "change_retention": trial.change_retention,
        "reopen": trial.reopen,
    }
    steps[rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]]()


@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_a_seeded_run(build: Build, seed: int) -> None:
    trial = StreamTrial(build, seed)
    try:
        trial.create(trial.rng.choice([1, 2, 5]))
        trial.begin_reader("TRIM_HORIZON")
        for _ in range(STEPS):
            step(trial)
        trial.drain()
        assert sum(len(puts) for puts in trial.puts.values()) > STEPS
        assert any(reader.passed for reader in trial.readers)
    finally:
        trial.end()
