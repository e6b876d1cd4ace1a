"""`TrainingInfoCallback(curriculum)`: all envs move one level, in worker processes and after a resume."""

from __future__ import annotations

import json

import pytest
from climbing import check_climbed, check_resumed, check_sampled, climbing, make_level_env, sampling
from sb3_trainings import make_model, make_venv
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from traincast.curriculum import TaskCurriculum
from traincast.integrations.stable_baselines3 import TrainingInfoCallback


def train(cls, curriculum, **options):
    info = TrainingInfoCallback(curriculum, **options)
    venv = make_venv(info, make_level_env, cls=cls)
    make_model(venv).learn(120, callback=info)
    venv.close()
    info.run.close()
    return info.run.state_dict()


def test_the_level_rises_with_the_results_of_all_envs_and_reaches_them():
    saved = json.loads(json.dumps(train(SubprocVecEnv, climbing())))
    check_climbed(saved["curricula"]["curriculum"])
    resumed = train(DummyVecEnv, climbing(), state=saved)
    check_resumed(resumed["curricula"]["curriculum"], saved["curricula"]["curriculum"])


def test_tasks_are_drawn_from_the_array_that_a_sampler_publishes():
    check_sampled(train(DummyVecEnv, sampling())["curricula"]["curriculum"])


def test_a_vec_env_is_no_single_env_and_says_where_the_curriculum_belongs():
    with pytest.raises(TypeError, match=r"not DummyVecEnv\. Put it around each env inside"):
        TaskCurriculum(DummyVecEnv([make_level_env]), "level")
