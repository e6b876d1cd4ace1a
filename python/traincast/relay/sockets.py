"""A hub behind a TCP port, without any framework: the connections in a tree of relays.

A relay with children serves them the newest messages: they ask, and get an answer when there is something
newer (`Hub`). It answers only requests to wait for its topics. Nobody can put values from the network, unless
the hub serves all topics, as the root of a tree of its own.

    request   kind; lengths of topic, mark (or expected value) and value; seconds to wait; then these three
    answer    lengths of mark and value; then these two. Without a mark there is no value

Lengths are checked, and messages are sealed: anybody who reaches the port can read, but do nothing else.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Collection
from contextlib import suppress

from traincast.relay.engine import EngineLost
from traincast.relay.hub import Hub, Mark

__all__ = ["HubServer", "SocketEngine", "SocketEngines"]

_REQUEST = struct.Struct("<BBIId")
_ANSWER = struct.Struct("<II")
_PUT, _WAIT, _SWAP = range(1, 4)
_MOST_BYTES = 1 << 30
_MOST_SMALL = 512
_MOST_CONNECTIONS = 4096
_CONNECT_SECONDS = 0.5
_GRACE = 1.5


class HubServer:
    """Serves a hub in a thread of its own."""

    def __init__(self, host: str, port: int = 0, topics: Collection[str] | None = None) -> None:
        """`port`: 0: a free one. `topics`: those that it serves; None: all, and clients may put values."""
        self._listening = socket.create_server((host, port), backlog=1024)
        self.port = int(self._listening.getsockname()[1])
        self._topics = topics
        self._hub = Hub()
        self._connections: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, topic: str, value: bytes) -> None:
        """Make a value the newest of its topic."""
        with suppress(RuntimeError):  # it has ended
            asyncio.run_coroutine_threadsafe(self._hub.put(topic, value), self._loop)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._listening))
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        for connection in list(self._connections):
            connection.transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _MOST_CONNECTIONS:
            writer.close()
            return
        self._connections.add(writer)
        try:
            while True:
                what, *lengths, timeout = _REQUEST.unpack(await reader.readexactly(_REQUEST.size))
                if lengths[1] > _MOST_SMALL or lengths[2] > (_MOST_BYTES if self._topics is None else 0):
                    return
                topic, small, value = [await reader.readexactly(length) for length in lengths]
                mark, found = await self._answer(what, topic.decode(), small, value, timeout)
                writer.writelines([_ANSWER.pack(len(mark), len(found)), mark, found])
                await writer.drain()
        except (OSError, EOFError, ValueError, asyncio.CancelledError):
            pass  # the client has gone, or sends nonsense, or this server ends
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(
        self, what: int, topic: str, small: bytes, value: bytes, timeout: float
    ) -> tuple[bytes, bytes]:
        if what == _WAIT and (self._topics is None or topic in self._topics):
            hub, _, number = small.decode().partition(" ")
            mark = Mark(hub, int(number)) if number else None
            news = await self._hub.wait(topic, mark, max(0.0, min(timeout, 60.0)))
            return (b"", b"") if news is None else (" ".join(map(str, news[0])).encode(), news[1])
        if self._topics is not None:
            raise ValueError("this hub only answers requests to wait for its topics")
        if what == _SWAP:
            return b"-", await self._hub.swap(topic, small, value)
        await self._hub.put(topic, value)
        return b"", b""


class SocketEngines:
    """Makes connections to a hub behind a port."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.via = f"tcp {host}:{port}"
        self._connected: set[socket.socket] = set()
        self._lock = threading.Lock()

    def connect(self) -> SocketEngine:
        """See `Engines`."""
        try:
            connection = socket.create_connection((self.host, self.port), _CONNECT_SECONDS)
        except (OSError, ValueError) as error:  # ValueError: an impossible host name
            raise EngineLost(f"{self.via}: {error}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._connected.add(connection)
        return SocketEngine(connection, self)

    def cut(self) -> None:
        """See `Engines`."""
        with self._lock:
            for connection in self._connected:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See `Engines`: nothing is hosted here."""

    def forget(self, connection: socket.socket) -> None:
        """Close a connection."""
        with self._lock:
            self._connected.discard(connection)
        connection.close()


class SocketEngine:
    """A connection to a hub behind a port."""

    def __init__(self, connection: socket.socket, engines: SocketEngines) -> None:
        self._connection, self._engines = connection, engines

    def put(self, topic: str, value: bytes) -> None:
        """See `Engine`."""
        self._ask(_PUT, topic, b"", value, 0.0)

    def wait(self, topic: str, newer_than: bytes | None, timeout: float) -> tuple[bytes, bytes] | None:
        """See `Engine`."""
        mark, value = self._ask(_WAIT, topic, newer_than or b"", b"", timeout)
        return (mark, value) if mark else None

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """See `Engine`."""
        return self._ask(_SWAP, key, expected, new, 0.0)[1]

    def close(self) -> None:
        """See `Engine`."""
        self._engines.forget(self._connection)

    def _ask(self, what: int, topic: str, small: bytes, value: bytes, timeout: float) -> tuple[bytes, bytes]:
        name = topic.encode()
        try:
            self._connection.settimeout(timeout + _GRACE)
            head = _REQUEST.pack(what, len(name), len(small), len(value), timeout)
            self._connection.sendall(b"".join((head, name, small, value)))
            mark, found = _ANSWER.unpack(self._receive(_ANSWER.size))
            if mark > _MOST_SMALL or found > _MOST_BYTES:
                raise EngineLost(f"{self._engines.via}: this is not a hub of traincast")
            return self._receive(mark), self._receive(found)
        except EngineLost:
            raise
        except OSError as error:
            raise EngineLost(f"{self._engines.via}: {error}") from error

    def _receive(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            part = self._connection.recv(min(length - len(received), 1 << 20))
            if not part:
                raise EngineLost(f"{self._engines.via}: the hub has closed the connection")
            received += part
        return bytes(received)
