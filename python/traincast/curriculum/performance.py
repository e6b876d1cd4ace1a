"""`PerformanceCurriculum`: the level of an env follows the agent's results in that env."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat

from traincast._optional import missing
from traincast.curriculum.level import PerformanceLevel
from traincast.curriculum.statistics import Episode, Statistic, statistic_of

try:
    import gymnasium

    from traincast._specs import A, O
except ModuleNotFoundError as error:
    raise missing(error, "gymnasium", "gym", "traincast.curriculum.PerformanceCurriculum") from None

from traincast.curriculum._json import read_argument
from traincast.curriculum._wrapper import CurriculumWrapper
from traincast.wrappers.endings import EndWatch

__all__ = ["PerformanceCurriculum"]


class PerformanceCurriculum(CurriculumWrapper[O, A]):
    """Moves the level of this env instance with the average result of its last episodes.

    The level is an integer. Before each reset it sets attributes of the env, wherever they are defined inside
    it; a name with dots is a path, and a method is called, as with `ProgressCurriculum`. Each instance has a
    level of its own, and needs to know nothing about the training. Put it outside of `TimeLimit`, so that it
    sees the end of every episode, and inside of wrappers that reset the env by themselves, so that it sees
    every reset. An episode that an early reset abandons does not count.

    At each reset, and in the last step of an episode, `info["curriculum"]` is a dictionary of floats: the
    `level` of this episode, and the `average` of the results at this level so far. At a reset the average is
    nan while there are none; in the last step it includes the episode's own result.

    See `PerformanceLevel` for the rule and where it comes from. `max_level` and `min_level` may be set at any
    time, also by a `ProgressCurriculum` around this wrapper; they apply from the next reset on.

    Args:
        env: a Gymnasium env, of Gymnasium 0.29 or 1.x, with scalar rewards.
        attributes: for each attribute a sequence with its value at level 0, 1, 2, ..., or a callable that
            takes the level.
        statistic: the result of an episode: `"return"`, `"length"`, a key of the last `info`, a tuple of keys
            (a path in nested infos), or a callable that takes an `Episode`.
        promote_at: an average that reaches it moves the level up.
        demote_at: an average that falls to it moves the level down; None: never.
        window: how many episodes are averaged, at most.
        min_episodes: how many episodes a level lasts at least; None: `window`.
        initial_level: the level to begin with; None: `min_level`.
        min_level: lower bound of the level.
        max_level: upper bound of the level; None: the last of the shortest sequence in `attributes`.
        higher_is_better: False for statistics that fall as the agent improves.
        info_key: another key of `info` for these values; None: do not show them.

    Example:
        >>> env = PerformanceCurriculum(env, {"bots": range(8)}, promote_at=0.8)  # doctest: +SKIP
    """

    def __init__(
        self,
        env: gymnasium.Env[O, A],
        attributes: Mapping[str, Sequence[Any] | Callable[[int], Any]],
        *,
        promote_at: float,
        demote_at: float | None = None,
        statistic: Statistic = "return",
        window: int = 20,
        min_episodes: int | None = None,
        initial_level: int | None = None,
        min_level: int = 0,
        max_level: int | None = None,
        higher_is_better: bool = True,
        info_key: str | None = "curriculum",
    ) -> None:
        attributes = dict(read_argument(attributes))
        statistic = read_argument(statistic)
        super().__init__(
            env,
            attributes=attributes,
            promote_at=promote_at,
            demote_at=demote_at,
            statistic=statistic,
            window=window,
            min_episodes=min_episodes,
            initial_level=initial_level,
            min_level=min_level,
            max_level=max_level,
            higher_is_better=higher_is_better,
            info_key=info_key,
        )
        self._attributes = attributes
        lengths = [len(values) for values in self._attributes.values() if not callable(values)]
        self._top = min(lengths) - 1 if lengths else math.inf
        if max_level is not None and max_level > self._top:
            raise ValueError(
                f"max_level is {max_level}, but attributes has values only up to level {self._top}"
            )
        if min_level < 0 and lengths:
            raise ValueError(f"min_level is {min_level}, but a sequence of values begins at level 0")
        self._rule = PerformanceLevel(
            promote_at=promote_at,
            demote_at=demote_at,
            window=window,
            min_episodes=min_episodes,
            min_level=min_level,
            max_level=self._top if max_level is None else max_level,
            level=initial_level,
            higher_is_better=higher_is_better,
        )
        self._statistic = statistic
        self._total_reward = 0.0
        self._length = 0
        self._unended: EndWatch | None = EndWatch()
        self._episode_level = self._rule.level

    @property
    def level(self) -> int:
        """The level of the next reset; may be set."""
        return self._rule.level

    @level.setter
    def level(self, level: int) -> None:
        self._rule.level = level

    @property
    def min_level(self) -> float:
        """The lower bound of the level; may be set, and be fractional (3.5 means 4)."""
        return self._rule.min_level

    @min_level.setter
    def min_level(self, bound: float) -> None:
        self._rule.min_level = bound

    @property
    def max_level(self) -> float:
        """The upper bound of the level; may be set, and be fractional (3.5 means 3)."""
        return self._rule.max_level

    @max_level.setter
    def max_level(self, bound: float) -> None:
        self._rule.max_level = min(bound, self._top)

    @property
    def average(self) -> float | None:
        """The average result of the last episodes at this level; None if there is none yet."""
        return self._rule.average

    @property
    def curriculum_state(self) -> dict[str, Any]:
        """What `state_dict` returns and `load_state_dict` takes, as an attribute.

        Vector envs reach it: `get_attr("curriculum_state")`, `set_attr("curriculum_state", states)`.
        """
        return self.state_dict()

    @curriculum_state.setter
    def curriculum_state(self, state: Mapping[str, Any]) -> None:
        self.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """Return the level and its results, as plain JSON types."""
        return self._rule.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from what `state_dict` returned; the level is moved into the current bounds."""
        self._rule.load_state_dict(state)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[O, dict[str, Any]]:
        """Set the attributes for the level, then reset the env."""
        if self._unended is not None and self._length:
            self._unended.abandoned(self)
        level = self._episode_level = self._rule.settle()
        for name, values in self._attributes.items():
            self._setter.set(self.env, name, values(level) if callable(values) else values[level])
        self._total_reward, self._length = 0.0, 0
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, self._told(info, self._rule.average)

    def step(self, action: A) -> tuple[O, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the env; at the end of an episode, count its result."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._total_reward += float(reward)
        self._length += 1
        if terminated or truncated:
            self._unended = None
            episode = Episode(self._total_reward, self._length, bool(terminated), bool(truncated), info)
            self._total_reward, self._length = 0.0, 0
            self._rule.record(statistic_of(episode, self._statistic))
            info = self._told(info, self._rule.last_average)
        return observation, reward, terminated, truncated, info

    def _told(self, info: dict[str, Any], average: float | None) -> Any:
        # nan, rather than no key: an array over many envs would have zeros for those without an average.
        return self._shown_in(
            info, {"level": self._episode_level, "average": math.nan if average is None else average}
        )


PerformanceCurriculum.__module__ = "traincast.curriculum"  # where users, pickles and env specs find it
