"""`copy_arrays` gives arrays that an env may write to; `info_key` shows version and age."""

from __future__ import annotations

import copy
import math

import gymnasium
import numpy as np
import pytest
import torch
from recording_envs import STEPS, PlainEnv, RecordingEnv

import traincast
from traincast.curriculum import Linear, ProgressCurriculum

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def run():
    with traincast.Run("ppo") as run:
        yield run


class Normalizing(PlainEnv):
    def set_training_info(self, info):
        self.weights = info["nested"]["weights"]
        self.weights /= self.weights.sum()
        info["list"][0][:] = 0
        info["tensor"] *= 2
        self.info = info


def test_an_env_may_write_to_its_copies(run):
    run.publish(
        1,
        nested={"weights": np.array([1.0, 3.0])},
        list=[np.arange(3)],
        tuple=(np.ones(2),),
        tensor=torch.ones(2),
    )
    envs = [run.wrap_env(Normalizing(), copy_arrays=True) for _ in range(2)]
    for env in envs:
        env.reset()
        assert env.unwrapped.weights.tolist() == [0.25, 0.75]
        assert env.unwrapped.info["tensor"].tolist() == [2, 2]
        env.unwrapped.info["tuple"][0][0] = 7
        # What the wrapper holds stays.
        assert env.training_info["nested"]["weights"].tolist() == [1, 3]
        assert env.training_info["list"][0].tolist() == [0, 1, 2]
    assert traincast.TrainingInfoReader(run.name).read()["nested"]["weights"].tolist() == [1, 3]


def test_each_env_of_a_wrapper_has_its_own(run):
    class Team(PlainEnv):
        def __init__(self):
            super().__init__()
            self.envs = [Normalizing(), Normalizing()]

    run.publish(1, nested={"weights": np.array([1.0, 3.0])}, list=[np.arange(3)], tensor=torch.ones(2))
    env = run.wrap_env(Team(), copy_arrays=True)
    env.reset()
    assert [inner.weights.tolist() for inner in env.unwrapped.envs] == [[0.25, 0.75]] * 2


def test_without_copies_arrays_are_read_only_and_the_docstring_says_so(run):
    run.publish(1, nested={"weights": np.array([1.0, 3.0])}, list=[np.arange(3)], tensor=torch.ones(2))
    with pytest.raises(ValueError, match="read-only") as caught:
        run.wrap_env(Normalizing()).reset()
    assert "copy_arrays=True" in caught.value.__notes__[0]
    text = traincast.TrainingInfoInterface.set_training_info.__doc__
    assert "read-only" in text
    assert "copy_arrays=True" in text


def test_frozen_arrays_are_copied_too(run):
    given = {
        STEPS: 1,
        "nested": {"weights": np.array([1.0, 3.0])},
        "list": [np.arange(3)],
        "tensor": torch.ones(2),
    }
    env = run.wrap_eval_env(Normalizing(), given, copy_arrays=True)
    env.reset()
    copy.deepcopy(env).reset()
    assert given["nested"]["weights"].tolist() == [1, 3]


def test_infos_show_version_and_age_at_reset_and_in_the_last_step(run):
    env = run.wrap_env(RecordingEnv(length=2), info_key="traincast")
    run.publish(10)
    info = env.reset()[1]
    assert info["known_steps"] == 10
    assert info["traincast"]["version"] == 2
    assert 0 <= info["traincast"]["age"] < 60
    assert all(type(number) is float for number in info["traincast"].values())
    assert "traincast" not in env.step(0)[4]
    assert env.step(0)[4]["traincast"]["version"] == 2


def test_before_anything_has_arrived_there_is_no_age(channel_name):
    env = traincast.TrainingInfoWrapper(RecordingEnv(), channel_name, info_key="traincast")
    facts = env.reset()[1]["traincast"]
    assert facts["version"] == 0
    assert math.isnan(facts["age"])


def test_under_the_key_of_a_curriculum_both_are_shown(run):
    curriculum = ProgressCurriculum(PlainEnv(1), {"reward": Linear(0.0, 1.0, 100)})
    env = run.wrap_env(curriculum, info_key="curriculum")
    run.publish(50)
    for info in (env.reset()[1], env.step(0)[4]):
        assert info["curriculum"]["reward"] == 0.5
        assert info["curriculum"]["version"] == 2


def test_the_info_of_the_env_is_not_touched(run):
    class Keeping(PlainEnv):
        kept = {}  # noqa: RUF012 - the subject

        def reset(self, **arguments):
            return super().reset(**arguments)[0], self.kept

        def set_training_info(self, info):
            pass

    env = run.wrap_env(Keeping(), info_key="traincast")
    assert "traincast" in env.reset()[1]
    assert env.unwrapped.kept == {}


@pytest.mark.parametrize("kind", [gymnasium.vector.SyncVectorEnv, gymnasium.vector.AsyncVectorEnv])
def test_vector_envs_aggregate_them(run, kind):
    make = run.wrap_env_fn(RecordingEnv, info_key="traincast")
    envs = kind([make] * 3)
    try:
        run.publish(10)
        info = envs.reset()[1]["traincast"]
        if isinstance(info, dict):  # Gymnasium 1.x
            assert info["version"].tolist() == [2, 2, 2]
            assert info["age"].dtype == np.float64
        else:
            assert [one["version"] for one in info] == [2, 2, 2]
    finally:
        envs.close()


def test_a_key_that_the_env_uses_for_something_else_is_left_to_it(run):
    class Own(RecordingEnv):
        def reset(self, **arguments):
            observation, info = super().reset(**arguments)
            return observation, info | {"traincast": "mine"}

    env = run.wrap_env(Own(), info_key="traincast")
    with pytest.warns(traincast.TraincastWarning, match="pass another info_key="):
        assert env.reset()[1]["traincast"] == "mine"
