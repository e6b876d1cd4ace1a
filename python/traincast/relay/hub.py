"""The newest value of each topic, for those who wait for it: what runs in Ray's hub actor, without Ray.

Long polls, as Ray Serve's LongPollHost answers them: a call comes back when there is something newer than
what the caller has, and whoever calls late gets the newest at once. Nothing is queued for anybody.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from typing import Any, NamedTuple

__all__ = ["Hub", "Mark"]


class Mark(NamedTuple):
    """Which value of a topic."""

    hub: str
    """A hub that begins anew counts anew."""
    number: int


class Hub:
    """The methods are those of an `Engine`, for all connections at once."""

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
        """Put `new` under a key if `expected` is there (empty: nothing), and return what is there now."""
        if self._claims.get(key, b"") == expected:
            self._claims[key] = new
        return self._claims.get(key, b"")

    def _newest(self, topic: str, newer_than: Mark | None) -> tuple[Mark, Any] | None:
        found = self._values.get(topic)
        return None if found is None or found[0] == newer_than else found
