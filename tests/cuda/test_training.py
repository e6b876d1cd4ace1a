"""A training on the GPU whose envs are processes: they follow it, and stay off the GPU."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv

import traincast
from traincast.integrations.stable_baselines3 import TrainingInfoCallback


class Env(gymnasium.Env, traincast.TrainingInfoInterface):
    """Shows what it was told in its observation: steps, the second level, and whether CUDA is in use here."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self):
        traincast.TrainingInfoInterface.__init__(self)
        self.told = []
        self.count = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        info = self.training_info
        self.count = 0
        level = info["levels"][1].item() if "levels" in info else -1.0
        self.told.append((info.get("approx_total_training_steps", -1), level, torch.cuda.is_initialized()))
        return self.look(), {}

    def step(self, action):
        self.count += 1
        return self.look(), 1.0, self.count == 5, False, {}

    def look(self):
        return np.array([self.count, *self.told[-1][:2]], np.float64)


@pytest.mark.parametrize("start_method", ["fork", "forkserver"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:You are trying to run (A2C|PPO) on the GPU:UserWarning")
def test_envs_in_processes_follow_a_training_on_the_gpu(start_method):
    levels = torch.zeros(4, device="cuda")

    def training_info(*_):
        levels.add_(1.0)
        return {"levels": levels}

    info = TrainingInfoCallback(training_info)
    torch.ones(1, device="cuda").sum().item()  # CUDA is in use before the envs are forked
    venv = make_vec_env(
        Env,
        4,
        wrapper_class=info.wrap_env,
        vec_env_cls=SubprocVecEnv,
        vec_env_kwargs={"start_method": start_method},
    )
    model = PPO("MlpPolicy", venv, n_steps=32, batch_size=32, n_epochs=2, device="cuda")
    model.learn(1024, callback=info)
    assert next(model.policy.parameters()).is_cuda
    for told in venv.get_attr("told"):
        steps, seen, initialized = zip(*told, strict=True)
        assert list(steps) == sorted(steps)
        assert steps[-1] > 900
        assert list(seen) == sorted(seen)
        assert seen[-1] > seen[0]
        assert not any(initialized)
    venv.close()
