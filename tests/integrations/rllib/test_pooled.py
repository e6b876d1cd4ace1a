"""`TrainingInfoCallback(training_info=curriculum)`: all envs move one level, in env runners' processes."""

from __future__ import annotations

from typing import Any

from climbing import check_climbed, check_resumed, check_sampled, climbing, make_level_env, sampling
from ray.tune import register_env
from tests.integrations.rllib.conftest import Configure


def train(configure: Configure, curriculum: Any, runners: int) -> Any:
    register_env("level", make_level_env)
    algo = configure("level", runners=runners, training_info=curriculum).build_algo()
    for _ in range(4):
        algo.train()
    state = algo.callbacks[0].run.state_dict()["curricula"]["curriculum"]
    algo.stop()
    return state


def test_the_level_rises_with_the_results_of_all_envs_and_reaches_them(configure: Configure) -> None:
    saved = train(configure, climbing(), 1)
    check_climbed(saved)
    check_resumed(train(configure, climbing(state=saved), 0), saved)


def test_tasks_are_drawn_from_the_array_that_a_sampler_publishes(configure: Configure) -> None:
    check_sampled(train(configure, sampling(), 0))
