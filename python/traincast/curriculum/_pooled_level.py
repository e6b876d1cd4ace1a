"""The rule of `PerformanceLevel` for results that arrive in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import fsum, isfinite
from typing import Any

from traincast.curriculum.level import PerformanceLevel

__all__ = ["PooledLevel"]


class PooledLevel(PerformanceLevel):
    """A level that the average result of all envs moves up and down, one at a time.

    A batch is the number of episodes that all envs have finished since the last batch, and the sum of their
    results. The average is over the newest batches that together have at least `window` episodes, however
    rarely results are collected. With one episode in each batch, it is exactly a `PerformanceLevel`.

    Arguments: those of `PerformanceLevel`.
    """

    def __init__(self, *, window: int, **arguments: Any) -> None:
        super().__init__(window=window, **arguments)
        self._window = window
        self._batches: deque[tuple[int, float]] = deque()

    @property
    def average(self) -> float | None:
        """The average of the last results at this level; None if there is none yet."""
        if not self._batches:
            return None
        return fsum(total for _, total in self._batches) / sum(episodes for episodes, _ in self._batches)

    def record(self, result: float) -> int:
        """Count the result of one episode; returns how the level changed: -1, 0 or 1."""
        return self.record_batch(1, result)

    def record_batch(self, episodes: int, total: float) -> int:
        """Count `episodes`, at least 1, whose results add up to `total`; returns how the level changed."""
        if not isfinite(total):
            raise ValueError(f"the results of {episodes} episodes must be finite, not {total}")
        self._check_thresholds()
        self._batches.append((episodes, float(total)))
        self._episodes += episodes
        inside = sum(count for count, _ in self._batches)
        while inside - self._batches[0][0] >= self._window:
            inside -= self._batches.popleft()[0]
        average = self._last_average = self.average
        assert average is not None
        return self._moved(average)

    def state_dict(self) -> dict[str, Any]:
        """Return the level and its results, as plain JSON types."""
        batches = [[episodes, total] for episodes, total in self._batches]
        return {"level": self._level, "episodes": self._episodes, "results": batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from what `state_dict` returned; the level is moved into the current bounds."""
        batches = [(int(episodes), float(total)) for episodes, total in state["results"]]
        if not all(episodes > 0 and isfinite(total) for episodes, total in batches):
            raise ValueError(f"batches have episodes and finite sums, unlike one of {batches}")
        super().load_state_dict({**state, "results": []})
        self._batches.clear()
        if self._level == int(state["level"]):
            self._batches.extend(batches)

    def _forget(self) -> None:
        super()._forget()
        self._batches.clear()
