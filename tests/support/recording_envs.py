"""Small envs that record which training information they were given, and when."""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import numpy as np

import traincast

STEPS = "approx_total_training_steps"


class PlainEnv(gymnasium.Env):
    """Counts to `length`, and knows nothing of training. `difficulty` is there to be set."""

    observation_space = gymnasium.spaces.Box(0.0, 1e6, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length: int = 3, reward: float = 1.0) -> None:
        self.length = length
        self.reward = reward
        self.difficulty: Any = "as built"
        self.difficulties: list[Any] = []
        self.count = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.difficulties.append(self.difficulty)
        self.count = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        done = self.count >= self.length
        return self._observation(), self.reward, done, False, {"success": float(self.reward > 0)}

    def _observation(self) -> Any:
        return np.array([self.count], np.float32)


class RecordingEnv(PlainEnv, traincast.TrainingInfoInterface):
    """Records every dictionary received, and when; each reset's info tells the steps that it knows."""

    def __init__(self, length: int = 3, reward: float = 1.0) -> None:
        PlainEnv.__init__(self, length, reward)
        traincast.TrainingInfoInterface.__init__(self)
        self.resets = 0
        self.received: list[tuple[int, int, dict[str, Any]]] = []
        self.steps_in_episode = 0

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        super().set_training_info(training_info)
        self.received.append((self.resets, self.count, training_info))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        observation, info = super().reset(seed=seed, options=options)
        self.resets += 1
        return observation, info | {"known_steps": self.training_info.get(STEPS, -1)}

    @property
    def seen(self) -> list[int]:
        """The steps of each dictionary received."""
        return [info[STEPS] for _, _, info in self.received]


class ForwardingWrapper(gymnasium.Wrapper):
    """Forwards every attribute of what is inside, as Gymnasium 0.29 and PettingZoo wrappers do."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "env":
            raise AttributeError(name)
        return getattr(self.env, name)


def make_recording_env(name: str, directory: str | None = None, **wrapper_arguments: Any) -> gymnasium.Env:
    """Make a wrapped env; `directory` is for children of a fork server, which has an older environment."""
    if directory is not None:
        os.environ["TRAINCAST_DIR"] = directory
    return traincast.TrainingInfoWrapper(RecordingEnv(), name, **wrapper_arguments)


if "Recording-v0" not in gymnasium.registry:
    gymnasium.register("Recording-v0", entry_point="recording_envs:RecordingEnv", max_episode_steps=5)


class Holder:
    """Keeps an env under any attribute name, as wrappers of other libraries do."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class InfoWrapper(gymnasium.Wrapper, traincast.TrainingInfoInterface):
    def __init__(self, env: gymnasium.Env) -> None:
        gymnasium.Wrapper.__init__(self, env)
        traincast.TrainingInfoInterface.__init__(self)
