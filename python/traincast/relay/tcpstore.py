"""torch's TCPStore as an engine: under torchrun and SLURM, where torch is there anyway.

The store is one of its own, on its own port, and lives in the relay of the node that has the address: the
job's own store ends with rank 0, and its keys are other people's. It has no authentication, so messages
should carry an HMAC (`TRAINCAST_KEY`), and it is bound to the one address, not to all interfaces, where torch
can do that.

What it can do is `set`, `get` (which waits for a key), `add` and `compare_set`. So each value has a key of
its own, numbered by a counter, and whoever waits gets the key that comes next: one round trip after the value
is there. After a value it looks at the counter, which is where values that were overtaken are skipped. The
putter deletes old keys.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
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
_KEPT_SECONDS = 0.5  # for those who know a number and have not got its value yet
_SWEPT = 8  # keys of an earlier putter that are deleted with each put
_WHOLE, _IN_PARTS = b"\0", b"\1"


def torch_store() -> Any:
    """Return torch's class; the first call imports torch, which takes seconds.

    Raises: ModuleNotFoundError without torch.
    """
    os.environ.setdefault(
        "TORCH_CPP_LOG_LEVEL", "ERROR"
    )  # each wait that ends without news is a warning of its
    try:
        from torch.distributed import TCPStore
    except ModuleNotFoundError as error:
        raise missing(error, "torch", "torch", "traincast.relay.join") from None
    return TCPStore


class Mark(NamedTuple):
    """Which value of a topic."""

    store: bytes
    """A store that begins anew counts anew."""
    number: int


class StoreEngines:
    """Connections to one store, hosted here if this machine has the address and nobody has the port."""

    def __init__(self, host: str, port: int, prefix: str) -> None:
        self.host, self.port, self._prefix = host, port, f"traincast/{prefix}"
        self.via = f"tcpstore {host}:{port}"
        self._hosted: Any = None
        self._lock = threading.Lock()

    def host_if_possible(self) -> bool:
        """Host the store if this machine has its address and nobody the port; whether it is hosted here."""
        with self._lock:
            if self._hosted is None and is_address_of_this_machine(self.host):
                with suppress(OSError):
                    self._hosted = _hosted_store(self.host, self.port)
            return self._hosted is not None

    def connect(self) -> StoreEngine:
        """Return a connection; see `Engines`."""
        self.host_if_possible()
        try:  # the store's own attempts to connect cannot be told to end soon
            socket.create_connection((self.host, self.port), _CONNECT_SECONDS / 2).close()
        except OSError as error:
            raise EngineLost(f"{self.via}: {error}") from error
        return StoreEngine(self.host, self.port, self._prefix)

    def cut(self) -> None:
        """Shut all connections to the store: then their calls fail, which would not end by themselves."""
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
    """The values of a topic that this putter has not deleted."""

    def __init__(self, behind: int) -> None:
        self.behind = behind
        """The next number of an earlier putter's to delete; 0: there are none."""
        self._values: deque[tuple[float, int, int, int]] = deque()
        self._bytes = 0

    def add(self, number: int, size: int, parts: int) -> None:
        self._values.append((time.monotonic(), number, size, parts))
        self._bytes += size

    def overdue(self) -> Iterator[tuple[int, int]]:
        """Take out what nobody needs any more: number and parts. The newest stays."""
        long_ago = time.monotonic() - _KEPT_SECONDS
        while len(self._values) > 1 and (self._values[0][0] < long_ago or self._bytes > _KEPT_BYTES):
            _, number, size, parts = self._values.popleft()
            self._bytes -= size
            yield number, parts


class StoreEngine:
    """One connection."""

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

    def put(self, topic: str, value: bytes) -> None:
        """See `Engine`."""
        parts = [value[at : at + _PART] for at in range(0, len(value), _PART)]
        try:
            # Those who wait have the value before the counter has been asked, which is a round trip. Where
            # somebody else has had that number, it comes again under its own.
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
                    seen = number  # it was deleted while it was asked for: there is a newer one
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

    def close(self) -> None:
        """See `Engine`."""
        self._store = None

    def _get(self, key: str, timeout: float) -> bytes | None:
        # A key that was deleted before it was got never comes: in between, the counter is looked at again.
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
        # Anybody may have put it there.
        count = int(value[1:]) if value[1:].isdigit() and len(value) < 5 else 0
        parts = []
        for i in range(count):
            part = self._get(f"{key}/{i}", 1.0)
            if part is None:
                return None
            parts.append(part)
        return b"".join(parts)

    def _forget_old(self, topic: str, number: int, size: int, parts: int) -> None:
        kept = self._kept.setdefault(topic, _Kept(behind=number - 1))
        kept.add(number, size, parts)
        for old, its_parts in kept.overdue():
            self._delete(topic, old, its_parts)
        # What an earlier putter left: no more than it kept, and all of it one after the other.
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
    """Tell if a host name is this machine's: a socket can be bound to it."""
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
    else:  # it binds all interfaces
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
