"""kill -9 in the middle of mixed load, again and again on the same data: nothing acknowledged may be lost or undone.

Rounds and the seed can be chosen: `HEADRACE_CRASH_ROUNDS=200 HEADRACE_CRASH_SEED=7 pytest tests/crash`.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from headrace.testing import Process, spawn

from .checker import Case, violations
from .clients import Caller, Client, run_until_killed
from .history import History, Send

ROUNDS = int(os.environ.get("HEADRACE_CRASH_ROUNDS", "20"))
SEED = int(os.environ.get("HEADRACE_CRASH_SEED", "1"))
STANDARD, DEAD, FIFO = "orders", "orders-dead", "orders.fifo"
DEDUP_WINDOW_S = 290


def make_queues(server: Process) -> None:
    sqs = server.client("sqs")
    dead = sqs.create_queue(QueueName=DEAD)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 4}}'
    sqs.create_queue(QueueName=STANDARD, Attributes={"RedrivePolicy": redrive})
    sqs.create_queue(QueueName=FIFO, Attributes={"FifoQueue": "true"})


def load_and_kill(server: Process, history: History, rng: random.Random) -> None:
    """Mixed load from eight threads for a while, then SIGKILL."""

    def client(queue: str) -> Client:
        return Client(server.endpoint_url, queue, history, rng.getrandbits(40))

    works = [client(STANDARD).produce, client(STANDARD).produce, client(FIFO).produce, client(FIFO).produce]
    works += [client(STANDARD).consume, client(STANDARD).consume, client(FIFO).consume, client(FIFO).consume]
    threads = run_until_killed(*works)
    time.sleep(rng.uniform(0.2, 1.0))
    server.kill()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def check_depths(server: Process, history: History) -> None:
    """The counts lie between what must be there and what may be."""
    case, caller = Case(history), Caller(server.endpoint_url)
    for queues in ((STANDARD, DEAD), (FIFO,)):
        sent = {body: sends for body, sends in case.sends.items() if sends[0].queue in queues}
        certain = [body for body, sends in sent.items() if any(send.answered for send in sends)]
        least = sum(not case.deletes[body] for body in certain)
        most = sum(not any(map(case.deleted_for_certain, case.deletes[body])) for body in sent)
        assert least <= sum(depth(caller, queue) for queue in queues) <= most
    caller.close()


def depth(caller: Caller, queue: str) -> int:
    attributes = caller.call("GetQueueAttributes", queue, AttributeNames=["All"])["Attributes"]
    return sum(int(value) for name, value in attributes.items() if name.startswith("ApproximateNumberOfMessages"))


def send_again(server: Process, history: History, rng: random.Random) -> None:
    """Repeat FIFO sends: all that were not answered, and some that were."""
    client = Client(server.endpoint_url, FIFO, history, rng.getrandbits(40))
    recent = [send for send in history.sends if send.queue == FIFO and send.started > time.monotonic() - DEDUP_WINDOW_S]
    answered = {send.body for send in recent if send.answered}
    open_ends: dict[str, Send] = {send.body: send for send in recent if send.body not in answered}
    settled = [send for send in recent if send.answered]
    for send in [*open_ends.values(), *rng.sample(settled, min(20, len(settled)))]:
        client.send([send])
    client.caller.close()


def drain(server: Process, history: History) -> None:
    """Receive and delete everything, past all timeouts."""
    for _ in range(3):
        server.advance(12 * 3600)
        for queue in (STANDARD, DEAD, FIFO):
            client = Client(server.endpoint_url, queue, history, 0)
            while batch := client.receive(10, 600).messages:
                client.delete(batch)
            client.caller.close()


@pytest.mark.timeout(120 + 10 * ROUNDS)
def test_nothing_acknowledged_is_lost_or_undone(tmp_path):
    rng, history = random.Random(SEED), History()
    for number in range(ROUNDS):
        server = spawn(data=str(tmp_path), quotas="none")
        if number == 0:
            make_queues(server)
        check_depths(server, history)
        send_again(server, history, rng)
        load_and_kill(server, history, rng)
    early = [line for line in violations(history) if not line.startswith(("lost", "of "))]
    assert early == []
    with spawn(data=str(tmp_path), quotas="none", clock="virtual") as server:
        check_depths(server, history)
        drain(server, history)
    # The clock was moved while draining: what was hidden then says nothing.
    found = [line for line in violations(history) if "hidden from" not in line]
    assert found == []
    assert len(history.sends) > 100 * ROUNDS
    assert sum(len(receive.messages) for receive in history.receives) > 50 * ROUNDS
