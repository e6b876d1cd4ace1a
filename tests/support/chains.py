"""Chains of doors, and a tabular agent: task i is a chain of i + 1 doors; a wrong door ends the episode."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

TASKS = 16


class ChainEnv(gymnasium.Env[Any, Any]):
    """Observes the task and how many doors are left; of two doors one is right, each chain has its own."""

    observation_space = gymnasium.spaces.MultiDiscrete([TASKS, TASKS + 1])
    action_space = gymnasium.spaces.Discrete(2)
    right = np.random.default_rng(0).integers(0, 2, (TASKS, TASKS + 1))

    def __init__(self) -> None:
        self.chain = 0
        self._left = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self._left = self.chain + 1
        return (self.chain, self._left), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        passed = action == self.right[self.chain, self._left]
        self._left -= int(passed)
        solved = bool(passed and self._left == 0)
        return (
            (self.chain, self._left),
            float(solved),
            bool(solved or not passed),
            False,
            {"success": solved},
        )


class Agent:
    """Greedy Q-learning from optimistic values, with a learning rate of 1/2."""

    def __init__(self, seed: int) -> None:
        self.values = np.ones((TASKS, TASKS + 1, 2))
        self._rng = np.random.default_rng(seed)
        self._solved = np.zeros(TASKS, bool)

    def play(self, env: gymnasium.Env[Any, Any], seed: int | None = None) -> tuple[int, float]:
        """Play and learn from one episode; return its task and the mean magnitude of its TD errors."""
        place, info = env.reset(seed=seed)
        task, errors, over, reward = int(info["curriculum"]["task"]), [], False, 0.0
        while not over:
            low, high = self.values[place]
            action = int(self._rng.integers(2)) if low == high else int(high > low)
            after, reward, over, _, _ = env.step(action)
            error = reward + (0.0 if over else self.values[after].max()) - self.values[place][action]
            self.values[place][action] += error / 2
            errors.append(abs(error))
            place = after
        self._solved[task] = reward > 0
        return task, float(np.mean(errors))

    @property
    def solves_all(self) -> bool:
        return bool(self._solved.all())
