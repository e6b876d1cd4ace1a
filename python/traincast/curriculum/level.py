"""A level that follows results: the rule behind `PerformanceCurriculum`, also for use without Gymnasium."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import fmean
from typing import Any

__all__ = ["PerformanceLevel"]


class PerformanceLevel:
    """A level that the average result of the last episodes moves up and down, one at a time.

    Results are counted per level: a change of level forgets them, because results at another level say
    nothing about this one. The distance between the two thresholds is the hysteresis that keeps the level
    from swinging.

    The idea of averaging episodic statistics over the last N episodes of one env instance is that of Sample
    Factory (Petrenko et al. 2020, arXiv:2006.11751); two thresholds over a buffer of results are used by
    automatic domain randomization (Akkaya et al. 2019, arXiv:1910.07113, section 5.2, Algorithm 1).

    Args:
        promote_at: an average that reaches it moves the level up.
        demote_at: an average that falls to it moves the level down; None: never.
        window: how many episodes are averaged, at most.
        min_episodes: how many episodes a level lasts at least; None: `window`. If fewer than `window`, the
            first averages are over fewer episodes.
        min_level: lower bound of the level; may be changed later, and be fractional (3.5 means 4).
        max_level: upper bound of the level; may be changed later, and be fractional (3.5 means 3).
        level: the level to begin with; None: `min_level`.
        higher_is_better: False for statistics that fall as the agent improves, for example the steps to a
            goal.
    """

    def __init__(
        self,
        *,
        promote_at: float,
        demote_at: float | None = None,
        window: int = 20,
        min_episodes: int | None = None,
        min_level: float = 0,
        max_level: float = math.inf,
        level: int | None = None,
        higher_is_better: bool = True,
    ) -> None:
        if window < 1:
            raise ValueError(f"window must be at least 1, not {window}")
        if min_episodes is not None and min_episodes < 1:
            raise ValueError(f"min_episodes must be at least 1, not {min_episodes}")
        self.promote_at = promote_at
        self.demote_at = demote_at
        self.min_level = min_level
        self.max_level = max_level
        self._sign = 1.0 if higher_is_better else -1.0
        self._min_episodes = window if min_episodes is None else min_episodes
        self._results: deque[float] = deque(maxlen=window)
        self._episodes = 0
        self._last_average: float | None = None
        self._level = math.ceil(min_level) if level is None else level
        self._check_thresholds()
        self._check_bounds()
        if not min_level <= self._level <= max_level:
            raise ValueError(f"level {self._level} is not within {min_level}...{max_level}")

    @property
    def level(self) -> int:
        """The level now; setting it forgets the results of the one before."""
        return self._level

    @level.setter
    def level(self, level: int) -> None:
        if level != self._level:
            self._level = level
            self._forget()

    def _forget(self) -> None:
        self._results.clear()
        self._episodes = 0

    @property
    def episodes(self) -> int:
        """How many episodes were recorded at this level."""
        return self._episodes

    @property
    def average(self) -> float | None:
        """The average of the last results at this level; None if there is none yet."""
        return fmean(self._results) if self._results else None

    @property
    def last_average(self) -> float | None:
        """The average right after the last result, at the level at which that was recorded."""
        return self._last_average

    def settle(self) -> int:
        """Move the level into its bounds, in case they have changed, and return it."""
        self._check_bounds()
        self.level = max(math.ceil(self.min_level), int(min(self._level, self.max_level // 1)))
        return self._level

    def record(self, result: float) -> int:
        """Count the result of one episode; returns how the level changed: -1, 0 or 1."""
        if not math.isfinite(result):
            raise ValueError(f"the result of an episode must be finite, not {result}")
        self._check_thresholds()
        self._results.append(float(result))
        self._episodes += 1
        self._last_average = fmean(self._results)
        return self._moved(self._last_average)

    def _moved(self, average: float) -> int:
        """Apply the rule to the average, and return how the level changed."""
        if self._episodes < self._min_episodes:
            return 0
        before = self._level
        average *= self._sign
        if average >= self._sign * self.promote_at:
            if before + 1 <= self.max_level:
                self.level = before + 1
        elif (
            self.demote_at is not None
            and average <= self._sign * self.demote_at
            and before - 1 >= self.min_level
        ):
            self.level = before - 1
        return self._level - before

    def state_dict(self) -> dict[str, Any]:
        """Return the level and its results, as plain JSON types."""
        return {"level": self._level, "episodes": self._episodes, "results": list(self._results)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from what `state_dict` returned; the level is moved into the current bounds."""
        level, episodes = int(state["level"]), int(state["episodes"])
        results = [float(result) for result in state["results"]]  # all is read before anything changes
        self.level = level
        self._episodes = episodes
        self._results.clear()
        self._results.extend(results)
        self.settle()

    def __repr__(self) -> str:
        return (
            f"<PerformanceLevel {self._level} of {self.min_level}...{self.max_level}, average {self.average}>"
        )

    def _check_thresholds(self) -> None:
        if math.isnan(self.promote_at):
            raise ValueError("promote_at must be a number, not nan")
        if self.demote_at is not None and not self._sign * self.demote_at < self._sign * self.promote_at:
            worse = "below" if self._sign > 0 else "above"
            raise ValueError(
                f"demote_at ({self.demote_at}) must be {worse} promote_at ({self.promote_at}); the space "
                "between them is the hysteresis"
            )

    def _check_bounds(self) -> None:
        if not math.ceil(self.min_level) <= self.max_level:
            raise ValueError(f"there is no level within {self.min_level}...{self.max_level}")
