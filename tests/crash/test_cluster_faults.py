"""Members of a cluster that are killed, paused and cut off under mixed traffic: what was promised holds.

Three NATS servers and three Headrace processes, each a process of its own. All calls and answers are written down, and
judged when the traffic has ended. The long run, each fault to each member and two at once, is

    make test-faults ROUNDS=1 SEED=7
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import cluster_faults
from .cluster_calls import outages
from .cluster_checker import Fault
from .cluster_faults import Plan
from .cluster_members import Cluster
from .cluster_network import CLIENTS, ENTER_NAMESPACE, Namespaces, Network, Proxies, why_no_namespaces
from .cluster_run import FIRST_RETENTION_S, Resources, Traffic
from .publishers import WebEndpoint

ROUNDS = int(os.environ.get("HEADRACE_CLUSTER_ROUNDS", "0"))
"""Rounds of the long run; 0 for the short one."""
SEED = int(os.environ.get("HEADRACE_CLUSTER_SEED", "1"))
KINDS = os.environ.get(
    "HEADRACE_CLUSTER_KINDS", "kill -9,SIGTERM,pause,pause 2 s,cut off,cut off from NATS,two at once"
)
INSIDE = "HEADRACE_CLUSTER_NAMESPACES"
AVAILABLE_S = {1: 10.0, 2: 15.0}
"""Nobody's work may be impossible for longer, when one member has a fault, and when two have at once."""
CALM_S = float(os.environ.get("HEADRACE_CLUSTER_CALM_S", "10" if ROUNDS else "2"))
"""Before the first fault, and after each. In the long run so long that what follows a fault is over before the next."""
FAULTS_A_ROUND = 12
"""After so many the traffic is stopped and judged, and starts anew."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    network: Network = Namespaces() if INSIDE in os.environ else Proxies()
    cluster = Cluster(network, tmp_path)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
        network.close()


def plans(cluster: Cluster, rng: random.Random) -> list[Plan]:
    if not ROUNDS:
        if INSIDE in os.environ:
            return [Plan("cut off", (rng.choice(members),)) for members in (cluster.servers, cluster.processes)]
        return [*cluster_faults.short(cluster, rng), Plan("cut off from NATS", (rng.choice(cluster.processes),))]
    kinds = KINDS.split(",")
    chosen: list[Plan] = []
    for _ in range(ROUNDS):
        some = cluster_faults.one_at_a_time(cluster, [kind for kind in kinds if kind in cluster_faults.ACTIONS])
        some += cluster_faults.two_at_once(cluster, rng) if "two at once" in kinds else []
        rng.shuffle(some)
        chosen += [plan for plan in some if INSIDE not in os.environ or plan.kind != "cut off from NATS"]
    return chosen


@pytest.mark.timeout(400 + 1800 * ROUNDS)
def test_what_was_promised_holds(cluster):
    rng = random.Random(SEED)
    web = WebEndpoint(cluster.network.host(CLIENTS))
    try:
        resources = Resources(cluster.endpoints[0], web)
        todo, table, first = plans(cluster, rng), {}, FIRST_RETENTION_S
        while todo:
            some, todo = todo[:FAULTS_A_ROUND], todo[FAULTS_A_ROUND:]
            traffic = Traffic(cluster.endpoints, resources, web, rng.getrandbits(40), first)
            faults = run(cluster, traffic, some)
            found = traffic.end(faults)
            waits = list(outages(traffic.calls.all))
            merge(table, cluster_faults.worst(waits, faults))
            say(f"{len(traffic.calls.all)} calls\n{cluster_faults.report(table)}")
            say(cluster_faults.longest(waits, faults))
            assert found == [], "\n".join([*found[:20], *traffic.stories(found[:3]), *map(str, faults)])
            first = traffic.register.tried
        too_long = {
            kind: worst
            for kind, works in table.items()
            if (worst := max(works.values())) >= AVAILABLE_S[1 + kind.count(" + ")]
        }
        assert too_long == {} or not ROUNDS  # the short run has to share the machine with other tests
    finally:
        web.close()


def run(cluster: Cluster, traffic: Traffic, some: list[Plan]) -> list[Fault]:
    traffic.start()
    time.sleep(CALM_S)
    faults = []
    for plan in some:
        say(f"{plan.kind}: {', '.join(victim.name for victim in plan.victims)}")
        faults.append(cluster_faults.carry_out(cluster, plan, CALM_S))
    return faults


def merge(table: dict[str, dict[str, float]], more: dict[str, dict[str, float]]) -> None:
    for kind, works in more.items():
        known = table.setdefault(kind, {})
        for work, seconds in works.items():
            known[work] = max(seconds, known.get(work, 0.0))


@pytest.mark.skipif(INSIDE in os.environ, reason="this is what is run in the namespaces")
@pytest.mark.timeout(400 + 1800 * ROUNDS)
def test_the_same_in_network_namespaces():
    """All of it once more where each member has a network namespace, and is cut off by taking its interface down."""
    reason = why_no_namespaces()
    if reason:
        pytest.skip(reason)
    name = f"{__file__}::{test_what_was_promised_holds.__name__}"
    command = [*ENTER_NAMESPACE, sys.executable, "-m", "pytest", "-q", "-n", "0", "-s", "-p", "no:cacheprovider", name]
    inside = subprocess.run(command, env=os.environ | {INSIDE: "1"}, capture_output=True, text=True, check=False)
    say(inside.stdout)
    assert inside.returncode == 0, inside.stdout[-6000:] + inside.stderr[-2000:]


def say(text: str) -> None:
    """For whoever runs it with `-s`."""
    sys.stdout.write(f"\n{time.strftime('%X')} {text}\n")
    sys.stdout.flush()
