"""The Zenoh session of a process, which is reopened when it is lost, and what is declared in it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from traincast._optional import missing
from traincast.relay.address import address_among, place_of
from traincast.relay.engine import EngineLost

try:
    import zenoh
except ModuleNotFoundError as error:
    raise missing(error, "zenoh", "zenoh", "traincast relay --via zenoh") from None

__all__ = ["Declared", "Network", "zenoh"]

_CONNECT_SECONDS = 0.5
_LEASE_MS = 1000


class Network:
    """The session of this process."""

    def __init__(self, connect: Sequence[str], listen: Sequence[str] = ()) -> None:
        """`connect`, `listen`: endpoints such as `"tcp/HOST:7447"`. A process that listens is a router."""
        self.endpoints, self._listen = list(connect), list(listen)
        self.via = "zenoh " + ", ".join([*self.endpoints, *(f"{place} (here)" for place in listen)])
        self._session: Any = None
        self._number = 0
        self._failed: tuple[float, str] | None = None  # when the last attempt failed, and why
        self._lock = threading.Lock()

    def own_address(self) -> str | None:
        """Return where other nodes reach this one; None if that cannot be found out, or is not to be used."""
        return address_among(self.endpoints, self._listen)

    def session(self) -> tuple[int, Any]:
        """Return the session and its number, which tells if earlier declarations are still valid.

        Raises: `EngineLost`, within a second or so.
        """
        asked = time.monotonic()
        with self._lock:
            if self._session is not None and not self._is_linked():
                self._drop()
            if self._session is None:
                if self._failed is not None and self._failed[0] > asked:
                    # Another thread has tried meanwhile. One attempt after the other would take seconds.
                    raise EngineLost(self._failed[1])
                self._session = self._open()
                self._number += 1
            return self._number, self._session

    def close(self) -> None:
        """Close the session."""
        with self._lock:
            self._drop()

    def _is_linked(self) -> bool:
        return bool(self._listen) or bool(list(self._session.info.routers_zid()))

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:  # closing may take long if the link is dead
            threading.Thread(target=_close, args=(session,), daemon=True).start()

    def _open(self) -> Any:
        try:
            if not self._listen:
                _probe(self.endpoints)
            return zenoh.open(self._configuration())
        except (EngineLost, zenoh.ZError) as error:
            self._failed = time.monotonic(), f"{self.via}: {error}"
            raise EngineLost(self._failed[1]) from error

    def _configuration(self) -> Any:
        seconds = int(_CONNECT_SECONDS * 1000)
        settings = {
            "mode": "router" if self._listen else "client",
            "connect/endpoints": self.endpoints,
            "connect/timeout_ms": -1 if self._listen else seconds,
            "connect/exit_on_failure": not self._listen,
            "connect/retry": {
                "period_init_ms": 50,
                "period_max_ms": 1000,
                "period_increase_factor": 2,
            },
            "listen/endpoints": self._listen,
            "listen/exit_on_failure": True,
            "scouting/multicast/enabled": False,
            "transport/link/tx/lease": _LEASE_MS,
            "transport/shared_memory/enabled": False,  # it leaves files behind, and nodes share no memory
        }
        configuration = zenoh.Config()
        for key, value in settings.items():
            configuration.insert_json5(key, json.dumps(value))
        return configuration


class Declared:
    """What is declared in the current session."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._session = 0
        self._entities: dict[str, Any] = {}
        self._lock = threading.Lock()

    @contextmanager
    def session(self) -> Iterator[Any]:
        """Use the session.

        Raises: `EngineLost` if it is lost.
        """
        number, session = self._network.session()
        with self._lock:
            if number != self._session:
                self._session, self._entities = number, {}
        try:
            yield session
        except zenoh.ZError as error:
            raise EngineLost(f"{self._network.via}: {error}") from error

    def once(self, key: str, declare: Callable[[], Any]) -> bool:
        """Declare something unless it is declared in this session already; return whether it did."""
        with self._lock:
            if key in self._entities:
                return False
            self._entities[key] = declare()
            return True

    def no_longer(self, key: str) -> None:
        """Undeclare something."""
        with self._lock:
            entity = self._entities.pop(key, None)
            if entity is not None:
                with suppress(zenoh.ZError):
                    entity.undeclare()

    def close(self) -> None:
        """Undeclare everything."""
        with self._lock:
            for entity in self._entities.values():
                with suppress(zenoh.ZError):
                    entity.undeclare()
            self._entities.clear()


def _probe(endpoints: Sequence[str]) -> None:
    """Check that a router is reachable: Zenoh's own attempts take long if a link is dead."""
    reasons = []
    for endpoint in endpoints:
        place = place_of(endpoint)
        if place is None:
            return
        try:
            socket.create_connection(place, _CONNECT_SECONDS).close()
            return
        except OSError as error:
            reasons.append(f"{endpoint} cannot be reached: {error}")
    raise EngineLost("; ".join(reasons))


def _close(session: Any) -> None:
    with suppress(zenoh.ZError):
        session.close()
