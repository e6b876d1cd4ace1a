"""`publishing(vec_env, curriculum)`: all envs move one level, and the checkpoints have the curriculum."""

from __future__ import annotations

from climbing import check_climbed, check_resumed, check_sampled, climbing, make_wide_level_env, sampling
from rl_games.common import vecenv
from rl_games.common.gym_compat import wrap_gymnasium_env
from rl_games_trainings import LocalVecEnv, configured, runner_for

from traincast.integrations.rl_games import publishing, wrap_env_creator


def make_env(**_):
    return wrap_gymnasium_env(make_wide_level_env())


def trained(folder, curriculum, checkpoint=None, epochs=5):
    vecenv.register("TC", publishing(LocalVecEnv, curriculum))
    runner = runner_for(configured("TC", wrap_env_creator(make_env)), folder, epochs=epochs)
    runner.run({"train": True, "checkpoint": checkpoint})
    return curriculum.state_dict()


def test_the_level_rises_with_the_results_of_all_envs_and_reaches_them(tmp_path, newest):
    saved = trained(tmp_path / "first", climbing())
    check_climbed(saved)
    check_resumed(trained(tmp_path / "second", climbing(), newest("first"), 10), saved)


def test_tasks_are_drawn_from_the_array_that_a_sampler_publishes(tmp_path):
    check_sampled(trained(tmp_path / "first", sampling()))
