"""An env that resets itself inside of its step: who stands outside of it and acts at resets says so."""

from __future__ import annotations

import warnings

import gymnasium
import pytest
from recording_envs import PlainEnv, RecordingEnv

import traincast
from traincast.curriculum import Linear, PerformanceCurriculum, ProgressCurriculum, TaskCurriculum

_names = ("Autoreset", "AutoResetWrapper")  # the second one is Gymnasium 0.29's
Autoreset = next(getattr(gymnasium.wrappers, name) for name in _names if hasattr(gymnasium.wrappers, name))

CURRICULA = {
    "ProgressCurriculum": lambda env: ProgressCurriculum(env, {"difficulty": Linear(0, 1, 10)}),
    "PerformanceCurriculum": lambda env: PerformanceCurriculum(env, {"difficulty": [1, 2]}, promote_at=1),
    "TaskCurriculum": lambda env: TaskCurriculum(env, "difficulty"),
}


@pytest.fixture
def run():
    with traincast.Run("ppo") as run:
        yield run


def told(env, run):
    """Play three episodes, with a publish before each step; return the steps that were received last."""
    env.reset()
    for steps in range(1, 13):
        run.publish(steps)
        env.step(0)
    return env.unwrapped.seen[-1]


def test_the_wrapper_outside_of_it_delivers_once_and_says_so(run):
    with pytest.warns(
        traincast.TraincastWarning, match=f"^{Autoreset.__name__} is inside of TrainingInfo"
    ) as said:
        env = run.wrap_env(gymnasium.wrappers.TimeLimit(Autoreset(RecordingEnv()), 999))
    assert f"{Autoreset.__name__}(TrainingInfoWrapper(env, ...))" in str(said[0].message)
    assert said[0].filename == __file__
    assert told(env, run) == 0
    run.wrap_env(Autoreset(RecordingEnv()))  # it is said once


@pytest.mark.parametrize(
    "wrap",
    [
        lambda run: Autoreset(run.wrap_env(RecordingEnv())),
        lambda run: run.wrap_env(Autoreset(RecordingEnv()), deliver="both"),
    ],
    ids=["around", "both"],
)
def test_the_remedies_help(run, wrap):
    with warnings.catch_warnings():
        warnings.simplefilter("error", traincast.TraincastWarning)
        assert told(wrap(run), run) >= 8


@pytest.mark.parametrize(("name", "curriculum"), CURRICULA.items(), ids=CURRICULA)
def test_a_curriculum_outside_of_it_says_so(name, curriculum):
    with pytest.warns(traincast.TraincastWarning, match=f"is inside of {name}, .*Put it around: "):
        curriculum(Autoreset(PlainEnv()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", traincast.TraincastWarning)
        Autoreset(curriculum(PlainEnv()))
