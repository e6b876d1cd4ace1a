"""The interface of an engine, which carries messages between relays: all that a relay needs of it.

Relays also receive from each other (`sockets`), which takes a part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from traincast.errors import TraincastError

__all__ = ["Engine", "EngineLost", "Engines", "Listener", "Listeners"]


class EngineLost(TraincastError, ConnectionError):  # noqa: N818 - it names an event
    """The engine cannot be reached, or does not answer."""


class Listener(Protocol):
    """A connection that receives. One thread uses it; each method may take as long as the network does.

    Raises: `EngineLost` from every method. The connection cannot be used afterwards.
    """

    def wait(self, topic: str, newer_than: Any, timeout: float) -> tuple[Any, bytes] | None:
        """Return the mark and the newest value as soon as its mark is another one than `newer_than`.

        Values that were overtaken meanwhile are skipped. `newer_than=None` accepts any value. Returns None if
        nothing came within `timeout` seconds. A mark may come from an earlier connection: for an engine that
        was restarted since, every value is newer.
        """

    def report_progress_to(self, progressed: Callable[[], None]) -> None:
        """Call `progressed` when a part of a large value has come: then the call does not hang."""

    def close(self) -> None:
        """End the connection."""


class Engine(Listener, Protocol):
    """A connection to an engine."""

    def put(self, topic: str, value: bytes) -> None:
        """Make a value the newest of its topic."""

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """Replace the value of a key by `new` if it is `expected` (empty: none), and return the value now."""


class Listeners(Protocol):
    """Makes connections that receive."""

    def connect(self) -> Listener:
        """Return a new connection.

        Raises: `EngineLost`, within a second or so.
        """

    def cut(self) -> None:
        """Make all calls in progress fail with `EngineLost`, because they take too long."""


class Engines(Listeners, Protocol):
    """Makes connections to one engine."""

    via: str
    """The kind of engine and where it is, as `traincast ls` shows it."""

    def connect(self) -> Engine:
        """See `Listeners`."""

    def close(self) -> None:
        """End what this process hosts of the engine."""
