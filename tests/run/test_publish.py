"""What `Run.publish` takes and refuses; where a run starts; checkpoints."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch

import traincast

STEPS = "approx_total_training_steps"


def newest(run):
    with traincast.TrainingInfoReader(run.name, run.policy_id) as reader:
        return reader.read()


@pytest.fixture
def run():
    with traincast.Run("ppo") as run:
        yield run


def test_the_start_is_published_at_once(run):
    assert newest(run) == {STEPS: 0}


def test_keys_that_are_not_given_stay(run):
    assert run.publish(10, reward_shaping={"goal": 1.0}) == 2
    assert run.publish(20, lr=0.1) == 3
    assert newest(run) == {STEPS: 20, "reward_shaping": {"goal": 1.0}, "lr": 0.1}


@pytest.mark.parametrize(
    "steps", [np.int64(5), np.uint8(5), 5.0, np.float32(5), np.float64(5), np.array(5), torch.tensor(5)]
)
def test_steps_are_published_as_an_int(run, steps):
    run.publish(steps)
    assert type(newest(run)[STEPS]) is int
    assert newest(run)[STEPS] == 5


@pytest.mark.parametrize(
    "steps", [True, np.True_, math.nan, math.inf, 1.5, -1, np.int64(-1), "5", None, {STEPS: 5}, np.array([5])]
)
def test_other_steps_are_refused_and_change_nothing(run, steps):
    with pytest.raises(ValueError, match="whole number from 0 up"):
        run.publish(steps, a=1)
    assert newest(run) == {STEPS: 0}


def test_steps_that_go_back_are_published_and_warned_of_once(run):
    run.publish(50)
    with pytest.warns(
        traincast.TraincastWarning, match="back from 50 training steps to 3.*Run.state="
    ) as said:
        run.publish(3)
    run.publish(2)  # a warning would be an error here
    assert said[0].filename == __file__
    assert newest(run)[STEPS] == 2


def test_wrong_calls_are_type_errors(run):
    with pytest.raises(TypeError, match="steps"):
        run.publish()
    with pytest.raises(TypeError, match=STEPS):
        run.publish(1, **{STEPS: 1})
    with pytest.raises(TypeError, match="positional"):
        run.publish(1, {"a": 1})
    with pytest.raises(traincast.UnsupportedTypeError, match='info\\["x"\\]'):
        run.publish(1, x=object())
    assert newest(run) == {STEPS: 0}


def test_every_other_name_can_be_a_key(run):
    run.publish(1, self=2, steps=3, name=4)
    assert newest(run) == {STEPS: 1, "self": 2, "steps": 3, "name": 4}


def test_policies_have_channels_of_their_own():
    with traincast.Run("pbt", 0) as first, traincast.Run(first.name, np.int64(1), unique=False) as second:
        first.publish(1)
        second.publish(2)
        assert (newest(first)[STEPS], newest(second)[STEPS]) == (1, 2)


def test_where_a_run_starts_can_be_given():
    with traincast.Run("start", start=np.int64(7), training_info={"a": 1}) as run:
        assert newest(run) == {STEPS: 7, "a": 1}
    with traincast.Run("start", training_info={STEPS: 500}) as run:
        assert newest(run) == {STEPS: 500}


@pytest.mark.parametrize("start", [-1, 1.5, "a", True])
def test_an_invalid_start_is_refused(start):
    with pytest.raises(ValueError, match="whole number from 0 up"):
        traincast.Run(start=start)


def test_a_run_goes_on_from_a_checkpoint(tmp_path):
    with traincast.Run("ppo") as run:
        run.publish(100, level=np.arange(3.0), shaping={"goal": 0.5})
        torch.save(run.state_dict(), tmp_path / "checkpoint")
        name, version, epoch = run.name, run.state_dict()["version"], run.state_dict()["epoch"]
    state = torch.load(tmp_path / "checkpoint", weights_only=False)
    with traincast.Run(state=state) as run:
        assert run.name.startswith("ppo-")
        assert run.name != name
        info = newest(run)
        assert info[STEPS] == 100
        assert info["shaping"] == {"goal": 0.5}
        assert info["level"].tolist() == [0, 1, 2]
        assert run.state_dict()["version"] > version
        assert run.state_dict()["epoch"] > epoch
        run.publish(101)
        assert newest(run)["shaping"] == {"goal": 0.5}


def test_start_and_training_info_change_what_a_checkpoint_has():
    with traincast.Run("ppo", training_info={"a": 1, "b": 1}, start=5) as run:
        state = run.state_dict()
    with traincast.Run(state=state, start=9, training_info={"b": 2}) as run:
        assert newest(run) == {STEPS: 9, "a": 1, "b": 2}


def test_a_checkpoint_can_be_loaded_later(run):
    run.publish(10, a=1)
    state = run.state_dict()
    run.publish(20, a=2, b=2)
    run.load_state_dict(state)
    assert newest(run) == {STEPS: 10, "a": 1}
    run.publish(11)  # is not back
    assert newest(run) == {STEPS: 11, "a": 1}


def test_a_closed_run_still_has_its_state():
    with traincast.Run("ppo") as run:
        run.publish(3, a=1)
    assert run.state_dict()["training_info"] == {STEPS: 3, "a": 1}
    run.close()
    assert run.state_dict()["training_info"] == {STEPS: 3, "a": 1}


def test_a_run_that_lost_its_channel_has_no_state():
    with (
        traincast.Run("fixed", unique=False) as run,
        traincast.Run("fixed", unique=False, supersede=True) as new,
    ):
        with pytest.raises(traincast.ChannelLostError):
            run.publish(1)
        assert run.closed
        with pytest.raises(traincast.ChannelClosedError, match="lost its channel"):
            run.state_dict()
        assert new.publish(2)


def test_the_state_of_an_empty_channel_is_a_start():
    with traincast.Run(state={"version": 0, "epoch": 1, "training_info": None, "name": "x"}) as run:
        assert newest(run) == {STEPS: 0}


GOOD = {"version": 4, "epoch": 1, "training_info": {STEPS: 1}, "name": "x", "policy_id": 0}


@pytest.mark.parametrize(
    "state",
    [
        {},
        5,
        "checkpoint.pt",
        {"model": {}, "optimizer": {}},
        GOOD | {"version": "4"},
        GOOD | {"version": -1},
        GOOD | {"version": 2**70},
        GOOD | {"epoch": None},
        GOOD | {"training_info": 5},
        GOOD | {"training_info": {STEPS: "a"}},
        GOOD | {"name": 5},
    ],
)
def test_an_invalid_state_is_refused_and_leaves_nothing(state, traincast_dir, run):
    before = sorted(os.listdir(traincast_dir))
    with pytest.raises(ValueError, match=r"state must be what Run.state_dict\(\) returned|whole number"):
        traincast.Run(state=state)
    with pytest.raises(ValueError, match=r"state must be what Run.state_dict\(\) returned|whole number"):
        run.load_state_dict(state)
    assert sorted(os.listdir(traincast_dir)) == before
    assert newest(run) == {STEPS: 0}


def test_a_start_that_fails_leaves_no_channel(traincast_dir):
    with pytest.raises(traincast.UnsupportedTypeError) as caught:
        traincast.Run("fails", training_info={"a": object()})
    assert caught.value.__traceback__ is not None  # it keeps the frames
    assert os.listdir(traincast_dir) == []


def test_options_are_passed_on_to_the_writer():
    with pytest.raises(TypeError, match="unexpected keyword argument 'capactiy'"):
        traincast.Run(capactiy=1)
    with traincast.Run(required=["approx_total_training_steps", "a"], training_info={"a": 1}) as run:
        assert newest(run) == {STEPS: 0, "a": 1}
    with pytest.raises(traincast.MissingKeyError):
        traincast.Run(required=["a"])
