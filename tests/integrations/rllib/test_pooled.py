"""`TrainingInfoCallback(training_info=curriculum)`: all envs move one level, in env runners' processes."""

from __future__ import annotations

from climbing import check_climbed, check_resumed, climbing, make_level_env
from ray.tune import register_env
from tests.integrations.rllib.conftest import Configure


def test_the_level_rises_with_the_results_of_all_envs_and_reaches_them(configure: Configure) -> None:
    register_env("level", make_level_env)

    def train(curriculum, runners):
        algo = configure("level", runners=runners, training_info=curriculum).build_algo()
        for _ in range(4):
            algo.train()
        state = algo.callbacks[0].run.state_dict()["curricula"]["curriculum"]
        algo.stop()
        return state

    saved = train(climbing(), 1)
    check_climbed(saved)
    check_resumed(train(climbing(state=saved), 0), saved)
