"""`TrainingInfoFn(curriculum)`: all envs move one level, in worker processes and after a resume."""

from __future__ import annotations

from climbing import check_climbed, check_resumed, check_sampled, climbing, make_level_env, sampling
from tianshou.env import DummyVectorEnv, SubprocVectorEnv

from traincast.integrations.tianshou import TrainingInfoFn


def trained(trainer_of, vector_env, curriculum, **options):
    info = TrainingInfoFn(curriculum, **options)
    envs = vector_env([info.wrap_env_fn(make_level_env) for _ in range(2)])
    trainer_of(envs, info).run()
    envs.close()
    info.run.close()
    return info.run.state_dict()


def test_the_level_rises_with_the_results_of_all_envs_and_reaches_them(trainer_of):
    saved = trained(trainer_of, SubprocVectorEnv, climbing())
    check_climbed(saved["curricula"]["curriculum"])
    resumed = trained(trainer_of, DummyVectorEnv, climbing(), state=saved)
    check_resumed(resumed["curricula"]["curriculum"], saved["curricula"]["curriculum"])


def test_tasks_are_drawn_from_the_array_that_a_sampler_publishes(trainer_of):
    check_sampled(trained(trainer_of, DummyVectorEnv, sampling())["curricula"]["curriculum"])
