"""The age of a snapshot from another machine, computed without its wall clock."""

from __future__ import annotations

from collections import deque

__all__ = ["ClockOffset"]


class ClockOffset:
    """How far this machine's monotonic clock is ahead of another's: the least (receive - send) in a window.

    It is too large by the time that the fastest message took; so ages are too small by that, but never
    negative. Because the window slides, the difference follows clocks that drift apart.
    """

    WINDOW_NS = 60_000_000_000

    def __init__(self) -> None:
        self._smallest: deque[tuple[int, int]] = deque()  # (received, difference), both growing

    def add(self, sent_ns: int, received_ns: int) -> None:
        """Note a message."""
        difference = received_ns - sent_ns
        while self._smallest and self._smallest[-1][1] >= difference:
            self._smallest.pop()
        self._smallest.append((received_ns, difference))
        while received_ns - self._smallest[0][0] > self.WINDOW_NS:
            self._smallest.popleft()

    def here(self, there_ns: int, now_ns: int) -> int:
        """Convert a time of the other machine's clock to this machine's; at most `now_ns`."""
        if not self._smallest:
            return now_ns
        return max(0, min(there_ns + self._smallest[0][1], now_ns))
