"""Connections to a hub behind a TCP port (`hub_server`): how a relay receives from another one.

    request   FORM; how many answers; lengths of topic and mark; seconds to wait; then topic and mark
    answer    lengths of mark and value; then these two. Without a mark there is no value

A request may ask for several answers, so that not each small value costs a request. The last answer
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
    "FORM",
    "MOST_MARK",
    "REQUEST",
    "SMALL_ANSWER",
    "SocketListener",
    "SocketListeners",
]

FORM = 1
"""How a request begins. A hub cuts off whoever says it otherwise, a later version perhaps, which then
receives from the engine."""

REQUEST = struct.Struct("<BBBId")
ANSWER = struct.Struct("<II")
MOST_MARK = 512
SMALL_ANSWER = 4096
"""Bytes of an answer, up to which more answers follow without another request."""

_MOST_BYTES = 1 << 30
_PART = 65_536
"""Bytes after which a connection reports that a large value is coming."""

_TIME = struct.Struct("@ll")  # struct timeval
_CONNECT_SECONDS = 0.5
_GRACE = 1.5


class SocketListeners:
    """Makes connections to a hub behind a port."""

    def __init__(self, host: str, port: int, answers: int = 1) -> None:
        """`answers`: how many to ask for at once. With several, a connection serves one topic only."""
        self.host, self.port, self.answers = host, port, answers
        self.where = f"{host}:{port}"
        self._connected: set[socket.socket] = set()
        self._lock = threading.Lock()

    def connect(self) -> SocketListener:
        """See `Listeners`."""
        try:
            connection = socket.create_connection((self.host, self.port), _CONNECT_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, ValueError) as error:  # ValueError: an impossible host name
            raise EngineLost(f"{self.where}: {error}") from error
        with self._lock:
            self._connected.add(connection)
        return SocketListener(connection, self)

    def cut(self) -> None:
        """See `Listeners`."""
        with self._lock:
            for connection in self._connected:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def forget(self, connection: socket.socket) -> None:
        """Close a connection."""
        with self._lock:
            self._connected.discard(connection)
        connection.close()


class SocketListener:
    """A connection to a hub behind a port."""

    def __init__(self, connection: socket.socket, listeners: SocketListeners) -> None:
        self._connection, self._listeners = connection, listeners
        self._due = 0
        self._received = b""
        self._progressed: Callable[[], None] = lambda: None
        # Python's own timeouts would poll before each part of a large value. The kernel can wait for all.
        connection.setblocking(True)
        self._set_timeout(0.0)

    def wait(self, topic: str, newer_than: bytes | None, timeout: float) -> tuple[bytes, bytes] | None:
        """See `Listener`. While answers are due, the timeout is that of the request that asked for them."""
        try:
            if not self._due:
                if timeout != self._timeout:
                    self._set_timeout(timeout)
                self._ask(topic, newer_than or b"", timeout)
            news = self._answer()
            while self._due and self._received:  # more have come already
                later = self._answer()
                news = later if later[0] else news
            return news if news[0] else None
        except OSError as error:
            raise EngineLost(f"{self._listeners.where}: {error}") from error

    def report_progress_to(self, progressed: Callable[[], None]) -> None:
        """See `Listener`."""
        self._progressed = progressed

    def close(self) -> None:
        """See `Listener`."""
        self._listeners.forget(self._connection)

    def _ask(self, topic: str, mark: bytes, timeout: float) -> None:
        name, answers = topic.encode(), self._listeners.answers
        self._connection.sendall(REQUEST.pack(FORM, answers, len(name), len(mark), timeout) + name + mark)
        self._due = answers

    def _answer(self) -> tuple[bytes, bytes]:
        received = self._received or self._connection.recv(SMALL_ANSWER)
        self._received = b""
        if len(received) < ANSWER.size:
            received += self._receive(ANSWER.size - len(received))
        mark, found = ANSWER.unpack_from(received)
        if mark > MOST_MARK or found > _MOST_BYTES:
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
