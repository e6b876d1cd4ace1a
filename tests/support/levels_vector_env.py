"""A vector env that is one object, and moves its level by itself, in every autoreset mode."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np


class LevelsVectorEnv(gymnasium.vector.VectorEnv):
    """Two envs with episodes of these lengths; the n-th episode is played at level n modulo 3.

    `level` is an array of both envs', or the one of all: then it moves when the first env begins an episode.
    `played` has the levels of the episodes that ended, `returns` the sums of their returns at each level.
    """

    def __init__(self, mode: str | None, *, lengths: tuple[int, int] = (1, 3), as_array: bool = True) -> None:
        # By name alone: Gymnasium 0.29 has no modes. Envs without one reset in the next step, as EnvPool's.
        self.metadata = {} if mode is None else {"autoreset_mode": SimpleNamespace(name=mode)}
        self.num_envs = 2
        self.single_observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,))
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (2, 1))
        self.action_space = gymnasium.spaces.MultiDiscrete([2, 2])
        self.mode = mode or "NEXT_STEP"
        self.lengths = np.array(lengths if as_array else (lengths[0],) * 2)
        self.as_array = as_array
        self.levels = np.full(2, -1)
        self.counts, self.over = np.zeros(2, int), np.zeros(2, bool)
        self.rewards = np.ones(2)
        self.played: list[int] = []
        self.returns = [0.0] * 3

    @property
    def level(self) -> Any:
        return self.levels if self.as_array else int(self.levels[0])

    def _begin(self, which: Any) -> None:
        self.levels[which] = (self.levels[which] + 1) % 3
        self.counts[which], self.over[which] = 0, False

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self._begin((options or {}).get("reset_mask", slice(None)))
        return np.zeros((2, 1), np.float32), {}

    def step(self, actions: Any) -> Any:
        idle = self.over.copy()
        if self.mode == "NEXT_STEP":
            self._begin(idle)
        self.counts += ~idle
        ended = (self.counts >= self.lengths) & ~idle
        for index in np.flatnonzero(ended):
            self.played.append(int(self.levels[index]))
            self.returns[self.levels[index]] += float(self.lengths[index])
        self.over = ended | idle if self.mode == "DISABLED" else ended
        shown = self.over.copy()
        if self.mode == "SAME_STEP":
            self._begin(ended)
        rewards = np.where(idle, 0.0, self.rewards)
        return np.zeros((2, 1), np.float32), rewards, shown, np.zeros(2, bool), {}
