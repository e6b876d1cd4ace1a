"""`PooledCurriculum`: one level for all envs, which follows the results of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from traincast.curriculum._learner import LearnerCurriculum
from traincast.curriculum._pooled_level import PooledLevel
from traincast.run import Run

__all__ = ["PooledCurriculum"]

PooledStatistic = Literal["success_rate", "return", "length"]

_SUMS = {"success_rate": "successes", "return": "return_sum", "length": "length_sum"}


class PooledCurriculum(LearnerCurriculum):
    """Moves one level for all envs, with the average result of the episodes that all of them have played.

        >>> curriculum = PooledCurriculum(run, levels=5, promote_at=0.8, demote_at=0.2)  # doctest: +SKIP
        >>> env = run.wrap_env(TaskCurriculum(env, {"size": [4, 6, 8, 12, 16]}))  # doctest: +SKIP
        >>> curriculum.update()  # as often as you like  # doctest: +SKIP

    It lives in the learner's process. Envs in any process play the level that is published, each inside of a
    `TaskCurriculum`, and count every episode under the level at which it was played. So results at an earlier
    level never count for the new one. A new level is published at once: the next reset of any env uses it.

    Where a framework's integration makes the run, it takes the curriculum as its `training_info`, and calls
    it in its hooks: `TrainingInfoCallback(curriculum)`.

    The rule is `PerformanceLevel`'s. Let m be the average of the last `window` results at this level, or of a
    few more, because results that are collected together count together. After at least `min_episodes` at
    this level, the next level is:

        level + 1 if m >= promote_at;  level - 1 if m <= demote_at;  else the same

    A change of the level forgets the results. Automatic domain randomization moves its bounds in this way:
    Akkaya et al., "Solving Rubik's Cube with a Robot Hand" (2019, arXiv:1910.07113), section 5.2, Algorithm 1
    (the paper does not number its equations), compares the average over a buffer of m results of all workers
    with the thresholds t_H (`promote_at`) and t_L (`demote_at`), with >= and <= as here. It empties the
    buffer at each comparison; here the window slides until the level changes. With a window in each env
    instead, every env has to fill its own: N envs need N times the episodes.

    Args:
        run: the `Run`; None: that of the integration that gets it as `training_info`, or of `Run.attach`.
        levels: how many levels there are; they are 0 ... levels - 1.
        promote_at: an average that reaches it moves the level up.
        demote_at: an average that falls to it moves the level down; None: never.
        statistic: the result of an episode: `"success_rate"` (1 or 0), `"return"`, or `"length"` in steps.
        window: how many episodes of all envs are averaged.
        min_episodes: how many episodes a level lasts at least; None: `window`.
        initial_level: the level to begin with.
        higher_is_better: False for results that fall as the agent improves, such as the steps to a goal.
        key: the key of the training information under which envs find the level, as `key.level`.
        state: a `state_dict` to resume from. A run that was made with a saved state restores it by itself.

    Raises: ValueError if the levels or thresholds are not possible; RuntimeError if it belongs to another
        run; and as `traincast.scores.Scoreboard`.
    """

    def __init__(
        self,
        run: Run | None = None,
        *,
        levels: int,
        promote_at: float,
        demote_at: float | None = None,
        statistic: PooledStatistic = "success_rate",
        window: int = 100,
        min_episodes: int | None = None,
        initial_level: int = 0,
        higher_is_better: bool = True,
        key: str = "curriculum",
        state: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(levels, key, "levels")
        if statistic not in _SUMS:
            raise ValueError(f"statistic must be one of {get_args(PooledStatistic)}, not {statistic!r}")
        if statistic == "success_rate" and not 0 <= promote_at <= 1:
            raise ValueError(f"promote_at is {promote_at}, but a success rate is between 0 and 1")
        self._rule = PooledLevel(
            promote_at=promote_at,
            demote_at=demote_at,
            window=window,
            min_episodes=min_episodes,
            max_level=self._tasks - 1,
            level=index(initial_level),
            higher_is_better=higher_is_better,
        )
        self._statistic = statistic
        self._set_up(run, state)

    @property
    def level(self) -> int:
        """The current level; setting it forgets the results, and publishes at once."""
        return self._rule.level

    @level.setter
    def level(self, level: int) -> None:
        level = index(level)
        if not 0 <= level < self._tasks:
            raise ValueError(f"level {level} is not within 0...{self._tasks - 1}")
        self._rule.level = level
        self._publish()

    @property
    def levels(self) -> int:
        """How many levels there are."""
        return self._tasks

    @property
    def average(self) -> float | None:
        """The average of the last results at this level; None if there is none yet."""
        return self._rule.average

    @property
    def episodes(self) -> int:
        """How many episodes all envs have played at this level, since it was reached."""
        return self._rule.episodes

    def _learn(self, added: NDArray[np.void]) -> bool:
        here = added[self._rule.level]
        if not here["episodes"]:
            return False  # only episodes that began at another level
        return self._rule.record_batch(int(here["episodes"]), float(here[_SUMS[self._statistic]])) != 0

    def _told(self) -> dict[str, Any]:
        return {"level": self._rule.level}

    def _rule_state(self) -> dict[str, Any]:
        return self._rule.state_dict()

    def _load_rule(self, state: Mapping[str, Any]) -> None:
        self._rule.load_state_dict(state)

    def __repr__(self) -> str:
        return f"<PooledCurriculum at level {self.level} of 0...{self._tasks - 1}, average {self.average}>"


PooledCurriculum.__module__ = "traincast.curriculum"
