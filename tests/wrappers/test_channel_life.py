"""Channels that appear late, go away, die, and are replaced; all between two resets of one env."""

from __future__ import annotations

import pytest
from learner_process import LearnerProcess
from recording_envs import STEPS, RecordingEnv

import traincast


def wrapped(name, **arguments):
    return traincast.TrainingInfoWrapper(RecordingEnv(), name, **arguments)


def test_a_missing_channel_can_be_ignored(channel_name):
    env = wrapped(channel_name, on_missing="ignore")
    assert env.reset()[1]["known_steps"] == -1
    assert env.training_info == {}


def test_a_missing_channel_can_raise_at_each_reset(channel_name):
    env = wrapped(channel_name, on_missing="raise")
    for _ in range(2):
        with pytest.raises(traincast.ChannelNotFoundError, match=channel_name):
            env.reset()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 10})
        assert env.reset()[1]["known_steps"] == 10


@pytest.mark.parametrize("deliver", ["step", "both"])
def test_a_missing_channel_can_raise_in_step(channel_name, deliver):
    env = wrapped(channel_name, deliver=deliver)
    env.reset()
    env.step(0)
    env = wrapped(channel_name, deliver="step", on_missing="raise")
    env.reset()
    with pytest.raises(traincast.ChannelNotFoundError):
        env.step(0)


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_name_counts_as_a_missing_channel(value, monkeypatch):
    if value is not None:
        monkeypatch.setenv("TRAINCAST_NAME", value)
    assert wrapped(None).reset()[1]["known_steps"] == -1
    with pytest.raises(traincast.ChannelNotFoundError, match=r"name=.*TRAINCAST_NAME"):
        wrapped(None, on_missing="raise").reset()


def test_a_channel_that_appears_later_is_known_at_the_next_reset(channel_name):
    env = wrapped(channel_name)
    env.reset()
    env.reset()
    with LearnerProcess(channel_name) as learner:
        learner.publish(**{STEPS: 10})
        assert env.reset()[1]["known_steps"] == 10


def test_a_closed_channel_leaves_the_last_information(channel_name):
    env = wrapped(channel_name)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 10})
        env.reset()
    assert env.reset()[1]["known_steps"] == 10
    assert env.unwrapped.seen == [10]


def test_what_was_published_before_the_close_still_arrives(channel_name):
    env = wrapped(channel_name)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 10})
        env.reset()
        writer.publish({STEPS: 20})
    assert env.reset()[1]["known_steps"] == 20


def test_a_new_channel_after_a_close_is_followed(channel_name):
    env = wrapped(channel_name)
    for steps in (10, 5, 30):  # the second run is younger than the first
        with LearnerProcess(channel_name) as learner:
            learner.publish(**{STEPS: steps})
            assert env.reset()[1]["known_steps"] == steps
            learner.close()
        assert env.reset()[1]["known_steps"] == steps


@pytest.mark.parametrize("leftover", ["continue", "replace"])
def test_a_learner_that_takes_over_from_a_killed_one_is_followed(channel_name, leftover):
    env = wrapped(channel_name)
    with LearnerProcess(channel_name) as learner:
        learner.publish(**{STEPS: 10})
        env.reset()
        learner.kill()
    assert env.reset()[1]["known_steps"] == 10
    with LearnerProcess(channel_name, leftover=leftover) as learner:
        learner.publish(**{STEPS: 3})
        assert env.reset()[1]["known_steps"] == 3
        learner.publish(**{STEPS: 4})
        assert env.reset()[1]["known_steps"] == 4


def test_a_channel_that_outgrows_its_file_is_followed(channel_name):
    env = wrapped(channel_name)
    with LearnerProcess(channel_name) as learner:
        learner.publish(**{STEPS: 1, "text": "x"})
        env.reset()
        learner.publish(**{STEPS: 2, "text": "x" * 1_000_000})
        assert env.reset()[1]["known_steps"] == 2
        assert len(env.training_info["text"]) == 1_000_000
