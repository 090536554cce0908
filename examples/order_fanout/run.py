"""The fan-out: every order is published once, and each subscriber gets those that it asked for.

    python examples/order_fanout/run.py

starts a Headrace server, a mail server and a web server, subscribes two queues, an e-mail address, an HTTP endpoint and
an audit queue that takes all, publishes every order, and ends by comparing what each subscriber got with what its
filter should have let through.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import orders
import subscribers
from botocore.config import Config
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from subscribers import BATCH, Subscriber

LOOK_EVERY_S = 0.1
QUIET_S = 30
"""When nobody has got anything for so long, nothing more will come."""

START_TIMEOUT_S = 30
ACCOUNT = "000000000000"
REGION = "us-east-1"


@dataclass
class Figures:
    """What the summary tells, and what each subscriber should get."""

    expected: dict[str, Counter[str]] = field(default_factory=dict)
    published: int = 0
    published_in_s: float = 0
    delivered_in_s: float = 0


@dataclass
class Clients:
    """The clients of one server."""

    sns: Any
    sqs: Any


def connect(endpoint_url: str) -> Clients:
    """Clients that retry what the network loses."""

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=endpoint_url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="test",
            config=Config(retries={"mode": "standard", "max_attempts": 10}, max_pool_connections=32),
        )

    return Clients(client("sns"), client("sqs"))


@contextlib.contextmanager
def server(directory: Path, smtp_port: int) -> Iterator[str]:
    """A Headrace server that hands its mail in on that port, its data in `directory`; its URL.

    Its queues take from topics what their policies let them send, as on AWS.
    """
    command = [sys.executable, "-m", "headrace", "serve", "--port", "0", "--data", str(directory / "headrace")]
    command += ["--smtp-url", f"smtp://127.0.0.1:{smtp_port}", "--policies", "aws"]
    log = directory / "headrace.log"
    with (
        log.open("wb") as opened,
        subprocess.Popen(command, stdout=opened, stderr=subprocess.STDOUT, start_new_session=True) as process,
    ):
        try:
            yield ready(process, log)
        finally:
            process.terminate()


def ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for the line that tells where the server listens."""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if "headrace ready on " in line:
                return line.partition("headrace ready on ")[2].split()[0]
        time.sleep(0.05)
    sys.exit(f"the server did not start:\n{log.read_text(errors='replace')}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Subscribing


def subscribe(clients: Clients, topic: str, everybody: list[Subscriber], stop: threading.Event) -> None:
    """Subscribe everybody, and have the queues drained."""
    for subscriber in everybody:
        if subscriber.protocol == "sqs":
            subscriber.endpoint = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{subscriber.name}"
            lets_send = {"Policy": subscribers.queue_policy(subscriber.endpoint, topic)}
            queue_url = clients.sqs.create_queue(QueueName=subscriber.name, Attributes=lets_send)["QueueUrl"]
            draining = (clients.sqs, queue_url, subscriber, stop)
            threading.Thread(target=subscribers.drain, args=draining, daemon=True).start()
        clients.sns.subscribe(
            TopicArn=topic,
            Protocol=subscriber.protocol,
            Endpoint=subscriber.endpoint,
            Attributes=subscriber.attributes,
        )


def wait_for_confirmations(sns: Any, topic: str, count: int) -> None:
    """Return when so many subscriptions are confirmed: the endpoint and the address follow the links they are sent."""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
        if int(attributes["SubscriptionsConfirmed"]) == count:
            return
        time.sleep(LOOK_EVERY_S)
    sys.exit(f"subscriptions that were not confirmed: {attributes['SubscriptionsPending']}")


# Publishing and delivering


def publish(sns: Any, topic: str, file: Path, limit: int | None, figures: Figures, everybody: list[Subscriber]) -> None:
    """Publish every order, ten a call, and note who should get it."""
    began = time.monotonic()
    figures.expected = {subscriber.name: Counter() for subscriber in everybody}
    found = orders.read(file, limit)
    while batch := list(itertools.islice(found, BATCH)):
        entries = [
            {"Id": str(at), "Message": order.text, "MessageAttributes": order.attributes}
            for at, order in enumerate(batch)
        ]
        answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        if answer.get("Failed"):
            sys.exit(f"orders that were not taken: {answer['Failed']}")
        for subscriber in everybody:
            figures.expected[subscriber.name].update(order.key for order in batch if subscriber.wanted(order))
        figures.published += len(batch)
    figures.published_in_s = time.monotonic() - began


def watch(publishing: threading.Thread, total: int, figures: Figures, everybody: list[Subscriber]) -> None:
    """Show how far things are until everybody has everything, or nothing comes any more."""
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    began = changed_at = time.monotonic()
    before = -1
    with Progress(*columns) as progress:
        published = progress.add_task("published", total=total)
        shown = {each.name: progress.add_task(each.name, total=None) for each in everybody}
        while True:
            counts = {each.name: len(each.inbox.orders()) for each in everybody}
            progress.update(published, completed=figures.published)
            for name, task in shown.items():
                progress.update(task, completed=counts[name], total=len(figures.expected.get(name, ())) or None)
            now = time.monotonic()
            if sum(counts.values()) != before:
                before, changed_at = sum(counts.values()), now
            done = all(counts[name] >= len(expected) for name, expected in figures.expected.items())
            if not publishing.is_alive() and (done or now - changed_at > QUIET_S):
                figures.delivered_in_s = changed_at - began
                return
            time.sleep(LOOK_EVERY_S)


# The summary


@dataclass(frozen=True)
class Verdict:
    """What is wrong with what a subscriber got. Getting an order again is no fault: delivery is at least once."""

    missing: list[str]
    unwanted: list[str]
    again: int


def judge(got: Counter[str], expected: Counter[str]) -> Verdict:
    """Compare what a subscriber got with what its filter should have let through."""
    return Verdict(
        missing=sorted(expected.keys() - got.keys()),
        unwanted=sorted(got.keys() - expected.keys()),
        again=got.total() - len(got),
    )


def summary(figures: Figures, everybody: list[Subscriber], verdicts: dict[str, Verdict]) -> Table:
    """The figures as a table."""
    deliveries = sum(each.inbox.orders().total() for each in everybody)
    caption = (
        f"{figures.published:,} orders published in {figures.published_in_s:.1f} s\n"
        f"{deliveries:,} deliveries in {figures.delivered_in_s:.1f} s"
    )
    table = Table(title="Order fan-out", caption=caption, title_justify="left", caption_justify="left")
    for name in ("subscriber", "by", "should get", "got", "again", "missing", "unwanted"):
        table.add_column(name, justify="left" if name in ("subscriber", "by") else "right")
    for subscriber in everybody:
        verdict = verdicts[subscriber.name]
        counts = (len(figures.expected[subscriber.name]), len(subscriber.inbox.got), verdict.again)
        wrong = (len(verdict.missing), len(verdict.unwanted))
        table.add_row(subscriber.name, subscriber.protocol, *(f"{count:,}" for count in (*counts, *wrong)))
    return table


def fan_out(clients: Clients, file: Path, limit: int | None, figures: Figures, everybody: list[Subscriber]) -> None:
    """Subscribe everybody to a new topic, publish every order to it, and wait until all is delivered."""
    topic = clients.sns.create_topic(Name="orders")["TopicArn"]
    stop = threading.Event()
    subscribe(clients, topic, everybody, stop)
    wait_for_confirmations(clients.sns, topic, len(everybody))
    total = sum(1 for _ in orders.read(file, limit))
    arguments = (clients.sns, topic, file, limit, figures, everybody)
    publishing = threading.Thread(target=publish, args=arguments, daemon=True)
    publishing.start()
    watch(publishing, total, figures, everybody)
    stop.set()
    if figures.published != total:
        sys.exit(f"only {figures.published:,} of {total:,} orders were published")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Publish each order once; everybody gets those they asked for.")
    parser.add_argument("--orders", type=int, help="only the first so many")
    parser.add_argument("--flights", type=Path, help="a CSV file with flights; downloaded by default")
    return parser.parse_args()


def main() -> None:
    """Run the example; exit status 1 when somebody got too little or too much."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # as Ctrl-C: what was started here ends too
    try:
        file = given.flights or orders.fetch()
    except orders.FetchFailed as failure:
        sys.exit(str(failure))
    everybody, figures = subscribers.everybody(), Figures()
    by_name = {subscriber.name: subscriber for subscriber in everybody}
    with tempfile.TemporaryDirectory(prefix="order-fanout-") as temporary, contextlib.ExitStack() as running:
        smtp_port = free_port()
        mail = subscribers.mail_server(by_name["support"], smtp_port)
        running.callback(mail.stop)
        web = subscribers.web_server(by_name["dispatch"])
        running.callback(web.server_close)
        running.callback(web.shutdown)
        endpoint_url = running.enter_context(server(Path(temporary), smtp_port))
        fan_out(connect(endpoint_url), file, given.orders, figures, everybody)
    verdicts = {each.name: judge(each.inbox.orders(), figures.expected[each.name]) for each in everybody}
    Console(width=max(110, Console().width)).print(summary(figures, everybody, verdicts))
    wrong = [
        f"{name} {what}: {key}"
        for name, verdict in verdicts.items()
        for what, keys in (("misses", verdict.missing), ("should not have got", verdict.unwanted))
        for key in keys
    ]
    for line in wrong[:10]:
        print(line)
    print("everybody got what they asked for" if not wrong else f"WRONG: {len(wrong):,}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
