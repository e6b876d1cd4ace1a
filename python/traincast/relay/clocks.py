"""How old a snapshot of another machine is, without trust in wall clocks."""

from __future__ import annotations

from collections import deque

__all__ = ["ClockOffset"]


class ClockOffset:
    """How far this machine's monotonic clock is ahead of another's: the smallest (receive - send) of late.

    Too large by the shortest time that a message took, so ages come out too small by that and never negative.
    The window lets go of a value that clocks have drifted away from.
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
        """Return what this machine's clock said at a moment of the other one's; `now_ns` at the latest."""
        if not self._smallest:
            return now_ns
        return max(0, min(there_ns + self._smallest[0][1], now_ns))
