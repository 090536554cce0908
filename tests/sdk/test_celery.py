"""Celery with its SQS transport: workers in processes of their own run every task exactly once."""

import collections
import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

HERE = Path(__file__).parent / "runtimes"
DEADLINE_S = 60


class Celery:
    """Producers and workers of `celery_tasks.py` on one server, and the journal the tasks write."""

    def __init__(self, runtime, headrace, folder, transport):
        self._python = runtime / "python"
        self._journal = folder / "journal"
        self._journal.touch()
        self._log = folder / "worker.log"
        broker = f"sqs://headrace:headrace@{urlsplit(headrace.endpoint_url).netloc}"
        self._environment = os.environ | {
            "CELERY_BROKER": broker,
            "CELERY_JOURNAL": str(self._journal),
            "CELERY_TRANSPORT": json.dumps(transport),
        }

    def produce(self, code):
        """Run some lines of Python with the tasks at hand."""
        command = [self._python, "-c", f"from celery_tasks import *\n{code}"]
        done = subprocess.run(command, cwd=HERE, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @contextlib.contextmanager
    def worker(self, *queues):
        """A worker that takes tasks from the queues while the block runs."""
        command = [self._python, "-m", "celery", "-A", "celery_tasks", "worker", "--concurrency=2", "--loglevel=INFO"]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "-Q", ",".join(queues)]
        with self._log.open("a") as log:
            worker = subprocess.Popen(
                command, cwd=HERE, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                yield worker
            finally:
                worker.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.wait(20)
                self.kill(worker)

    def kill(self, worker):
        """End the worker and its children at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    def journal(self):
        return self._journal.read_text().splitlines()

    def wait_for(self, *lines):
        """Wait until the journal has all these lines."""
        deadline = time.monotonic() + DEADLINE_S
        while missing := set(lines) - set(self.journal()):
            assert time.monotonic() < deadline, (missing, self._log.read_text())
            time.sleep(0.02)


@pytest.fixture
def server(serve):
    with serve() as headrace:
        yield headrace


@pytest.fixture
def celery(python_runtime, server, tmp_path):
    """A function that gives a Celery with these transport options."""
    runtime = python_runtime("celery")
    return lambda **transport: Celery(runtime, server, tmp_path, transport)


def wait_until_empty(server, url):
    """Wait until every message was acknowledged."""
    client = server.client("sqs")
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        depth = [found[f"ApproximateNumberOfMessages{state}"] for state in ("", "NotVisible", "Delayed")]
        if depth == ["0", "0", "0"]:
            return
        assert time.monotonic() < deadline, depth
        time.sleep(0.02)


def test_queues_celery_creates(celery, server):
    run = celery()
    run.produce(
        "for n in range(40): work.delay(f'now-{n}')\n"
        "for n in range(3): work.apply_async([f'later-{n}'], countdown=2)\n"
        "for n in range(3): flaky.delay(f'flaky-{n}')\n"
    )
    names = [f"now-{n}" for n in range(40)] + [f"{kind}-{n}" for kind in ("later", "flaky") for n in range(3)]
    url = server.client("sqs").get_queue_url(QueueName="celery")["QueueUrl"]
    with run.worker("celery"):
        run.wait_for(*(f"done {name}" for name in names))
        wait_until_empty(server, url)
    counts = collections.Counter(run.journal())
    assert counts == {f"done {name}": 1 for name in names} | {f"failed flaky-{n}": 2 for n in range(3)}


def test_queues_that_are_there_already(celery, server):
    sqs = server.client("sqs")
    credentials = {"access_key_id": "headrace", "secret_access_key": "headrace"}
    plain = sqs.create_queue(QueueName="plain")["QueueUrl"]
    ordered = sqs.create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    queues = {"plain": {"url": plain} | credentials, "ordered.fifo": {"url": ordered} | credentials}
    run = celery(predefined_queues=queues)
    run.produce(
        "for n in range(20):\n"
        "    work.apply_async([f'plain-{n}'], queue='plain')\n"
        "    work.apply_async([f'ordered-{n}'], queue='ordered.fifo')\n"
    )
    names = [f"{kind}-{n}" for kind in ("plain", "ordered") for n in range(20)]
    with run.worker("plain", "ordered.fifo"):
        run.wait_for(*(f"done {name}" for name in names))
        for url in (plain, ordered):
            wait_until_empty(server, url)
    assert collections.Counter(run.journal()) == {f"done {name}": 1 for name in names}


def test_a_killed_workers_task_is_done_by_the_next(celery, server, tmp_path):
    run = celery()
    run.produce(f"hang_once.delay('hung', {str(tmp_path / 'marker')!r})")
    with run.worker("celery") as worker:
        run.wait_for("began hung")
        run.kill(worker)
    server.advance(600)
    with run.worker("celery"):
        run.wait_for("done hung")
        wait_until_empty(server, server.client("sqs").get_queue_url(QueueName="celery")["QueueUrl"])
    assert run.journal() == ["began hung", "done hung"]
