"""`TrainingInfoHook(curriculum)`: all envs move one level, and a trainer's checkpoint has the curriculum."""

from __future__ import annotations

import pytest
from climbing import check_climbed, check_resumed, check_sampled, climbing, make_level_env, sampling
from torchrl.envs import GymWrapper, ParallelEnv
from torchrl_trainers import small_trainer

from traincast.integrations.torchrl import TrainingInfoHook

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork beside threads


class _MakeEnv:
    def __init__(self, hook):
        self._wrap_env = hook.wrap_env

    def __call__(self):
        return GymWrapper(self._wrap_env(make_level_env()), categorical_action_encoding=True)


def trained(file, curriculum, **options):
    hook = TrainingInfoHook(curriculum, **options)
    env = ParallelEnv(2, _MakeEnv(hook), mp_start_method="fork")
    trainer = small_trainer(env, 120, save_trainer_interval=1, save_trainer_file=file)
    hook.register(trainer)
    trainer.train()
    hook.run.close()
    return hook.run.state_dict()["curricula"]["curriculum"]


def test_the_level_rises_with_the_results_of_all_envs_and_reaches_them(tmp_path):
    saved = trained(tmp_path / "first.pt", climbing())
    check_climbed(saved)
    check_resumed(trained(tmp_path / "second.pt", climbing(), resume_from=tmp_path / "first.pt"), saved)


def test_tasks_are_drawn_from_the_array_that_a_sampler_publishes(tmp_path):
    check_sampled(trained(tmp_path / "first.pt", sampling()))
