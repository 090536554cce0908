"""The Celery application of the tests: each task writes a line to a journal when it has run."""

import json
import os
import time

from celery import Celery

app = Celery("celery_tasks", broker=os.environ["CELERY_BROKER"])
app.conf.update(
    broker_transport_options={
        "region": "us-east-1",
        "is_secure": False,
        "wait_time_seconds": 5,
        "polling_interval": 0,
        "visibility_timeout": 600,
        **json.loads(os.environ.get("CELERY_TRANSPORT", "{}")),
    },
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    task_default_queue="celery",
    task_ignore_result=True,
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=1,
)


def note(line):
    """Append a line to the journal; a single write, so that lines of several workers do not mix."""
    journal = os.open(os.environ["CELERY_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(journal, f"{line}\n".encode())
    finally:
        os.close(journal)


@app.task
def work(name):
    """Just run."""
    note(f"done {name}")


@app.task(bind=True, max_retries=3)
def flaky(self, name):
    """Fail twice, run the third time."""
    if self.request.retries < 2:
        note(f"failed {name}")
        raise self.retry(countdown=1)
    note(f"done {name}")


@app.task
def hang_once(name, marker):
    """Hang the first time, run the next."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        note(f"done {name}")
    else:
        note(f"began {name}")
        while True:
            time.sleep(1)
