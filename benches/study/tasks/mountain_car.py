"""Gymnasium's MountainCar, with a push at the start that levels take away."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from benches.study.tasks.task import Task

__all__ = ["MountainCar"]

_CELLS = 40  # of positions, and of speeds
_LIMIT = 200  # steps of an episode, as in MountainCar-v0
_TOP_SPEED = 0.07


class MountainCar(Task):
    """Level k of 0 ... 9 begins where MountainCar does, with (1 - k / 9) of the greatest speed.

    The equations are those of Gymnasium's env, without its arrays, which take most of its time; a test
    compares the two.
    """

    states, actions, levels = _CELLS * _CELLS, 3, 10
    budget, check_every = 4_000_000, 5_000
    step_size = 0.2

    def __init__(self) -> None:
        self.position = self.speed = 0.0
        self._count = 0

    def reset(self, level: int, rng: random.Random) -> int:
        return self._begin(rng.uniform(-0.6, -0.4), (1 - level / (self.levels - 1)) * _TOP_SPEED)

    def step(self, action: int) -> tuple[int, bool, bool, bool]:
        self._count += 1
        speed = self.speed + ((action - 1) * 0.001 + math.cos(3 * self.position) * -0.0025)
        speed = min(max(speed, -_TOP_SPEED), _TOP_SPEED)
        position = min(max(self.position + speed, -1.2), 0.6)
        if position == -1.2 and speed < 0:
            speed = 0.0
        self.position, self.speed = position, speed
        reached = position >= 0.5
        return self._state(), reached or self._count >= _LIMIT, reached, reached

    def starts(self) -> Sequence[float]:
        return [-0.6 + 0.2 * place / 9 for place in range(10)]

    def begin_at(self, start: float) -> int:
        return self._begin(start, 0.0)

    def copy(self) -> MountainCar:
        return MountainCar()

    def _begin(self, position: float, speed: float) -> int:
        self._count = 0
        self.position, self.speed = position, speed
        return self._state()

    def _state(self) -> int:
        x = int((self.position + 1.2) / 1.8 * _CELLS)
        v = int((self.speed + _TOP_SPEED) / (2 * _TOP_SPEED) * _CELLS)
        return min(x, _CELLS - 1) * _CELLS + min(v, _CELLS - 1)
