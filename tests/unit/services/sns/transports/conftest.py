"""A server's parts for transports: a real engine in memory, a frozen clock, and no services."""

import msgspec
import pytest

from headrace.clock import VirtualClock
from headrace.context import Channels, Quotas, Server
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.services.sns.records import Delivery, Publication

START_MS = 1_700_000_000_000


async def no_service(*_, **__):
    raise AssertionError("transports call no service")


@pytest.fixture
def clock():
    return VirtualClock(START_MS)


@pytest.fixture
async def server(clock):
    engine = SqliteEngine(":memory:", clock)
    await engine.start()
    yield Server(
        clock=clock,
        engine=engine,
        quotas=Quotas(),
        base_url="http://localhost:4566",
        invoke=no_service,
        prepare=no_service,
        prepare_together=no_service,
        channels=Channels(),
    )
    await engine.drain()
    await engine.close()


@pytest.fixture
def delivery_to():
    """A function that makes a delivery to an endpoint."""

    def delivery_to(endpoint, protocol="http", **changes):
        publication = Publication(
            message_id="11111111-2222-3333-4444-555555555555",
            topic_arn="arn:aws:sns:us-east-1:000000000000:orders",
            region="us-east-1",
            account="000000000000",
            message="hello",
            published_at_ms=START_MS,
        )
        names = Publication.__struct_fields__
        publication = msgspec.structs.replace(publication, **{k: v for k, v in changes.items() if k in names})
        return Delivery(
            kind="Notification",
            publication=publication,
            protocol=protocol,
            endpoint=endpoint,
            subscription_arn="arn:aws:sns:us-east-1:000000000000:orders:1",
            raw=True,
        )

    return delivery_to
