"""The pieces of the demo, without processes."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

import traincast
from traincast.demo.envs import GREATEST_SPEED, make_env
from traincast.demo.settings import ARMS, BASELINE, CURRICULUM, Settings
from traincast.demo.values import ACTIONS, TILES, ActionValues, tiles_of

SETTINGS = Settings(seeds=1, steps=1000, name="demo-test")


def test_arms_differ_in_the_curriculum_alone() -> None:
    assert [run.arm for run in SETTINGS.runs] == list(ARMS)
    assert len({(run.channel, run.policy_id) for run in Settings(seeds=4).runs}) == 8


@pytest.mark.parametrize("arm", ARMS)
def test_the_head_start_follows_the_broadcast_steps(arm: str) -> None:
    run = next(run for run in SETTINGS.runs if run.arm == arm)
    with traincast.TrainingInfoWriter(run.channel, run.policy_id) as writer:
        env = make_env(run, SETTINGS)
        for steps in (0, 150, 300, 600, 999):
            writer.publish({"approx_total_training_steps": steps})
            greatest = SETTINGS.head_start(steps) if arm == CURRICULUM else 0.0
            given = []
            for _ in range(20):
                observation, info = env.reset()
                assert observation.dtype == np.float32
                assert observation[1] == pytest.approx(info["head_start"] * GREATEST_SPEED)
                given.append(info["head_start"])
            assert 0 <= min(given) <= max(given) <= greatest
            assert (max(given) > 0) == (greatest > 0)
            observation, info = env.reset(options={"head_start": False})
            assert info["head_start"] == observation[1] == 0
        env.close()


def test_the_reward_is_one_at_the_goal_only() -> None:
    run = next(run for run in SETTINGS.runs if run.arm == CURRICULUM)
    with traincast.TrainingInfoWriter(run.channel, run.policy_id) as writer:
        writer.publish({"approx_total_training_steps": 0})
        env = make_env(run, SETTINGS)
        env.reset(seed=1)
        rewards, terminated = [], False
        while not terminated:
            _, reward, terminated, truncated, _ = env.step(2)
            rewards.append(reward)
            assert not truncated
        assert rewards[-1] == 1
        assert not any(rewards[:-1])
        env.close()


def test_a_reset_without_a_channel_is_an_error() -> None:
    run = next(run for run in SETTINGS.runs if run.arm == BASELINE)
    env = make_env(run, SETTINGS)
    with pytest.raises(traincast.ChannelNotFoundError):
        env.reset()


def test_tiles_cover_the_whole_state_space() -> None:
    seen = set()
    for position in np.linspace(-1.2, 0.6, 150):
        for velocity in np.linspace(-0.07, 0.07, 150):
            tiles = tiles_of(position, velocity)
            assert len(set(tiles)) == len(tiles) == 8
            seen.update(tiles)
    assert min(seen) >= 0
    assert max(seen) < TILES


def test_a_success_reaches_the_first_state_in_one_pass() -> None:
    path = [tiles_of(-0.5 + 0.2 * i, 0.05) for i in range(5)]
    values = ActionValues()
    values.learn(path, [2, 2, 2, 2], True, 1.0)
    assert values.values(path[3])[2] == pytest.approx(1.0)
    assert values.values(path[0])[2] > 0.5
    assert values.values(path[0])[:2] == [0, 0]
    assert values.greedy(path[0], random.Random(0)) == 2
    copied = ActionValues(values.weights())
    assert values.weights().shape == (ACTIONS, TILES)
    assert all(
        math.isclose(a, b, rel_tol=1e-5)
        for a, b in zip(copied.values(path[0]), values.values(path[0]), strict=True)
    )


def test_nothing_is_learned_from_failures_and_ties_are_broken_at_random() -> None:
    path = [tiles_of(-0.5, 0.0), tiles_of(-0.4, 0.01)]
    values = ActionValues()
    values.learn(path, [0], False, 1.0)
    assert values.values(path[0]) == [0, 0, 0]
    rng = random.Random(0)
    assert {values.greedy(path[0], rng) for _ in range(50)} == {0, 1, 2}
