"""Connections to a hub behind a TCP port (`hub_server`): how a relay receives from another one.

    request   kind; how many answers; lengths of topic, mark (or expected value) and value; seconds to wait;
              then these three
    answer    lengths of mark and value; then these two. Without a mark there is no value

A request to wait may ask for several answers, so that not each small value costs a request. The last answer
is the one that makes up the number, a large one, or an empty one after that many seconds without news.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from traincast.relay.engine import EngineLost

__all__ = [
    "ANSWER",
    "MOST_BYTES",
    "MOST_SMALL",
    "PUT",
    "REQUEST",
    "SMALL_ANSWER",
    "SWAP",
    "WAIT",
    "SocketEngine",
    "SocketEngines",
]

REQUEST = struct.Struct("<BBBIId")
ANSWER = struct.Struct("<II")
PUT, WAIT, SWAP = range(1, 4)
MOST_BYTES = 1 << 30
MOST_SMALL = 512
SMALL_ANSWER = 4096
"""Bytes of an answer, up to which more answers follow without another request."""

_PART = 65_536
"""Bytes after which a connection reports that a large value is coming."""

_TIME = struct.Struct("@ll")  # struct timeval
_CONNECT_SECONDS = 0.5
_GRACE = 1.5


class SocketEngines:
    """Makes connections to a hub behind a port."""

    def __init__(self, host: str, port: int, answers: int = 1) -> None:
        """`answers`: how many to ask for at once. With several, a connection serves one topic only."""
        self.host, self.port, self.answers = host, port, answers
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
        self._due = 0
        self._received = b""
        self._progressed: Callable[[], None] = lambda: None
        # Python's own timeouts would poll before each part of a large value. The kernel can wait for all.
        connection.setblocking(True)
        self._set_timeout(0.0)

    def put(self, topic: str, value: bytes) -> None:
        """See `Engine`."""
        self._call(PUT, topic, b"", value)

    def wait(self, topic: str, newer_than: bytes | None, timeout: float) -> tuple[bytes, bytes] | None:
        """See `Engine`. While answers are due, the timeout is that of the request that has asked for them."""
        try:
            if not self._due:
                if timeout != self._timeout:
                    self._set_timeout(timeout)
                self._ask(WAIT, self._engines.answers, topic, newer_than or b"", b"", timeout)
            news = self._answer()
            while self._due and self._received:  # more have come already
                later = self._answer()
                news = later if later[0] else news
            return news if news[0] else None
        except OSError as error:
            raise EngineLost(f"{self._engines.via}: {error}") from error

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """See `Engine`."""
        return self._call(SWAP, key, expected, new)

    def report_progress_to(self, progressed: Callable[[], None]) -> None:
        """See `Engine`."""
        self._progressed = progressed

    def close(self) -> None:
        """See `Engine`."""
        self._engines.forget(self._connection)

    def _call(self, what: int, topic: str, small: bytes, value: bytes) -> bytes:
        try:
            self._set_timeout(0.0)
            self._ask(what, 1, topic, small, value, 0.0)
            return self._answer()[1]
        except OSError as error:
            raise EngineLost(f"{self._engines.via}: {error}") from error

    def _ask(self, what: int, answers: int, topic: str, small: bytes, value: bytes, timeout: float) -> None:
        name = topic.encode()
        head = REQUEST.pack(what, answers, len(name), len(small), len(value), timeout)
        self._connection.sendall(b"".join((head, name, small, value)))
        self._due = answers

    def _answer(self) -> tuple[bytes, bytes]:
        received = self._received or self._connection.recv(SMALL_ANSWER)
        self._received = b""
        if len(received) < ANSWER.size:
            received += self._receive(ANSWER.size - len(received))
        mark, found = ANSWER.unpack_from(received)
        if mark > MOST_SMALL or found > MOST_BYTES:
            raise ConnectionError("this is not a hub of traincast")
        if len(received) < ANSWER.size + mark:
            received += self._receive(ANSWER.size + mark - len(received))
        at, end = ANSWER.size + mark, ANSWER.size + mark + found
        self._due = self._due - 1 if mark and end <= SMALL_ANSWER else 0
        self._received = received[end:]
        return received[ANSWER.size : at], self._receive(end - len(received), received[at:end])

    def _receive(self, length: int, begun: bytes = b"") -> bytes:
        """Return what has begun, and so many more bytes."""
        parts = [begun]
        while length > 0:
            part = self._connection.recv(min(length, _PART), socket.MSG_WAITALL)
            if not part:
                raise ConnectionError("the hub has closed the connection")
            parts.append(part)
            length -= len(part)
            if length:
                self._progressed()
        return b"".join(parts)

    def _set_timeout(self, timeout: float) -> None:
        self._timeout = timeout
        whole, part = divmod(timeout + _GRACE, 1)
        value = _TIME.pack(int(whole), int(part * 1e6))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._connection.setsockopt(socket.SOL_SOCKET, option, value)
