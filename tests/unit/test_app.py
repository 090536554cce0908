"""A server as a whole, without a client's library: what `App` puts together, and how `run` begins and ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from headrace.app import App, run
from headrace.context import Principal
from headrace.errors import StorageError, StorageLocked
from headrace.resources import ResourcesError
from headrace.settings import Settings, SettingsError

ROOT = Principal(account="000000000000", access_key_id="", user_id="root", arn="arn:aws:iam::000000000000:root")


@contextlib.asynccontextmanager
async def running(**settings) -> AsyncIterator[App]:
    """An app that serves on a free port while the block runs."""
    settings = {"port": 0, "data": ":memory:", "clock": "virtual"} | settings
    app = App(Settings(**settings))
    stop, ready = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(run(app, stop, lambda _: ready.set()))
    starting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, starting}, return_when=asyncio.FIRST_COMPLETED)
    starting.cancel()
    try:
        if not serving.done():
            yield app
    finally:
        stop.set()
        await serving


async def call(app: App, operation: str, **params):
    return await app.dispatcher.invoke("sqs", operation, params, principal=ROOT, region="us-east-1")


async def queues(app: App) -> list[str]:
    return (await call(app, "ListQueues")).get("QueueUrls", [])


async def test_it_says_how_it_is():
    async with running() as app:
        health = app.health()
        assert health["status"] == "ok"
        assert health["engine"] == "sqlite"
        assert health["services"]["sqs"] == "running"


async def test_it_says_when_nats_is_gone(tmp_path):
    async with running(engine="nats", nats="embedded", data=str(tmp_path), clock="system") as app:
        assert app.health()["status"] == "ok"
        app.engine._server._server.kill()
        with pytest.raises(StorageError):
            await app.engine.connection.request("nobody", timeout_s=0.5)
        assert app.health()["status"] == "unreachable"


async def test_the_url_is_known_once_it_is_ready():
    async with running() as app:
        assert not app.server.base_url.endswith(":0")
        url = (await call(app, "CreateQueue", QueueName="orders"))["QueueUrl"]
        assert url == f"{app.server.base_url}/000000000000/orders"


async def test_reset_leaves_the_resources_only(tmp_path):
    (tmp_path / "file.yaml").write_text("queues: {steady: }\n")
    async with running(resources=str(tmp_path / "file.yaml")) as app:
        url = (await call(app, "CreateQueue", QueueName="orders"))["QueueUrl"]
        await call(app, "DeleteQueue", QueueUrl=url)
        await call(app, "SendMessage", QueueUrl=(await queues(app))[0], MessageBody="one")
        before = dict(app.states)
        await app.reset()
        (steady,) = await queues(app)
        assert steady.endswith("/steady")
        assert (await call(app, "ReceiveMessage", QueueUrl=steady)).get("Messages", []) == []
        assert app.states["sqs"] is not before["sqs"]
        # Not even the 60 seconds for which a deleted queue's name is taken outlive a reset.
        await call(app, "CreateQueue", QueueName="orders")


async def test_a_virtual_clock_is_moved():
    async with running() as app:
        before_ms = app.clock.now_ms()
        assert await app.advance(3_600_000) >= before_ms + 3_600_000


async def test_what_waits_is_ended_when_it_stops():
    async with running() as app:
        url = (await call(app, "CreateQueue", QueueName="orders"))["QueueUrl"]
        waiting = asyncio.create_task(call(app, "ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20))
        await asyncio.sleep(0)
    assert (await waiting).get("Messages", []) == []


async def test_resources_are_made_again_from_a_changed_file(tmp_path):
    settings = {"data": str(tmp_path / "data"), "resources": str(tmp_path / "file.yaml")}
    for timeout in ("60", "90"):
        (tmp_path / "file.yaml").write_text(
            f"queues:\n  orders:\n    attributes: {{VisibilityTimeout: {timeout}}}\n    tags: {{timeout: {timeout}}}\n"
            "    dead_letter: {queue: failed, max_receives: 3}\n  failed:\n"
        )
        async with running(**settings) as app:
            (url,) = [url for url in await queues(app) if url.endswith("/orders")]
            found = (await call(app, "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"]))["Attributes"]
            assert found["VisibilityTimeout"] == timeout
            assert '"maxReceiveCount":3' in found["RedrivePolicy"].replace(" ", "")
            assert (await call(app, "ListQueueTags", QueueUrl=url))["Tags"] == {"timeout": timeout}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("queues:\n  no good:\n", "file.yaml:2: CreateQueue: "),
        ("queues:\n  orders:\n    attributes:\n      VisibilityTimeout: long\n", "file.yaml:4: SetQueueAttributes: "),
        ("queues:\n  orders:\n    attributes:\n      Colour: red\n", "file.yaml:4: SetQueueAttributes: "),
        (
            "queues:\n  orders:\n    dead_letter: {queue: nowhere, max_receives: 3}\n",
            "file.yaml:3: SetQueueAttributes: ",
        ),
    ],
)
async def test_a_file_the_service_refuses_ends_the_start(tmp_path, text, said):
    (tmp_path / "file.yaml").write_text(text)
    with pytest.raises(ResourcesError) as caught:
        async with running(resources=str(tmp_path / "file.yaml")):
            pass
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_data_directory_in_use_ends_the_start(tmp_path):
    async with running(data=str(tmp_path)):
        with pytest.raises(StorageLocked):
            async with running(data=str(tmp_path)):
                pass


def test_wrong_settings_are_refused():
    with pytest.raises(SettingsError):
        App(Settings(port=-1))
