"""An engine of little weight, for tests: 200 relays that have torch in memory would not fit on a machine.

Relays receive through a hub as they do from each other. What an engine does besides, to put and to swap, goes
over a second connection, as pickles: this is for tests only.
"""

from __future__ import annotations

import pickle
import socket
import socketserver
import threading
from contextlib import suppress
from typing import Any

from traincast.relay.engine import EngineLost
from traincast.relay.hub_server import HubServer
from traincast.relay.sockets import SocketListener, SocketListeners


class _Everything:
    def __contains__(self, topic: object) -> bool:
        return True


class Meeting(socketserver.ThreadingTCPServer):
    """Where relays meet."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 1024

    def __init__(self, host: str, port: int = 0, hub_port: int = 0) -> None:
        super().__init__((host, port), _Conversation)
        self.hub = HubServer(host, hub_port, topics=_Everything())
        self.places = host, int(self.server_address[1]), self.hub.port
        """What `MeetingEngines` needs."""
        self._claims: dict[str, bytes] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        with self._lock:
            if self._claims.get(key, b"") == expected:
                self._claims[key] = new
            return self._claims.get(key, b"")

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self.hub.close()


class _Conversation(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Meeting

    def handle(self) -> None:
        calls = {"put": self.server.hub.put, "swap": self.server.swap}
        with suppress(OSError, EOFError):
            while True:
                call, *arguments = pickle.load(self.rfile)
                pickle.dump(calls[call](*arguments), self.wfile)


class MeetingEngines:
    """Makes connections to a meeting."""

    def __init__(self, host: str, port: int, hub_port: int) -> None:
        self._place = host, port
        self.via = f"meeting {host}:{port}"
        self.listeners = SocketListeners(host, hub_port)
        self.connected: set[socket.socket] = set()

    def connect(self) -> MeetingEngine:
        listener = self.listeners.connect()
        try:
            connection = socket.create_connection(self._place, 1.0)
        except OSError as error:
            listener.close()
            raise EngineLost(f"{self.via}: {error}") from error
        return MeetingEngine(connection, listener, self)

    def cut(self) -> None:
        for connection in list(self.connected):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.listeners.cut()

    def close(self) -> None:
        """Nothing is hosted here."""


class MeetingEngine:
    """A connection to a meeting."""

    def __init__(self, connection: socket.socket, listener: SocketListener, engines: MeetingEngines) -> None:
        self._connection, self._listener, self._engines = connection, listener, engines
        self.wait, self.report_progress_to = listener.wait, listener.report_progress_to
        connection.settimeout(None)  # whoever finds that a call takes too long cuts it
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = connection.makefile("rwb")
        engines.connected.add(connection)

    def put(self, topic: str, value: bytes) -> None:
        self._call("put", topic, value)

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        return bytes(self._call("swap", key, expected, new))

    def close(self) -> None:
        self._engines.connected.discard(self._connection)
        with suppress(OSError):  # what a broken call has left to send
            self._file.close()
        self._connection.close()
        self._listener.close()

    def _call(self, *call: Any) -> Any:
        try:
            pickle.dump(call, self._file)
            self._file.flush()
            return pickle.load(self._file)
        except (OSError, EOFError) as error:
            raise EngineLost(f"{self._engines.via}: {error}") from error
