"""What tests of several kinds share: real nats-servers, and patience."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from headrace.engines.nats.embedded import NatsServer, start_cluster

# A machine that is busy with other tests must fail none of them.
settings.register_profile("headrace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headrace")


@pytest.fixture(scope="session")
def nats_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], str]]:
    """The URLs of one nats-server or of a cluster of three; started when first asked for, stopped at the end.

    Many tests use the same servers: each under a prefix of its own.
    """
    running: dict[int, list[NatsServer]] = {}

    def urls(count: int) -> str:
        if count not in running:
            running[count] = asyncio.run(start_cluster(tmp_path_factory.mktemp("nats"), count))
        return ",".join(server.url for server in running[count])

    yield urls
    for server in itertools.chain.from_iterable(running.values()):
        server.kill()
