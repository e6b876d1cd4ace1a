"""`TaskCurriculum` goes around each env inside of a vector env, and says so of what it cannot go around."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from climbing import LEVELS, LevelEnv, climbing, tallies
from zoo_envs import Nim, Pennies

import traincast
from traincast.curriculum import (
    PerformanceCurriculum,
    PooledCurriculum,
    ProgressCurriculum,
    TaskCurriculum,
)

ENVS, EPISODES = 3, 8


def make_env():
    return TaskCurriculum(LevelEnv(), "level")


def modes():
    mode = getattr(gymnasium.vector, "AutoresetMode", None)
    return [None] if mode is None else [mode.NEXT_STEP, mode.SAME_STEP, mode.DISABLED]


def level_of(infos, index):
    last = infos.get("final_info", infos)
    return int(last[index]["level"] if isinstance(last, np.ndarray) else last["level"][index])


@pytest.mark.parametrize("mode", modes(), ids=str)
@pytest.mark.parametrize("kind", ["SyncVectorEnv", "AsyncVectorEnv"])
def test_in_a_vector_env_each_env_plays_the_level_and_every_episode_is_counted_once(kind, mode):
    with traincast.Run("vector") as run:
        curriculum = PooledCurriculum(run, levels=LEVELS, promote_at=1.0, window=2 * ENVS)
        options = {} if mode is None else {"autoreset_mode": mode}
        if kind == "AsyncVectorEnv":
            options["context"] = "spawn"
        envs = getattr(gymnasium.vector, kind)([run.wrap_env_fn(make_env) for _ in range(ENVS)], **options)
        envs.reset(seed=0)
        played = [0] * LEVELS
        while played[-1] < EPISODES:
            _, _, terminated, truncated, infos = envs.step(np.zeros(ENVS, int))
            over = terminated | truncated
            for index in np.flatnonzero(over):
                played[level_of(infos, index)] += 1
            curriculum.update()
            if over.any() and str(mode).endswith("DISABLED"):
                envs.reset(options={"reset_mask": over})
        curriculum.update()
        counted = [episodes for episodes, _, _ in tallies(curriculum.state_dict())]
        assert counted == played
        envs.close()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: TaskCurriculum(env, "level"),
        lambda env: ProgressCurriculum(env, {}),
        lambda env: PerformanceCurriculum(env, {}, promote_at=1.0),
    ],
    ids=["TaskCurriculum", "ProgressCurriculum", "PerformanceCurriculum"],
)
def test_around_another_kind_of_env_it_says_where_it_belongs(wrap):
    with pytest.raises(TypeError, match=r"not SyncVectorEnv\. Put it around each env.*RecordVectorScores"):
        wrap(gymnasium.vector.SyncVectorEnv([LevelEnv]))
    for env in (Pennies(), Nim()):
        with pytest.raises(TypeError, match=r"not (Pennies|Nim)\. An env of several agents .*RecordParallel"):
            wrap(env)
    with pytest.raises(TypeError, match="LevelEnv'>: call the function that makes it"):
        wrap(LevelEnv)
    with pytest.raises(TypeError, match="not int"):
        wrap(3)


class Batched(LevelEnv):
    """A vector env that says it is a `gymnasium.Env`, as EnvPool's and Isaac Lab's are."""

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, np.full(2, reward), np.full(2, terminated), np.full(2, truncated), info


def test_rewards_that_are_many_are_those_of_no_single_env():
    with traincast.Run("batched", curriculum=climbing()) as run:
        env = run.wrap_env(TaskCurriculum(Batched(), "level"))
        env.reset()
        with pytest.raises(TypeError, match=r"whose reward is one number, not array.*around each env inside"):
            env.step(0)
