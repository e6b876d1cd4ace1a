"""The spec of a wrapped env makes it again, here and through JSON, and is no longer than it must be."""

from __future__ import annotations

import copy
import json
import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from recording_envs import STEPS

import traincast
from traincast.curriculum import Linear, ProgressCurriculum


@pytest.fixture
def run():
    with traincast.Run("ppo", start=10) as run:
        yield run


def twins(env):
    """The env as its spec makes it: as an object, through JSON, as a pickle."""
    text = env.spec.to_json()
    assert json.loads(text)
    return [
        gymnasium.make(env.spec),
        gymnasium.make(EnvSpec.from_json(text)),
        gymnasium.make(pickle.loads(pickle.dumps(env.spec))),
        gymnasium.make(copy.deepcopy(env.spec)),
    ]


def test_a_run_travels_in_the_spec(run):
    env = run.wrap_env(gymnasium.make("Recording-v0"))
    for twin in twins(env):
        assert type(twin) is traincast.TrainingInfoWrapper
        assert twin.reset()[1]["known_steps"] == 10
        assert twin.spec == env.spec


def test_arguments_that_have_their_default_are_left_out(run, channel_name):
    env = traincast.TrainingInfoWrapper(gymnasium.make("Recording-v0"), channel_name)
    assert env.spec.additional_wrappers[-1].kwargs == {"name": channel_name}
    env = traincast.TrainingInfoWrapper(gymnasium.make("Recording-v0"), deliver="both")
    assert env.spec.additional_wrappers[-1].kwargs == {"deliver": "both"}
    kwargs = run.wrap_env(gymnasium.make("Recording-v0"), info_key="t").spec.additional_wrappers[-1].kwargs
    assert kwargs.keys() == {"name", "leftover", "info_key", "directory"}


def test_what_is_frozen_survives_with_its_arrays(run):
    given = {
        STEPS: 5,
        "weights": np.array([[1.0, 3.0]], np.float32),
        "tuple": (1, (2.5, None)),
        "inf": float("inf"),
        7: {"a": [True, np.int64(3)]},
    }
    env = run.wrap_eval_env(gymnasium.make("Recording-v0"), given)
    given["weights"][:] = 0
    for twin in twins(env):
        assert twin.reset()[1]["known_steps"] == 5
        info = twin.unwrapped.training_info
        assert info["weights"].dtype == np.float32
        assert info["weights"].tolist() == [[1, 3]]
        assert info["tuple"] == (1, (2.5, None))
        assert info["inf"] == float("inf")
        assert info[7] == {"a": [True, 3]}


def test_what_cannot_be_written_is_refused_when_it_is_written(run):
    env = run.wrap_eval_env(gymnasium.make("Recording-v0"), {STEPS: 5, "a": object()})
    with pytest.raises(
        ValueError, match=r"TrainingInfoWrapper: frozen\['a'\] cannot be written to JSON: object"
    ):
        env.spec.to_json()


def test_with_a_curriculum_inside_both_are_written(run):
    env = run.wrap_env(
        ProgressCurriculum(gymnasium.make("Recording-v0"), {"unwrapped.reward": Linear(0.0, 1.0, 20)}),
        info_key="curriculum",
    )
    for twin in twins(env):
        assert twin.reset()[1]["curriculum"]["version"] == 1
        assert twin.unwrapped.reward == 0.5
        assert twin.spec == env.spec


def test_wrappers_further_out_keep_what_can_be_written(run):
    env = run.wrap_eval_env(gymnasium.make("Recording-v0"), {STEPS: 5, "weights": np.ones(2)})
    env = gymnasium.wrappers.TimeLimit(env, 7)
    for twin in twins(env):
        assert twin.reset()[1]["known_steps"] == 5
