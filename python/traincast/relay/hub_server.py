"""A hub behind a TCP port, without any framework: how a relay serves the relays that receive from it.

They ask (`sockets` has the form of the messages), and get an answer once there is something newer than what
they have: so each has one message in flight, or a few small ones, and a slow one does not hold up the others.
Whoever puts a value sends it at once to all that wait, from its own thread; a thread of the server does
everything else.

It only answers: nobody can put values from the network. Lengths are checked, and messages are sealed: anybody
who reaches the port can read, but do nothing else.
"""

from __future__ import annotations

import resource
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Container
from contextlib import suppress

from traincast.relay.sockets import ANSWER, FORM, MOST_MARK, REQUEST, SMALL_ANSWER

__all__ = ["HubServer"]

_MOST_CONNECTIONS = 4096
_MOST_SECONDS = 60.0
"""The longest that an answer may be waited for, and that a client may take until it asks again."""

_STALLED_SECONDS = 10.0
"""The longest that a client may take nothing of its answer, which may be an old one by now."""

_RETRY_ACCEPT = 0.5
_NOTHING = ANSWER.pack(0, 0)
_NONE = memoryview(b"")

_hubs: set[HubServer] = set()
"""Those of this process, which share its descriptors. (`traincast relay` has one for each channel.)"""


def _most_connections() -> int:
    """How many connections all hubs may have: strangers connect, too, and the relay needs descriptors."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MOST_CONNECTIONS, descriptors // 2) if descriptors > 0 else _MOST_CONNECTIONS


class _Client:
    """A connection of a client. It waits for answers, receives one, or is about to ask."""

    __slots__ = ("deadline", "due", "mark", "received", "socket", "stalled", "timeout", "topic", "unsent")

    def __init__(self, connection: socket.socket, now: float) -> None:
        self.socket = connection
        self.received = bytearray()
        self.unsent = _NONE
        self.stalled = False
        """Whether the server's thread sends the rest, once the connection can take it."""
        self.due = 0
        """How many answers it waits for."""
        self.topic, self.mark, self.timeout = "", b"", 0.0
        """What it waits for, the mark of what it has, and how long it waits."""
        self.deadline = now + _MOST_SECONDS
        """When it gets an empty answer if it waits; when it is disconnected, otherwise."""


