"""MiniGrid's MultiRoom-N6: six rooms behind doors, one layout for each seed."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

from minigrid.core.world_object import Door
from minigrid.envs.multiroom import MultiRoomEnv

from benches.study.tasks.task import Task

__all__ = ["MultiRoom"]

_ROOMS = 6
_SIDE = 25

Situation = tuple[int, int, int, int]
"""Column, row and direction of the agent, and which doors are open, as bits."""


class _Env(MultiRoomEnv):  # type: ignore[misc]
    """The env without rendering its observation: the tabular learner uses the state itself."""

    def gen_obs(self) -> Any:
        return None


class MultiRoom(Task):
    """Level k of 0 ... 11 begins on the shortest path to the goal, (k + 1) / 12 of it before the end."""

    states, actions, levels = _SIDE * _SIDE * 4 * 2 ** (_ROOMS - 1), 7, 12
    budget, check_every = 2_000_000, 500
    exploration = 0.05

    def __init__(self, seed: int, way: Sequence[Situation] = ()) -> None:
        self._seed = seed
        self._env = _Env(minNumRooms=_ROOMS, maxNumRooms=_ROOMS)
        self._env.reset(seed=seed)
        cells = [self._env.grid.get(x, y) for y in range(_SIDE) for x in range(_SIDE)]
        self._doors: list[Any] = [cell for cell in cells if isinstance(cell, Door)]
        self._way = way or self._shortest_way()

    def reset(self, level: int, rng: random.Random) -> int:
        steps = len(self._way) - 1
        return self._begin(self._way[steps - round(steps * (level + 1) / self.levels)])

    def step(self, action: int) -> tuple[int, bool, bool, bool]:
        _, _, terminated, truncated, _ = self._env.step(action)
        return self._state(), terminated or truncated, terminated, terminated

    def starts(self) -> Sequence[Situation]:
        return self._way[:1]

    def begin_at(self, start: Situation) -> int:
        return self._begin(start)

    def copy(self) -> MultiRoom:
        return MultiRoom(self._seed, self._way)

    def _begin(self, situation: Situation) -> int:
        env = self._env
        x, y, env.agent_dir, open_doors = situation
        env.agent_pos = (x, y)
        env.step_count = 0
        for number, door in enumerate(self._doors):
            door.is_open = bool(open_doors >> number & 1)
        return self._state()

    def _situation(self) -> Situation:
        x, y = self._env.agent_pos
        bits = sum(door.is_open << number for number, door in enumerate(self._doors))
        return int(x), int(y), int(self._env.agent_dir), bits

    def _state(self) -> int:
        x, y, direction, bits = self._situation()
        return ((bits * _SIDE + y) * _SIDE + x) * 4 + direction

    def _shortest_way(self) -> list[Situation]:
        """Return the shortest path from the real start to the goal, by breadth-first search in the env."""
        start = self._situation()
        before: dict[Situation, Situation | None] = {start: None}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            for action in (0, 1, 2, 5):  # to the left, to the right, forward, a door
                self._begin(here)
                _, reached, _, _ = self.step(action)
                there = self._situation()
                if there in before:
                    continue
                before[there] = here
                if reached:
                    return _traced(there, before)
                waiting.append(there)
        raise RuntimeError(f"layout {self._seed} has no path to its goal")


def _traced(end: Situation, before: dict[Situation, Situation | None]) -> list[Situation]:
    way = [end]
    while (earlier := before[way[-1]]) is not None:
        way.append(earlier)
    return way[::-1]
