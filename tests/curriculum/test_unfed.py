"""A curriculum that is told nothing says so, once, unless somebody else says it or it is asked not to."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import textwrap
import warnings

import gymnasium
import pytest
from recording_envs import STEPS, PlainEnv, RecordingEnv

import traincast
from traincast import TraincastWarning
from traincast.curriculum import Linear, ProgressCurriculum, _unfed


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    """A process says each thing once; each test is to hear it."""
    monkeypatch.setattr("traincast._warnings._said", set())


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, which the test sets."""
    now = [1000.0]
    monkeypatch.setattr(_unfed, "monotonic", lambda: now[0])
    return now


def curriculum(env=None, **arguments):
    return ProgressCurriculum(env or PlainEnv(), {"difficulty": Linear(0.0, 10.0, 100)}, **arguments)


def reset(env, times=1):
    for _ in range(times):
        env.reset()


def silent(env, resets=1000):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reset(env, resets)


# --- nobody feeds it ---


def test_at_the_hundredth_reset_the_env_and_the_remedy_are_named():
    env = curriculum()
    silent(env, 99)
    with pytest.warns(TraincastWarning) as said:
        reset(env)
    assert (
        "<ProgressCurriculum<PlainEnv instance>> has received no training information in 100 resets"
        in str(said[0].message)
    )
    assert "stays at a progress of 0." in str(said[0].message)
    assert "Put traincast.TrainingInfoWrapper around it" in str(said[0].message)
    assert said[0].filename == __file__


def test_it_warns_after_five_seconds_if_that_is_earlier(clock):
    env = curriculum()
    reset(env)
    clock[0] += 4.9
    silent(env, 1)
    clock[0] += 0.2
    with pytest.warns(TraincastWarning, match="in 3 resets"):
        reset(env)


def test_a_single_reset_is_no_reason_to_warn(clock):
    clock[0] = 1e9
    silent(curriculum(), 1)


def test_it_warns_once_per_process():
    with pytest.warns(TraincastWarning):
        reset(curriculum(), 100)
    silent(curriculum())


def test_it_warns_while_the_attributes_are_left_alone_too():
    with pytest.warns(TraincastWarning, match="leaves the env as it is"):
        reset(curriculum(default=None), 100)


def test_the_warning_can_be_switched_off():
    silent(curriculum(on_missing="ignore"))
    with pytest.raises(ValueError, match=r"on_missing must be one of \('warn', 'ignore'\), not 'no'"):
        curriculum(on_missing="no")


def test_being_told_directly_counts():
    env = curriculum()
    silent(env, 99)
    env.set_training_info({STEPS: 1})
    silent(env)


def test_a_curriculum_that_is_fed_by_the_one_around_it_is_fed():
    inner = curriculum()
    env = curriculum(inner)
    traincast.set_training_info(env, {STEPS: 1})
    silent(env)
    assert inner.training_info == {STEPS: 1}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_warn_too(duplicate):
    with pytest.warns(TraincastWarning):
        reset(duplicate(curriculum()), 100)


# --- it is fed once ---


def still_for(clock, env, seconds, resets):
    """Reset the env that many times, and let the seconds pass meanwhile."""
    reset(env)
    clock[0] += seconds
    reset(env, resets - 1)


def test_a_learner_that_publishes_nothing_more_is_noticed_after_five_minutes_and_a_hundred_resets(clock):
    with traincast.Run("still") as run:
        env = run.wrap_env(curriculum(RecordingEnv()))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            still_for(clock, env, 299, 150)
        clock[0] += 2
        with pytest.warns(TraincastWarning) as said:
            reset(env, 50)
        assert "has received training information once, 200 resets ago, and nothing new" in str(
            said[0].message
        )
        assert "stays at a progress of 0" in str(said[0].message)
        assert "run.publish(steps)" in str(said[0].message)
        silent(env)


def test_a_second_publish_is_enough(clock):
    with traincast.Run("going-on") as run:
        env = run.wrap_env(curriculum(RecordingEnv()))
        reset(env)
        run.publish(1)
        still_for(clock, env, 9999, 50)
        silent(env)


@pytest.mark.parametrize("given", [None, {STEPS: 3}], ids=["newest", "given"])
def test_an_evaluation_is_meant_to_stay(clock, given):
    with traincast.Run("evaluation", start=3) as run:
        run.publish(3)
        env = run.wrap_eval_env(curriculum(RecordingEnv()), given)
        still_for(clock, env, 9999, 50)
        silent(env)


# --- the wrong order ---


@pytest.mark.parametrize("between", [lambda env: env, gymnasium.Wrapper])
def test_a_wrapper_inside_is_warned_of_at_the_first_reset(channel_name, between):
    env = curriculum(between(traincast.TrainingInfoWrapper(RecordingEnv(), channel_name)))
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 50})
        with pytest.warns(TraincastWarning) as said:
            reset(env)
    assert str(said[0].message).startswith("<ProgressCurriculum<")
    assert "is outside of TrainingInfoWrapper, which delivers to what is inside of it" in str(said[0].message)
    assert "TrainingInfoWrapper(ProgressCurriculum(env, ...))" in str(said[0].message)
    env.close()


def test_the_wrong_order_is_warned_of_once_and_nothing_else_is(channel_name):
    env = curriculum(traincast.TrainingInfoWrapper(PlainEnv(), channel_name, on_missing="ignore"))
    with pytest.warns(TraincastWarning, match="is outside of TrainingInfoWrapper"):
        reset(env)
    silent(env)


def test_a_wrapper_between_two_curricula_is_warned_of(channel_name):
    inner = curriculum()
    env = curriculum(traincast.TrainingInfoWrapper(inner, channel_name, on_missing="ignore"))
    with pytest.warns(TraincastWarning) as said:
        reset(env)
    assert len(said) == 1
    assert str(said[0].message).startswith(f"{env} is outside")


def test_a_wrapper_on_either_side_is_no_mistake(channel_name):
    """The inner one feeds the env on another channel."""
    env = curriculum(traincast.TrainingInfoWrapper(RecordingEnv(), "other", on_missing="ignore"))
    silent(traincast.TrainingInfoWrapper(env, channel_name, on_missing="ignore"))


# --- somebody else says it ---


def test_a_curriculum_leaves_the_warning_to_the_wrapper_around_it(channel_name):
    silent(traincast.TrainingInfoWrapper(curriculum(), channel_name, on_missing="ignore"))
    outer = gymnasium.Wrapper(curriculum(RecordingEnv()))
    silent(gymnasium.Wrapper(traincast.TrainingInfoWrapper(outer, channel_name, on_missing="ignore")))


def test_an_interface_in_between_that_hands_nothing_on_is_named(channel_name):
    class Swallowing(gymnasium.Wrapper):
        def set_training_info(self, training_info): ...

    env = traincast.TrainingInfoWrapper(Swallowing(curriculum()), channel_name)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 50})
        silent(env, 99)
        with pytest.warns(
            TraincastWarning, match="^Swallowing has received training information from TrainingInfoWrapper"
        ):
            reset(env)
    env.close()


def test_a_program_sees_the_warning_by_default():
    code = """
        import gymnasium, traincast
        from traincast.curriculum import Linear, ProgressCurriculum
        env = ProgressCurriculum(gymnasium.make("CartPole-v1"), {"gravity": Linear(2.0, 9.8, 1000)})
        for _ in range(300):
            env.reset()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr.count("TraincastWarning") == 1
    assert "has received no training information in 100 resets" in done.stderr
