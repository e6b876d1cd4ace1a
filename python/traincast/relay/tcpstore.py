"""torch's TCPStore as an engine: under torchrun and SLURM, where torch is installed anyway.

The store is a separate one on a port of its own, in the relay process of the node that has the address. The
job's own store ends with rank 0, and its keys belong to torch. A store has no authentication, so messages
should carry an HMAC (`TRAINCAST_KEY`); and it listens only at that address, not on all interfaces, if this
version of torch can do so.

Its operations are `set`, `get` (which waits for a key), `add` and `compare_set`. So each value has a key of
its own, numbered by a counter. A connection that waits asks for the next key, and gets the value one round
trip after it was put. Before each wait it looks at the counter, and so skips values that were overtaken. The
connection that puts values deletes old keys.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from traincast._optional import missing
from traincast.relay.engine import EngineLost

__all__ = ["StoreEngine", "StoreEngines", "is_address_of_this_machine", "torch_store"]

_CONNECT_SECONDS = 1.0
_PART = 4 << 20  # a value has at most 8 MiB
_KEPT_BYTES = 64 << 20
_KEPT_SECONDS = 0.5  # so that others can still get a value whose number they know
_SWEPT = 8  # keys of an earlier connection that are deleted with each put
_WHOLE, _IN_PARTS = b"\0", b"\1"


def torch_store() -> Any:
    """Return the class `TCPStore`; the first call imports torch, which takes seconds.

    Raises: ModuleNotFoundError without torch.
    """
    # torch would log a warning for each wait that ends without news.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        from torch.distributed import TCPStore
    except ModuleNotFoundError as error:
        raise missing(error, "torch", "torch", "traincast.relay.join") from None
    return TCPStore


class Mark(NamedTuple):
    """Identifies a value of a topic."""

    store: bytes
    """The store that numbered it: a restarted store begins at 1 again."""
    number: int


class StoreEngines:
    """Makes connections to one store, which it hosts if this machine has the address and the port is free."""

    def __init__(self, host: str, port: int, prefix: str) -> None:
        self.host, self.port, self._prefix = host, port, f"traincast/{prefix}"
        self.via = f"tcpstore {host}:{port}"
        self._hosted: Any = None
        self._lock = threading.Lock()

    def host_if_possible(self) -> bool:
        """Host the store if this machine has the address and the port is free; return whether it is here."""
        with self._lock:
            if self._hosted is None and is_address_of_this_machine(self.host):
                with suppress(OSError):
                    self._hosted = _hosted_store(self.host, self.port)
            return self._hosted is not None

    def connect(self) -> StoreEngine:
        """Return a connection; see `Engines`."""
        self.host_if_possible()
        try:  # the store's own attempts to connect take long
            socket.create_connection((self.host, self.port), _CONNECT_SECONDS / 2).close()
        except OSError as error:
            raise EngineLost(f"{self.via}: {error}") from error
        return StoreEngine(self.host, self.port, self._prefix)

    def cut(self) -> None:
        """Shut down all connections to the store, so that calls fail that would not end by themselves."""
        addresses = {info[4][0] for info in _addresses(self.host, self.port)}
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError, ValueError, IndexError, TypeError):
                number = int(entry.name)
                if not os.readlink(entry).startswith("socket:"):
                    continue
                with socket.socket(fileno=os.dup(number)) as connection:
                    peer = connection.getpeername()
                    if peer[0].removeprefix("::ffff:") in addresses and peer[1] == self.port:
                        connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the store, if it is hosted here."""
        self._hosted = None


class _Kept:
    """The values of a topic that this connection has put and not deleted."""

    def __init__(self, behind: int) -> None:
        self.behind = behind
        """The next number of an earlier connection's values to delete; 0: there are none."""
        self._values: deque[tuple[float, int, int, int]] = deque()
        self._bytes = 0

    def add(self, number: int, size: int, parts: int) -> None:
        self._values.append((time.monotonic(), number, size, parts))
        self._bytes += size

    def overdue(self) -> Iterator[tuple[int, int]]:
        """Remove values that nobody needs any more, and yield their numbers and parts. The newest stays."""
        long_ago = time.monotonic() - _KEPT_SECONDS
        while len(self._values) > 1 and (self._values[0][0] < long_ago or self._bytes > _KEPT_BYTES):
            _, number, size, parts = self._values.popleft()
            self._bytes -= size
            yield number, parts


