"""The recording wrappers count each finished episode once, with its task, success, return and length."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from levels_vector_env import LevelsVectorEnv
from pettingzoo.utils.conversions import turn_based_aec_to_parallel
from recording_envs import PlainEnv
from zoo_envs import Nim, Pennies

from traincast.scores import (
    RecordAECScores,
    RecordParallelScores,
    RecordScores,
    RecordVectorScores,
    Scoreboard,
)


class TaskEnv(PlainEnv):
    """Plays task after task, and succeeds at odd ones."""

    def __init__(self, tasks: int = 3, length: int = 3) -> None:
        super().__init__(length, reward=0.5)
        self.level = -1
        self._tasks = tasks

    def reset(self, **kwargs):
        self.level = (self.level + 1) % self._tasks
        return super().reset(**kwargs)

    def step(self, action):
        observation, reward, terminated, truncated, _ = super().step(action)
        return observation, reward, terminated, truncated, {"won": self.level % 2, "number": self.level}


def play(env, episodes):
    for _ in range(episodes):
        env.reset()
        while True:
            _, _, terminated, truncated, _ = env.step(0)
            if terminated or truncated:
                break


@pytest.mark.parametrize("task", ["level", "number", lambda env, info: env.unwrapped.level])
@pytest.mark.parametrize("success", ["won", lambda env, info: info["won"] == 1])
def test_episodes_of_an_env_are_counted_under_their_tasks(channel_name, task, success):
    with Scoreboard(channel_name, 3) as board:
        env = RecordScores(
            gymnasium.wrappers.TimeLimit(TaskEnv(), 2), channel_name, task=task, success=success
        )
        play(env, 6)
        env.reset()
        env.step(0)
        env.reset()  # an episode that is abandoned
        added = board.collect()
        assert added["episodes"].tolist() == [2, 2, 2]
        assert added["successes"].tolist() == [0, 2, 0]
        assert added["return_sum"].tolist() == [2.0, 2.0, 2.0]
        assert added["length_sum"].tolist() == [4, 4, 4]


def test_a_success_that_nothing_tells_of_is_asked_for_once(channel_name):
    with Scoreboard(channel_name, 1) as board:
        env = RecordScores(TaskEnv(), channel_name)
        with pytest.warns(UserWarning, match="none counts as a success. Pass success="):
            play(env, 3)
        assert board.collect()["episodes"].tolist() == [3]
        env = RecordScores(PlainEnv(), channel_name)  # has info["success"]
        play(env, 2)
        assert board.collect()["successes"].tolist() == [2]


def test_episodes_without_a_scoreboard_are_told_of_once(channel_name):
    env = RecordScores(PlainEnv(length=1), channel_name)
    play(env, 99)
    with pytest.warns(
        UserWarning, match="100 episodes were not counted: .* has no scoreboard. The learner makes"
    ):
        play(env, 1)
    play(env, 200)


@pytest.mark.parametrize(
    "task", [np.int64(2), 2, np.uint8(2), np.array(2), 2.0, np.float32(2), "level"], ids=repr
)
def test_a_task_is_known_by_its_number_of_whatever_type(channel_name, task):
    with Scoreboard(channel_name, 3) as board:
        env = PlainEnv()
        env.level = 2
        found = isinstance(task, float | np.floating)  # what a curriculum shows; as an argument it is none
        play(RecordScores(env, channel_name, task=(lambda env, info: task) if found else task), 1)
        assert board.collect()["episodes"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("task", "error"),
    [
        *[(task, TypeError) for task in (0.5, "1", "easy", None, float("nan"), np.array([1]))],
        *[(task, ValueError) for task in (-1, np.int64(-1), 3)],
    ],
    ids=repr,
)
def test_what_is_no_number_of_a_task_is_refused_and_counts_for_none(channel_name, task, error):
    with Scoreboard(channel_name, 3) as board:
        env = RecordScores(PlainEnv(), channel_name, task=lambda env, info: task)
        with pytest.raises(error, match="task"):
            play(env, 1)
        assert board.collect()["episodes"].sum() == 0


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"task": 1.5}, TypeError, "task must be"),
        ({"task": True}, TypeError, "task must be"),
        ({"success": 3}, TypeError, "success must be"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(channel_name, arguments, error, match):
    with pytest.raises(error, match=match):
        RecordScores(PlainEnv(), channel_name, **arguments)


def test_a_task_that_is_nowhere_is_named_with_what_there_is(channel_name):
    with Scoreboard(channel_name, 1):
        env = RecordScores(PlainEnv(), channel_name, task="lvl")
        with pytest.raises(AttributeError, match=r"task='lvl': neither .* info has \['success'\]"):
            play(env, 1)


def test_a_vector_env_is_no_single_env(channel_name):
    with pytest.raises(TypeError, match="RecordVectorScores"):
        RecordScores(gymnasium.vector.SyncVectorEnv([PlainEnv]), channel_name)


def modes():
    mode = getattr(gymnasium.vector, "AutoresetMode", None)
    return [None] if mode is None else [mode.NEXT_STEP, mode.SAME_STEP]


@pytest.mark.parametrize("mode", modes(), ids=str)
def test_episodes_of_a_vector_env_are_counted_in_every_autoreset_mode(channel_name, mode):
    arguments = {} if mode is None else {"autoreset_mode": mode}
    envs = gymnasium.vector.SyncVectorEnv([lambda: TaskEnv(tasks=2), lambda: TaskEnv(tasks=1)], **arguments)
    with Scoreboard(channel_name, 2) as board:
        envs = RecordVectorScores(envs, channel_name, task="number", success="won")
        envs.reset()
        # NEXT_STEP takes a step for each reset.
        for _ in range(8 if str(mode).endswith("NEXT_STEP") else 6):
            envs.step(np.zeros(2, int))
        added = board.collect()
        assert added["episodes"].tolist() == [3, 1]
        assert added["successes"].tolist() == [0, 1]
        assert added["return_sum"].tolist() == [4.5, 1.5]
        assert added["length_sum"].tolist() == [9, 3]


@pytest.mark.parametrize("mode", [None, "NEXT_STEP", "SAME_STEP", "DISABLED"])
@pytest.mark.parametrize("as_array", [True, False], ids=["an array", "one for all"])
def test_the_task_of_an_episode_may_be_an_attribute_of_a_vector_env(channel_name, mode, as_array):
    """In every mode it is that of the episode that ended, not of the one that the same step has begun."""
    envs = LevelsVectorEnv(mode, as_array=as_array)
    with Scoreboard(channel_name, 3) as board:
        recorded = RecordVectorScores(envs, channel_name, task="level", success=lambda env, info: True)
        recorded.reset()
        for _ in range(24):
            _, _, over, _, _ = recorded.step(np.zeros(2, int))
            if mode == "DISABLED" and over.all():  # one of the two has waited
                recorded.reset(options={"reset_mask": over})
        added = board.collect()
        assert added["episodes"].tolist() == np.bincount(envs.played, minlength=3).tolist()
        assert added["return_sum"].tolist() == envs.returns
        assert added["episodes"].sum() >= 10


def test_a_refused_return_of_one_env_costs_the_others_no_episode(channel_name):
    envs = LevelsVectorEnv("NEXT_STEP", lengths=(2, 2))
    with Scoreboard(channel_name, 3) as board:
        recorded = RecordVectorScores(envs, channel_name, success=lambda env, info: True)
        recorded.reset()
        recorded.step(np.zeros(2, int))
        envs.rewards = np.array([np.nan, 1.0])
        with pytest.raises(ValueError, match="must be finite"):
            recorded.step(np.zeros(2, int))
        envs.rewards = np.ones(2)
        for _ in range(3):
            recorded.step(np.zeros(2, int))
        assert (board.collect()[0]["episodes"], board.totals()[0]["return_sum"]) == (3, 6.0)


def test_a_vector_env_by_function(channel_name):
    envs = gymnasium.vector.SyncVectorEnv([TaskEnv] * 2)
    with Scoreboard(channel_name, 2) as board:
        envs = RecordVectorScores(
            envs, channel_name, task=lambda env, info: info["env_index"], success=lambda env, info: True
        )
        envs.reset()
        for _ in range(3):
            envs.step(np.zeros(2, int))
        assert board.collect()["successes"].tolist() == [1, 1]


def test_episodes_of_a_parallel_env_are_counted_when_no_agent_is_left(channel_name):
    with Scoreboard(channel_name, 1) as board:
        env = RecordParallelScores(Pennies(), channel_name, success=lambda env, info: True)
        total = 0
        for _ in range(2):
            env.reset()
            while env.agents:
                total += 1
                env.step({agent: env.action_space(agent).sample() for agent in env.agents})
        added = board.collect()
        assert (added["episodes"][0], added["successes"][0], added["length_sum"][0]) == (2, 2, total)


def test_the_task_may_be_an_attribute_behind_pettingzoos_conversions(channel_name):
    class Level(Nim):
        level = 1

    with Scoreboard(channel_name, 2) as board:
        parallel = turn_based_aec_to_parallel(Level())
        env = RecordParallelScores(parallel, channel_name, task="level", success=lambda env, info: True)
        env.reset()
        while env.agents:
            env.step({agent: env.action_space(agent).sample() for agent in env.agents})
        assert board.collect()["episodes"].tolist() == [0, 1]


def test_episodes_of_an_aec_env_are_counted_once(channel_name):
    with Scoreboard(channel_name, 1) as board:
        env = RecordAECScores(Nim(), channel_name, success=lambda env, info: True)
        for _ in range(2):
            env.reset()
            for agent in env.agent_iter():
                _, _, terminated, truncated, _ = env.last()
                env.step(None if terminated or truncated else env.action_space(agent).sample())
        assert board.collect()["episodes"][0] == 2
