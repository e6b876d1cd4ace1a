"""Pauses between two attempts to connect."""

from __future__ import annotations

import random

__all__ = ["Backoff"]


class Backoff:
    """Grows from 50 ms to 0.6 s, with jitter, so that nodes that lost a hub do not all come back at once.

    Not to more: a node must be fresh within 2 s of its link's return, and a try may take half a second.
    """

    FIRST, LAST = 0.05, 0.6

    def __init__(self) -> None:
        self._next = self.FIRST

    def pause(self) -> float:
        """Return how many seconds to wait now."""
        pause, self._next = self._next, min(self._next * 2, self.LAST)
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew: something worked."""
        self._next = self.FIRST
