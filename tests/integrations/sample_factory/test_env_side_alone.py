"""The env's side where nothing is trained, or the learner's channel is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sf_envs

import traincast
from traincast.integrations.sample_factory import wrap_env_func
from traincast.integrations.sample_factory.saved import save_wire

STEPS = "approx_total_training_steps"
Make = Callable[..., Any]


def test_an_evaluation_has_the_given_information(make: Make) -> None:
    given = {STEPS: 5, "levels": [1]}
    env = make("informed", eval_info=given, on_missing="raise")
    env.reset()
    assert env.unwrapped.training_info == given
    env.unwrapped.training_info["levels"].append(2)
    assert given == {STEPS: 5, "levels": [1]}


def test_an_evaluation_has_what_the_policy_saved(make: Make, configuration: Any) -> None:
    cfg = configuration("--env=informed", "--experiment=here")
    for policy_id in range(2):
        with traincast.TrainingInfoWriter("saved", policy_id) as writer:
            writer.publish({STEPS: 100 + policy_id})
            save_wire(cfg, policy_id, writer.read_wire() or b"")
    cfg.policy_index = 1
    env = wrap_env_func(sf_envs.make_env)("informed", cfg, sf_envs.WORKER, None)
    env.reset()
    assert env.unwrapped.training_info[STEPS] == 101


def test_an_evaluation_that_finds_nothing_can_ignore_it(make: Make) -> None:
    env = make("informed", on_missing="ignore")
    for _ in range(200):
        env.reset()
    env.close()
    assert env.unwrapped.training_info == {}


def test_an_evaluation_that_finds_nothing_warns_once(make: Make) -> None:
    env = make("informed")
    for _ in range(99):
        env.reset()
    saved = "checkpoint_p0/training_info.wire"
    with pytest.warns(traincast.TraincastWarning, match=rf"none has saved .*{saved}.*eval_info"):
        env.reset()
    for _ in range(200):
        env.reset()  # pytest makes an error of a second warning
    env.close()


def test_a_short_evaluation_that_finds_nothing_warns_at_its_end(make: Make) -> None:
    env = make("informed")
    env.reset()
    with pytest.warns(traincast.TraincastWarning, match="none has saved"):
        env.close()


def test_an_evaluation_that_finds_nothing_raises(make: Make) -> None:
    env = make("informed", on_missing="raise")
    for _ in range(2):
        with pytest.raises(traincast.ChannelNotFoundError, match="No training information for the env"):
            env.reset()


def test_a_training_without_its_channel_raises(make: Make, channel_name: str) -> None:
    env = make("informed", channel=channel_name, on_missing="raise")
    with pytest.raises(traincast.ChannelNotFoundError, match=channel_name):
        env.reset()


def test_a_training_without_its_channel_warns_once(make: Make, channel_name: str) -> None:
    env = make("informed", channel=channel_name)
    for _ in range(99):
        env.reset()
    with pytest.warns(traincast.TraincastWarning, match=channel_name):
        env.reset()
    env.reset()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"eval_info": {"level": 1}}, traincast.MissingKeyError, "approx_total_training_steps"),
        ({"on_missing": "cry"}, ValueError, "'cry'"),
        ({"deliver": "step"}, ValueError, "'step'"),
    ],
)
def test_wrong_options(options: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        wrap_env_func(sf_envs.make_env, **options)
