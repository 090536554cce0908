"""The network between the members of a cluster under test, and how one of them is cut off from it.

`Proxies` needs nothing but sockets: every member reaches every other through a proxy of its own, which stops passing
bytes on when either is cut off; nobody is told, as when packets are dropped. `Namespaces` gives each member a network
namespace with an address of its own, and takes its interface down. It is used in a process that was started with
`unshare --user --map-root-user --net`, so that nothing outside is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from headrace.engines.nats.embedded import free_port

CHUNK_BYTES = 65_536
CLIENTS = "clients"
"""Where the clients are, as a source."""
ENTER_NAMESPACE = ("unshare", "--user", "--map-root-user", "--net", "--kill-child", "--fork")
SUBNET = "10.213.7."


class Network(Protocol):
    """What the members need to know of it."""

    def host(self, member: str) -> str:
        """The address that the member listens on."""

    def port(self, member: str) -> int:
        """A port that is free there."""

    def place(self, source: str, target: str, port: int) -> str:
        """`host:port` where the source reaches that port of the target."""

    def command(self, member: str) -> list[str]:
        """What the member's command line begins with."""

    def cut(self, member: str, others: Iterable[str] | None = None) -> None:
        """Let nothing through between the member and the others (None: everyone)."""

    def heal(self, member: str) -> None:
        """Undo every cut of the member."""

    def close(self) -> None:
        """Leave nothing behind."""


class Proxies:
    """A proxy for each pair of members, all in one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._proxies: list[_Proxy] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def host(self, _member: str) -> str:
        return "127.0.0.1"

    def port(self, _member: str) -> int:
        return free_port()

    def place(self, source: str, target: str, port: int) -> str:
        for known in self._proxies:
            if (known.ends, known.target_port) == ({source, target}, port):
                return f"127.0.0.1:{known.port}"
        proxy = _Proxy({source, target}, port)
        self._run(proxy.start())
        self._proxies.append(proxy)
        return f"127.0.0.1:{proxy.port}"

    def command(self, _member: str) -> list[str]:
        return []

    def cut(self, member: str, others: Iterable[str] | None = None) -> None:
        chosen = None if others is None else set(others)
        for proxy in self._proxies:
            if member in proxy.ends and (chosen is None or proxy.ends & chosen):
                self._loop.call_soon_threadsafe(proxy.passing.clear)

    def heal(self, member: str) -> None:
        for proxy in self._proxies:
            if member in proxy.ends:
                self._loop.call_soon_threadsafe(proxy.passing.set)

    def close(self) -> None:
        for proxy in self._proxies:
            self._run(proxy.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


class _Proxy:
    """Takes connections and passes their bytes on, both ways, while it is `passing`."""

    def __init__(self, ends: set[str], target_port: int) -> None:
        self.ends = ends
        self.target_port = target_port
        self.port = 0
        self.passing = asyncio.Event()
        self.passing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self.passing.wait()
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port, limit=CHUNK_BYTES)
            except OSError:
                writer.transport.abort()
                return
            ways = [asyncio.ensure_future(self._pass(*way)) for way in ((reader, far_writer), (far_reader, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                far_writer.transport.abort()
                writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self.passing.wait()
                writer.write(data)
                await writer.drain()


class Namespaces:
    """A network namespace for each member, all on one bridge."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._members: dict[str, tuple[int, subprocess.Popen[bytes]]] = {}
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "bridge0", "type", "bridge")
        _ip("addr", "add", f"{SUBNET}254/24", "dev", "bridge0")
        _ip("link", "set", "bridge0", "up")

    def host(self, member: str) -> str:
        if member == CLIENTS:
            return f"{SUBNET}254"
        if member not in self._members:
            self._add(member)
        return f"{SUBNET}{self._members[member][0]}"

    def _add(self, member: str) -> None:
        number = next(self._numbers)
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self._members[member] = (number, holder)
        ours = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{holder.pid}/ns/net").readlink() == ours:
            assert holder.poll() is None
        _ip("link", "add", f"veth{number}", "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _ip("link", "set", f"veth{number}", "master", "bridge0", "up")
        for what in (
            ("addr", "add", f"{SUBNET}{number}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip(*what, inside=self.command(member))

    def port(self, _member: str) -> int:
        return free_port()

    def place(self, _source: str, target: str, port: int) -> str:
        return f"{self.host(target)}:{port}"

    def command(self, member: str) -> list[str]:
        self.host(member)
        return ["nsenter", "--target", str(self._members[member][1].pid), "--net", "--"]

    def cut(self, member: str, others: Iterable[str] | None = None) -> None:
        assert others is None, "a namespace is cut off from everyone"
        _ip("link", "set", f"veth{self._members[member][0]}", "down")

    def heal(self, member: str) -> None:
        _ip("link", "set", f"veth{self._members[member][0]}", "up")

    def close(self) -> None:
        for _, holder in self._members.values():
            holder.kill()
            holder.wait()
        _ip("link", "delete", "bridge0")


def _ip(*what: str, inside: Iterable[str] = ()) -> None:
    subprocess.run([*inside, "ip", *what], check=True, capture_output=True)


def why_no_namespaces() -> str | None:
    """Why network namespaces cannot be used here; None when they can."""
    script = "ip link add bridge0 type bridge && ip link add veth0 type veth peer name veth1 && unshare --net true"
    try:
        tried = subprocess.run(
            [*ENTER_NAMESPACE, "sh", "-c", script], capture_output=True, check=False, text=True, timeout=20
        )
    except OSError as cause:
        return f"there is no unshare here: {cause}"
    return None if tried.returncode == 0 else f"no network namespaces here: {tried.stderr.strip()[-200:]}"


def answers(place: str) -> bool:
    """Whether somebody accepts connections there."""
    host, _, port = place.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=0.5):
        return True
    return False
