"""Pauses between two attempts to connect."""

from __future__ import annotations

import random

__all__ = ["Backoff"]


class Backoff:
    """Pauses that grow from 50 ms to 0.3 s, with jitter, so that nodes do not all reconnect at once.

    They do not grow further, because a node must be up to date within 2 s after its link is back: Linux may
    take a second to find a neighbour again, and an attempt may take half a second.
    """

    FIRST, LAST = 0.05, 0.3

    def __init__(self) -> None:
        self._next = self.FIRST

    def pause(self) -> float:
        """Return how many seconds to wait now."""
        pause, self._next = self._next, min(self._next * 2, self.LAST)
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start again with short pauses, because a connection was made."""
        self._next = self.FIRST
