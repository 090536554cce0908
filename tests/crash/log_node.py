"""A process of its own that appends to logs on a cluster, and says on standard output what was acknowledged.

Each line is JSON: `{"log", "first", "texts"}` for an append, `{"token", "held_ms"}` for a lease taken or renewed.
Started as `log_node.py URLS PREFIX NAME`; ends when its standard input does.
"""

import asyncio
import json
import sys
from itertools import count

import structlog

from headrace.clock import SystemClock
from headrace.engines.nats.connection import Connection
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.logs import NatsLogs
from headrace.engines.nats.metadata import NatsMetadata
from headrace.engines.nats.mirror import Mirror
from headrace.engines.nats.options import Options
from headrace.errors import StorageError
from headrace.primitives.logs import Appending, LogSettings
from headrace.primitives.metadata import LeaseLost

LOGS = 6
LEASE_MS = 3_000
RENEW_S = 0.5


def say(**fields):
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def append(logs, name, log):
    """Append batches that tell who made them and in which order."""
    for number in count():
        texts = [f"{name}-{number}-{place}" for place in range(number % 4 + 1)]
        try:
            sequences = await logs.append(log, [Appending(name, text.encode()) for text in texts])
        except StorageError:
            await asyncio.sleep(0.05)
            continue
        say(log=log, first=sequences[0], texts=texts)
        await asyncio.sleep(0.01)


async def hold(metadata, clock, name):
    """Hold a lease as long as it is to be had."""
    while True:
        try:
            lease = await metadata.lease("work", ttl_ms=LEASE_MS, holder=name)
            while lease is not None:
                say(token=lease.token, held_ms=clock.now_ms())
                await asyncio.sleep(RENEW_S)
                await lease.renew()
        except (StorageError, LeaseLost):
            pass
        await asyncio.sleep(RENEW_S)


async def main(urls, prefix, name):
    clock = SystemClock()
    connection = Connection(Options(urls=urls, prefix=prefix, replicas=3))
    while True:
        try:
            await connection.start()
            break
        except StorageError:
            await asyncio.sleep(0.2)
    mirror = Mirror(JetStream(connection))
    await mirror.start()
    logs = NatsLogs(mirror.jetstream, mirror.space("g"), clock)
    await logs.start()
    for number in range(LOGS):
        await logs.open(f"log{number}", LogSettings())
    say(ready=name)
    works = [append(logs, f"{name}.{number}", f"log{number}") for number in range(LOGS)]
    works.append(hold(NatsMetadata(mirror, clock), clock, name))
    tasks = [asyncio.ensure_future(work) for work in works]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await logs.close()
    await mirror.close()
    await connection.close()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(*sys.argv[1:]))
