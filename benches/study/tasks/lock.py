"""A lock: one right action at each step; a wrong one ends the episode."""

from __future__ import annotations

import random
from collections.abc import Sequence

from benches.study.tasks.task import Task

__all__ = ["LENGTH", "LEVELS", "Lock", "first_step", "right_actions"]

LENGTH, LEVELS = 60, 20


def right_actions(seed: int, actions: int, length: int = LENGTH) -> list[int]:
    """The combination."""
    rng = random.Random(f"lock {seed}")
    return [rng.randrange(actions) for _ in range(length)]


def first_step(level: int, length: int = LENGTH, levels: int = LEVELS) -> int:
    """Where the episodes of each level begin: farther and farther from the end."""
    return length - length // levels * (level + 1)


class Lock(Task):
    """60 steps; level k begins 3 (k + 1) steps before the end (reverse curriculum, Florensa et al. 2017)."""

    states, levels, check_every = LENGTH + 1, LEVELS, 500

    def __init__(self, seed: int, actions: int) -> None:
        self.actions = actions
        self.budget = 3_000_000
        self._seed = seed
        self._right = right_actions(seed, actions)
        self._place = 0

    def reset(self, level: int, rng: random.Random) -> int:
        self._place = first_step(level)
        return self._place

    def step(self, action: int) -> tuple[int, bool, bool, bool]:
        if action != self._right[self._place]:
            return self._place, True, True, False
        self._place += 1
        done = self._place == LENGTH
        return self._place, done, done, done

    def starts(self) -> Sequence[int]:
        return (0,)

    def begin_at(self, start: int) -> int:
        self._place = start
        return start

    def copy(self) -> Lock:
        return Lock(self._seed, self.actions)
