"""Learners and envs of a pooled curriculum, in processes of their own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import traincast
from traincast.curriculum import PerformanceCurriculum, PooledCurriculum, TaskCurriculum

LEVELS, WINDOW = 8, 16


class NoisyEnv(gymnasium.Env[Any, Any]):
    """Episodes of one step, of which 19 in 20 succeed at every level."""

    observation_space = gymnasium.spaces.Discrete(1)
    action_space = gymnasium.spaces.Discrete(1)

    def __init__(self, seed: int) -> None:
        self.level = 0
        self._rng = np.random.default_rng(seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict]:
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, 0.0, True, False, {"success": bool(self._rng.random() < 0.95)}


def pooled(run: traincast.Run | None = None, **more: Any) -> PooledCurriculum:
    return PooledCurriculum(run, levels=LEVELS, promote_at=0.8, window=WINDOW, **more)


def play_rounds(run: traincast.Run, barrier: Any, first: int, envs: int, rounds: int, levels: Any) -> None:
    """Each round an episode of each env; then the learner's turn. Then each env by itself, as many."""
    together = [run.wrap_env(TaskCurriculum(NoisyEnv(first + i), "level")) for i in range(envs)]
    alone = [
        PerformanceCurriculum(
            NoisyEnv(first + i),
            {"level": range(LEVELS)},
            promote_at=0.8,
            window=WINDOW,
            statistic="success",
        )
        for i in range(envs)
    ]
    for _ in range(rounds):
        for env in (*together, *alone):
            env.reset()
            env.step(0)
        barrier.wait()
        barrier.wait()
    levels.put([(one.unwrapped.level, other.level) for one, other in zip(together, alone, strict=True)])


MANY = 200_000
"""The window of the learner that is killed: more than are played while a busy machine starts a process."""


def learn_and_save(name: str, directory: str, file: str, turns: Any) -> None:
    """A learner that writes a checkpoint after each update, until it is killed."""
    run = traincast.Run(name, unique=False, directory=directory)
    curriculum = PooledCurriculum(run, levels=3, promote_at=1.0, window=MANY)
    while True:
        curriculum.update()
        temporary = Path(f"{file}.tmp")
        temporary.write_text(json.dumps(run.state_dict()))
        os.replace(temporary, file)
        turns.put(curriculum.episodes)
