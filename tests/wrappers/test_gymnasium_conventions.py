"""Gymnasium's own checks: the env checker, specs that can be made again, attributes."""

from __future__ import annotations

import json
import subprocess
import sys

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from recording_envs import STEPS, PlainEnv, RecordingEnv

import traincast


@pytest.mark.filterwarnings(
    "ignore:.*WARN:UserWarning"
)  # of every wrapper, and of CartPole's infinite bounds
@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("deliver", ["reset", "step", "both"])
@pytest.mark.parametrize("make", [RecordingEnv, PlainEnv, lambda: gymnasium.make("CartPole-v1")])
def test_gymnasiums_checker_passes(channel_name, make, deliver, published):
    with traincast.TrainingInfoWriter(channel_name) as writer:
        if published:
            writer.publish({STEPS: 10})
        check_env(
            traincast.TrainingInfoWrapper(make(), channel_name, deliver=deliver, on_undelivered="ignore"),
            skip_render_check=True,
        )


def test_the_spec_makes_the_same_env(channel_name):
    env = traincast.TrainingInfoWrapper(
        gymnasium.make("Recording-v0"), channel_name, 2, deliver="both", on_missing="raise"
    )
    spec = env.spec.additional_wrappers[-1]
    assert (spec.name, spec.entry_point) == ("TrainingInfoWrapper", "traincast:TrainingInfoWrapper")
    given = {"name": channel_name, "policy_id": 2, "deliver": "both", "on_missing": "raise"}
    assert spec.kwargs | given == spec.kwargs
    twin = gymnasium.make(env.spec)
    assert type(twin) is traincast.TrainingInfoWrapper
    assert twin.spec == env.spec
    with pytest.raises(traincast.ChannelNotFoundError):
        twin.reset()
    with traincast.TrainingInfoWriter(channel_name, 2) as writer:
        writer.publish({STEPS: 10})
        twin.reset()
        assert twin.unwrapped.seen == [10]


def test_the_spec_survives_json(channel_name):
    env = traincast.TrainingInfoWrapper(gymnasium.make("CartPole-v1"), channel_name)
    twin = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert type(twin) is traincast.TrainingInfoWrapper
    assert twin.spec.additional_wrappers[-1] == env.spec.additional_wrappers[-1]


def test_an_env_without_spec_has_none(channel_name):
    assert traincast.TrainingInfoWrapper(RecordingEnv(), channel_name).spec is None


def test_it_works_below_and_above_other_wrappers(channel_name):
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 10})
        env = gymnasium.wrappers.TimeLimit(
            traincast.TrainingInfoWrapper(gymnasium.make("Recording-v0"), channel_name), 2
        )
        env.reset()
        assert env.unwrapped.seen == [10]
        assert env.env.training_info == {STEPS: 10}
        assert env.get_wrapper_attr("training_info") == {STEPS: 10}


def test_repr_and_public_name(channel_name):
    assert "TrainingInfoWrapper" in str(traincast.TrainingInfoWrapper(PlainEnv(), channel_name))
    assert traincast.TrainingInfoWrapper.__module__ == "traincast"


@pytest.mark.parametrize(
    ("use", "what"),
    [
        ("traincast.TrainingInfoWrapper", "traincast.TrainingInfoWrapper"),
        ("traincast.curriculum.ProgressCurriculum", "traincast.curriculum.ProgressCurriculum"),
        ("traincast.curriculum.PerformanceCurriculum", "traincast.curriculum.PerformanceCurriculum"),
    ],
)
def test_without_gymnasium_the_error_names_the_install_command(use, what):
    program = f"""
import json, sys, traincast
sys.modules["gymnasium"] = None  # what Python does where it is not installed: ModuleNotFoundError
traincast.find_wrapper_interface(object(), traincast.TrainingInfoInterface)
traincast.curriculum.Linear(0, 1, 10)(5)
try:
    {use}
except ModuleNotFoundError as error:
    print(json.dumps([str(error), error.name]))
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert json.loads(done.stdout) == [f"{what} needs gymnasium: pip install 'traincast[gym]'", "gymnasium"]


def test_nothing_heavy_is_loaded_by_the_package_and_the_schedules():
    program = (
        "import sys, traincast, traincast.curriculum; "
        "print(*{'numpy', 'torch', 'gymnasium'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, text=True)
    assert done.stdout.strip() == ""


def test_unknown_names_of_the_package():
    for module in (traincast, traincast.curriculum):
        with pytest.raises(AttributeError, match="nonsense"):
            module.nonsense  # noqa: B018 - asking is the test
