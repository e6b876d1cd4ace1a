"""A hub: holds the newest value of each topic and answers long polls. Ray's hub actor runs it.

It works like Ray Serve's `LongPollHost`: a call returns when there is something newer than what the caller
has, and a caller that comes late gets the newest value at once. Nothing is queued.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from typing import Any, NamedTuple

__all__ = ["Hub", "Mark"]


class Mark(NamedTuple):
    """Identifies a value of a topic."""

    hub: str
    """The hub that numbered it: a restarted hub begins at 1 again."""
    number: int


class Hub:
    """Serves the methods of an `Engine` to all connections."""

    def __init__(self) -> None:
        self._id = secrets.token_hex(8)
        self._values: dict[str, tuple[Mark, Any]] = {}
        self._news: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._claims: dict[str, bytes] = {}

    async def put(self, topic: str, value: Any) -> None:
        """Make a value the newest of its topic."""
        before = self._values.get(topic)
        self._values[topic] = Mark(self._id, before[0].number + 1 if before else 1), value
        self._news.pop(topic, asyncio.Event()).set()

    async def wait(self, topic: str, newer_than: Mark | None, timeout: float) -> tuple[Mark, Any] | None:
        """Return the newest value if its mark is not `newer_than`; None if none comes within `timeout`."""
        if self._newest(topic, newer_than) is None:
            try:
                await asyncio.wait_for(self._news[topic].wait(), timeout)
            except TimeoutError:
                return None
        return self._newest(topic, newer_than)

    async def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """Replace the value of a key by `new` if it is `expected` (empty: none), and return the value now."""
        if self._claims.get(key, b"") == expected:
            self._claims[key] = new
        return self._claims.get(key, b"")

    def _newest(self, topic: str, newer_than: Mark | None) -> tuple[Mark, Any] | None:
        found = self._values.get(topic)
        return None if found is None or found[0] == newer_than else found
