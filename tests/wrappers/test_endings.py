"""Who counts episodes, and stands inside of what ends them, says so."""

from __future__ import annotations

import warnings

import gymnasium
import pytest
from recording_envs import PlainEnv

import traincast
from traincast.curriculum import PerformanceCurriculum, TaskCurriculum
from traincast.scores import RecordScores

COUNTING = {
    "PerformanceCurriculum": lambda env: PerformanceCurriculum(env, {"difficulty": [1, 2]}, promote_at=1),
    "TaskCurriculum": lambda env: TaskCurriculum(env, "difficulty", on_missing="ignore"),
    "RecordScores": lambda env: RecordScores(env, "nobody", success="success"),
}
pytestmark = pytest.mark.parametrize(("name", "counting"), COUNTING.items(), ids=COUNTING)


def play(env, episodes):
    for _ in range(episodes):
        env.reset()
        while not any(env.step(0)[2:4]):
            pass


def limited(env):
    return gymnasium.wrappers.TimeLimit(env, 2)


def silently(env, episodes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        play(env, episodes)


def test_inside_of_a_time_limit_it_is_said_at_the_hundredth_episode_once(name, counting):
    env = limited(counting(PlainEnv()))
    silently(env, 100)
    with pytest.warns(traincast.TraincastWarning, match="100 episodes begin, and none end") as said:
        env.reset()
    assert f"{name}(TimeLimit(env, ...), ...)" in str(said[0].message)
    silently(env, 200)


def test_outside_of_it_all_is_well(name, counting):
    env = counting(limited(PlainEnv()))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "^.* none end")
        warnings.filterwarnings("ignore", "^.* no scoreboard")
        play(env, 150)


def test_resets_before_a_step_and_episodes_after_one_that_ended_do_not_count(name, counting):
    env = counting(PlainEnv())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "^.* none end")
        for _ in range(150):
            env.reset()
        play(env, 1)
        for _ in range(150):
            env.reset()
            env.step(0)