class StoreEngine:
    """A connection to the store."""

    def __init__(self, host: str, port: int, prefix: str) -> None:
        store_class = torch_store()
        self._prefix = prefix
        try:
            self._store = store_class(
                host,
                port,
                is_master=False,
                wait_for_workers=False,
                timeout=timedelta(seconds=_CONNECT_SECONDS),
            )
            self._id: bytes = self._store.get("traincast/store")
        except RuntimeError as error:
            raise EngineLost(_reason(error)) from error
        self._kept: dict[str, _Kept] = {}
        self._last_put: dict[str, int] = {}
        self._timeout = 0.0
        self._progressed: Callable[[], None] = lambda: None

    def put(self, topic: str, value: bytes) -> None:
        """See `Engine`."""
        parts = [value[at : at + _PART] for at in range(0, len(value), _PART)]
        try:
            # Setting the expected key before the round trip to the counter delivers the value sooner. If
            # another connection has that number already, the value is put again under its own number.
            expected = self._last_put.get(topic, 0) + 1
            if expected > 1:
                self._set(self._value(topic, expected), value, parts)
            number = self._store.add(self._count(topic), 1)
            if number != expected > 1:
                self._delete(topic, expected, len(parts))
            if number != expected or expected == 1:
                self._set(self._value(topic, number), value, parts)
            self._last_put[topic] = number
            self._forget_old(topic, number, len(value), len(parts))
        except RuntimeError as error:
            raise EngineLost(_reason(error)) from error

    def _set(self, key: str, value: bytes, parts: list[bytes]) -> None:
        if len(parts) <= 1:
            self._store.set(key, _WHOLE + value)
            return
        for i, part in enumerate(parts):
            self._store.set(f"{key}/{i}", part)
        self._store.set(key, _IN_PARTS + str(len(parts)).encode())

    def wait(self, topic: str, newer_than: Mark | None, timeout: float) -> tuple[Mark, bytes] | None:
        """See `Engine`."""
        seen = newer_than.number if newer_than is not None and newer_than.store == self._id else 0
        deadline = time.monotonic() + timeout
        try:
            while True:
                number = max(self._store.add(self._count(topic), 0), seen + 1)
                left = deadline - time.monotonic()
                key = self._value(topic, number)
                value = self._get(key, max(left, 0.001))
                whole = self._whole(key, value) if value else None
                if whole is not None:
                    return Mark(self._id, number), whole
                if value is not None:
                    seen = number  # it was deleted meanwhile, so there is a newer one
                if time.monotonic() >= deadline:
                    return None
        except RuntimeError as error:
            raise EngineLost(_reason(error)) from error

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """See `Engine`."""
        try:
            there: bytes = self._store.compare_set(f"{self._prefix}/{key}", expected, new)
            return there
        except RuntimeError as error:
            raise EngineLost(_reason(error)) from error

    def report_progress_to(self, progressed: Callable[[], None]) -> None:
        """See `Engine`."""
        self._progressed = progressed

    def close(self) -> None:
        """See `Engine`."""
        self._store = None

    def _get(self, key: str, timeout: float) -> bytes | None:
        # A key that was deleted before it was read never comes, so the counter is read again now and then.
        timeout = min(timeout, 1.0)
        if timeout != self._timeout:
            self._store.set_timeout(timedelta(seconds=timeout))
            self._timeout = timeout
        try:
            value: bytes = self._store.get(key)
            return value
        except RuntimeError as error:
            if "timeout" not in str(error).lower():
                raise
            return None

    def _whole(self, key: str, value: bytes) -> bytes | None:
        if value[:1] == _WHOLE:
            return value[1:]
        # Not trusted: anybody may have put it there.
        count = int(value[1:]) if value[1:].isdigit() and len(value) < 5 else 0
        parts = []
        for i in range(count):
            part = self._get(f"{key}/{i}", 1.0)
            if part is None:
                return None
            parts.append(part)
            self._progressed()
        return b"".join(parts)

    def _forget_old(self, topic: str, number: int, size: int, parts: int) -> None:
        kept = self._kept.setdefault(topic, _Kept(behind=number - 1))
        kept.add(number, size, parts)
        for old, its_parts in kept.overdue():
            self._delete(topic, old, its_parts)
        # What an earlier connection left: no more than it kept, in consecutive numbers.
        for old in range(kept.behind, max(kept.behind - _SWEPT, 0), -1):
            kept.behind = old - 1 if self._delete(topic, old, 0) else 0

    def _delete(self, topic: str, number: int, parts: int) -> bool:
        key = self._value(topic, number)
        for i in range(parts if parts > 1 else 0):
            self._store.delete_key(f"{key}/{i}")
        return bool(self._store.delete_key(key))

    def _count(self, topic: str) -> str:
        return f"{self._prefix}/{topic}/count"

    def _value(self, topic: str, number: int) -> str:
        return f"{self._prefix}/{topic}/{number}"


def is_address_of_this_machine(host: str) -> bool:
    """Tell if a host name belongs to this machine: then a socket can be bound to it."""
    for family, kind, _, _, address in _addresses(host, 0):
        with suppress(OSError), socket.socket(family, kind) as probe:
            probe.bind(address)
            return True
    return False


def _addresses(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []


def _hosted_store(host: str, port: int) -> Any:
    family, _, _, _, address = _addresses(host, port)[0]
    store_class = torch_store()
    listening = socket.create_server(address[:2], family=family, backlog=1024)
    own_socket: dict[str, int] = {}
    if "master_listen_fd" in store_class.__init__.__doc__:
        own_socket["master_listen_fd"] = listening.detach()
    else:  # this version of torch listens on all interfaces
        listening.close()
    try:
        store = store_class(
            host,
            port,
            is_master=True,
            wait_for_workers=False,
            timeout=timedelta(seconds=_CONNECT_SECONDS),
            **own_socket,
        )
    except RuntimeError as error:
        raise OSError(str(error)) from error
    store.set("traincast/store", secrets.token_hex(8))
    return store


def _reason(error: RuntimeError) -> str:
    return str(error).partition("\n")[0]
