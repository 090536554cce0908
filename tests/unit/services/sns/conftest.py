"""A server without a socket."""

import pytest

from headrace.app import App
from headrace.context import Principal, Quotas, Server
from headrace.settings import Settings

ROOT = Principal(account="000000000000", access_key_id="key", user_id="me", arn="arn:aws:iam::000000000000:root")


@pytest.fixture
async def start():
    """A function that starts a server with these settings; in memory, on a virtual clock."""
    running = []

    async def start(**settings):
        app = App(Settings(**{"data": ":memory:", "port": 0, "clock": "virtual", "log_level": "error"} | settings))
        await app.start()
        running.append(app)
        return app

    yield start
    for app in running:
        await app.close()


@pytest.fixture
async def app(start):
    return await start()


@pytest.fixture
def call(app):
    """A function that calls an operation, of SNS unless it says otherwise."""

    async def call(operation, *, service="sns", on=app, **params):
        return await on.dispatcher.invoke(service, operation, params, principal=ROOT, region="us-east-1")

    return call


async def no_other_service(*_, **__):
    raise AssertionError("no other service is called")


@pytest.fixture
def make_server():
    """A function that makes what services see of a server, on this engine and clock."""

    def make_server(engine, clock):
        return Server(
            clock=clock,
            engine=engine,
            quotas=Quotas(),
            base_url="http://localhost:4566",
            invoke=no_other_service,
            prepare=no_other_service,
            prepare_together=no_other_service,
        )

    return make_server
