"""rl_games: `set_train_info` of a published `RayVecEnv` beside `set_weights`, its way into Ray workers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from typing import Any

import gymnasium
import numpy as np
from rl_games.common import env_configurations, vecenv
from rl_games.common.vecenv import RayVecEnv

from benches.frameworks.cost import Cost, in_turns
from benches.frameworks.news import INFOS, reset_with_news
from traincast import Run
from traincast.integrations.rl_games import TrainingInfoEnv, publishing, wrap_env_creator

FRAMEWORK = "rl_games"
ENVS = (8,)  # no more, because each Ray worker imports torch
ROUNDS = 300
OURS, THEIRS = "publishing", "RayVecEnv.set_weights"
RAY = {"num_cpus": max(ENVS), "include_dashboard": False, "object_store_memory": 100_000_000}


class Still:
    """An env as rl_games expects it, whose reset costs next to nothing."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    training_info: dict[str, Any] | None = None

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.training_info = training_info

    def update_weights(self, training_info: dict[str, Any]) -> None:
        """What `set_weights` calls: it is meant for opponents in self-play, but used for anything."""
        self.training_info = training_info

    def reset(self) -> Any:
        return np.zeros(1, np.float32)

    def step(self, action: int) -> tuple[Any, float, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), 0.0, True, {}


def costs() -> list[Cost]:
    resets, found = _resets(), []
    for envs in ENVS:
        with ExitStack() as stack:
            for way, blocked in in_turns(_ways(envs, stack), rounds=ROUNDS).items():
                found.append(Cost(FRAMEWORK, way, envs, blocked, resets[way]))
    return found


def _ways(count: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    """Ways to tell all envs something new."""
    new = cycle(INFOS)
    vecenv.register("TC", publishing(RayVecEnv, lambda frames: next(new), first_info=INFOS[0]))
    creator = wrap_env_creator(lambda **_: Still())
    env_configurations.register("still", {"vecenv_type": "TC", "env_creator": creator})
    envs: Any = vecenv.create_vec_env("still", count, ray_config=RAY)
    stack.callback(envs.close)
    envs.reset()
    everybody = range(count)
    frames = iter(range(1, 1_000_000))
    return {
        OURS: lambda: envs.set_train_info(next(frames)),
        THEIRS: lambda: envs.set_weights(everybody, next(new)),
    }


def _resets() -> dict[str, float]:
    with Run("costs") as run:
        ours = reset_with_news(run, TrainingInfoEnv(Still(), run), Still())
    return {OURS: ours, THEIRS: 0.0}  # the envs are told between two resets
