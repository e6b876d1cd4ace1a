"""RLlib: a publish beside `foreach_env_runner`, with env runners in processes of their own."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import gymnasium
import numpy as np
import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from benches.cases.payloads import payloads
from benches.frameworks.cost import Cost, in_turns
from benches.frameworks.news import INFOS, reset_with_news
from traincast import Run
from traincast.integrations.rllib import TrainingInfoCallback

RUNNERS = 8


class Still(gymnasium.Env[Any, Any]):
    """An env whose reset costs next to nothing."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    training_info: dict[str, Any] | None = None

    def __init__(self, config: Any = None) -> None:
        self.observation = np.zeros(1, np.float32)

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.training_info = training_info

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self.observation, {}

    def step(self, action: Any) -> Any:
        return self.observation, 0.0, True, False, {}


def costs() -> list[Cost]:
    """Measure both ways in one algorithm with `RUNNERS` env runners of one env each."""
    ray.init(num_cpus=RUNNERS, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
    algo = (
        PPOConfig()
        .environment(Still)
        .callbacks(TrainingInfoCallback)
        .env_runners(num_env_runners=RUNNERS)
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[4]))
        .build_algo()
    )
    try:
        blocked = _blocked(algo)
        with Run("reset", training_info=INFOS[0]) as run:
            added = reset_with_news(run, run.wrap_env(Still()), Still())
    finally:
        algo.stop()
        ray.shutdown()
    return [
        Cost("RLlib", "foreach_env_runner", RUNNERS, blocked["foreach_env_runner"], 0.0),
        Cost("RLlib", "traincast", RUNNERS, blocked["traincast"], added),
    ]


def _blocked(algo: Algorithm) -> dict[str, float]:
    infos = cycle(payloads(64))
    run, group = algo.callbacks[0].run, algo.env_runner_group

    def foreach() -> None:
        info = next(infos)

        def tell(env_runner: Any) -> None:
            for env in env_runner.env.unwrapped.envs:
                env.unwrapped.set_training_info(info)

        group.foreach_env_runner(tell, local_env_runner=False)

    def publish() -> None:
        steps = run.steps
        for info in INFOS:
            run.publish(steps := steps + 1, **info)

    foreach()
    times = in_turns({"foreach_env_runner": foreach, "traincast": publish}, rounds=100)
    return times | {"traincast": times["traincast"] / len(INFOS)}
