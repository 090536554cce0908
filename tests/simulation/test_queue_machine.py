"""Standard and FIFO queues against the model, as Hypothesis state machines: failures come shrunk.

The suite's runs are the same every time. For longer ones, each with runs of its own, say how many:
`HEADRACE_SIMULATION_EXAMPLES=2000 pytest tests/simulation`; `--hypothesis-seed=N` repeats one.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from .trial import RETENTIONS_MS, SEND_DELAYS_MS, TIMEOUTS_MS, Build, Trial

EXAMPLES = int(os.environ.get("HEADRACE_SIMULATION_EXAMPLES", "0"))
PROFILE = settings(
    max_examples=EXAMPLES or 30,
    stateful_step_count=40,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    print_blob=True,
)

places = st.integers(0, 1000)
queues = st.sampled_from(["main", "main", "main", "dead"])
picks = st.lists(st.tuples(places, st.sampled_from(SEND_DELAYS_MS)), min_size=1, max_size=6)


class QueueMachine(RuleBasedStateMachine):
    """Few rules, so that Hypothesis, which leaves some out in each run, leaves enough in."""

    fifo = False

    def __init__(self, build: Build) -> None:
        super().__init__()
        self.trial = Trial(build, fifo=self.fifo)

    @initialize(
        max_receives=st.sampled_from([0, 1, 2, 3]),
        delay_ms=st.sampled_from([0, 0, 2000]),
        retention_ms=st.sampled_from(RETENTIONS_MS),
        max_in_flight=st.sampled_from([0, 0, 5]),
        per_group=st.booleans(),
        picks=picks,
    )
    def begin(self, picks, **settings):
        self.trial.begin(**settings)
        self.trial.send("main", picks)

    @rule(queue=queues, picks=picks)
    def send(self, queue, picks):
        self.trial.send(queue, picks)

    @rule(
        queue=queues,
        max_messages=st.integers(1, 10),
        hide_ms=st.sampled_from([None, None, *TIMEOUTS_MS]),
        attempt_id=st.sampled_from([None, None, "t", "u"]),
    )
    def receive(self, queue, max_messages, hide_ms, attempt_id):
        self.trial.receive(queue, max_messages, hide_ms, attempt_id if self.fifo else None)

    @rule(queue=queues, place=places)
    def delete(self, queue, place):
        self.trial.delete(queue, place)

    @rule(queue=queues, place=places, timeout_ms=st.sampled_from(TIMEOUTS_MS))
    def change_visibility(self, queue, place, timeout_ms):
        self.trial.change_visibility(queue, place, timeout_ms)

    @rule(place=places, offset_ms=st.sampled_from([-1, 0, 0, 1]))
    def advance_to_an_event(self, place, offset_ms):
        self.trial.advance_to_an_event(place, offset_ms)

    @rule(
        what=st.sampled_from(["reopen", "redrive", "redrive", "purge", "advance", "reconfigure"]),
        queue=queues,
        flag=st.booleans(),
        retention_ms=st.sampled_from(RETENTIONS_MS),
    )
    def upkeep(self, what, queue, flag, retention_ms):
        match what:
            case "reopen":
                self.trial.reopen()
            case "redrive":
                self.trial.redrive(to_source=flag)
            case "purge":
                self.trial.purge(queue)
            case "advance":
                self.trial.advance(1000 + 60_000 * flag)
            case _:
                self.trial.reconfigure(retention_ms, 2000 * flag)

    @invariant()
    def depths_are_right(self):
        self.trial.check_depths()

    def teardown(self):
        self.trial.end()


class FifoQueueMachine(QueueMachine):
    fifo = True


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("machine", [QueueMachine, FifoQueueMachine], ids=["standard", "fifo"])
def test_a_queue(build: Build, machine: type[QueueMachine]) -> None:
    run_state_machine_as_test(lambda: machine(build), settings=PROFILE)
