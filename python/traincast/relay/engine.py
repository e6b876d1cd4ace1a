"""What a relay needs of an engine, whichever it is."""

from __future__ import annotations

from typing import Any, Protocol

from traincast.errors import TraincastError

__all__ = ["Engine", "EngineLost", "Engines"]


class EngineLost(TraincastError, ConnectionError):  # noqa: N818 - it names what has happened
    """The engine cannot be reached, or does not answer."""


class Engine(Protocol):
    """A connection. One thread uses it; every method may take as long as a network does.

    Raises: `EngineLost` from every method. The connection is then of no more use.
    """

    def put(self, topic: str, value: bytes) -> None:
        """Make a value the newest of its topic."""

    def wait(self, topic: str, newer_than: Any, timeout: float) -> tuple[Any, bytes] | None:
        """Return the newest value, and its mark, when it is another one than that with the mark `newer_than`.

        Values that were overtaken are skipped. `newer_than=None` takes any. None: nothing came within
        `timeout` seconds. A mark may come from an earlier connection: to an engine that has begun anew since,
        every value is newer.
        """

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """Put `new` under a key if `expected` is there (empty: nothing), and return what is there now."""

    def close(self) -> None:
        """End the connection."""


class Engines(Protocol):
    """Makes connections to one engine."""

    via: str
    """What `ls` shows: the kind of engine, and where it is."""

    def connect(self) -> Engine:
        """Return a new connection.

        Raises: `EngineLost`, within a second or so.
        """

    def cut(self) -> None:
        """Have all calls that are under way fail with `EngineLost`: they take longer than they should."""

    def close(self) -> None:
        """Let go of what is hosted here."""
