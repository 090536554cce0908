"""Several processes on one machine: held up, started again when they die, and stopped together."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import msgspec
import pytest

from headrace import supervise
from headrace.settings import EMBEDDED, Settings
from headrace.supervise import Supervisor, WorkerFailed, held, worker_command
from headrace.testing import StartError, spawn

PATIENCE_S = 60


def children(pid):
    """The processes that a process has started, each with its command line."""
    listed = subprocess.run(
        ["ps", "-ww", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return {int(row[0]): row[2] for row in rows if row[1] == str(pid) and len(row) > 2}


def workers(pid):
    return {each for each, command in children(pid).items() if "headrace serve" in command}


def until(ask):
    deadline_s = time.monotonic() + PATIENCE_S
    while not (answer := ask()):
        assert time.monotonic() < deadline_s, "it did not come to that"
        time.sleep(0.05)
    return answer


def send(server):
    """Send on a connection of its own: the kernel chooses the process."""
    client = server.client("sqs")
    url = client.create_queue(QueueName="orders")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="m")
    return client, url


@pytest.mark.timeout(240)
def test_a_worker_that_dies_is_started_again_and_all_end_together(tmp_path):
    with spawn(engine="nats", nats=EMBEDDED, data=str(tmp_path), workers=2) as server:
        first = workers(server.pid)
        assert len(first) == 2
        for _ in range(4):
            send(server)
        [victim, survivor] = sorted(first)
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(workers(server.pid) - {victim}) == 2)
        assert survivor in workers(server.pid)
        client, url = until(lambda: _sent(server))
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert int(found["ApproximateNumberOfMessages"]) >= 5
        begun = set(children(server.pid))
        assert server.stop() == 0
        assert "worker_ended" in server.log
    for pid in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def _sent(server):
    """A message sent; None while there is nobody yet who takes it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return send(server)
    except (BotoCoreError, ClientError):
        return None


@pytest.mark.timeout(240)
def test_workers_end_with_whoever_holds_them_up(tmp_path):
    server = spawn(engine="nats", nats=EMBEDDED, data=str(tmp_path), workers=2)
    begun = workers(server.pid)
    server.kill()
    until(lambda: not [pid for pid in begun if _runs(pid)])
    # The NATS server that was left behind is ended by whoever comes next, who finds the data.
    with spawn(engine="nats", nats=EMBEDDED, data=str(tmp_path)) as again:
        send(again)


def _runs(pid):
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip() and not listed.stdout.startswith("Z")


def test_workers_that_cannot_start_end_everything_with_their_reason(nats_servers):
    with pytest.raises(StartError, match="The NATS credentials nothing"):
        spawn(engine="nats", nats=nats_servers(1), workers=2, nats_creds="nothing.creds")


def test_a_port_that_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match="cannot listen on"):
            spawn(engine="nats", nats=EMBEDDED, data=str(tmp_path), workers=2, port=port)


def test_a_held_port_is_shared_by_those_who_say_so():
    with held("127.0.0.1", 0) as port, socket.socket() as sharing:
        sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sharing.bind(("127.0.0.1", port))
        sharing.listen()
        with pytest.raises(OSError, match="cannot listen"), held("127.0.0.1", port):
            pass
    with held("127.0.0.1", port) as again:
        assert again == port


def test_a_workers_command_line_says_everything_but_secrets():
    settings = Settings(
        engine="nats", nats="nats://me:secret@host", nats_password="secret", nats_token="secret", share_port=True
    )
    command = worker_command(settings)
    assert command[:4] == [sys.executable, "-m", "headrace", "serve"]
    assert "--share-port" in command
    assert "--engine=nats" in command
    assert not [each for each in command if "secret" in each]


async def test_a_worker_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(supervise, "START_S", 0.2)
    silent = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(supervise, "worker_command", lambda _: silent)
    supervisor = Supervisor(Settings(workers=2))
    with pytest.raises(WorkerFailed, match="process 1 of 2"):
        await supervisor._start(1, msgspec.structs.replace(Settings(), workers=1))
    [process] = supervisor._running.values()
    async with asyncio.timeout(PATIENCE_S):
        assert await process.wait() == -signal.SIGKILL


@pytest.mark.timeout(240)
def test_all_end_while_one_is_being_started(tmp_path, nats_servers):
    """However long the one that is started again takes."""
    with spawn(engine="nats", nats=nats_servers(1), nats_prefix=f"t{os.getpid()}", workers=2) as server:
        [victim, survivor] = sorted(workers(server.pid))
        os.kill(victim, signal.SIGKILL)
        [fresh] = until(lambda: len(found := workers(server.pid) - {victim}) == 2 and found - {survivor})
        os.kill(fresh, signal.SIGSTOP)  # it does not get ready
        server._process.terminate()
        until(lambda: survivor not in workers(server.pid))
        with contextlib.suppress(ProcessLookupError):
            os.kill(fresh, signal.SIGCONT)
        assert server.wait() == 0
