"""The connection: answers, timeouts, and servers that die or fall silent."""

import asyncio
import signal
from unittest import mock

import pytest

from headrace.engines.nats import connection as module
from headrace.engines.nats.connection import Connection
from headrace.engines.nats.embedded import free_port
from headrace.engines.nats.faults import NoResponders, TooLarge, Unavailable
from headrace.engines.nats.options import Options
from headrace.errors import StorageError

GUARD_S = 20


async def echo(connection, subject="echo"):
    """Answer what is asked on a subject with itself."""

    def answer(message):
        connection.publish_soon(message.reply.decode(), message.payload, headers=message.headers)

    end = connection.subscribe(subject, answer)
    await connection.flush()
    return end


async def test_requests_get_their_own_answers(connect):
    one, other = await connect(), await connect()
    await echo(other)
    asked = [b"%d" % number for number in range(500)]
    answers = await asyncio.gather(*(one.request("echo", payload) for payload in asked))
    assert [answer.payload for answer in answers] == asked
    assert one.waiting == 0


async def test_headers_go_both_ways(connect):
    connection = await connect()
    await echo(connection)
    answer = await connection.request("echo", b"x", headers=b"NATS/1.0\r\nA: b\r\n\r\n")
    assert answer.headers == b"NATS/1.0\r\nA: b\r\n\r\n"


async def test_nobody_there(connect):
    connection = await connect()
    with pytest.raises(NoResponders):
        await connection.request("nobody")


async def test_no_answer_in_time(connect):
    connection = await connect()
    connection.subscribe("silent", lambda _: None)
    await connection.flush()
    with pytest.raises(Unavailable, match="in time"):
        await connection.request("silent", timeout_s=0.1)
    assert connection.waiting == 0


async def test_a_cancelled_request_leaves_nothing(connect):
    connection = await connect()
    connection.subscribe("silent", lambda _: None)
    await connection.flush()
    task = asyncio.ensure_future(connection.request("silent"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert connection.waiting == 0


async def test_more_than_the_server_takes(connect):
    connection = await connect()
    with pytest.raises(TooLarge, match="max_payload"):
        await connection.request("echo", bytes(connection.max_payload + 1))
    await connection.flush()


async def test_several_answers_to_one_request(connect):
    connection = await connect()
    connection.subscribe("many", lambda message: [connection.publish_soon(message.reply.decode()) for _ in range(3)])
    await connection.flush()
    answers = []
    end = await connection.ask("many", b"", answers.append)
    await connection.flush()
    await connection.flush()
    assert len(answers) == 3
    end()
    assert not connection._pending


async def test_an_ended_subscription_hears_nothing(connect):
    connection = await connect()
    heard = []
    end = connection.subscribe("s", heard.append)
    await connection.publish("s", b"1")
    await connection.flush()
    end()
    await connection.publish("s", b"2")
    await connection.flush()
    assert [message.payload for message in heard] == [b"1"]


async def test_a_callback_that_fails_takes_nothing_along(connect):
    connection = await connect()
    reported, heard = [], []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context["exception"]))

    def fail(message):
        heard.append(message.payload)
        raise RuntimeError

    connection.subscribe("s", fail)
    await connection.publish("s", b"1")
    await connection.publish("s", b"2")
    await connection.flush()
    assert heard == [b"1", b"2"]
    assert len(reported) == 2


async def test_no_server():
    connection = Connection(Options(urls=f"nats://127.0.0.1:{free_port()}"))
    with pytest.raises(StorageError, match="No NATS server can be used at"):
        await connection.start()
    await connection.close()


async def test_a_server_that_dies_and_returns(own_server, connect):
    server = own_server()
    await server.start()
    connection = await connect(server.url)
    heard, reconnected = [], asyncio.Event()
    connection.on_reconnect.append(reconnected.set)
    connection.subscribe("s", heard.append)
    connection.subscribe("silent", lambda _: None)
    waiting = asyncio.ensure_future(connection.request("silent", timeout_s=60))
    await connection.flush()
    server.kill()
    with pytest.raises(Unavailable, match="lost"):
        await asyncio.wait_for(waiting, GUARD_S)
    with pytest.raises(Unavailable, match="No NATS server can be reached"):
        await connection.request("s", timeout_s=0.1)
    asked = asyncio.ensure_future(connection.publish("s", b"x"))
    await server.start()
    await asyncio.wait_for(reconnected.wait(), GUARD_S)
    await asked
    await connection.flush()
    assert [message.payload for message in heard] == [b"x"]


async def test_another_server_is_used_when_one_falls_silent(own_server, connect):
    servers = [own_server(), own_server()]
    for server in servers:
        await server.start()
    with mock.patch.multiple(module, PING_S=0.1, SILENCE_S=0.3):
        connection = await connect(",".join(server.url for server in servers))
        [used] = [server for server in servers if server.port == connection.info["port"]]
        reconnected = asyncio.Event()
        connection.on_reconnect.append(reconnected.set)
        used.send_signal(signal.SIGSTOP)
        await asyncio.wait_for(reconnected.wait(), GUARD_S)
        used.send_signal(signal.SIGCONT)
        assert connection.info["port"] != used.port
        await connection.flush()


async def test_a_server_that_is_about_to_end_is_left_in_good_time(own_server, connect):
    servers = [own_server(extra="\nlame_duck_grace_period: 1s\nlame_duck_duration: 30s\n") for _ in range(2)]
    for server in servers:
        await server.start()
    connection = await connect(",".join(server.url for server in servers))
    [used] = [server for server in servers if server.port == connection.info["port"]]
    reconnected = asyncio.Event()
    connection.on_reconnect.append(reconnected.set)
    connection.subscribe("silent", lambda _: None)
    waiting = asyncio.ensure_future(connection.request("silent", timeout_s=60))
    await connection.flush()
    used.send_signal(signal.SIGUSR2)
    await asyncio.wait_for(reconnected.wait(), GUARD_S)
    assert connection.info["port"] != used.port
    assert not waiting.done()
    waiting.cancel()


async def test_what_does_not_speak_nats(connect):
    async def serve(_reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StorageError, match="does not speak NATS"):
            await connect(f"nats://127.0.0.1:{port}")
