"""A curriculum that climbs in any training, and whether it did: its levels, and the episodes of all envs."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from traincast.curriculum import PooledCurriculum, TaskCurriculum, TaskSampler

LEVELS, WINDOW = 3, 8


class LevelEnv(gymnasium.Env[Any, Any]):
    """Episodes of two steps; it succeeds at each level that it knows of."""

    observation_space = gymnasium.spaces.Box(-1.0, 1e6, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self) -> None:
        self.level = -1
        self._count = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self._count = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._count += 1
        info = {"success": self.level >= 0, "level": self.level}
        return self._observation(), float(self.level), self._count >= 2, False, info

    def _observation(self) -> Any:
        return np.full(self.observation_space.shape, self.level, np.float32)


class WideLevelEnv(LevelEnv):
    """Two numbers are observed: rl_games' player cannot take a single one."""

    observation_space = gymnasium.spaces.Box(-1.0, 1e6, (2,), np.float32)


def make_level_env(*args: Any, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """For frameworks that hand something to the function that makes an env, too."""
    return TaskCurriculum(LevelEnv(), "level")


def make_wide_level_env(*args: Any, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    return TaskCurriculum(WideLevelEnv(), "level")


def climbing(**more: Any) -> PooledCurriculum:
    return PooledCurriculum(levels=LEVELS, promote_at=1.0, window=WINDOW, **more)


def sampling(**more: Any) -> TaskSampler:
    return TaskSampler(tasks=LEVELS, staleness=0.5, **more)


def tallies(state: dict[str, Any]) -> list[tuple[int, int, float]]:
    """Episodes, successes and the sum of returns at each level, from a curriculum's state."""
    return [(row[0], row[1], row[2]) for row in state["scores"]["totals"]]


def check_climbed(state: dict[str, Any]) -> None:
    """The level rose to the top, and envs counted each episode under the level that they played it with."""
    assert state["rule"]["level"] == LEVELS - 1
    found = tallies(state)
    assert min(episodes for episodes, _, _ in found[:-1]) >= WINDOW
    assert found[-1][0] >= 1
    for level, (episodes, successes, returns) in enumerate(found):
        assert (successes, returns) == (episodes, 2.0 * level * episodes)


def check_resumed(state: dict[str, Any], saved: dict[str, Any]) -> None:
    """A training that went on from `saved` has lost and doubled nothing, and its envs began at the top."""
    check_climbed(saved)
    check_climbed(state)
    before, after = tallies(saved), tallies(state)
    assert after[:-1] == before[:-1]
    assert after[-1][0] > before[-1][0]


def check_sampled(state: dict[str, Any]) -> None:
    """Envs drew every task from the array that was published, and counted what they played."""
    rule = state["rule"]
    assert rule["seen"] == [True] * LEVELS
    assert rule["scores"] == [2.0 * level for level in range(LEVELS)]
    assert rule["episodes"] == sum(episodes for episodes, _, _ in tallies(state))
