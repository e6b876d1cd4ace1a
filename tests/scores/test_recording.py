"""The recording wrappers count each finished episode once, with its task, success, return and length."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
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


def test_episodes_of_an_aec_env_are_counted_once(channel_name):
    with Scoreboard(channel_name, 1) as board:
        env = RecordAECScores(Nim(), channel_name, success=lambda env, info: True)
        for _ in range(2):
            env.reset()
            for agent in env.agent_iter():
                _, _, terminated, truncated, _ = env.last()
                env.step(None if terminated or truncated else env.action_space(agent).sample())
        assert board.collect()["episodes"][0] == 2
