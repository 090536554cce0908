"""A real nats-server for each worker of the test run, and engines on it."""

import asyncio
import itertools
import secrets

import pytest

from headrace.clock import SystemClock
from headrace.engines.nats.connection import Connection
from headrace.engines.nats.embedded import NatsServer, start_cluster
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.mirror import Mirror
from headrace.engines.nats.options import Options
from headrace.engines.nats.queues import NatsQueues


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory):
    """A server that all tests share, each with a prefix of its own."""
    [server] = asyncio.run(start_cluster(tmp_path_factory.mktemp("nats"), 1))
    yield server.url
    server.kill()


@pytest.fixture
def prefix():
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
async def connect(nats_url, prefix):
    """A function that gives connections, each as another process would have one."""
    made = []

    async def connect(url=nats_url, **options):
        connection = Connection(Options(urls=url, prefix=prefix, **options))
        await connection.start()
        made.append(connection)
        return connection

    yield connect
    for connection in made:
        await connection.close()


@pytest.fixture
async def jetstream(connect):
    """JetStream; the streams of this test's prefix are deleted at its end."""
    jetstream = JetStream(await connect())
    yield jetstream
    for name in await jetstream.stream_names():
        await jetstream.delete_stream(name)


@pytest.fixture
def own_server(tmp_path):
    """A function that makes servers of this test's own, not started, which may be killed."""
    made = []
    numbers = itertools.count()

    def make(**settings):
        server = NatsServer(tmp_path / f"own{next(numbers)}", **{"sync_interval": "1h"} | settings)
        made.append(server)
        return server

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def clock():
    return SystemClock()


@pytest.fixture
async def queue_process(connect, jetstream, clock):
    """A function that gives the queues of one more process."""
    made = []

    async def start():
        mirror = Mirror(JetStream(await connect()))
        queues = NatsQueues(mirror.jetstream, mirror.space("q"), clock)
        await mirror.start()
        await queues.start()
        made.append((mirror, queues))
        return queues

    yield start
    for _, queues in made:
        await queues.drain()
    for mirror, queues in made:
        await queues.close()
        await mirror.close()
