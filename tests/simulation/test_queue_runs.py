"""Standard and FIFO queues against the model, in long seeded runs: full queues, many steps, no shrinking.

`HEADRACE_SIMULATION_SEEDS=1000:2000 pytest tests/simulation/test_queue_runs.py` runs those seeds instead.
"""

from __future__ import annotations

import os
import random

import pytest

from .trial import RETENTIONS_MS, SEND_DELAYS_MS, TIMEOUTS_MS, Build, Trial

FIRST, LAST = (int(seed) for seed in os.environ.get("HEADRACE_SIMULATION_SEEDS", "0:12").split(":"))
STEPS = 250
WEIGHTS = {
    "send": 20,
    "receive": 30,
    "delete": 15,
    "change_visibility": 12,
    "advance_to_an_event": 18,
    "advance": 3,
    "redrive": 3,
    "reopen": 2,
    "purge": 1,
    "reconfigure": 1,
}


def begin(trial: Trial, rng: random.Random) -> None:
    trial.begin(
        max_receives=rng.choice([0, 1, 2, 3, 5]),
        delay_ms=rng.choice([0, 0, 2000]),
        retention_ms=rng.choice(RETENTIONS_MS),
        max_in_flight=rng.choice([0, 0, 5, 20]),
        per_group=rng.random() < 0.5,
    )


def step(trial: Trial, rng: random.Random) -> None:
    queue = rng.choice(["main", "main", "main", "dead"])
    place = rng.randrange(1000)
    picks = [(rng.randrange(1000), rng.choice(SEND_DELAYS_MS)) for _ in range(rng.randint(1, 10))]
    hide_ms = rng.choice([None, None, *TIMEOUTS_MS])
    attempt_id = rng.choice([None, "t", "u"]) if trial.fifo else None
    steps = {
        "send": lambda: trial.send(queue, picks),
        "receive": lambda: trial.receive(queue, rng.randint(1, 10), hide_ms, attempt_id),
        "delete": lambda: trial.delete(queue, place),
        "change_visibility": lambda: trial.change_visibility(queue, place, rng.choice(TIMEOUTS_MS)),
        "advance_to_an_event": lambda: trial.advance_to_an_event(place, rng.choice([-1, 0, 0, 1])),
        "advance": lambda: trial.advance(rng.choice([1, 1000, 20_000, 301_000])),
        "redrive": lambda: trial.redrive(to_source=rng.random() < 0.5),
        "reopen": trial.reopen,
        "purge": lambda: trial.purge(queue),
        "reconfigure": lambda: trial.reconfigure(rng.choice(RETENTIONS_MS), rng.choice([0, 2000])),
    }
    steps[rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]]()


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_a_seeded_run(build: Build, fifo: bool, seed: int) -> None:
    rng = random.Random(seed)
    trial = Trial(build, fifo=fifo)
    try:
        begin(trial, rng)
        for _ in range(STEPS):
            step(trial, rng)
            trial.check_depths()
    finally:
        trial.end()
