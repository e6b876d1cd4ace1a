"""What a killed learner left: not for those who only know its name, but for those who were attached."""

from __future__ import annotations

import pytest
from learner_process import LearnerProcess
from recording_envs import STEPS, RecordingEnv

import traincast


@pytest.fixture
def dead(channel_name):
    with LearnerProcess(channel_name) as learner:
        learner.publish(**{STEPS: 10})
        learner.kill()
    return channel_name


def wrapped(name, **arguments):
    return traincast.TrainingInfoWrapper(RecordingEnv(), name, **arguments)


def test_a_name_gets_nothing_of_it(dead):
    env = wrapped(dead, on_missing="raise")
    with pytest.raises(traincast.ChannelNotFoundError, match=r'learner is dead.*leftover="use"'):
        env.reset()
    env = wrapped(dead)
    for _ in range(99):
        assert env.reset()[1]["known_steps"] == -1
    with pytest.warns(traincast.TraincastWarning, match='learner is dead.*leftover="use".*frozen='):
        env.reset()


@pytest.mark.parametrize(
    ("leftover", "advice"),
    [("continue", "has taken it over, and has published nothing yet"), ("replace", "has no channels")],
)
def test_a_learner_that_takes_it_over_serves_it_from_its_first_snapshot_on(dead, leftover, advice):
    with traincast.TrainingInfoWriter(dead, leftover=leftover) as writer:
        env = wrapped(dead, on_missing="raise")
        with pytest.raises(traincast.ChannelNotFoundError, match=advice):
            env.reset()
        assert wrapped(dead).reset()[1]["known_steps"] == -1
        writer.publish({STEPS: 20})
        assert env.reset()[1]["known_steps"] == 20


def test_it_can_be_asked_for(dead):
    env, other = wrapped(dead, leftover="use"), wrapped(dead, leftover="use")
    with pytest.warns(traincast.TraincastWarning, match="is dead: envs go on with what it left") as said:
        assert env.reset()[1]["known_steps"] == 10
    assert said[0].filename == __file__
    assert other.reset()[1]["known_steps"] == 10  # once per process


def test_it_is_delivered_where_warnings_are_errors_too(dead):
    env = wrapped(dead, leftover="use")
    with pytest.raises(traincast.TraincastWarning):
        env.reset()
    assert env.reset()[1]["known_steps"] == 10


def test_a_learner_that_comes_back_is_followed_in_either_case(dead):
    patient = wrapped(dead)
    patient.reset()
    user = wrapped(dead, leftover="use")
    with pytest.warns(traincast.TraincastWarning, match="dead"):
        user.reset()
    with LearnerProcess(dead) as learner:
        learner.publish(**{STEPS: 20})
        assert patient.reset()[1]["known_steps"] == 20
        assert user.reset()[1]["known_steps"] == 20
        learner.kill()
    assert patient.reset()[1]["known_steps"] == 20
    assert patient.unwrapped.seen == [20]


def test_an_evaluation_by_name_can_use_it(dead):
    env = wrapped(dead, leftover="use", frozen=True)
    with pytest.warns(traincast.TraincastWarning) as said:
        assert env.reset()[1]["known_steps"] == 10
    assert {"dead" in str(warning.message) for warning in said} == {True, False}  # and it was the start


def test_a_wrong_choice_is_refused(channel_name):
    with pytest.raises(ValueError, match=r"leftover must be one of .*use.*ignore"):
        wrapped(channel_name, leftover="yes")
