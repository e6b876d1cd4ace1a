"""Trainings of rl_games that take a second: a vec env in this process, and what a config needs."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
import numpy as np
from recording_envs import RecordingEnv
from rl_games.common import env_configurations
from rl_games.common.gym_compat import wrap_gymnasium_env
from rl_games.common.ivecenv import IVecEnv
from rl_games.torch_runner import Runner

from traincast.curriculum import Linear, ProgressCurriculum

EPOCH = 32  # frames

_numbers = itertools.count()


class LocalVecEnv(IVecEnv):
    """Has its envs in this process, and resets them inside `step`."""

    def __init__(self, config_name: str, num_actors: int, **env_config: Any) -> None:
        make = env_configurations.configurations[config_name]["env_creator"]
        self.config_name = config_name
        self.envs = [make(**env_config) for _ in range(num_actors)]
        self.told: list[int] = []
        self.state: Any = "new"

    def reset(self) -> Any:
        return np.stack([env.reset() for env in self.envs])

    def step(self, actions: Any) -> Any:
        results = [env.step(action) for env, action in zip(self.envs, actions, strict=True)]
        observations = [
            env.reset() if result[2] else result[0] for env, result in zip(self.envs, results, strict=True)
        ]
        _, rewards, dones, infos = zip(*results, strict=True)
        return np.stack(observations), np.array(rewards, np.float32), np.array(dones), list(infos)

    def get_env_info(self) -> dict[str, Any]:
        return env_configurations.get_env_info(self.envs[0])

    def set_train_info(self, env_frames: int, *args: Any, **kwargs: Any) -> None:
        self.told.append(env_frames)

    def get_env_state(self) -> Any:
        return "its own"

    def set_env_state(self, env_state: Any) -> None:
        self.state = env_state


class ShortEnv(RecordingEnv):
    """Two numbers are observed: rl_games' player cannot take a single one."""

    observation_space = gymnasium.spaces.Box(0.0, 1e6, (2,), np.float32)

    def _observation(self) -> Any:
        return np.array([self.count, 1], np.float32)


class ContinuousEnv(ShortEnv):
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)


def make_env(kind: type[RecordingEnv] = ShortEnv, **_: Any) -> gymnasium.Env:
    """Episodes of three steps, with a curriculum."""
    return wrap_gymnasium_env(ProgressCurriculum(kind(), {"difficulty": Linear(0.0, 1.0, 1000)}))


def configured(vecenv_type: str, env_creator: Any) -> str:
    """Register a configuration under a name of its own."""
    name = f"short-{next(_numbers)}"
    env_configurations.register(name, {"vecenv_type": vecenv_type, "env_creator": env_creator})
    return name


def runner_for(
    env_name: str, train_dir: Any, *, epochs: int = 3, observer: Any = None, **config: Any
) -> Runner:
    """A PPO training of 4 actors, with checkpoints after every epoch."""
    network = {"name": "actor_critic", "separate": False, "space": {"discrete": {}}}
    network["mlp"] = {"units": [8], "activation": "relu", "initializer": {"name": "default"}}
    settings = {
        "name": "short", "full_experiment_name": "short", "env_name": env_name, "train_dir": str(train_dir),
        "num_actors": 4, "horizon_length": EPOCH // 4, "minibatch_size": EPOCH, "mini_epochs": 1,
        "max_epochs": epochs, "save_frequency": 1, "learning_rate": 1e-3, "gamma": 0.99, "tau": 0.95,
        "e_clip": 0.2, "clip_value": True, "critic_coef": 1, "entropy_coef": 0.01, "grad_norm": 1,
        "truncate_grads": True, "normalize_advantage": True, "normalize_input": False, "lr_schedule": None,
        "reward_shaper": {}, "device": "cpu", "device_name": "cpu", "torch_compile": False, "env_config": {},
        "player": {"games_num": 2, "print_stats": False, **config.pop("player", {})}, **config,
    }  # fmt: skip
    runner = Runner(observer)
    algo, model = {"name": "a2c_discrete"}, {"name": "discrete_a2c"}
    params = {"seed": 1, "algo": algo, "model": model, "network": network, "config": settings}
    runner.load({"params": params | {"torch_threads": 1}})
    return runner
