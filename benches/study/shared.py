"""What the processes of a training share beside the channel under study: clock, level, counts, values."""

from __future__ import annotations

import mmap
from typing import Any

__all__ = ["RESETS", "STALE_RESETS", "STALE_STEPS", "STEPS", "Shared"]

STEPS, STALE_STEPS, RESETS, STALE_RESETS = range(4)
"""Columns of a worker's row."""

_COLUMNS = 16  # two cache lines: no worker's counts slow down another's


class Shared:
    """64-bit words in memory that forked processes share. Each word has one process that writes it.

    The clock is the number of env steps that all workers have taken. It costs a worker an addition for each
    step, and a process that reads it a sum over the workers.
    """

    def __init__(self, workers: int, values: int) -> None:
        self._counts: Any = memoryview(mmap.mmap(-1, (workers + 1) * _COLUMNS * 8)).cast("q")
        self._workers = workers
        self.values: Any = memoryview(mmap.mmap(-1, values * 8)).cast("d")
        """The action values, which the learner writes and workers read: the policy is never late."""

    def row(self, worker: int) -> Any:
        """The counts of a worker."""
        start = (worker + 1) * _COLUMNS
        return self._counts[start : start + _COLUMNS]

    def now(self) -> int:
        """Env steps of all workers."""
        return self.total(STEPS)

    def total(self, column: int) -> int:
        """The sum of a column over the workers."""
        counts = self._counts
        total = 0
        for worker in range(1, self._workers + 1):
            total += counts[worker * _COLUMNS + column]
        return total

    @property
    def level(self) -> int:
        """The level that the learner holds, whatever envs have been told."""
        level: int = self._counts[0]
        return level

    @level.setter
    def level(self, level: int) -> None:
        self._counts[0] = level
