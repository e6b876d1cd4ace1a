"""An env whose observation is what it was told: trainings carry it into their buffers."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from traincast.curriculum import Linear, PerformanceCurriculum, ProgressCurriculum

STEPS = "approx_total_training_steps"


class SeenEnv(gymnasium.Env[Any, Any]):
    """Observes the training steps of the episode's reset, -1 if it was told nothing."""

    observation_space = gymnasium.spaces.Box(-1.0, 1e6, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length: int = 3) -> None:
        self.length = length
        self.size = 1.0
        self.level = 0
        self.training_info: dict[str, Any] = {}
        self._count = 0

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.training_info = training_info

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self._count = 0
        self._seen = self.training_info.get(STEPS, -1)
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._count += 1
        return self._observation(), 1.0, self._count >= self.length, False, {}

    def _observation(self) -> Any:
        return np.array([self._seen], np.float32)


def make_seen() -> gymnasium.Env[Any, Any]:
    return SeenEnv()


def make_seen_with_curricula() -> gymnasium.Env[Any, Any]:
    """`size` grows from 1 to 2 in 100 training steps, `level` with the results."""
    env = PerformanceCurriculum(SeenEnv(), {"level": range(5)}, promote_at=3.0, window=2)
    return ProgressCurriculum(env, {"size": Linear(1.0, 2.0, 100)})


def rising(values: Any) -> bool:
    """Tell if the numbers never fall."""
    return bool(np.all(np.diff(np.asarray(values, float).ravel()) >= 0))
