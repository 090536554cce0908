"""A NATS server of one's own: one owner, nothing left behind, its data kept."""

import os

import pytest

from headrace.engines.nats import embedded
from headrace.engines.nats.embedded import EmbeddedServer, NatsServer
from headrace.engines.nats.jetstream import JetStream
from headrace.errors import StorageError, StorageLocked


@pytest.fixture
def serve(tmp_path):
    """A function that makes embedded servers on the same data; they are stopped at the end."""
    made = []

    def serve(data=str(tmp_path / "data")):
        server = EmbeddedServer(data)
        made.append(server)
        return server

    yield serve
    for server in made:
        server.stop()


async def test_it_asks_for_its_token(serve, connect):
    server = serve()
    await server.start()
    connection = await connect(server.url)
    await connection.flush()
    with pytest.raises(StorageError, match="Authorization Violation"):
        await connect(server.url.replace(server.url.partition("//")[2].partition("@")[0] + "@", ""))


async def test_data_is_there_after_a_stop(serve, connect, prefix):
    first = serve()
    await first.start()
    jetstream = JetStream(await connect(first.url))
    await jetstream.ensure_stream(f"{prefix}_s", {"subjects": [f"{prefix}.s"]})
    await jetstream.publish(f"{prefix}.s", b"kept")
    first.stop()
    second = serve()
    await second.start()
    found = await JetStream(await connect(second.url)).last(f"{prefix}_s", f"{prefix}.s")
    assert found.payload == b"kept"


async def test_a_second_owner_is_refused(serve):
    await serve().start()
    with pytest.raises(StorageLocked, match="another Headrace"):
        await serve().start()


async def test_a_server_left_behind_is_ended_first(serve, tmp_path):
    left = serve()
    await left.start()
    pid = left._server.pid
    left._lock.close()  # as when its owner is killed
    process, left._server._process = left._server._process, None
    await serve().start()
    assert process.wait(10) is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_an_old_pid_that_is_another_process_s_is_left_alone(serve, tmp_path):
    (tmp_path / "data" / "nats").mkdir(parents=True)
    (tmp_path / "data" / "nats" / "nats-server.pid").write_text(str(os.getpid()))
    await serve().start()


async def test_nothing_is_left_of_what_was_kept_in_memory(serve):
    server = serve(":memory:")
    await server.start()
    folder = server._server.folder.parent
    assert folder.is_dir()
    server.stop()
    assert not folder.exists()


async def test_a_configuration_that_is_none_is_told(tmp_path):
    server = NatsServer(tmp_path, extra="\nno such thing {\n")
    with pytest.raises(StorageError, match="nats-server did not start"):
        await server.start()


async def test_a_folder_that_cannot_be_used_is_told(serve, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be used"):
        await serve(str(tmp_path / "file")).start()


def test_no_binary(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageError, match="pip install"):
        embedded.binary()
