"""The env of `ppo`: the lock for function approximation, and the wrapper that delays its level."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import gymnasium
import numpy as np

from benches.study.arms.arm import ENVS
from benches.study.tasks.lock import first_step, right_actions
from traincast.unwrapping import set_training_info

__all__ = ["LEVELS", "Late", "LockEnv"]

LENGTH, LEVELS, ACTIONS = 20, 10, 4


class LockEnv(gymnasium.Env[Any, Any]):
    """A shorter lock, whose observation is the position as a one-hot vector."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (LENGTH + 1,), np.float32)
    action_space = gymnasium.spaces.Discrete(ACTIONS)

    def __init__(self, seed: int, level: int = 0) -> None:
        self.level = level
        self._right = right_actions(seed, ACTIONS, LENGTH)
        self._place = self._playing = 0

    def set_level(self, level: int) -> None:
        """Set the level of the next episode; `env_method` calls this."""
        self.level = level

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._playing = self.level
        self._place = first_step(self.level, LENGTH, LEVELS)
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        right = int(action) == self._right[self._place]
        self._place += right
        success = self._place == LENGTH
        info = {"success": success, "playing": self._playing}
        return self._observation(), float(success), success or not right, False, info

    def _observation(self) -> Any:
        observation = np.zeros(LENGTH + 1, np.float32)
        observation[self._place] = 1.0
        return observation


class Late(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Plays the level of a stated number of env steps ago."""

    def __init__(self, env: Any, lag: int) -> None:
        super().__init__(env)
        self._lag = lag
        self._steps = 0
        self._info: dict[str, Any] = {}

    def set_training_info(self, info: dict[str, Any]) -> None:
        self._info = info

    def reset(self, **options: Any) -> Any:
        if self._info:
            times, levels = self._info["history"]
            level = levels[max(bisect_right(times, self._steps * ENVS - self._lag) - 1, 0)]
            entry = {**self._info["curriculum"], "level": level}
            set_training_info(self.env, {**self._info, "curriculum": entry})
        return self.env.reset(**options)

    def step(self, action: Any) -> Any:
        self._steps += 1
        return self.env.step(action)