class HubServer:
    """Holds the newest value of each topic, and serves it. Any thread may call its methods."""

    def __init__(self, host: str, port: int = 0, *, topics: Container[str]) -> None:
        """`port`: 0: a free one. `topics`: those that it serves."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, port), family=family, backlog=1024)
        self._listening.setblocking(False)
        self.port = int(self._listening.getsockname()[1])
        self._topics = topics
        self._id = secrets.token_hex(8)
        self._numbers: dict[str, int] = {}
        self._newest: dict[str, tuple[bytes, bytes]] = {}  # the mark, and the whole answer
        self._clients: dict[socket.socket, _Client] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._bell, self._ring = socket.socketpair()
        for always in (self._listening, self._bell):
            self._selector.register(always, selectors.EVENT_READ)
        self._look_at = time.monotonic() + _RETRY_ACCEPT
        self._closing = False
        _hubs.add(self)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, topic: str, value: bytes) -> None:
        """Make a value the newest of its topic, and send it to all that wait for it."""
        with self._lock:
            if not self._closing:
                self._put(topic, value)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._clients)

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            self._closing = True
        with suppress(OSError):
            self._ring.send(b"x")
        self._thread.join()

    def _put(self, topic: str, value: bytes) -> None:
        number = self._numbers[topic] = self._numbers.get(topic, 0) + 1
        mark = f"{self._id} {number}".encode()
        answer = b"".join((ANSWER.pack(len(mark), len(value)), mark, value))
        self._newest[topic] = mark, answer
        for client in list(self._clients.values()):
            if client.due and client.topic == topic:
                self._tell(client)

    def _run(self) -> None:
        try:
            while not self._closing:
                ready = self._selector.select(max(0.0, self._look_at - time.monotonic()))
                with self._lock:
                    for key, events in ready:
                        if key.fileobj is self._listening:
                            self._accept()
                        elif isinstance(key.data, _Client):
                            self._attend(key.data, events)
                    if time.monotonic() >= self._look_at:
                        self._look_at_deadlines()
        finally:  # whatever has happened: children of a hub that is gone look for another one
            _hubs.discard(self)
            with self._lock:
                self._closing = True
                for client in list(self._clients.values()):
                    self._drop(client)
                for own in (self._selector, self._listening, self._bell, self._ring):
                    own.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:
            return
        except OSError:  # too many open files: the listening socket would stay ready
            self._selector.unregister(self._listening)
            self._look_at = min(self._look_at, time.monotonic() + _RETRY_ACCEPT)
            return
        if sum(hub.connections for hub in _hubs.copy()) >= _most_connections():
            connection.close()
            return
        connection.setblocking(False)
        with suppress(OSError):  # it has gone already, which macOS tells here
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = self._clients[connection] = _Client(connection, time.monotonic())
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _attend(self, client: _Client, events: int) -> None:
        if client.socket not in self._clients:
            return
        try:
            if events & selectors.EVENT_WRITE:
                self._send(client)
                self._tell(client)
            if events & selectors.EVENT_READ:
                part = client.socket.recv(1 << 18)
                if not part or client.due or client.unsent:
                    raise ValueError("it has gone, or asks before it was answered")
                client.received += part
                self._read(client)
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            self._drop(client)

    def _read(self, client: _Client) -> None:
        """Act on a request, if all of it has come."""
        received = client.received
        if len(received) < REQUEST.size:
            return
        form, answers, topic_length, mark_length, timeout = REQUEST.unpack_from(received)
        if form != FORM or mark_length > MOST_MARK:
            raise ValueError("this is no request")
        mark_at = REQUEST.size + topic_length
        end = mark_at + mark_length
        if len(received) < end:
            return
        if len(received) > end:
            raise ValueError("it asks before it was answered")
        topic, mark = received[REQUEST.size : mark_at].decode(), bytes(received[mark_at:])
        if topic not in self._topics:
            raise ValueError("this hub has no such topic")
        received.clear()
        client.due, client.topic, client.mark = answers, topic, mark
        client.timeout = max(0.0, min(timeout, _MOST_SECONDS))
        client.deadline = time.monotonic() + client.timeout
        self._look_at = min(self._look_at, client.deadline)
        self._tell(client)

    def _tell(self, client: _Client) -> None:
        """Send a client the newest value, if it waits for it and has received the last one."""
        mark, answer = self._newest.get(client.topic, (b"", b""))
        if client.due and answer and mark != client.mark and not client.unsent:
            client.mark = mark
            client.due = client.due - 1 if len(answer) <= SMALL_ANSWER else 0
            self._answer(client, answer)

    def _answer(self, client: _Client, answer: bytes) -> None:
        client.unsent = memoryview(answer)
        try:
            self._send(client)
        except OSError:
            self._drop(client)

    def _send(self, client: _Client) -> None:
        """Send what the connection takes now; the server's thread sends the rest."""
        with suppress(BlockingIOError):
            rest = client.unsent[client.socket.send(client.unsent) :]
            client.unsent = rest or _NONE  # an empty part would keep the whole answer in memory
        stalls = bool(client.unsent)
        patience = _STALLED_SECONDS if stalls else client.timeout if client.due else _MOST_SECONDS
        client.deadline = time.monotonic() + patience
        self._look_at = min(self._look_at, client.deadline)
        if stalls != client.stalled:
            client.stalled = stalls
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if stalls else 0)
            self._selector.modify(client.socket, events, client)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.socket, None) is not None:
            self._selector.unregister(client.socket)
            client.socket.close()

    def _look_at_deadlines(self) -> None:
        """Answer those that have waited long enough; drop those that take too long, or have vanished."""
        now = time.monotonic()
        if self._listening not in self._selector.get_map():
            self._selector.register(self._listening, selectors.EVENT_READ)
        for client in list(self._clients.values()):
            if now < client.deadline:
                continue
            if client.due and not client.unsent:
                client.due = 0
                self._answer(client, _NOTHING)
            else:
                self._drop(client)
        self._look_at = min(
            (client.deadline for client in self._clients.values()), default=now + _MOST_SECONDS
        )
