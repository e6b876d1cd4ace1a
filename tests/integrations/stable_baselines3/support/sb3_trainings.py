"""Small trainings, and what their envs were told."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from recording_envs import STEPS, RecordingEnv
from stable_baselines3 import A2C, DQN, SAC
from stable_baselines3.common.vec_env import DummyVecEnv

torch.set_num_threads(1)  # more are slower with models of this size


class ContinuousEnv(RecordingEnv):
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)


_REPLAY: dict[str, Any] = {"learning_starts": 8, "buffer_size": 100, "batch_size": 4}
ALGORITHMS = {
    "A2C": (partial(A2C, n_steps=4), RecordingEnv),
    "DQN": (partial(DQN, train_freq=2, **_REPLAY), RecordingEnv),
    "SAC": (partial(SAC, **_REPLAY), ContinuousEnv),
}


def make_venv(
    info: Any, env: Any = RecordingEnv, count: int = 2, cls: Any = DummyVecEnv, **options: Any
) -> Any:
    return cls([info.wrap_env_fn(env)] * count, **options)


def make_model(venv: Any, algorithm: str = "A2C", **options: Any) -> Any:
    make, _ = ALGORITHMS[algorithm]
    return make("MlpPolicy", venv, device="cpu", policy_kwargs={"net_arch": [4]}, **options)


def told(venv: Any) -> list[list[dict[str, Any]]]:
    """The dictionaries that each env was given, in order."""
    return [[info for _, _, info in received] for received in venv.get_attr("received")]


def steps_told(venv: Any) -> list[list[int]]:
    return [[info[STEPS] for info in infos] for infos in told(venv)]
