"""What can befall the members of a cluster, and what is said about how long nobody was served."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .cluster_calls import Outage
from .cluster_checker import Fault
from .cluster_members import Cluster, HeadraceMember, Member, NatsMember

RESTART_S = 1.5
"""Between a member's end and its next start."""
HOLD_S = float(os.environ.get("HEADRACE_CLUSTER_HOLD_S", "7"))
"""How long members are paused or cut off: longer than every lease, and than anybody is waited for."""
BLINK_S = 2.0
"""Shorter than anybody is given up: what was paused goes on where it was."""


@dataclass(frozen=True)
class Plan:
    """A fault to be: its kind and the members that it befalls."""

    kind: str
    victims: tuple[Member, ...]


def kill(_: Cluster, *members: Member) -> None:
    for member in members:
        member.kill()
    time.sleep(RESTART_S)
    for member in members:
        member.start()


def terminate(_: Cluster, member: Member) -> None:
    """As in a rolling upgrade."""
    assert member.process is not None
    member.process.send_signal(signal.SIGTERM)
    member.process.wait(40)
    member.start()


def pause(_: Cluster, *members: Member, for_s: float = HOLD_S) -> None:
    for member in members:
        member.pause()
    time.sleep(for_s)
    for member in members:
        member.resume()


def blink(cluster: Cluster, *members: Member) -> None:
    pause(cluster, *members, for_s=BLINK_S)


def cut(_: Cluster, member: Member) -> None:
    member.network.cut(member.name)
    time.sleep(HOLD_S)
    member.network.heal(member.name)


def cut_from_nats(cluster: Cluster, member: Member) -> None:
    """Clients still reach the process: what it answers them is from what it holds in memory."""
    member.network.cut(member.name, [server.name for server in cluster.servers])
    time.sleep(HOLD_S)
    member.network.heal(member.name)


def pause_and_kill(_: Cluster, first: Member, second: Member) -> None:
    first.pause()
    time.sleep(RESTART_S)
    second.kill()
    second.start()
    time.sleep(HOLD_S - RESTART_S)
    first.resume()


ACTIONS: dict[str, Callable[..., None]] = {
    "kill -9": kill,
    "SIGTERM": terminate,
    "pause": pause,
    "pause 2 s": blink,
    "cut off": cut,
    "cut off from NATS": cut_from_nats,
    "pause one, kill one": pause_and_kill,
}


def one_at_a_time(cluster: Cluster, kinds: Iterable[str]) -> list[Plan]:
    """Each kind of fault to each member."""
    return [
        Plan(kind, (member,))
        for kind in kinds
        for member in cluster.members
        if kind != "cut off from NATS" or isinstance(member, HeadraceMember)
    ]


def two_at_once(cluster: Cluster, rng: random.Random) -> list[Plan]:
    """Faults of two members after which a majority of the NATS servers, and a process, are left."""
    server, other = rng.sample(cluster.servers, 2)
    process, second = rng.sample(cluster.processes, 2)
    return [
        Plan("kill -9", (server, process)),
        Plan("kill -9", (process, second)),
        Plan("pause", (other, second)),
        Plan("pause one, kill one", (process, second)),
        Plan("pause one, kill one", (server, process)),
        Plan("pause one, kill one", (second, other)),
    ]


def short(cluster: Cluster, rng: random.Random) -> list[Plan]:
    """A few faults, one after another: what is run with all other tests."""
    server, process = rng.choice(cluster.servers), rng.choice(cluster.processes)
    others = [each for each in cluster.processes if each is not process]
    return [Plan("kill -9", (server,)), Plan("kill -9", (process,)), Plan("pause", (rng.choice(others),))]


def carry_out(cluster: Cluster, plan: Plan, settle_s: float) -> Fault:
    """Let it befall them, and wait until all are well again and for a while longer."""
    began = time.monotonic()
    ACTIONS[plan.kind](cluster, *plan.victims)
    ended = time.monotonic()
    for member in plan.victims:
        member.wait_until_ready()
    time.sleep(settle_s)
    return Fault(plan.kind, tuple(victim.name for victim in plan.victims), began, ended, time.monotonic())


def layers(fault: Fault) -> str:
    """The kind and what it befell, without the numbers."""
    return f"{fault.kind}: {' + '.join(name.rstrip('0123456789') for name in fault.victims)}"


def worst(found: Iterable[Outage], faults: list[Fault]) -> dict[str, dict[str, float]]:
    """For each kind of fault, and "none", the longest time that each kind of work could not be done."""
    table: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for outage in found:
        during = [fault for fault in faults if fault.began <= outage.ended and fault.over >= outage.began]
        for kind in {layers(fault) for fault in during} or {"none"}:
            table[kind][outage.kind] = max(table[kind][outage.kind], outage.seconds)
    return table


def report(table: dict[str, dict[str, float]]) -> str:
    """The table for people: each kind of fault, its worst figure, and the work that had it."""
    lines = []
    for kind, kinds in sorted(table.items()):
        ranked = sorted(kinds.items(), key=lambda item: -item[1])
        detail = ", ".join(f"{work} {seconds:.1f}" for work, seconds in ranked[:4])
        lines.append(f"{kind:34} {ranked[0][1]:5.1f} s   {detail}")
    return "\n".join(lines)


__all__ = ["NatsMember", "Plan", "carry_out", "one_at_a_time", "report", "short", "two_at_once", "worst"]
